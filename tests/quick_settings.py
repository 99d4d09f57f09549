"""Settings with which the program takes seconds, for tests that start it."""

QUICK_SETTINGS = {
    "dataset.options.image_size": 64,
    "dataset.options.num_train": 14,
    "dataset.options.num_val": 5,
    "model.width_multiplier": 0.0625,
    "augmentation.rotation": 10.0,
    "train.image_size": 64,
    "train.batch_size": 4,
}
"""Of `configs/scenes.py`; three steps an epoch, as 2 of the 14 images are left over."""
