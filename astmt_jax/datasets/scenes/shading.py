"""Light that leaves surface points and the sky: Lambert, highlights, shadows. Linear RGB."""

import numpy as np

from astmt_jax.datasets.scenes import raycast, texture, world

LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)  # sRGB-like code to linear light
_LAMP_DISTANCE = 2.0
_SHININESS = 40


def shade(
    geometry: raycast.Geometry,
    scene: world.Scene,
    point: np.ndarray,
    normal: np.ndarray,
    view: np.ndarray,
    albedo: np.ndarray,
    gloss: np.ndarray,
) -> np.ndarray:
    """Light from surface points towards the camera.

    Args:
      geometry: what casts shadows.
      scene: its lights and ambient light.
      point: (3, N) metres.
      normal: (3, N) unit.
      view: (3, N) unit, towards the camera.
      albedo: (3, N) uint8 sRGB.
      gloss: (N,) strength of the highlight.

    Returns:
      (3, N) float32 linear RGB.
    """
    below, above = scene.ambient[:, :, None].astype(np.float32)
    diffuse = below + (above - below) * (normal[2] + 1) / 2
    highlight = np.zeros_like(diffuse)
    for light in scene.lights:
        to_light, irradiance = _arriving(light, geometry, point, normal)
        color = _column(light.color) * irradiance
        diffuse = diffuse + color
        half = _unit(to_light + view)
        highlight += color * np.maximum(_dot(half, normal), 0) ** _SHININESS
    return LINEAR[albedo] * diffuse + gloss * highlight


def sky_light(sky: world.Sky, direction: np.ndarray) -> np.ndarray:
    """sRGB colours of the sky.

    Args:
      sky: its colours.
      direction: (3, N) world directions of any length.

    Returns:
      (3, N) uint8.
    """
    direction = _unit(direction)
    height = np.sqrt(np.clip(direction[2], 0, 1))
    horizon, zenith = _column(sky.horizon), _column(sky.zenith)
    clear = horizon + (zenith - horizon) * height
    stretch = np.array([-1.3 if sky.is_mirrored else 1.3, 1.3, 1.0], np.float32)
    flat = direction / np.maximum(direction[2] + 0.15, 0.1)  # a layer above the ground
    clouds = texture.value_noise(stretch[:, None] * flat + _column(sky.clouds))
    cover = np.clip(4 * (clouds - 1 + 0.75 * sky.cloudiness), 0, 0.9)
    return np.rint(clear + (245 - clear) * cover).astype(np.uint8)


def _arriving(light: world.Light, geometry: raycast.Geometry, point, normal):
    """Unit directions to a light (3, N), and the irradiance (N,) in units of its colour."""
    position = _column(light.position)
    towards = position if light.is_sun else position - point
    towards = np.broadcast_to(towards, point.shape)
    squared = _dot(towards, towards)
    to_light = towards / np.sqrt(squared)
    irradiance = np.maximum(_dot(to_light, normal), 0)
    if not light.is_sun:
        irradiance = irradiance * _LAMP_DISTANCE**2 / (squared + 0.3 * _LAMP_DISTANCE**2)
    if light.casts_shadow:
        lit = np.flatnonzero(irradiance > 0)
        limit = np.inf if light.is_sun else 1.0
        dark = raycast.occluded(geometry, point[:, lit], towards[:, lit], limit)
        irradiance[lit[dark]] = 0
    return to_light, irradiance


def _column(vector: np.ndarray) -> np.ndarray:
    return vector[:, None].astype(np.float32)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt(_dot(vector, vector))
