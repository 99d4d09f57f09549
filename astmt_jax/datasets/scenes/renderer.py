"""Turns a scene and a camera into a picture and its ground truth."""

import dataclasses

import numpy as np

from astmt_jax.datasets.region_edges import edges_of
from astmt_jax.datasets.scenes import raycast, saliency, shading, texture, world
from astmt_jax.datasets.scenes.camera import Camera

MAX_DEPTH = 30.0  # metres; surfaces beyond have no depth, like those beyond a sensor's range
_SKY = -1
_CONTRAST = 36  # grey levels between neighbours from which a pixel is sampled twice more
_OFFSET = 0.31  # pixels from the centre to these samples, in x and in y


@dataclasses.dataclass(frozen=True)
class _Scenery:
    """A scene prepared for casting rays from one camera position."""

    scene: world.Scene
    camera: Camera
    geometry: raycast.Geometry
    palette: texture.Palette

    @classmethod
    def of(cls, scene: world.Scene, camera: Camera) -> "_Scenery":
        textures = [part.texture for thing in scene.objects for part in thing.primitives]
        return cls(scene, camera, raycast.geometry_of(scene.objects), texture.Palette(textures))


@dataclasses.dataclass(frozen=True)
class _View:
    """What N rays see: `light` (3, N) linear RGB, the others as in `render`, per ray."""

    primitive: np.ndarray  # (N,), -1 for sky
    depth: np.ndarray  # (N,), 0 for sky
    normal: np.ndarray  # (3, N) in the world, 0 for sky
    albedo: np.ndarray  # (3, N) uint8
    light: np.ndarray


def render(
    scene: world.Scene, camera: Camera, size: int, noise: bool = True
) -> dict[str, np.ndarray]:
    """Renders a square picture with exact ground truth for all tasks.

    Labels are those of the surface at the pixel's centre; the picture is anti-aliased.

    Args:
      scene: what to render.
      camera: where from.
      size: width and height in pixels.
      noise: whether the camera's sensor noise is added.

    Returns:
      By name:

      - image: (size, size, 3) uint8, sRGB-like (linear light ^ 1/2.2).
      - edge: (size, size, 1) uint8, 0 or 1, see `region_edges.edges_of`.
      - semseg: (size, size, 1) uint8, PASCAL class ids, 0 is background.
      - human_parts: (size, size, 1) uint8, 0 or 1..6: head, torso with neck, upper arms, lower arms
        and hands, upper legs, lower legs and feet.
      - normals: (size, size, 3) float32 unit vectors in camera axes: x right, y down, z towards the
        camera. Visible surfaces face the camera: the scalar product with (-x, -y, 1), the direction
        from the surface point to the camera for a pixel at (x, y) focal lengths from the optical
        axis, is positive. (0, 0, 0) for sky.
      - sal: (size, size, 1) uint8, 0 or 1, see `saliency.saliency_of`.
      - depth: (size, size, 1) float32 metres along the optical axis; 0 for sky and beyond
        MAX_DEPTH.
      - albedo: (size, size, 3) float32, n/255: the sRGB-like surface colour before lighting; for
        sky, its colour.
      - label_map: (size, size, 1) int32 region ids: 0 for sky, (k + 1)^2 for the scene's k-th
        object (squares, so that the Laplacian does not cancel between consecutive ids).
    """
    scenery = _Scenery.of(scene, camera)
    y, x = np.divmod(np.arange(size * size), size)
    view = _look(scenery, x, y, size)
    light = _antialias(scenery, view.light, size)

    def picture(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, size, size).transpose(1, 2, 0)

    owner = np.append(scenery.geometry.owner, _SKY)[view.primitive]
    category = np.array([thing.category for thing in scene.objects])
    parts = [part.part for thing in scene.objects for part in thing.primitives]
    regions = picture((owner + 1) ** 2)
    albedo = picture(view.albedo)
    return {
        "image": _develop(picture(light), camera, noise),
        "edge": edges_of(regions[..., 0])[..., None],
        "semseg": picture(np.append(category, 0)[owner]).astype(np.uint8),
        "human_parts": picture(np.append(parts, 0)[view.primitive]).astype(np.uint8),
        "normals": picture(camera.to_camera(view.normal)).astype(np.float32),
        "sal": saliency.saliency_of(owner.reshape(size, size), category > 0, albedo)[..., None],
        "depth": picture(np.where(view.depth <= MAX_DEPTH, view.depth, 0)).astype(np.float32),
        "albedo": albedo.astype(np.float32) / np.float32(255),
        "label_map": regions.astype(np.int32),
    }


