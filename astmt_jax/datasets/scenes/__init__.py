"""`scenes`: a procedural dataset with exact ground truth for all seven tasks.

`sample_scene` and `sample_camera` draw random worlds, `render` turns them into a picture and its
labels; the TFDS builder around them is in `astmt_jax.datasets.scenes.builder`.
"""

from astmt_jax.datasets.scenes.camera import Camera
from astmt_jax.datasets.scenes.renderer import MAX_DEPTH, render
from astmt_jax.datasets.scenes.sample import CATEGORIES, sample_camera, sample_scene
from astmt_jax.datasets.scenes.world import Scene

__all__ = [
    "CATEGORIES", "MAX_DEPTH", "Camera", "Scene", "render", "sample_camera", "sample_scene",
]  # fmt: skip
