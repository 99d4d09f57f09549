"""Archives from strangers: unpacked whole and inside their folder, or not at all."""

import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import stat
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from astmt_jax.datasets import archive, unpacking

ROOT = pathlib.Path(archive.__file__).parents[2]


def write_archive(path, entries, mode="w:gz"):
    """`entries`: (TarInfo, content) pairs."""
    with tarfile.open(path, mode) as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def write_zip(path, entries, compression=zipfile.ZIP_DEFLATED):
    """`entries`: (name or ZipInfo, content) pairs."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for entry, content in entries:
            file.writestr(entry, content)


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


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:bz2", "w:xz"])
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


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:bz2", "w:xz"])
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


@pytest.mark.parametrize(
    "content", [b"not an archive" * 100, b"Rar!", gzip.compress(b"x" * 999, mtime=0)]
)
def test_no_archive_at_all_is_named(tmp_path, folder, content):
    (tmp_path / "notes.tgz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"notes\.tgz is truncated or corrupt, or no arch"
    ) as caught:
        archive.unpack(tmp_path / "notes.tgz", folder)
    assert "no archive at all: .tar, .tar.gz (.tgz), .tar.bz2, .tar.xz and .zip are read" in str(
        caught.value
    )
    assert "download" not in str(caught.value)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
)
def test_zip_files_are_unpacked(tmp_path, folder, compression):
    content = os.urandom(100_000)
    entries = [("x/", b""), ("x/one", b"content"), ("x/y/two", content), ("empty", b"")]
    write_zip(tmp_path / "a.zip", entries, compression)
    archive.unpack(tmp_path / "a.zip", folder)
    assert found_below(folder) == {"x/one": b"content", "x/y/two": content, "empty": b""}


@pytest.mark.parametrize(
    ("module", "ending"), [(gzip, "gz"), (bz2, "bz2"), (lzma, "xz")], ids=["gz", "bz2", "xz"]
)
def test_what_was_compressed_in_parts_is_whole(tmp_path, folder, module, ending):
    """As parallel programs do it, with padding."""
    write_archive(tmp_path / "a.tar", [file_entry("one"), file_entry("two", b"x" * 30_000)], "w")
    data = (tmp_path / "a.tar").read_bytes()
    parts = [module.compress(data[start : start + 7000]) for start in range(0, len(data), 7000)]
    padding = b"" if module is bz2 else bytes(8)
    (tmp_path / f"a.tar.{ending}").write_bytes(b"".join(part + padding for part in parts))
    archive.unpack(tmp_path / f"a.tar.{ending}", folder)
    assert found_below(folder) == {"one": b"content", "two": b"x" * 30_000}


def zip_entry(name, mode):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry, b"/etc/passwd"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (("../outside", b""), "leaves the archive's folder"),
        (("x/../../outside", b""), "leaves the archive's folder"),
        (("/outside", b""), "leaves the archive's folder"),
        (("C:/outside", b""), "leaves the archive's folder"),
        (("..\\outside", b""), "other characters than '/'"),
        (zip_entry("x", stat.S_IFLNK | 0o777), "is a link or a device"),
        (zip_entry("x", stat.S_IFIFO | 0o777), "is a link or a device"),
        (zip_entry("x", stat.S_IFCHR | 0o777), "is a link or a device"),
        (("one/inside", b""), "a file and a folder have the same name"),
        (("a/" * 1500 + "f", b""), "in more than 64 folders"),
        (("n" * 300, b""), "more than 255 bytes"),
        (("\x1b[31m[red]../x/..", b""), r"holds \x1b[31m[red]../x/.., which leaves"),
    ],
)
def test_nothing_of_a_zip_leaves_the_folder(tmp_path, folder, entry, words):
    write_zip(tmp_path / "evil.zip", [("one", b""), entry])
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"evil\.zip holds ") as caught:
        archive.unpack(tmp_path / "evil.zip", folder)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert set(tmp_path.iterdir()) == before
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def changed_bytes(path, old, new, count):
    data = path.read_bytes()
    assert data.count(old) == count
    path.write_bytes(data.replace(old, new))


def test_an_encrypted_zip_is_named(tmp_path, folder):
    path = tmp_path / "a.zip"
    write_zip(path, [("secret", b"content")], zipfile.ZIP_STORED)
    # Version 2.0, no flags, stored; in the header of the entry and in the list of entries.
    changed_bytes(path, b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0", 2)
    with pytest.raises(ValueError, match="holds secret, which is encrypted"):
        archive.unpack(path, folder)


@pytest.mark.parametrize("method", [9, 14, 99])
def test_unknown_compression_of_a_zip_is_named(tmp_path, folder, method):
    path = tmp_path / "a.zip"
    write_zip(path, [("odd", b"content")], zipfile.ZIP_STORED)
    changed_bytes(path, b"\x14\0\0\0\0\0", bytes([0x14, 0, 0, 0, method, 0]), 2)
    with pytest.raises(ValueError, match=f"holds odd, which is compressed by method {method};"):
        archive.unpack(path, folder)


@pytest.mark.parametrize("size", [3, 700, 2**31])
def test_a_wrong_size_in_a_zip_is_noticed(tmp_path, folder, size):
    path = tmp_path / "a.zip"
    content = os.urandom(333)
    write_zip(path, [("odd", content)], zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as file:
        (entry,) = file.infolist()
    sizes = [entry.compress_size, entry.file_size]
    old, new = (
        b"".join(number.to_bytes(4, "little") for number in numbers)
        for numbers in (sizes, [sizes[0], size])
    )
    changed_bytes(path, old, new, 2)
    with pytest.raises(ValueError, match=r"a\.zip (is truncated or corrupt|would grow)"):
        archive.unpack(path, folder)


def test_overlapping_entries_of_a_zip_are_refused(tmp_path, folder):
    """The second entry of the list is the first one again: files grow, the archive does not."""
    path = tmp_path / "a.zip"
    write_zip(path, [("a1", bytes(100_000)), ("a2", bytes(100_000))])
    with zipfile.ZipFile(path) as file:
        second = file.getinfo("a2").header_offset
    data = bytearray(path.read_bytes())
    listed = data.rindex(b"PK\x01\x02")
    data[listed + 42 : listed + 46] = bytes(4)
    assert second
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.zip holds a2, which overlaps another entry"):
        archive.unpack(path, folder)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999])
def test_a_truncated_zip_is_named(tmp_path, folder, share):
    path = tmp_path / "cut.zip"
    write_zip(path, [(f"f{i}", os.urandom(9000)) for i in range(9)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.zip is truncated or corrupt .* download it again"):
        archive.unpack(path, folder)


def test_any_changed_byte_of_a_zip_is_read_or_refused(tmp_path, folder):
    path = tmp_path / "bad.zip"
    write_zip(path, [("x/one", b"content"), ("two", b"c" * 200)])
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        data = bytearray(whole)
        data[position] ^= 0xFF
        path.write_bytes(data)
        try:
            archive.unpack(path, folder)
        except ValueError as error:
            refused += 1
            message = str(error)
        assert refused
        assert message.startswith(str(path))
        assert message.isprintable()
    assert refused > len(whole) / 9


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


def test_the_search_for_the_root_has_an_end(tmp_path, monkeypatch):
    for number in range(30):
        (tmp_path / f"in/{number}").mkdir(parents=True)
        (tmp_path / f"in/{number}/again").symlink_to(tmp_path / "in")
    start = time.process_time()
    with (
        pytest.raises(
            ValueError, match=r"in has no list\.txt in the first of its more than 10000 f"
        ),
        archive.opened(tmp_path / "in", "list.txt", tmp_path / "scratch", "the one"),
    ):
        pass
    assert time.process_time() - start < 5


def repeated(path, compress, *parts):
    """A file of (content, how often) pairs; each content is compressed once."""
    with open(path, "wb") as file:
        for content, count in parts:
            compressed = compress(content)
            for _ in range(count):
                file.write(compressed)


def header(name, size=0, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf()


def write_bombs(folder):
    """Small files that are gigabytes or hundreds of thousands of entries."""
    zeros = bytes(2**26)
    for kind, name in ((tarfile.XHDTYPE, "pax"), (tarfile.GNUTYPE_LONGNAME, "long_name")):
        head = header("x", 2**31, kind)
        repeated(folder / f"{name}.tgz", gzip.compress, (head, 1), (zeros, 32))
    repeated(folder / "trailing.tgz", gzip.compress, (header("a") + bytes(1024), 1), (zeros, 160))
    big = header("a", 2**33)
    repeated(folder / "zeros.tar.xz", lzma.compress, (big, 1), (zeros[: 2**22], 2048))
    repeated(folder / "zeros.tar.bz2", bz2.compress, (big, 1), (zeros[: 2**22], 2048))
    empty = b"".join(header(f"{number}") for number in range(1000))
    repeated(folder / "entries.tgz", gzip.compress, (empty, 200))
    chain = (header("x", 12, tarfile.XHDTYPE) + b"12 path=abc\n".ljust(512, b"\0")) * 900
    repeated(folder / "chain.tgz", gzip.compress, (chain + header("a") + bytes(1024), 1))
    deep = [header("a/" * depth + "b", kind=tarfile.DIRTYPE) for depth in range(0, 40)]
    write_archive(folder / "deep.tgz", [file_entry("a/" * 1500 + "f")])
    repeated(folder / "folders.tgz", gzip.compress, (b"".join(deep) + bytes(1024), 1))
    sparse = tarfile.TarInfo("s")
    sparse.size = 2**32
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s"}
    head = sparse.tobuf(tarfile.PAX_FORMAT) + b"1000000000\n"
    repeated(folder / "sparse.tgz", gzip.compress, (head, 1), (b"0\n" * 2**20, 64))
    negative = tarfile.TarInfo("s")
    negative.pax_headers = {"size": "-1024"}
    repeated(folder / "negative.tgz", gzip.compress, (negative.tobuf(tarfile.PAX_FORMAT), 9))
    options = {"format": lzma.FORMAT_XZ, "filters": [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]}
    frame = lzma.compress(header("a") + bytes(1024), **options)
    (folder / "dictionary.tar.xz").write_bytes(frame)
    write_zip(folder / "entries.zip", [("a", b"")])
    data = (folder / "entries.zip").read_bytes()
    (folder / "entries.zip").write_bytes(with_repeated_list(data, 50_000))


def with_repeated_list(data, count):
    """A zip whose list of entries is repeated."""
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    listed, last = data[start:end] * count, bytearray(data[end:])
    last[8:12] = min(count, 0xFFFF).to_bytes(2, "little") * 2
    last[12:16] = len(listed).to_bytes(4, "little")
    return data[:start] + listed + last


CHILD = """
import json, pathlib, resource, sys, time
from astmt_jax.datasets import archive
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.iterdir()):
    began, sentence = time.process_time(), None
    try:
        with archive.opened(path, "list.txt", folder / "scratch", "it"):
            pass
    except ValueError as error:
        sentence = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
    left = (folder / "scratch").exists()
    print(json.dumps([path.name, sentence, time.process_time() - began, grown / 2**20, left]))
