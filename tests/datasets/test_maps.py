"""Stored maps against what PIL reads from the same bytes."""

import io

import numpy as np
import pytest
from archives import picture_like
from PIL import Image

from astmt_jax.datasets.maps import KINDS
from astmt_jax.files.encoding import encode_array, encode_png


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
    np.testing.assert_array_equal(KINDS["masked_normals"].pack(encode_array(codes)), codes)
    expected = np.where(codes[..., 3:] > 0, 2 / 255 * pixels - 1, 0)
    unpacked = KINDS["masked_normals"].decode(encode_array(codes))
    np.testing.assert_allclose(unpacked, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("classes", np.uint8([[0, 7, 255]])),
        ("regions", np.uint16([[0, 459], [1, 65535]])),
        ("values1", np.float32([[0.7, 9.99]])),
        ("values3", np.float32([[[-1, 0.25, 1e-9]], [[0, 0, 0]]])),
    ],
)
def test_arrays_come_back_as_they_were(kind, values):
    decoded = KINDS[kind].decode(encode_array(values))
    assert decoded.dtype == KINDS[kind].dtype
    assert decoded.shape == (*values.shape[:2], KINDS[kind].channels)
    np.testing.assert_array_equal(decoded.reshape(values.shape), values)


@pytest.mark.parametrize("values", [np.uint8, np.uint16])
def test_encoded_maps_are_what_pil_reads(values):
    largest = np.iinfo(values).max
    encoded = np.random.default_rng(0).integers(0, largest, (20, 30), values, endpoint=True)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encode_png(encoded)))), encoded)


@pytest.mark.parametrize("kind", ["image", "classes"])
def test_other_bytes_are_refused(kind):
    whole = encode_array(np.zeros((5, 5), np.uint8))
    for data in (b"nothing", whole[:-3]):
        with pytest.raises(ValueError, match="cannot be decoded; prepare the dataset again"):
            KINDS[kind].decode(data)
