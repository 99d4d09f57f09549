"""NYUD (NYU Depth v2), four tasks, with the settings of the paper.

    python -m astmt_jax.datasets.prepare --dataset=nyud --source=NYUD_MT.tgz
    python -m astmt_jax.main --config=configs/nyud.py
    python -m astmt_jax.main --config=configs/nyud.py:method=single,tasks=depth

Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as edge+normals.
  backbone: resnet50 (default), resnet101, resnet26, resnet14 or efficientnet_lite0 (not in
    the paper), or mobilenetv2 (batches of 16, no discriminator, one learning rate).

41 classes, background included, as ASTMT has them; for the 40 of its successors prepare with
--options=classes=40 and train with --config.dataset.options.classes=40.

Cost: 200 epochs of 795 images, 19,800 batches of 8, four updates each. At 39.2 GMAC a task and
image (ResNet-50, 512 x 512) and three times that for training, about 1.5e17 floating-point
operations: 50 minutes at a sustained 50 TFLOP/s.

Expected result: the paper's table is not at hand, and this repository has not repeated the run. Its
successors' results, for 40 classes, stand in the report beside a run that is scored with
--config.evaluation.protocol=successors.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.nyud import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="resnet50",
        epochs=200,
        discriminator_kernel=3,
    )
