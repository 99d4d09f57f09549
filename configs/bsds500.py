"""BSDS500, boundaries alone, with the settings of the paper.

    python -m astmt_jax.datasets.prepare --dataset=bsds500 --source=BSR_bsds500.tgz
    python -m astmt_jax.main --config=configs/bsds500.py
    python -m astmt_jax.main --config=configs/bsds500.py:backbone=resnet101

Variants after the colon:
  backbone: resnet50 (default), resnet101, resnet26, resnet14, efficientnet_lite0 or mobilenetv2
    (batches of 16).

As in the field, networks are trained on the 300 images of train and val, with the pixels as edges
that at least three annotators drew (--config.dataset.options.votes says how many), and scored on
the 200 of test, against each annotator. A network's soft maps are smoothed and suppressed first
(--config.evaluation.edge_protocol=bsds takes them as they are).

The paper has no experiment on BSDS500: epochs and backbone are our choice, everything else is as
for PASCAL-Context.

Cost: 300 epochs of 300 images, 11,100 batches of 8, one update each. At 39.2 GMAC an image
(ResNet-50, 512 x 512) and three times that for training, about 2.1e16 floating-point operations:
seven minutes at a sustained 50 TFLOP/s.

Expected result: others publish odsF, oisF and AP of .788, .806 and .809 (HED); this repository has
not made the run.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.bsds500 import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    config = paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="resnet50",
        epochs=300,
        discriminator_kernel=1,
    )
    config.evaluation.edge_protocol = "bsds_nms"
    return config
