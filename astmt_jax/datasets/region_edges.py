"""Edges from region maps, as PASCAL-Context's training labels are made."""

import cv2
import numpy as np

from astmt_jax.metrics.thinning import thin


def edges_of(regions: np.ndarray) -> np.ndarray:
    """Thin boundaries of a region map.

    edge = thin(abs(Laplacian(regions)) > 0): the 4-neighbour Laplacian (mirrored at the border
    without repeating the border pixel), then morphological thinning.

    Args:
      regions: (H, W) integers of any width.

    Returns:
      (H, W) uint8, 0 or 1.
    """
    laplacian = cv2.Laplacian(regions.astype(np.float64), cv2.CV_64F)
    return thin(np.abs(laplacian) > 0).astype(np.uint8)
