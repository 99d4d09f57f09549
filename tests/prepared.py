"""Prepares the datasets of `archives` and reads them as the project does."""

import numpy as np

from astmt_jax.datasets import registry
from astmt_jax.datasets.prepare import prepare


def prepare_examples(dataset, source, data_dir, options=None):
    """split -> name -> map -> NumPy array of a freshly prepared dataset."""
    builder = prepare(dataset, source, data_dir, options=options or {}, num_workers=1)
    open_split = registry.find(dataset).open
    return {
        split: read_examples(open_split(data_dir, options or {}, split))
        for split in builder.info.splits
    }


def prepared_once(dataset, make, folder):
    """The folder of data with a dataset prepared from what `make` makes in another folder."""
    make(folder / "source")
    prepare(dataset, folder / "source", folder / "data", num_workers=1)
    return folder / "data"


def read_examples(source):
    """name -> map -> NumPy array, in the order of the source."""
    parse = source.parser(list(source.keys))
    examples = {}
    for record in source.read(range(source.length)):
        example = parse(record)
        examples[example.pop("name").decode()] = example
    return examples


def assert_map(found, expected, dtype, atol=0.0):
    """Equal values of the given type, (H, W) or (H, W, c) stored as (H, W, c)."""
    expected = np.asarray(expected)
    assert found.dtype == dtype
    assert found.shape == (expected if expected.ndim == 3 else expected[..., None]).shape
    np.testing.assert_allclose(
        found.astype(np.float64), expected.reshape(found.shape), rtol=0, atol=atol
    )