def _look(scenery: _Scenery, x: np.ndarray, y: np.ndarray, size: int) -> _View:
    """What the camera sees at picture points (x, y), each (N,) in pixels."""
    scene, camera, geometry = scenery.scene, scenery.camera, scenery.geometry
    direction = camera.rays(x, y, size)
    position = camera.position[:, None].astype(np.float32)
    depth, primitive = raycast.closest(geometry, position, direction)
    hit = np.flatnonzero(primitive >= 0)
    sky = np.flatnonzero(primitive < 0)
    normal = np.zeros_like(direction)
    albedo = np.empty(direction.shape, np.uint8)
    light = np.empty_like(direction)

    ray, part = direction[:, hit], primitive[hit]
    point = position + depth[hit] * ray
    unit = ray / np.sqrt((ray**2).sum(axis=0))
    normal[:, hit], local = raycast.surface(geometry, part, point, unit)
    albedo[:, hit] = scenery.palette.albedo(part, local)
    gloss = scenery.palette.gloss[part]
    light[:, hit] = shading.shade(
        geometry, scene, point, normal[:, hit], -unit, albedo[:, hit], gloss
    )
    albedo[:, sky] = shading.sky_light(scene.sky, direction[:, sky])
    light[:, sky] = shading.LINEAR[albedo[:, sky]] / camera.exposure
    depth[sky] = 0
    return _View(primitive, depth, normal, albedo, light)


def _antialias(scenery: _Scenery, light: np.ndarray, size: int) -> np.ndarray:
    """Replaces pixels that differ from a neighbour by the mean of three samples inside each.

    The samples lie on a diagonal, which alternates from pixel to pixel; a flipped picture of even
    width has flipped diagonals.
    """
    brightest = np.float32(1 / scenery.camera.exposure)
    grey = _encode(light * scenery.camera.exposure).reshape(3, size, size)
    rough = np.zeros((size, size), bool)
    across = (np.abs(np.diff(grey, axis=2)) > _CONTRAST).any(axis=0)
    down = (np.abs(np.diff(grey, axis=1)) > _CONTRAST).any(axis=0)
    rough[:, 1:] |= across
    rough[:, :-1] |= across
    rough[1:] |= down
    rough[:-1] |= down
    pixel = np.flatnonzero(rough)
    y, x = np.divmod(pixel, size)
    rise = _OFFSET * (1 - 2 * ((x + y) % 2))
    samples = np.minimum(
        _look(
            scenery,
            np.concatenate([x - _OFFSET, x + _OFFSET]),
            np.concatenate([y - rise, y + rise]),
            size,
        ).light,
        brightest,
    )
    light = np.minimum(light, brightest)
    first, second = np.split(samples, 2, axis=1)
    light[:, pixel] = (light[:, pixel] + (first + second)) / 3
    return light


def _develop(light: np.ndarray, camera: Camera, noise: bool) -> np.ndarray:
    """Linear light (H, W, 3) to an 8-bit picture."""
    exposed = light * camera.exposure
    if noise and camera.noise:
        rng = np.random.Generator(np.random.Philox(camera.noise_seed))
        deviation = camera.noise * np.sqrt(np.clip(exposed, 0.01, 1))
        exposed = exposed + deviation * rng.standard_normal(light.shape)
    return np.rint(_encode(exposed)).astype(np.uint8)


def _encode(linear: np.ndarray) -> np.ndarray:
    """Linear light 0..1 to 0..255, clipped."""
    return 255 * np.clip(linear, 0, 1) ** (1 / 2.2)
