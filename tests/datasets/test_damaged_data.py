"""Prepared data that are damaged, or a stranger's: one sentence, within bounds of memory."""

import io
import json
import os
import resource
import shutil
import struct
import time

import numpy as np
import pytest
import zstandard
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import registry, show
from astmt_jax.datasets.scenes import builder as scenes
from astmt_jax.datasets.scenes.options import ScenesOptions
from astmt_jax.files.encoding import encode_array, encode_png
from astmt_jax.pipeline import batches
from astmt_jax.pipeline.examples import SourceError
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.survey import labelled
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.training.errors import TRAINING_ERRORS

AGAIN = r": remove .* and prepare the dataset again\.$"
TASKS = ("semseg", "normals", "depth")
GIB = 2**20  # of the kibibytes in which the system counts


@pytest.fixture
def folder(own_data, tmp_path):
    """One's own copy of the prepared data; their folder."""
    shutil.copytree(own_data, tmp_path / "data")
    return tmp_path / "data/own_data/1.1.0"


@pytest.fixture(autouse=True)
def within_bounds():
    """What is read here takes less than 1 GiB, and 10 s of processor time."""
    peak, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < GIB
    assert time.process_time() - start < 10


def open_val(folder):
    return registry.find("own_data").open(folder.parents[1], {}, "val")


def path_of(folder, split="val"):
    return folder / f"{folder.parent.name}-{split}.array_record-00000-of-00001"


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def write_records(path, *records):
    path.unlink(missing_ok=True)
    writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def record_of(**values):
    """An example as it is stored, without the keys whose value is None."""
    size = (36, 44)
    whole = {
        "name": b"d",
        "image": encode_png(np.zeros((*size, 3), np.uint8)),
        "semseg": encode_array(np.zeros(size, np.uint8)),
        "normals": encode_array(np.zeros((*size, 4), np.uint8)),
        "depth": encode_array(np.ones(size, np.float32)),
    } | values
    features = {key: feature(value) for key, value in whole.items() if value is not None}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def parsed(source, record, packed=False):
    return source.parser(("name", "image", *TASKS), packed)(record)


def sized_array(height, width, elements):
    return zstandard.compress(struct.pack("<ii", height, width) + bytes(4 * elements))


