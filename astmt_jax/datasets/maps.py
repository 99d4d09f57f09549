"""How images and label maps are stored: the bytes of one small file each, which TFDS decodes.

The kind of a map says what its bytes mean. Files of the source are kept as they are where that is
possible; nothing is a float map that 8 or 16 bits hold exactly.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from astmt_jax.labels import IGNORE

Tensors = dict[str, tf.Tensor]

DISPARITY_STEP = 1 / 8192
"""Disparity of FSV per code; a code has 24 bits."""


class Kind(NamedTuple):
    """What the bytes of a map decode to.

    Attributes:
      dtype: of the decoded map.
      channels: the decoded map is (H, W, channels).
      decode: bytes to the map.
      unknown: value of every element of a map that an example lacks.
    """

    dtype: tf.DType
    channels: int
    decode: Callable[[tf.Tensor], tf.Tensor]
    unknown: int = IGNORE


def _decode_rgb(data: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG or WebP to uint8 (H, W, 3); JPEG with the accurate integer DCT, as PIL has it."""
    return tf.cond(
        tf.equal(tf.strings.substr(data, 0, 4), b"RIFF"),
        lambda: tf.io.decode_webp(data, channels=3)[0],
        # This operation decodes PNG, too.
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
    )


def _decode_fraction(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(data, channels=1), tf.float32) / 255


def _decode_normals(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(_decode_rgb(data), tf.float32) * (2 / 255) - 1


def _decode_masked_normals(data: tf.Tensor) -> tf.Tensor:
    codes = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    # (2v - a) / 255 in one pass: the mask a is 255, or 0 like v.
    weights = np.vstack([2 * np.eye(3), -np.ones(3)]) / 255
    normals = tf.matmul(tf.reshape(codes, (-1, 4)), tf.constant(weights, tf.float32))
    return tf.reshape(normals, tf.concat([tf.shape(codes)[:2], [3]], 0))


def _decode_disparity(data: tf.Tensor) -> tf.Tensor:
    # A float32 holds integers of 24 bits exactly.
    weights = tf.constant([1, 256, 65536], tf.int32)
    codes = tf.reduce_sum(tf.cast(_decode_rgb(data), tf.int32) * weights, axis=-1, keepdims=True)
    return tf.cast(codes, tf.float32) * DISPARITY_STEP


def _decode_values(channels: int) -> Callable[[tf.Tensor], tf.Tensor]:
    def decode(data: tf.Tensor) -> tf.Tensor:
        raw = tf.io.decode_compressed(data, "ZLIB")
        shape = tf.io.decode_raw(tf.strings.substr(raw, 0, 8), tf.int32)
        values = tf.io.decode_raw(tf.strings.substr(raw, 8, -1), tf.float32)
        return tf.reshape(values, tf.concat([shape, [channels]], 0))

    return decode


KINDS = {
    # RGB picture: JPEG, PNG or WebP.
    "image": Kind(tf.uint8, 3, _decode_rgb),
    # Class ids, 255 where unknown: grey PNG.
    "classes": Kind(tf.uint8, 1, lambda data: tf.io.decode_png(data, channels=1)),
    # Numbers of regions: grey PNG of 16 bits.
    "regions": Kind(
        tf.int32, 1, lambda data: tf.cast(tf.io.decode_png(data, 1, tf.uint16), tf.int32)
    ),
    # v / 255 of a grey PNG.
    "fraction": Kind(tf.float32, 1, _decode_fraction),
    # v / 255 of an RGB picture.
    "color": Kind(tf.float32, 3, lambda data: tf.cast(_decode_rgb(data), tf.float32) / 255),
    # 2v / 255 - 1 of an RGB picture.
    "normals": Kind(tf.float32, 3, _decode_normals, unknown=0),
    # The same of an RGBA PNG, 0 where the last channel is 0.
    "masked_normals": Kind(tf.float32, 3, _decode_masked_normals, unknown=0),
    # Disparity, 0 where unknown: 24-bit code of a picture, most significant byte blue.
    "disparity": Kind(tf.float32, 1, _decode_disparity, unknown=0),
    # Numbers as they are, 0 where unknown: compressed height, width and float32 elements.
    "values1": Kind(tf.float32, 1, _decode_values(1), unknown=0),
    "values3": Kind(tf.float32, 3, _decode_values(3), unknown=0),
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
        return tfds.features.TensorInfo(
            shape=(None, None, kind.channels), dtype=kind.dtype.as_numpy_dtype
        )

    def get_serialized_info(self) -> tfds.features.TensorInfo:
        return tfds.features.TensorInfo(shape=(), dtype=np.object_)

    def encode_example(self, data: bytes | None) -> bytes:
        return data or b""

    def decode_example(self, data: tf.Tensor) -> tf.Tensor:
        kind = KINDS[self.kind]
        decoded = tf.cond(
            tf.equal(data, b""),
            lambda: tf.zeros((0, 0, kind.channels), kind.dtype),
            lambda: kind.decode(data),
        )
        return tf.ensure_shape(decoded, (None, None, kind.channels))

    def decode_example_np(self, data: bytes) -> np.ndarray:
        return self.decode_example(tf.constant(data)).numpy()

    def to_json_content(self) -> dict[str, str]:
        return {"kind": self.kind}


def complete(features: tfds.features.FeaturesDict) -> Callable[[Tensors], Tensors]:
    """Returns `Source.decode` for records of these features.

    It gives a map that an example lacks the size of the image (1 x 1 if the image is not asked for)
    and the value that says 'unknown' everywhere.
    """

    def decode(example: Tensors) -> Tensors:
        size = tf.shape(example["image"])[:2] if "image" in example else tf.constant([1, 1])
        return {
            key: _or_unknown(value, features[key], size)
            if isinstance(features[key], StoredMap)
            else value
            for key, value in example.items()
        }

    return decode


def _or_unknown(value: tf.Tensor, feature: StoredMap, size: tf.Tensor) -> tf.Tensor:
    kind = KINDS[feature.kind]
    shape = tf.concat([size, [kind.channels]], 0)
    filled = tf.cond(
        tf.equal(tf.size(value), 0),
        lambda: tf.fill(shape, tf.cast(kind.unknown, kind.dtype)),
        lambda: value,
    )
    return tf.ensure_shape(filled, (None, None, kind.channels))
