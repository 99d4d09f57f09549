"""All seven tasks on the embedded procedural dataset, on a laptop's CPU in minutes.

    python -m astmt_jax.main --config=configs/scenes.py
    python -m astmt_jax.main --config=configs/scenes.py:method=mtl
    python -m astmt_jax.main --config=configs/scenes.py:method=single,tasks=depth

Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as edge+normals.
  backbone: resnet14 (default), resnet26, resnet50, resnet101, mobilenetv2 or efficientnet_lite0,
    all at a quarter of their width.
  size: full (default: the network sees images at their own 96 x 96, 5 epochs in batches of 4;
    docs/scenes.md says why, and more than four devices need --config.train.batch_size=8) or small
    (reduced to 64 x 64, 4 epochs in batches of 8), with which comparing all methods with three
    seeds takes about an hour:

    python -m astmt_jax.compare --config=configs/scenes.py:size=small --workdir=runs/comparison
"""

from ml_collections import ConfigDict

from astmt_jax.config import complete
from astmt_jax.datasets.scenes.dataset import DATASET
from astmt_jax.models.families import BACKBONES
from astmt_jax.paper import method_settings, parse_variant, task_names

SIZES = {
    "full": {"image_size": 96, "epochs": 5, "batch_size": 4},
    "small": {"image_size": 64, "epochs": 4, "batch_size": 8},
}


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    chosen = parse_variant(
        variant, method="astmt", tasks="all", backbone="resnet14", size=tuple(SIZES)
    )
    tasks = task_names(chosen["tasks"], tuple(DATASET.tasks()))
    modulation, discriminator_weight = method_settings(chosen["method"], tasks, chosen["backbone"])
    return complete(
        {
            "seed": 0,
            "tasks": tasks,
            "dataset": {
                "name": DATASET.name,
                "data_dir": "data",
                "options": DATASET.default_options(),
            },
            "model": {
                "backbone": chosen["backbone"],
                "width_multiplier": 0.25,
                "output_stride": 16,
                "decoder_width": 32,
                "conv_init": "kaiming",
                "dtype": "float32",
                **modulation,
            },
            "discriminator": {"weight": discriminator_weight, "depth": 2, "kernel": 1},
            "optimizer": {
                "name": "adamw",
                "learning_rate": 3e-3,
                "adam_b2": 0.99,
                "weight_decay": 1e-4,
                "warmup_steps": 100,
                "decay_every": "step",
                "task_multiplier": 1.0,
                "discriminator_multiplier": 1.0,
            },
            "augmentation": {"flip": True, "rotation": 0.0, "scale": (1.0, 1.0)},
            "train": {
                **SIZES[chosen["size"]],
                "update_rule": "joint",
                "normalize": BACKBONES[chosen["backbone"]].family.classifiers.normalize,
                "log_every_steps": 25,
                "checkpoint_every_steps": 250,
            },
        }
    )
