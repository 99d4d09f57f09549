"""Examples as they are handed on to be stored."""

import pytest

from astmt_jax.datasets import contents


def contents_of(size):
    maps = {"image": bytes(size - 3), "edge": b"abc", "sal": None}
    return contents.Contents({}, {"val": ["a\n"]}, lambda split, name: maps)


def test_an_example_is_as_large_as_what_is_read_again():
    largest = contents.MAX_STORED
    ((key, example),) = contents_of(largest).keyed("val", (7, "a\n"))
    assert (key, len(example["image"])) == (7, largest - 3)
    words = r"^a\\n takes 191 MiB with its labels, but an example may take 191: make .* smaller\.$"
    with pytest.raises(ValueError, match=words):
        contents_of(largest + 1).keyed("val", (7, "a\n"))
