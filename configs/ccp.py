"""Clothing Co-Parsing (CCP), four tasks on photographs of people, with the settings of the paper.

    python -m astmt_jax.datasets.prepare --dataset=ccp --source=clothing-co-parsing
    python -m astmt_jax.main --config=configs/ccp.py \\
        --config.model.pretrained=efficientnet-lite0-57934424.pth
    python -m astmt_jax.main --config=configs/ccp.py:method=single,tasks=semseg

docs/data.md says how data and weights are had. Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as semseg+sal.
  backbone: efficientnet_lite0 (default), resnet14, resnet26, resnet50, resnet101 or mobilenetv2.

The paper has no experiment on CCP: epochs and backbone are our choice, everything else is as for
PASCAL-Context.

Cost: 60 epochs of 804 images, 6,000 batches of 8, four updates each. At 24.1 GMAC an image
(EfficientNet-Lite0, 512 x 512, all tasks) and three times that for training, about 7.0e15
floating-point operations: two and a half minutes at a sustained 50 TFLOP/s.

Expected result: this repository has not made the run.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.ccp import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="efficientnet_lite0",
        epochs=60,
        discriminator_kernel=1,
    )
