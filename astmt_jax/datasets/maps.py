"""How images and label maps are stored: as the bytes of a picture file or a compressed array.

The kind of a map says what its bytes mean. Pictures of the source are kept as they are where that
is possible; nothing is a float map that 8 or 16 bits hold exactly.

Arrays are compressed by Zstandard, pictures are decoded by OpenCV: both are several times as fast
as TensorFlow's operations on PNG files, and release the global interpreter lock while they work.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from astmt_jax.files.encoding import MAX_PIXELS, decode_array
from astmt_jax.files.picture_size import picture_size
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline.geometries import centered
from astmt_jax.runtime.quiet_tensorflow import tf, tfds

Example = dict[str, Any]

DISPARITY_STEP = 1 / 8192
"""Disparity of FSV per code; a code has 24 bits."""


class Kind(NamedTuple):
    """What the bytes of a map decode to.

    Attributes:
      dtype: of the decoded map.
      channels: the decoded map is (H, W, channels).
      decode: bytes to the map.
      unknown: value of every element of a map that an example lacks.
      pack: bytes to the form that `augment.move` moves faster, where there is one.
    """

    dtype: type[np.generic]
    channels: int
    decode: Callable[[bytes], np.ndarray]
    unknown: int = IGNORE
    pack: Callable[[bytes], np.ndarray] | None = None


def _decode_rgb(data: bytes) -> np.ndarray:
    """JPEG (with the accurate integer DCT, as PIL has it), PNG or WebP to (H, W, 3).

    Raises:
      ValueError: it is none of them, or larger than what is prepared.
    """
    try:
        height, width = picture_size(data)
        if height * width > MAX_PIXELS:
            raise ValueError(f"it has {height} x {width} pixels")
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if picture is None:
            raise ValueError("it is damaged")
    except (cv2.error, ValueError) as error:
        raise ValueError(
            "A stored picture cannot be decoded; prepare the dataset again."
        ) from error
    return picture


def _decode_array(dtype: str, channels: int = 1) -> Callable[[bytes], np.ndarray]:
    return lambda data: decode_array(data, dtype, channels)


def _decode_regions(data: bytes) -> np.ndarray:
    return decode_array(data, "<u2", 1).astype(np.int32)


def _decode_fraction(data: bytes) -> np.ndarray:
    return decode_array(data, "u1", 1) / np.float32(255)


def _decode_color(data: bytes) -> np.ndarray:
    return _decode_rgb(data) / np.float32(255)


def _decode_normals(data: bytes) -> np.ndarray:
    return _decode_rgb(data) * np.float32(2 / 255) - np.float32(1)


def _pack_normals(data: bytes) -> np.ndarray:
    return cv2.cvtColor(_decode_rgb(data), cv2.COLOR_RGB2RGBA)


_pack_masked_normals = _decode_array("u1", 4)


def _decode_masked_normals(data: bytes) -> np.ndarray:
    vectors = centered(_pack_masked_normals(data))
    return cv2.cvtColor(vectors, cv2.COLOR_RGBA2RGB) / np.float32(127.5)


def _decode_disparity(data: bytes) -> np.ndarray:
    # A float32 holds integers of 24 bits exactly.
    codes = cv2.transform(_decode_rgb(data).astype(np.float32), np.array([[1.0, 256, 65536]]))
    return codes[..., None] * np.float32(DISPARITY_STEP)


KINDS = {
    # RGB picture: JPEG, PNG or WebP.
    "image": Kind(np.uint8, 3, _decode_rgb),
    # Class ids, 255 where unknown: array of uint8.
    "classes": Kind(np.uint8, 1, _decode_array("u1")),
    # Numbers of regions: array of uint16.
    "regions": Kind(np.int32, 1, _decode_regions),
    # Bits that say which annotators drew an edge: array of uint16.
    "annotators": Kind(np.int32, 1, _decode_regions, unknown=0),
    # v / 255 of an array of uint8.
    "fraction": Kind(np.float32, 1, _decode_fraction),
    # v / 255 of an RGB picture.
    "color": Kind(np.float32, 3, _decode_color),
    # 2v / 255 - 1 of an RGB picture.
    "normals": Kind(np.float32, 3, _decode_normals, 0, _pack_normals),
    # The same of an array (H, W, 4) of uint8, 0 where the last channel is 0.
    "masked_normals": Kind(np.float32, 3, _decode_masked_normals, 0, _pack_masked_normals),
    # Disparity, 0 where unknown: 24-bit code of a picture, most significant byte blue.
    "disparity": Kind(np.float32, 1, _decode_disparity, unknown=0),
    # Numbers as they are, 0 where unknown: array of float32.
    "values1": Kind(np.float32, 1, _decode_array("<f4"), unknown=0),
    "values3": Kind(np.float32, 3, _decode_array("<f4", 3), unknown=0),
}


class StoredMap(tfds.features.FeatureConnector):
    """A map (H, W, c) of a kind of `KINDS`, kept as bytes; (0, 0, c) for an example without it.

    Args:
      kind: what the bytes mean.
      doc: as TFDS has it.
    """

    def __init__(self, kind: str, doc: tfds.features.feature.DocArg = None):
        super().__init__(doc=doc)
        self.kind = kind

    def get_tensor_info(self) -> tfds.features.TensorInfo:
        kind = KINDS[self.kind]
        return tfds.features.TensorInfo(shape=(None, None, kind.channels), dtype=kind.dtype)

    # TFDS has it with a cache around it, which is nothing to who calls it.
    def get_serialized_info(  # ty: ignore[incompatible-attribute-override]
        self,
    ) -> tfds.features.TensorInfo:
        return tfds.features.TensorInfo(shape=(), dtype=np.object_)

    def encode_example(self, example_data: bytes | None) -> bytes:
        return example_data or b""

    def decode_example_np(self, example_data: Any) -> np.ndarray:
        """Of bytes; ValueError if they are damaged."""
        kind = KINDS[self.kind]
        if not isinstance(example_data, bytes):
            raise ValueError("a map is missing, or no bytes")
        if not example_data:
            return np.zeros((0, 0, kind.channels), kind.dtype)
        return kind.decode(example_data)

    def decode_example(self, tfexample_data: tf.Tensor) -> tf.Tensor:
        def decode(data: bytes | np.ndarray) -> np.ndarray:
            # Outside of graphs TensorFlow passes an array of one object.
            return self.decode_example_np(data if isinstance(data, bytes) else data.item())

        kind = KINDS[self.kind]
        decoded = tf.numpy_function(decode, [tfexample_data], kind.dtype, stateful=False)
        return tf.ensure_shape(decoded, (None, None, kind.channels))

    def to_json_content(self) -> dict[str, Any]:
        return {"kind": self.kind}


def complete(features: tfds.features.FeaturesDict) -> Callable[[Example], Example]:
    """Returns `Source.decode` for records of these features.

    It gives a map that an example lacks the size of the image (1 x 1 if the image is not asked for)
    and the value that says 'unknown' everywhere. A map of another size than its image is a
    ValueError, and so is an example without an image.
    """

    def decode(example: Example) -> Example:
        size = example["image"].shape[:2] if "image" in example else None
        if size == (0, 0):
            raise ValueError("it has no image")
        return {
            key: _sized(key, value, features[key], size)
            if isinstance(features[key], StoredMap)
            else value
            for key, value in example.items()
        }

    return decode


def _sized(
    key: str, value: np.ndarray, feature: StoredMap, size: tuple[int, int] | None
) -> np.ndarray:
    kind = KINDS[feature.kind]
    if not value.size:
        return np.full((*(size or (1, 1)), kind.channels), kind.unknown, kind.dtype)
    if size is not None and value.shape[:2] != size:
        (height, width), found = size, value.shape
        raise ValueError(
            f"its {key} has {found[0]} x {found[1]} pixels, its image {height} x {width}"
        )
    return value


class _Packing(tfds.decode.Decoder):
    """Decodes a `StoredMap` with its kind's `pack`."""

    def __init__(self, pack: Callable[[bytes], np.ndarray]):
        super().__init__()
        self._pack = pack

    def decode_example(self, serialized_example: bytes) -> np.ndarray:
        if serialized_example and isinstance(serialized_example, bytes):
            return self._pack(serialized_example)
        return self.feature.decode_example_np(serialized_example)


def packing(features: tfds.features.FeaturesDict) -> dict[str, tfds.decode.Decoder]:
    """`Source.packing` for records of these features."""
    return {
        key: _Packing(pack)
        for key, feature in features.items()
        if isinstance(feature, StoredMap) and (pack := KINDS[feature.kind].pack)
    }
