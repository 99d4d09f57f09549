"""Your own data, any of the seven tasks, with the settings of the paper.

    python -m astmt_jax.datasets.prepare --dataset=own_data --options=config=mine --source=mine
    python -m astmt_jax.main --config=configs/own_data.py:tasks=semseg+depth \\
        --config.dataset.options.config=mine \\
        --config.dataset.options.semseg_classes="('floor', 'wall', 'chair')"

docs/data.md describes the folder. Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: names joined by +, such as semseg+depth, or all (default), if the folder has all seven.
  backbone: resnet26 (default), resnet50, resnet101, mobilenetv2, resnet14 or efficientnet_lite0
    (these two are not in the paper).

Cost: at 25.9 GMAC a task and image (ResNet-26, 512 x 512) and three times that for training, 1.6e11
floating-point operations an image, task and epoch. Expected result: that depends on the data.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.own_data import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="resnet26",
        epochs=60,
        discriminator_kernel=1,
    )
