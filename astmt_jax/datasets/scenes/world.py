"""What a scene is made of: textured primitives, objects, lights and sky, in metres.

World axes: x right, y away from the nominal viewpoint, z up. A primitive is a unit shape under an
affine map: its three axes are orthogonal vectors (rotation times scale), so non-uniform scale is
allowed and shear is not.
"""

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from astmt_jax.datasets.scenes.rotations import rotation_z

Vector = Sequence[float] | np.ndarray  # (3,), metres or a direction

_MIRROR = np.array([-1.0, 1.0, 1.0])


class Kind(enum.IntEnum):
    """Unit shapes; `Primitive.shape` holds up to two numbers (p, q) of each."""

    SPHERE = 0  # the unit ball
    BOX = 1  # |z| <= 1, |x| <= 1 - p (z + 1) / 2, |y| <= 1 - q (z + 1) / 2
    FRUSTUM = 2  # around z, radius 1 at z = -1, p at z = 1: cylinder (p = 1), cone (p = 0)
    CAPSULE = 3  # around z: the points within 1 of the segment from (0, 0, -p) to (0, 0, p)
    PLANE = 4  # the half space z <= 0, seen from above only


class Pattern(enum.IntEnum):
    """How a texture blends its two colours."""

    PLAIN = 0
    CHECKER = 1  # parity of the cell; an infinite cell size turns checkers into stripes
    NOISE = 2  # smooth value noise


@dataclasses.dataclass(frozen=True)
class Texture:
    """Surface colour as a function of the point on the primitive, in the primitive's own frame.

    Attributes:
      colors: two sRGB colours, (2, 3) in 0..255; a plain texture shows the first.
      pattern: how the two are blended.
      cell: cell size along the primitive's axes, (3,) metres; `inf` ignores an axis.
      phase: offset of the cells, (3,) in cells.
      sharpness: contrast of noise around its mean: 1 is smooth, 10 makes patches.
      gloss: strength of the highlight, 0 (matt) to 1.
    """

    colors: np.ndarray
    pattern: Pattern = Pattern.PLAIN
    cell: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(3))
    phase: np.ndarray = dataclasses.field(default_factory=lambda: np.full(3, 0.37))
    sharpness: float = 1.0
    gloss: float = 0.0


@dataclasses.dataclass(frozen=True)
class Primitive:
    """A unit shape mapped into the world: point = centre + axes @ local point.

    Attributes:
      kind: the unit shape.
      centre: (3,) metres.
      axes: (3, 3), its columns are the images of the local axes and are orthogonal.
      texture: surface colour.
      shape: the two numbers that `kind` describes.
      part: human part id, 1..6, or 0.
    """

    kind: Kind
    centre: np.ndarray
    axes: np.ndarray
    texture: Texture
    shape: tuple[float, float] = (0.0, 0.0)
    part: int = 0

    def mirrored(self) -> "Primitive":
        """The primitive reflected in the plane x = 0, texture included."""
        return dataclasses.replace(
            self, centre=self.centre * _MIRROR, axes=self.axes * _MIRROR[:, None]
        )

    def bounding_radius(self) -> float:
        """Radius of a ball around `centre` that holds the shape; `inf` for a plane."""
        if self.kind is Kind.PLANE:
            return np.inf
        x, y, z = np.sqrt((self.axes**2).sum(axis=0))
        if self.kind is Kind.SPHERE:
            return max(x, y, z)
        if self.kind is Kind.BOX:
            return np.sqrt(x * x + y * y + z * z)
        if self.kind is Kind.FRUSTUM:
            return np.hypot(max(x, y) * max(1.0, self.shape[0]), z)
        return max(x, y, z) + self.shape[0] * z

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, each (3,) metres, of an axis-aligned box around the shape."""
        reach = np.abs(self.axes)
        if self.kind is Kind.SPHERE:
            half = np.sqrt((self.axes**2).sum(axis=1))
        elif self.kind is Kind.CAPSULE:
            half = reach[:, 2] * self.shape[0] + np.sqrt((self.axes**2).sum(axis=1))
        else:
            half = reach.sum(axis=1)
        return self.centre - half, self.centre + half


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """Primitives that belong together; one region of the region map.

    Attributes:
      category: PASCAL class id, 0 for background structures.
      primitives: the parts.
    """

    category: int
    primitives: tuple[Primitive, ...]

    def moved(self, translation: Vector, yaw: float = 0.0, scale: float = 1.0) -> "SceneObject":
        """The object scaled, turned by `yaw` radians about the vertical, then shifted."""
        rotation = rotation_z(yaw)
        centres = scale * np.stack([part.centre for part in self.primitives]) @ rotation.T
        centres = centres + np.asarray(translation, float)
        axes = scale * (rotation @ np.stack([part.axes for part in self.primitives]))
        return SceneObject(
            self.category,
            tuple(
                Primitive(part.kind, centre, turned, part.texture, part.shape, part.part)
                for part, centre, turned in zip(self.primitives, centres, axes, strict=True)
            ),
        )

    def mirrored(self) -> "SceneObject":
        """The object reflected in the plane x = 0."""
        return dataclasses.replace(
            self, primitives=tuple(part.mirrored() for part in self.primitives)
        )

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner, each (3,) metres, of an axis-aligned box around the object."""
        corners = [part.extent() for part in self.primitives]
        return (
            np.min([low for low, _ in corners], axis=0),
            np.max([high for _, high in corners], axis=0),
        )


@dataclasses.dataclass(frozen=True)
class Light:
    """A lamp or a sun.

    Attributes:
      position: (3,) metres for a lamp, the direction towards the light for a sun.
      color: (3,) linear RGB; for a lamp, the irradiance at a distance of 2 m.
      is_sun: parallel light without fall-off.
      casts_shadow: whether objects block it.
    """

    position: np.ndarray
    color: np.ndarray
    is_sun: bool = False
    casts_shadow: bool = True


@dataclasses.dataclass(frozen=True)
class Sky:
    """What rays see that hit nothing.

    Attributes:
      horizon: (3,) sRGB colour in 0..255 at the horizon.
      zenith: (3,) sRGB colour overhead.
      cloudiness: share of clouds, 0 to 1.
      clouds: (3,) offset of the cloud noise, in its cells.
      is_mirrored: whether the clouds are reflected in the plane x = 0.
    """

    horizon: np.ndarray
    zenith: np.ndarray
    cloudiness: float
    clouds: np.ndarray
    is_mirrored: bool = False


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything a camera can see.

    Attributes:
      objects: foreground objects and background structures; region map ids follow this order.
      lights: lamps and suns.
      ambient: (2, 3) linear RGB light from below and from above.
      sky: what a ray that hits nothing sees.
      eye: (3,) a good place for a camera.
      target: (3,) a good point to look at.
    """

    objects: tuple[SceneObject, ...]
    lights: tuple[Light, ...]
    ambient: np.ndarray
    sky: Sky
    eye: np.ndarray
    target: np.ndarray

    def mirrored(self) -> "Scene":
        """The scene reflected in the plane x = 0; `Camera.mirrored` sees it flipped."""
        return dataclasses.replace(
            self,
            objects=tuple(thing.mirrored() for thing in self.objects),
            lights=tuple(
                dataclasses.replace(light, position=light.position * _MIRROR)
                for light in self.lights
            ),
            sky=dataclasses.replace(self.sky, is_mirrored=not self.sky.is_mirrored),
            eye=self.eye * _MIRROR,
            target=self.target * _MIRROR,
        )