def claimed_zstandard(size):
    """The beginning of a frame that says it has so many bytes, and one block of zeros."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"\x03\0\0\0"


def huge_png(side):
    data = bytearray(encode_png(np.zeros((2, 2, 3), np.uint8)))
    data[16:24] = struct.pack(">ii", side, side)
    return bytes(data)


def saved(image_format):
    file = io.BytesIO()
    Image.new("RGB", (44, 36)).save(file, image_format)
    return file.getvalue()


def huge_jpeg(side):
    data = bytearray(saved("JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def huge_webp(side):
    canvas = (side - 1).to_bytes(3, "little") * 2
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    inner = saved("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(chunk) + len(inner)) + b"WEBP" + chunk + inner


def test_sound_examples_are_read(folder):
    source = open_val(folder)
    for image_format in ("JPEG", "PNG", "WEBP"):
        example = parsed(source, record_of(image=saved(image_format), depth=b""))
        assert {key: value.shape for key, value in example.items() if key != "name"} == {
            "image": (36, 44, 3),
            "semseg": (36, 44, 1),
            "normals": (36, 44, 3),
            "depth": (36, 44, 1),
        }
    assert parsed(source, record_of(name="zwei/Käse 2.ä".encode()))["name"].decode()


DAMAGED = [
    {"image": huge_png(60_000)},
    {"image": huge_png(20_000)},
    {"image": huge_jpeg(60_000)},
    {"image": huge_webp(60_000)},
    {"image": saved("BMP")},
    {"image": saved("TIFF")},
    {"image": saved("GIF")},
    {"image": saved("JPEG")[:30]},
    {"image": b"\x89PNG\r\n\x1a\n"},
    {"image": b"garbage"},
    {"image": b""},
    {"image": None},
    {"image": 7},
    {"normals": huge_png(60_000)},
    {"normals": encode_array(np.zeros((9, 9, 4), np.uint8))},
    {"normals": encode_array(np.zeros((36, 44, 3), np.uint8))},
    {"depth": claimed_zstandard(10 * 2**30)},
    {"depth": claimed_zstandard(2**63)},
    {"depth": claimed_zstandard(100)},
    {"depth": zstandard.compress(b"")},
    {"depth": zstandard.compress(b"1234567")},
    {"depth": sized_array(-36, 44, 36 * 44)},
    {"depth": sized_array(-1, 44, 36 * 44)},
    {"depth": sized_array(-36, -44, 36 * 44)},
    {"depth": sized_array(0, 0, 0)},
    {"depth": sized_array(2**31 - 1, 2**31 - 1, 9)},
    {"depth": sized_array(36, 44, 36 * 44 - 1)},
    {"depth": sized_array(36, 44, 36 * 44 + 1)},
    {"depth": sized_array(44, 36, 36 * 44)},
    {"depth": 0},
    {"depth": None},
    {"depth": b"garbage"},
    {"name": None},
    {"name": 7},
    {"name": b"\xff"},
    {"name": b""},
    {"name": b"../../outside"},
    {"name": b"/outside"},
    {"name": b"a\x1b[31m"},
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("values", DAMAGED)
def test_a_damaged_example_is_named(folder, values, packed, capfd):
    source = open_val(folder)
    with pytest.raises(
        SourceError, match=rf" of own_data/1\.1\.0:val is damaged .*{AGAIN}"
    ) as found:
        parsed(source, record_of(**values), packed)
    sentence = str(found.value)
    if "name" not in values:
        assert sentence.startswith("The example d of ")
    assert sentence.isprintable()
    assert len(sentence) < 600
    assert capfd.readouterr() == ("", "")


def test_a_record_that_is_none_is_told(folder):
    for record in (b"", b"garbage", os.urandom(999)):
        with pytest.raises(SourceError, match=rf"^An example of .* is damaged .*{AGAIN}"):
            parsed(open_val(folder), record)


def remove(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def replace(path):
    path.write_bytes(os.urandom(200_000))


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [remove, truncate, empty, replace, make_folder])
def test_a_damaged_file_is_named(folder, damage):
    damage(path_of(folder))
    with pytest.raises(SourceError, match=rf"^{path_of(folder)} (is missing|is trunc).*{AGAIN}"):
        open_val(folder)


@pytest.mark.parametrize("count", ["0", "2", "999999999999"])
def test_a_wrong_number_of_examples_is_noticed(folder, count):
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][1]["shardLengths"] = [count]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    words = rf"has 1 examples, but dataset_info\.json beside it says {count}{AGAIN}"
    with pytest.raises(ValueError, match="is empty" if count == "0" else words):
        open_val(folder)


def test_a_bomb_is_refused_before_it_is_read(folder):
    write_records(path_of(folder), bytes(2**27))
    words = r" holds 128 MiB in 0\.125 MiB; files may decompress to 64 MiB and 20 times their size"
    with pytest.raises(SourceError, match=rf"^{path_of(folder)}{words}{AGAIN}"):
        open_val(folder)


def test_a_changed_byte_is_noticed(folder):
    data = bytearray(path_of(folder).read_bytes())
    data[data.index(b"PNG") + 40] ^= 0xFF
    path_of(folder).write_bytes(data)
    source = open_val(folder)
    with pytest.raises(SourceError, match=rf"Examples of own_data/1\.1\.0:val cannot .*{AGAIN}"):
        source.read([0])


def test_the_pipeline_says_what_was_wrong(folder):
    """TensorFlow makes another error of it on the way."""
    write_records(path_of(folder), record_of(depth=b"garbage"))
    source = open_val(folder)
    tasks = registry.select_tasks("own_data", TASKS, {})
    settings = InputSettings(1, 16, "none", num_threads=1)
    words = rf"^The example d of .* is damaged .*{AGAIN}"
    with pytest.raises(SourceError, match=words):
        labelled(source, tasks[-1], 1)
    with pytest.raises(SourceError, match=words):
        list(batches.eval_batches(source, tasks, settings))
    with pytest.raises(SourceError, match=words):
        list(
            batches.train_batches(
                source, tasks, settings, AugmentationConfig(), seed=0, steps=range(1)
            )
        )
    assert SourceError in TRAINING_ERRORS


def test_a_command_says_it_and_nothing_else(folder, capfd):
    write_records(path_of(folder), record_of(image=huge_png(60_000)))
    arguments = ["--dataset=own_data", f"--data_dir={folder.parents[1]}", "--split=val"]
    with pytest.raises(SystemExit, match=rf"^Error: The example d of .*{AGAIN}"):
        show.main([*arguments, f"--output={folder / 'sheet.png'}"])
    assert capfd.readouterr() == ("", "")


def test_pictures_of_scenes_have_their_size(tmp_path):
    options = {"image_size": 64, "num_train": 1, "num_val": 1}
    builder = scenes.prepare(ScenesOptions(**options), tmp_path, num_workers=1)
    source = registry.find("scenes").open(tmp_path, options, "val")
    (record,) = source.read([0])
    stored = tf.train.Example.FromString(record)
    for data in (
        huge_png(60_000),
        encode_png(np.zeros((65, 64, 3), np.uint8)),
        encode_png(np.zeros((64, 64, 4), np.uint8)),
        saved("TIFF"),
        b"garbage",
        b"",
    ):
        stored.features.feature["image"].bytes_list.value[0] = data
        with pytest.raises(SourceError, match=rf"^The example val_000000 of .*{AGAIN}"):
            source.parser(("image", "edge"))(stored.SerializeToString())
    assert builder.info.splits["val"].num_examples == 1