"""


def test_bombs_cost_little(tmp_path):
    write_bombs(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(found) == len(list(tmp_path.iterdir()))
    for name, sentence, seconds, gibibytes, left in found:
        assert sentence.startswith(f"{tmp_path}/{name} "), name
        assert seconds < 10, name
        assert gibibytes < 1, name
        assert not left, name
    limits = {name: sentence for name, sentence, *_ in found}
    for name in ("pax.tgz", "long_name.tgz", "trailing.tgz"):
        assert "more than 1 MiB between two of its files, or after the last" in limits[name]
    for name in ("zeros.tar.xz", "zeros.tar.bz2"):
        assert "would grow to more than 100 times its size, and 512 MiB" in limits[name]
    assert "more than 4000 entries, and more than one for 256 of its" in limits["entries.tgz"]
    assert "a list of its entries of more than 2 MiB" in limits["entries.zip"]
    assert "lies in more than 64 folders" in limits["deep.tgz"]
    assert "more than 256 MiB of memory" in limits["dictionary.tar.xz"]
    assert "holds s, of -1024 bytes" in limits["negative.tgz"]


def test_large_numbers_of_small_files_are_unpacked(tmp_path, folder, monkeypatch):
    """As many as a dataset has, in relation to its size."""
    monkeypatch.setattr(unpacking, "MANY", 40)
    entries = [file_entry(f"{number % 9}/{number}", os.urandom(900)) for number in range(200)]
    write_archive(tmp_path / "a.tgz", entries)
    archive.unpack(tmp_path / "a.tgz", folder)
    assert len(found_below(folder)) == 200
