"""Archives from strangers: unpacked whole and inside their folder, or not at all."""

import io
import os
import tarfile

import pytest

from astmt_jax.datasets import archive


def write_archive(path, entries, mode="w:gz"):
    """`entries`: (TarInfo, content) pairs."""
    with tarfile.open(path, mode) as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def file_entry(name, content=b"content"):
    return tarfile.TarInfo(name), content


def link_entry(name, target, kind):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def found_below(folder):
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    """Where archives are unpacked: a folder inside tmp_path."""
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_files_are_unpacked(tmp_path, folder, mode):
    content = os.urandom(100_000)
    write_archive(tmp_path / "a", [file_entry("x/one"), file_entry("x/y/two", content)], mode)
    archive.unpack(tmp_path / "a", folder)
    assert found_below(folder) == {"x/one": b"content", "x/y/two": content}


@pytest.mark.parametrize(
    "entry",
    [
        file_entry("../outside"),
        file_entry("x/../../outside"),
        link_entry("x", "../outside", tarfile.SYMTYPE),
        link_entry("x", "/etc/passwd", tarfile.SYMTYPE),
        link_entry("x", "one", tarfile.SYMTYPE),
        link_entry("x", "one", tarfile.LNKTYPE),
        link_entry("x", "", tarfile.CHRTYPE),
        link_entry("x", "", tarfile.FIFOTYPE),
    ],
)
def test_nothing_leaves_the_folder(tmp_path, folder, entry):
    path = tmp_path / "evil.tgz"
    write_archive(path, [file_entry("one"), entry])
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"evil\.tgz holds .*(leaves the archive|is a link)"):
        archive.unpack(path, folder)
    assert set(tmp_path.iterdir()) == before
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_an_absolute_path_stays_inside(tmp_path, folder):
    write_archive(tmp_path / "a.tgz", [file_entry(f"{tmp_path}/outside")])
    archive.unpack(tmp_path / "a.tgz", folder)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_archive_is_named(tmp_path, folder, mode, share):
    path = tmp_path / "cut.tgz"
    write_archive(path, [file_entry(f"f{i}", os.urandom(9000)) for i in range(9)], mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.tgz is truncated or corrupt .* download it again"):
        archive.unpack(path, folder)


def test_the_last_bytes_count(tmp_path, folder):
    path = tmp_path / "cut.tgz"
    write_archive(path, [file_entry("f", os.urandom(9000))])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated or corrupt"):
        archive.unpack(path, folder)


def test_a_changed_byte_is_noticed(tmp_path, folder):
    path = tmp_path / "bad.tgz"
    write_archive(path, [file_entry("f", os.urandom(90000))])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.tgz is truncated or corrupt"):
        archive.unpack(path, folder)


def test_no_archive_at_all_is_named(tmp_path, folder):
    (tmp_path / "notes.tgz").write_text("not an archive" * 100)
    with pytest.raises(ValueError, match=r"notes\.tgz is truncated or corrupt"):
        archive.unpack(tmp_path / "notes.tgz", folder)


def huge_entry(size):
    """The header of a file of this size, without the file."""
    entry = tarfile.TarInfo("big")
    entry.size = size
    return entry.tobuf()


def test_sizes_are_checked_before_writing(tmp_path, folder, monkeypatch):
    path = tmp_path / "bomb.tar"
    path.write_bytes(huge_entry(2**50))
    with pytest.raises(ValueError, match=r"bomb\.tar would grow to more than 100 times"):
        archive.unpack(path, folder)
    monkeypatch.setattr(archive, "_SMALL", 2**60)
    with pytest.raises(ValueError, match=r"bomb\.tar needs more than the .* GiB free in "):
        archive.unpack(path, folder)
    assert not list(folder.iterdir())


def test_the_root_is_found_and_the_scratch_folder_removed(tmp_path):
    path, scratch = tmp_path / "a.tgz", tmp_path / "scratch"
    write_archive(path, [file_entry("TOP/lists/train.txt", b"a\n")])
    with archive.opened(path, "lists/train.txt", scratch, "it") as found:
        assert found.names("lists/train.txt") == ["a"]
        assert [path.name for path in scratch.iterdir()] == ["TOP"]
    assert not scratch.exists()
    with pytest.raises(RuntimeError), archive.opened(path, "lists/train.txt", scratch, "it"):
        raise RuntimeError
    assert not scratch.exists()


@pytest.mark.parametrize("above", ["", "./", "TOP/", "./TOP/", "/data/sets/own/TOP/"])
def test_the_root_is_found_below_other_folders(tmp_path, above):
    path = tmp_path / "a.tgz"
    entries = [file_entry(f"{above}lists/train.txt", b"a\n")]
    write_archive(path, [file_entry("._TOP"), file_entry("__MACOSX/._TOP"), *entries])
    with archive.opened(path, "lists/train.txt", tmp_path / "scratch", "it") as found:
        assert found.names("lists/train.txt") == ["a"]


def test_another_dataset_is_named(tmp_path):
    write_archive(tmp_path / "a.tgz", [file_entry("TOP/other")])
    with (
        pytest.raises(ValueError, match=r"a\.tgz has no lists/train\.txt, so it is not the one"),
        archive.opened(tmp_path / "a.tgz", "lists/train.txt", tmp_path / "scratch", "the one"),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match=r"nothing\.tgz does not exist; it should be"),
        archive.opened(tmp_path / "nothing.tgz", "x", tmp_path / "scratch", "the one"),
    ):
        pass


def test_one_preparation_at_a_time(tmp_path):
    with (
        archive.locked(tmp_path / "lock"),
        pytest.raises(ValueError, match=r"Another preparation is running \(it holds .*lock\)"),
        archive.locked(tmp_path / "lock"),
    ):
        pass
    with archive.locked(tmp_path / "lock"):
        pass
