"""Examples as pure functions of (seed, split, index), encoded for storage.

Free of TensorFlow, so that worker processes start quickly.
"""

import dataclasses

import numpy as np

from astmt_jax.datasets.scenes.camera import Camera
from astmt_jax.datasets.scenes.renderer import render
from astmt_jax.datasets.scenes.sample import sample_camera, sample_scene
from astmt_jax.datasets.scenes.world import Scene
from astmt_jax.files.encoding import encode_png

SPLITS = ("train", "val")
DEPTH_STEP = 1 / 2000  # metres per code; code 0 is invalid
NORMAL_STEP = 2 / 65534  # per code; code 1 is -1, code 65535 is 1, code 0 is invalid


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All examples of one split.

    Attributes:
      seed: of the dataset.
      split: "train" or "val".
      image_size: width and height in pixels.
    """

    seed: int
    split: str
    image_size: int

    def name(self, index: int) -> str:
        """The unique name of an example within its split."""
        return f"{self.split}_{index:06d}"

    def draw(self, index: int) -> tuple[Scene, Camera]:
        """The scene and the camera of an example."""
        entropy = np.random.SeedSequence((self.seed, SPLITS.index(self.split), index))
        rng = np.random.Generator(np.random.Philox(entropy))
        scene = sample_scene(rng)
        return scene, sample_camera(rng, scene)

    def encoded(self, index: int) -> dict[str, bytes]:
        """An example as stored, but for its name: PNG files of everything that `render` returns.

        Normals and depth are 16-bit codes (NORMAL_STEP, DEPTH_STEP), region ids 16-bit, the rest
        8-bit.
        """
        example = render(*self.draw(index), self.image_size)
        normals, depth = example["normals"], example["depth"]
        valid = (normals != 0).any(axis=-1, keepdims=True)
        planes = example | {
            "normals": np.where(valid, np.rint((normals + 1) / NORMAL_STEP) + 1, 0).astype(
                np.uint16
            ),
            "depth": np.rint(depth / DEPTH_STEP).astype(np.uint16),
            "albedo": np.rint(example["albedo"] * 255).astype(np.uint8),
            "label_map": example["label_map"].astype(np.uint16),
        }
        return {key: encode_png(value) for key, value in planes.items()}
