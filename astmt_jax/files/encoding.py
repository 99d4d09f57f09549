"""Maps as the bytes that `datasets.maps.KINDS` decode. Free of TensorFlow."""

import cv2
import numpy as np
import zstandard

_LARGE = 2**25
"""Elements of a picture that is compressed in less time, and a little larger."""

MAX_PIXELS = 2**30 // 12
"""Of a stored map or picture, as many as Pillow reads; what claims more is not decoded."""


def encode_png(values: np.ndarray) -> bytes:
    """(H, W[, 1]), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, as a PNG file."""
    channels = values.shape[2] if values.ndim == 3 else 1
    swapped = values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values
    # OpenCV's default strategy (run lengths) makes label maps several times as large. They are
    # decoded in half the time without the filters that help pictures.
    filters = cv2.IMWRITE_PNG_FILTER_NONE if channels == 1 else cv2.IMWRITE_PNG_ALL_FILTERS
    options = (
        *(cv2.IMWRITE_PNG_COMPRESSION, 6 if values.size < _LARGE else 1),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
        *(cv2.IMWRITE_PNG_FILTER, filters),
    )
    return cv2.imencode(".png", swapped, options)[1].tobytes()


def encode_array(values: np.ndarray) -> bytes:
    """(H, W[, c]) of uint8, uint16 or float32: height and width (int32), then the elements.

    Compressed by Zstandard, which is decoded in a fifth of a PNG's time, a little larger.
    """
    little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
    raw = np.array(values.shape[:2], "<i4").tobytes() + little_endian.tobytes()
    return zstandard.compress(raw)


def decode_array(data: bytes, dtype: str, channels: int) -> np.ndarray:
    """What `encode_array` wrote, (H, W, channels), read-only.

    Raises:
      ValueError: it is something else.
    """
    pixel = channels * np.dtype(dtype).itemsize
    try:
        # All of it is allocated at once. Where the size is not noted, it reads as 2^64 - 1.
        if zstandard.get_frame_parameters(data).content_size > 8 + MAX_PIXELS * pixel:
            raise ValueError("it is too large")
        raw = zstandard.decompress(data)
        height, width = (int(side) for side in np.frombuffer(raw, "<i4", 2))
        if height < 1 or width < 1 or len(raw) != 8 + height * width * pixel:
            raise ValueError("its size is not that of its elements")
        return np.frombuffer(raw, dtype, offset=8).reshape(height, width, channels)
    except (zstandard.ZstdError, ValueError) as error:
        raise ValueError("A stored map cannot be decoded; prepare the dataset again.") from error
