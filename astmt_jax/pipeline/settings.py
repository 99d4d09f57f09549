"""How images become the input of a network."""

import dataclasses

from astmt_jax.config import NORMALIZATIONS, Config
from astmt_jax.pipeline.augment import RESIZES
from astmt_jax.records import check_choice


@dataclasses.dataclass(frozen=True)
class InputSettings:
    """What training and evaluation have in common in making batches of examples.

    Attributes:
      batch_size: images in a batch, all processes and devices together.
      image_size: side S of the square images that the network sees, in pixels.
      normalize: scaling of the images, a key of `config.NORMALIZATIONS`.
      resize: how images to predict are resized, a key of `augment.RESIZES`.
      num_threads: of the input pipeline; None is one per available core.

    Raises:
      ValueError: an unknown choice, named as in the configuration.
    """

    batch_size: int
    image_size: int
    normalize: str = "imagenet"
    resize: str = "linear"
    num_threads: int | None = None

    def __post_init__(self):
        check_choice("train.normalize", self.normalize, NORMALIZATIONS)
        check_choice("evaluation.image_resize", self.resize, RESIZES)

    @classmethod
    def of(cls, config: Config) -> "InputSettings":
        """Those of an experiment."""
        return cls(
            batch_size=config.train.batch_size,
            image_size=config.train.image_size,
            normalize=config.train.normalize,
            resize=config.evaluation.image_resize,
            num_threads=config.train.num_threads,
        )
