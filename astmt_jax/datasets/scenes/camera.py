"""A pinhole camera: pose, field of view and sensor."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Camera:
    """Pinhole camera of square pictures.

    Attributes:
      position: (3,) metres in the world.
      axes: (3, 3), rows are the camera's right, down and forward in the world.
      focal: focal length in units of the picture's width.
      principal: (x, y) of the optical axis in the picture, in units of its width: (0.5, 0.5) is the
        centre; pixel i covers (i / size, (i + 1) / size).
      exposure: factor on the light.
      noise: standard deviation of the sensor noise at full brightness, in units of full brightness.
      noise_seed: seed of that noise.
    """

    position: np.ndarray
    axes: np.ndarray
    focal: float
    principal: tuple[float, float] = (0.5, 0.5)
    exposure: float = 1.0
    noise: float = 0.0
    noise_seed: int = 0

    def rays(self, x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
        """World directions through picture points, scaled to advance 1 m along the optical axis.

        Args:
          x: (N,) pixels to the right; 0 is the centre of the leftmost pixel.
          y: (N,) pixels down; 0 is the centre of the top pixel.
          size: the picture's width and height in pixels.

        Returns:
          (3, N) float32.
        """
        right = (x + 0.5 - self.principal[0] * size) / (self.focal * size)
        down = (y + 0.5 - self.principal[1] * size) / (self.focal * size)
        axes = self.axes[:, :, None]
        return (axes[0] * right + axes[1] * down + axes[2]).astype(np.float32)

    def to_camera(self, vectors: np.ndarray) -> np.ndarray:
        """World vectors (3, N) in camera axes: x right, y down, z towards the camera."""
        right, down, forward = (
            axis[0] * vectors[0] + axis[1] * vectors[1] + axis[2] * vectors[2] for axis in self.axes
        )
        return np.stack([right, down, -forward])

    def rolled(self, degrees: float) -> "Camera":
        """The camera whose picture is this one's turned counter-clockwise about its centre."""
        angle = np.deg2rad(degrees)
        c, s = np.cos(angle), np.sin(angle)
        right, down, forward = self.axes
        axes = np.stack([c * right + s * down, c * down - s * right, forward])
        return dataclasses.replace(self, axes=axes)

    def mirrored(self) -> "Camera":
        """The camera that sees `Scene.mirrored` as this one sees the scene, flipped."""
        flip = np.array([-1.0, 1.0, 1.0])
        return dataclasses.replace(
            self,
            position=self.position * flip,
            axes=flip[:, None] * self.axes * flip,
            principal=(1 - self.principal[0], self.principal[1]),
        )


def look_at(
    position: np.ndarray, target: np.ndarray, roll: float, focal: float, **sensor
) -> Camera:
    """A camera at `position` aimed at `target` (3,), its picture then rolled by `roll` degrees."""
    level = np.cross(target - position, [0.0, 0.0, 1.0])
    forward = (target - position) / np.linalg.norm(target - position)
    right = level / np.linalg.norm(level)
    axes = np.stack([right, np.cross(forward, right), forward])
    return Camera(position, axes, focal, **sensor).rolled(roll)
