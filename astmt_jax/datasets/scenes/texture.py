"""Surface colours: the texture patterns evaluated at points on primitives."""

from collections.abc import Sequence

import numpy as np

from astmt_jax.datasets.scenes.world import Pattern, Texture

_PRIMES = tuple(np.uint32(prime) for prime in (73856093, 19349663, 83492791))


class Palette:
    """The textures of a scene's primitives as arrays, one column per primitive."""

    def __init__(self, textures: Sequence[Texture]):
        self._first = _columns([texture.colors[0] for texture in textures])
        self._second = _columns([texture.colors[1] for texture in textures])
        self._pattern = np.array([texture.pattern for texture in textures])
        self._frequency = 1 / _columns([texture.cell for texture in textures])
        self._phase = _columns([texture.phase for texture in textures])
        self._sharpness = _columns([texture.sharpness for texture in textures])
        self.gloss = _columns([texture.gloss for texture in textures])

    def albedo(self, primitive: np.ndarray, local: np.ndarray) -> np.ndarray:
        """sRGB colours of surface points.

        Args:
          primitive: (N,) indices.
          local: (3, N) float32, metres in the primitives' frames.

        Returns:
          (3, N) uint8.
        """
        blend = np.zeros(primitive.size, np.float32)
        frequency, phase = (each.take(primitive, axis=1) for each in (self._frequency, self._phase))
        cells = local * frequency + phase
        pattern = self._pattern[primitive]
        checker = np.flatnonzero(pattern == Pattern.CHECKER)
        blend[checker] = np.floor(cells[:, checker]).sum(axis=0) % 2
        noisy = np.flatnonzero(pattern == Pattern.NOISE)
        if noisy.size:
            value = value_noise(cells[:, noisy]) - 0.5
            blend[noisy] = np.clip(0.5 + self._sharpness[primitive[noisy]] * value, 0, 1)
        first, second = (each.take(primitive, axis=1) for each in (self._first, self._second))
        return np.rint(first + blend * (second - first)).astype(np.uint8)


def value_noise(point: np.ndarray) -> np.ndarray:
    """Two octaves of smoothly interpolated lattice noise.

    Args:
      point: (3, N) float32, in lattice cells.

    Returns:
      (N,) float32 in 0..1, mean 0.5.
    """
    return (2 * _octave(point) + _octave(2.17 * point + 11.3)) / 3


def _octave(point: np.ndarray) -> np.ndarray:
    base = np.floor(point)
    fraction = point - base
    weight = fraction * fraction * (3 - 2 * fraction)
    x, y, z = base.astype(np.int32).astype(np.uint32)
    # products with large odd numbers scatter neighbouring cells; overflow is meant
    hashes = [(c * prime, c * prime + prime) for c, prime in zip((x, y, z), _PRIMES, strict=True)]
    total = 0.0
    for corner in range(8):
        dx, dy, dz = corner & 1, corner >> 1 & 1, corner >> 2
        share = 1.0
        for step, w in zip((dx, dy, dz), weight, strict=True):
            share = share * (w if step else 1 - w)
        total = total + share * _scrambled(hashes[0][dx] ^ hashes[1][dy] ^ hashes[2][dz])
    return total


def _scrambled(bits: np.ndarray) -> np.ndarray:
    """A fixed pseudo-random float32 in 0..1 for each uint32."""
    bits = (bits ^ bits >> 15) * np.uint32(0x2C1B3C6D)
    bits = (bits ^ bits >> 12) * np.uint32(0x297A2D39)
    return (bits ^ bits >> 15).astype(np.float32) * np.float32(2**-32)


def _columns(values: Sequence) -> np.ndarray:
    """Stacks scalars or (3,) vectors along a last axis, as float32."""
    return np.ascontiguousarray(np.asarray(values, np.float32).T)
