"""Which files a path or a pattern names, and that no two of them get one name."""

import pathlib

import pytest

from astmt_jax.pictures.photo_folder import find_photos, unique_names


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.png", "trip/a.jpg", "trip/far/c.jpg", ".hidden.jpg", ".git/d.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def test_folder_counts_with_all_folders_in_it(folder):
    assert find_photos(str(folder)) == {
        "a": folder / "a.jpg",
        "b": folder / "b.png",
        "trip/a": folder / "trip/a.jpg",
        "trip/far/c": folder / "trip/far/c.jpg",
    }


def test_one_file(folder):
    assert find_photos(str(folder / "trip/a.jpg")) == {"a": folder / "trip/a.jpg"}


def test_pattern_names_from_the_folder_that_all_share(folder):
    assert list(find_photos(f"{folder}/*.jpg")) == ["a"]
    assert list(find_photos(f"{folder}/**/*.jpg")) == ["a", "trip/a", "trip/far/c"]
    assert list(find_photos(f"{folder}/trip/**/*.jpg")) == ["a", "far/c"]


def test_file_whose_name_looks_like_a_pattern(folder):
    path = folder / "[a].jpg"
    path.write_bytes(b"")
    assert find_photos(str(path)) == {"[a]": path}


def test_results_of_an_earlier_command_are_no_photos(folder):
    assert list(find_photos(str(folder), excluded=[folder / "trip", folder / "none"])) == ["a", "b"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("nothing.jpg", "file"), ("*.tif", "file"), ("photos/.git", "photo in")],
)
def test_nothing_found(tmp_path, folder, pattern, message):
    (folder / ".git/d.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=f"^There is no {message} "):
        find_photos(str(tmp_path / pattern))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png", "sub/a.jpg"], ["a.jpg", "a.png", "sub/a"]),
        (["a.b.jpg"], ["a.b"]),
        (["a", "a.jpg"], ["a", "a.jpg"]),
        # The name that the first two need is the third's without its ending.
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
    ],
)
def test_names_are_unique(paths, names):
    assert unique_names([pathlib.PurePosixPath(path) for path in paths]) == names
    assert len(set(names)) == len(names)
