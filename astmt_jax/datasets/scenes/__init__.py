"""`scenes`: a procedural dataset with exact ground truth for all seven tasks.

`sample` draws random worlds, `renderer` turns them into a picture and its labels, `builder` has
TFDS store them, and `dataset` is the record, which loads none of these.
"""
