"""Writes maps as the bytes that `maps.KINDS` decode. Free of TensorFlow."""

import zlib

import cv2
import numpy as np


def encode_png(values: np.ndarray) -> bytes:
    """(H, W[, 1]), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, as a PNG file."""
    channels = values.shape[2] if values.ndim == 3 else 1
    swapped = values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values
    # OpenCV's default strategy (run lengths) makes label maps several times as large.
    options = (cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, 0)
    return cv2.imencode(".png", swapped, options)[1].tobytes()


def encode_values(values: np.ndarray) -> bytes:
    """Float32 (H, W, c): compressed int32 height and width, then the elements."""
    raw = np.array(values.shape[:2], "<i4").tobytes() + values.astype("<f4").tobytes()
    return zlib.compress(raw)
