"""Saliency derived from regions."""

import numpy as np

SALIENT_SHARE = 0.5
SALIENT_MINIMUM = 0.004


def saliency_of(owner: np.ndarray, foreground: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """What stands out: large, central objects that differ in colour from their surroundings.

    An object scores the product of

      - size and centrality: the sum over its visible pixels of the weight (1 - r^2)^2, r the
        distance from the picture's centre in units of half its width (0 beyond 1), as a share of
        all weight, and
      - contrast: 0.5 + the distance between the weighted mean albedo (RGB, 0..1) of the object and
        of everything else.

    Objects with at least half the best score, and at least 0.004, are salient. The weight is zero
    outside the inscribed disc, so the rule does not change when the picture is turned.

    Args:
      owner: (H, H) index of the visible object, -1 for sky.
      foreground: (objects,) bool, False for background structures.
      albedo: (H, H, 3) uint8.

    Returns:
      (H, H) uint8, 0 or 1.
    """
    size = owner.shape[0]
    offset = (np.arange(size) + 0.5) / size * 2 - 1
    weight = np.maximum(1 - offset**2 - offset[:, None] ** 2, 0.0) ** 2
    weight /= weight.sum()
    slot = owner.ravel() + 1
    count = foreground.size + 1
    share = np.bincount(slot, weight.ravel(), count)
    color = np.stack(
        [np.bincount(slot, (weight * albedo[..., c]).ravel() / 255, count) for c in range(3)],
        axis=1,
    )
    inside = color / np.maximum(share, 1e-12)[:, None]
    outside = (color.sum(axis=0) - color) / np.maximum(1 - share, 1e-12)[:, None]
    score = share * (0.5 + np.sqrt(((inside - outside) ** 2).sum(axis=1)))
    score[0] = 0.0
    score[1:][~foreground] = 0.0
    chosen = score >= max(SALIENT_SHARE * score.max(), SALIENT_MINIMUM)
    return chosen[slot].reshape(owner.shape).astype(np.uint8)
