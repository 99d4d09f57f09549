"""The settings that the paper's experiments have in common."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from astmt_jax.config import complete, method_settings, parse_variant


def paper_config(
    variant: str,
    *,
    dataset: str,
    tasks: tuple[str, ...],
    backbone: str,
    epochs: int,
    discriminator_kernel: int,
    options: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """Settings of a ResNet experiment of the paper and of the reference implementation.

    512 x 512 images in batches of 8, one SGD step a task and batch, poly decay every epoch.

    Args:
      variant: what follows the colon of --config: `method`, `tasks` and `backbone`.
      dataset: a name of `datasets.registry`.
      tasks: what `tasks=all` means, in the order of training.
      backbone: the default one.
      epochs: passes over the training split.
      discriminator_kernel: size of the discriminator's convolutions.
      options: of the dataset.

    Raises:
      ValueError: the variant is not understood or cannot be.
    """
    chosen = parse_variant(variant, method="astmt", tasks="all", backbone=backbone)
    names = tasks if chosen["tasks"] == "all" else tuple(chosen["tasks"].split("+"))
    modulation, discriminator_weight = method_settings(chosen["method"], names)
    return complete(
        {
            "seed": 0,
            "tasks": names,
            "dataset": {"name": dataset, "data_dir": "data", "options": dict(options or {})},
            "model": {
                "backbone": chosen["backbone"],
                "output_stride": 16,
                "decoder_width": 64,
                **modulation,
            },
            "discriminator": {
                "weight": discriminator_weight,
                "depth": 2,
                "kernel": discriminator_kernel,
            },
            "optimizer": {
                "name": "sgd",
                "learning_rate": 1e-3,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "poly_power": 0.9,
                "decay_every": "epoch",
                "discriminator_multiplier": 10.0,
            },
            "augmentation": {"flip": True, "rotation": 20.0, "scale": (0.75, 1.25)},
            "train": {
                "image_size": 512,
                "batch_size": 8,
                "epochs": epochs,
                "update_rule": "per_task",
                "normalize": "imagenet",
            },
        }
    )
