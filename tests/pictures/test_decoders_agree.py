"""Whatever predict reads, prepare reads, and training sees the same pixels of what is stored."""

import pathlib
import tempfile

import numpy as np
import pictures_of_strangers as strangers
import pytest
from hypothesis import HealthCheck, given, settings

from astmt_jax.datasets.maps import KINDS
from astmt_jax.files.folder import Folder
from astmt_jax.pictures.photos import PhotoError, photo_size, read_photo

CHECKS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def is_sentence(error, start):
    """Checks that an error's message is one line and a sentence."""
    message = str(error)
    assert message.startswith(start)
    assert "\n" not in message
    assert message.endswith(".")


def check(data):
    """Returns the pixels; None if the file is refused, by both in one sentence."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "photo").write_bytes(data)
        try:
            seen = read_photo(root / "photo")
        except PhotoError as error:
            is_sentence(error, f"{root}/photo ")
            with pytest.raises(ValueError, match="photo") as caught:
                Folder(root, "mine").picture("photo")
            is_sentence(caught.value, "photo of mine ")
            return None
        stored, pixels = Folder(root, "mine").picture("photo")
        size = photo_size(root / "photo")
    assert seen.dtype == np.uint8
    assert seen.ndim == 3
    np.testing.assert_array_equal(pixels, seen)
    np.testing.assert_array_equal(KINDS["image"].decode(stored), seen)
    assert size in (seen.shape[:2], seen.shape[1::-1])
    return seen


@settings(CHECKS, max_examples=100)
@given(strangers.files())
def test_all_files(data):
    check(data)


@pytest.mark.slow
@settings(CHECKS, max_examples=3000)
@given(strangers.files())
def test_many_files(data):
    check(data)
