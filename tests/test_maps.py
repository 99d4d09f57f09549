"""Stored maps against what PIL reads from the same bytes."""

import io

import numpy as np
import pytest
from archives import picture_like
from PIL import Image

from astmt_jax.datasets.encoding import encode_png
from astmt_jax.datasets.maps import KINDS


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def pixels():
    return picture_like(np.random.default_rng(0), 37, 53)


def test_pictures_are_not_turned_as_their_orientation_tag_says(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(pixels, exif=exif)
    decoded = KINDS["image"].decode(data)
    np.testing.assert_array_equal(decoded, np.array(Image.open(io.BytesIO(data))))


def test_packed_normals_are_the_codes_and_what_is_known(pixels):
    data = jpeg(pixels)
    packed = KINDS["normals"].pack(data)
    np.testing.assert_array_equal(packed[..., :3], np.array(Image.open(io.BytesIO(data))))
    assert (packed[..., 3] == 255).all()
    codes = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    codes[:9] = 0
    np.testing.assert_array_equal(KINDS["masked_normals"].pack(encode_png(codes)), codes)


@pytest.mark.parametrize("values", [np.uint8, np.uint16])
def test_encoded_maps_are_what_pil_reads(values):
    largest = np.iinfo(values).max
    encoded = np.random.default_rng(0).integers(0, largest, (20, 30), values, endpoint=True)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encode_png(encoded)))), encoded)


def test_bytes_that_are_no_picture_are_refused():
    with pytest.raises(ValueError, match="cannot be decoded; prepare the dataset again"):
        KINDS["classes"].decode(b"nothing")
