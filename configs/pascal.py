"""PASCAL-Context, five tasks, as in the paper.

    python -m astmt_jax.datasets.prepare --dataset=pascal_context --source=PASCAL_MT.tgz
    python -m astmt_jax.main --config=configs/pascal.py
    python -m astmt_jax.main --config=configs/pascal.py:method=mtl
    python -m astmt_jax.main --config=configs/pascal.py:method=single,tasks=semseg
    python -m astmt_jax.main --config=configs/pascal.py:backbone=resnet26

Variants after the colon:
  method: astmt (default), mtl (plain multi-task learning) or single (one task of the same network).
  tasks: all (default), or names joined by +, such as edge+normals.
  backbone: resnet101 (default), resnet50, resnet26, resnet14 or efficientnet_lite0 (not in
    the paper), or mobilenetv2 (batches of 16, no discriminator, one learning rate; 130 epochs).

A trial on 64 images: add --config.dataset.train_split='train[:64]'
--config.dataset.eval_split='val[:64]'. The images in which all tasks are labelled:
--config.dataset.eval_split=val_all_tasks_present.

The paper's networks start from ImageNet weights: add --config.model.pretrained=FILE, which
astmt_jax/weights/imagenet.py describes.

Cost: 60 epochs of 4,998 images, 37,440 batches of 8, five updates each. With ResNet-101 a forward
pass at 512 x 512 takes 59.8 GMAC a task and image (ResNet-50 39.2, ResNet-26 25.9); with three
times that for training, a run takes about 5.4e17 floating-point operations (2.3e17 with ResNet-26):
three hours at a sustained 50 TFLOP/s. Evaluating the edges takes about half an hour of one core.

Expected result, as published for ResNet-101 pretrained on ImageNet (val, 5,105 images: odsF, mIoU,
mIoU, mean error in degrees, max mIoU, and average drop against single-task networks):

                                 edge  semseg  parts  normals    sal   drop %
    method=single, five networks 72.7   68.30  60.70    14.61  65.40        -
    method=mtl                   69.2   63.20  55.10    16.04  63.60     6.81
    method=astmt                 72.4   68.00  61.12    14.68  65.71     0.04

This repository has not repeated these runs.
"""

from ml_collections import ConfigDict

from astmt_jax.datasets.pascal_context import DATASET
from astmt_jax.paper import paper_config


def get_config(variant: str = "") -> ConfigDict:
    """Settings of the experiment."""
    return paper_config(
        variant,
        dataset=DATASET.name,
        tasks=tuple(DATASET.tasks()),
        options=DATASET.default_options(),
        backbone="resnet101",
        epochs=60,
        backbone_epochs={"mobilenetv2": 130},
        discriminator_kernel=1,
    )
