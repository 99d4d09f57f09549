"""FSV (frames of the game GTA), three tasks: semantic segmentation, albedo and disparity.

    python -m astmt_jax.datasets.prepare --dataset=fsv --source=FSV
    python -m astmt_jax.main --config=configs/fsv.py
    python -m astmt_jax.main --config=configs/fsv.py:method=single,tasks=albedo

Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as semseg+albedo.
  backbone: resnet50 (default), resnet101, resnet26, resnet14 or efficientnet_lite0 (not in
    the paper), or mobilenetv2 (batches of 16, no discriminator, one learning rate).

The reference implementation can read FSV but has no experiment on it: epochs and backbone are our
choice, everything else is as for PASCAL-Context. `depth` is disparity.

Cost: 3 epochs of about 220,000 frames, 82,500 batches of 8, three updates each. At 39.2 GMAC a task
and image (ResNet-50, 512 x 512) and three times that for training, about 4.7e17 floating-point
operations: two and a half hours at a sustained 50 TFLOP/s.

Expected result: no published table is at hand, and this repository has not made the run.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.fsv import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="resnet50",
        epochs=3,
        discriminator_kernel=1,
    )
