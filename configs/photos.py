"""Five tasks on photographs, from three datasets, on a laptop's CPU in about an hour.

    python -m astmt_jax.main --config=configs/photos.py
    python -m astmt_jax.main --config=configs/photos.py:size=small
    python -m astmt_jax.main --config=configs/photos.py:method=single,tasks=edge

docs/photos.md has the commands that get the photographs and the weights of the encoder.

Each task draws from its own dataset: edges from BSDS500, the classes, parts and saliency of people
from CCP, the classes of streets from CamVid. Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as edge+sal.
  backbone: efficientnet_lite0 (default), resnet14, resnet26, resnet50, resnet101 or mobilenetv2.
  start: pretrained (default: EfficientNet-Lite0 starts from its weights for ImageNet, in
    efficientnet-lite0-57934424.pth; --config.model.pretrained names other files) or scratch.
  size: full (default) or small (192 x 192 and one epoch, for a trial).
"""

import dataclasses

from ml_collections import ConfigDict

from astmt_jax.config import complete
from astmt_jax.datasets.members import MemberOptions
from astmt_jax.datasets.mixture import MIXTURE
from astmt_jax.datasets.registry import find
from astmt_jax.models.families import BACKBONES
from astmt_jax.paper import method_settings, parse_variant, task_names

BACKBONE = "efficientnet_lite0"
WEIGHTS = {"efficientnet_lite0": "efficientnet-lite0-57934424.pth"}
DATASETS = {
    "bsds500": ("edge",),
    "camvid": ("street=semseg",),
    "ccp": ("semseg", "human_parts", "sal"),
}
SIZES = {
    "full": {"image_size": 256, "epochs": 4, "batch_size": 4},
    "small": {"image_size": 192, "epochs": 1, "batch_size": 4},
}
STARTS = ("pretrained", "scratch")


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    chosen = parse_variant(
        variant, method="astmt", tasks="all", backbone=BACKBONE, start=STARTS, size=tuple(SIZES)
    )
    backbone = chosen["backbone"]
    dataset = find(MIXTURE)
    datasets = {name: dataclasses.asdict(MemberOptions(tasks)) for name, tasks in DATASETS.items()}
    tasks = task_names(chosen["tasks"], tuple(dataset.tasks({"datasets": datasets})))
    modulation, discriminator_weight = method_settings(chosen["method"], tasks, backbone)
    return complete(
        {
            "seed": 0,
            "tasks": tasks,
            "dataset": {
                "name": dataset.name,
                "data_dir": "data",
                "options": {"datasets": datasets},
            },
            "model": {
                "backbone": backbone,
                "pretrained": WEIGHTS.get(backbone) if chosen["start"] == "pretrained" else None,
                "output_stride": 16,
                "decoder_width": 48,
                "dtype": "float32",
                **modulation,
            },
            "discriminator": {"weight": discriminator_weight, "depth": 2, "kernel": 1},
            "optimizer": {
                "name": "adamw",
                "learning_rate": 5e-4,
                "weight_decay": 1e-4,
                "warmup_steps": 30,
                "decay_every": "step",
                "task_multiplier": 10.0,
                "discriminator_multiplier": 1.0,
                "ema_decay": 0.99,
            },
            "augmentation": {"flip": True, "rotation": 10.0, "scale": (0.75, 1.5)},
            "train": {
                **SIZES[chosen["size"]],
                "update_rule": "per_task",
                "normalize": BACKBONES[backbone].family.classifiers.normalize,
                "log_every_steps": 25,
                "checkpoint_every_steps": 200,
            },
            "evaluation": {"edge_protocol": "bsds_nms"},
        }
    )
