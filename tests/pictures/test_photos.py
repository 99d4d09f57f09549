"""Pictures of every kind, as Pillow or the test wrote them, come back as upright RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from astmt_jax.pictures.photos import PhotoError, photo_size, read_photo

COLORS = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
GREY = COLORS[..., 0]


def saved(folder, image, name="photo.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def test_rgb_is_itself(tmp_path):
    path = saved(tmp_path, Image.fromarray(COLORS))
    for photo in (path, str(path), Image.fromarray(COLORS), COLORS):
        np.testing.assert_array_equal(read_photo(photo), COLORS)
    assert photo_size(path) == (6, 4)


def test_grey_has_three_equal_channels(tmp_path):
    expected = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_photo(saved(tmp_path, Image.fromarray(GREY))), expected)


@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "photo.pgm"])
def test_16_bits_become_8(tmp_path, name):
    levels = np.uint16([[0, 128, 129, 257 * 7], [65535, 65407, 65406, 257 * 200]])
    expected = np.round(levels / 257).astype(np.uint8)
    found = read_photo(saved(tmp_path, Image.fromarray(levels), name))
    np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, axis=2))


def test_cmyk_becomes_rgb(tmp_path):
    """Without a colour profile, red is (1 - cyan) (1 - black)."""
    cmyk = Image.merge("CMYK", [Image.new("L", (2, 2), value) for value in (51, 0, 255, 0)])
    found = read_photo(saved(tmp_path, cmyk, "photo.tif"))
    np.testing.assert_array_equal(found, np.tile(np.uint8([204, 255, 0]), (2, 2, 1)))
    assert read_photo(saved(tmp_path, cmyk, "photo.jpg")).shape == (2, 2, 3)


def test_what_is_transparent_lets_white_through(tmp_path):
    rgba = np.uint8([[[100, 0, 0, 255], [100, 0, 0, 0], [100, 0, 0, 51]]])
    expected = [[[100, 0, 0], [255, 255, 255], [224, 204, 204]]]
    found = read_photo(saved(tmp_path, Image.fromarray(rgba)))
    np.testing.assert_array_equal(found, expected)


def test_palette_with_a_transparent_color(tmp_path):
    image = Image.fromarray(np.uint8([[0, 1, 2]]), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    np.testing.assert_array_equal(
        read_photo(saved(tmp_path, image)), [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    )
    path = saved(tmp_path, image, transparency=1)
    assert read_photo(path)[0, 1].tolist() == [255, 255, 255]


TURNS = {  # what EXIF's orientation means: where row 0 and column 0 of the file are on the screen
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "photo.webp"])
def test_recorded_orientation_is_applied(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(COLORS), name, exif=exif, lossless=True)
    expected = TURNS[orientation](COLORS)
    np.testing.assert_array_equal(read_photo(path), expected)
    if name != "photo.png":
        assert photo_size(path) == expected.shape[:2]


def encoded(image_format):
    """A file of a picture that does not compress well."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.jpg", b"not a picture", "is no picture of a format that Pillow reads"),
        ("empty.jpg", b"", "is no picture of a format that Pillow reads"),
        ("truncated.jpg", encoded("JPEG")[:2000], "is damaged: "),
        ("truncated.png", encoded("PNG")[:2000], "is damaged: "),
        ("overwritten.png", encoded("PNG")[:60] + b"x" * 5000, "is damaged: "),
    ],
)
def test_what_is_no_picture_is_named_in_one_sentence(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    message = str(caught.value)
    assert message.startswith(f"{path} {reason}")
    assert message.endswith(".")
    assert "\n" not in message


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(OSError, match=str(path)):
            read_photo(path)


@pytest.mark.parametrize("limit", [20, 10])
def test_too_many_pixels_are_refused(tmp_path, monkeypatch, limit):
    """Pillow warns beyond its limit and refuses beyond twice as many."""
    path = saved(tmp_path, Image.fromarray(COLORS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24)
    assert read_photo(path).shape == COLORS.shape
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(PhotoError, match=r"more than 0 million pixels, the most that is read"):
        read_photo(path)


def test_floating_point_pictures_are_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.ones((2, 2), np.float32)), "photo.tif")
    with pytest.raises(PhotoError, match=r"photo.tif holds floating-point numbers"):
        read_photo(path)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_arrays_of_another_form_are_refused(array):
    with pytest.raises(PhotoError, match=r"^The image is .*, but must be uint8 \(H, W, 3\)\.$"):
        read_photo(array)
