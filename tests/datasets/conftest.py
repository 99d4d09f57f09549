"""What tests of datasets share."""

import archives
import pytest

from astmt_jax.datasets.prepare import prepare


@pytest.fixture(scope="package")
def own_data(tmp_path_factory):
    """The data folder of a prepared dataset, not to be changed; it lies in own_data/1.1.0."""
    root = tmp_path_factory.mktemp("source")
    archives.make_own_data(root)
    data_dir = tmp_path_factory.mktemp("data")
    prepare("own_data", root, data_dir, num_workers=1)
    return data_dir
