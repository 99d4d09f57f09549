"""What a prepared dataset says about itself chooses neither types nor paths."""

import contextlib
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astmt_jax.datasets import registry, show
from astmt_jax.datasets.maps import StoredMap
from astmt_jax.datasets.prepare import main, prepare
from astmt_jax.datasets.scenes import builder as scenes
from astmt_jax.datasets.scenes.options import ScenesOptions
from astmt_jax.datasets.stored_metadata import read_features, read_splits

MAP = "astmt_jax.datasets.maps.StoredMap"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
FILES = ("features.json", "dataset_info.json")
AGAIN = r": remove .* and prepare the dataset again\.$"


def stored_map(kind):
    return {"jsonFeature": {"json": json.dumps({"kind": kind})}, "pythonClassName": MAP}


def features_of(features):
    """features.json as TFDS 4.9.10 writes it."""
    name = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    return {"featuresDict": {"features": features}, "pythonClassName": name}


TEXT = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
FEATURES = {"depth": stored_map("values1"), "image": stored_map("image"), "name": TEXT}


def split_of(name="train", **changes):
    split = {"filepathTemplate": TEMPLATE, "name": name, "numBytes": "309", "shardLengths": ["3"]}
    return split | changes


def info_of(**changes):
    """dataset_info.json as TFDS 4.9.10 writes it."""
    info = {
        "description": "A folder of your own.",
        "disableShuffling": True,
        "fileFormat": "array_record",
        "moduleName": "astmt_jax.datasets.stored",
        "name": "own_data",
        "releaseNotes": {"1.0.0": "First version: labels are PNG files."},
        "splits": [split_of("train"), split_of("val", shardLengths=["2", "1"])],
        "version": "1.1.0",
    }
    return info | changes


def write(folder, file, document):
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / file).write_text(text)
    return folder


@pytest.fixture
def copy(own_data, tmp_path):
    """One's own copy of it."""
    shutil.copytree(own_data, tmp_path / "data")
    return tmp_path / "data"


def open_own(data_dir, split="train"):
    return registry.find("own_data").open(data_dir, {}, split)


def trap(tmp_path, monkeypatch):
    """A module that leaves a trace when it is imported: its class's full name, and the trace."""
    trace = tmp_path / "imported"
    (tmp_path / "trap.py").write_text(
        f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
        "from tensorflow_datasets.core.features import Tensor\nclass Feature(Tensor): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "trap.Feature", trace


@pytest.mark.parametrize("proto", [True, False])
def test_a_class_that_features_json_names_is_not_imported(copy, tmp_path, monkeypatch, proto):
    name, trace = trap(tmp_path, monkeypatch)
    feature = {"pythonClassName": name} if proto else {"type": name, "content": {}}
    for document in (
        features_of(FEATURES | {"depth": feature}),
        features_of(FEATURES | {"depth": feature | {"jsonFeature": {"json": "{}"}}}),
        features_of(FEATURES) | feature,
        feature,
    ):
        write(copy / "own_data/1.1.0", "features.json", document)
        with contextlib.suppress(ValueError):  # the type of the whole is not read
            assert isinstance(open_own(copy).examples.features["depth"], StoredMap)
    assert not trace.exists()


def test_the_features_of_scenes_are_those_of_the_code(tmp_path, monkeypatch):
    name, trace = trap(tmp_path, monkeypatch)
    options = ScenesOptions(image_size=64, num_train=1, num_val=1)
    builder = scenes.prepare(options, tmp_path / "data", num_workers=1)
    folder = tmp_path / "data/scenes" / options.name / "1.0.0"
    feature = {"pythonClassName": name, "jsonFeature": {"json": "{}"}}
    write(folder, "features.json", features_of({"image": feature}))
    (folder / "name.text_vocabulary").write_text("a stranger's")
    source = registry.find("scenes").open(
        tmp_path / "data", {"image_size": 64, "num_train": 1, "num_val": 1}, "train"
    )
    assert list(source.examples.features) == list(builder.info.features)
    assert not trace.exists()


def test_what_is_written_today_is_read(tmp_path):
    write(tmp_path, "features.json", features_of(FEATURES))
    write(tmp_path, "dataset_info.json", info_of())
    features = read_features(tmp_path)
    assert {key: getattr(features[key], "kind", None) for key in features} == {
        "depth": "values1",
        "image": "image",
        "name": None,
    }
    splits = read_splits(tmp_path, "own_data", "1.1.0")
    assert {name: splits[name].num_examples for name in splits} == {"train": 3, "val": 3}
    assert [path.name for path in splits["val"].filepaths] == [
        "own_data-val.array_record-00000-of-00002",
        "own_data-val.array_record-00001-of-00002",
    ]


DEEP = "[" * 100_000

BAD_FEATURES = [
    "",
    "null",
    "[]",
    "{",
    DEEP,
    f'{{"featuresDict": {DEEP}',
    " " * 2**20 + "{}",
    features_of(None),
    features_of([]),
    features_of({}),
    features_of({"image": stored_map("image")}),
    features_of({"name": TEXT}),
    features_of(FEATURES | {"name": stored_map("image")}),
    features_of(FEATURES | {"depth": None}),
    features_of(FEATURES | {"depth": []}),
    features_of(FEATURES | {"depth": {"pythonClassName": MAP}}),
    features_of(FEATURES | {"depth": {"pythonClassName": [MAP]}}),
    features_of(FEATURES | {"depth": {"pythonClassName": MAP, "jsonFeature": {"json": 7}}}),
    features_of(FEATURES | {"depth": {"pythonClassName": MAP, "jsonFeature": {"json": DEEP}}}),
    features_of(FEATURES | {"depth": {"pythonClassName": MAP, "jsonFeature": {"json": "[]"}}}),
    features_of(FEATURES | {"depth": stored_map("pickle")}),
    features_of(FEATURES | {"depth": stored_map(["image"])}),
    features_of(FEATURES | {"a/b": stored_map("image")}),
    features_of(FEATURES | {"\x1b[31m": stored_map("image")}),
    features_of(FEATURES | {"\ud800": stored_map("image")}),
    features_of(FEATURES | {"depth": {"pythonClassName": MAP, "jsonFeature": {"json": "\ud800"}}}),
    features_of(FEATURES | {"depth": stored_map("\ud800")}),
]

BAD_INFO = [
    "",
    "null",
    "[7]",
    DEEP,
    info_of(name="../own_data"),
    info_of(name=None),
    info_of(version="9.9.9"),
    info_of(version=1.1),
    info_of(fileFormat="tfrecord"),
    info_of(splits=None),
    info_of(splits={"train": 3}),
    info_of(splits=[None]),
    info_of(splits=[split_of(), split_of()]),
    info_of(splits=[split_of("../train")]),
    info_of(splits=[split_of(["train"])]),
    info_of(splits=[split_of(filepathTemplate="/etc/passwd")]),
    info_of(splits=[split_of(filepathTemplate="{SPLIT.__class__}")]),
    info_of(splits=[split_of(shardLengths=None)]),
    info_of(splits=[split_of(shardLengths="3")]),
    info_of(splits=[split_of(shardLengths=["-3"])]),
    info_of(splits=[split_of(shardLengths=["9" * 400])]),
    info_of(splits=[split_of(shardLengths=[["3"]])]),
    info_of(splits=[split_of(shardLengths=[1e308])]),
    info_of(splits=[split_of(numBytes={})]),
]


@pytest.mark.parametrize(
    ("file", "document"),
    [("features.json", document) for document in BAD_FEATURES]
    + [("dataset_info.json", document) for document in BAD_INFO],
)
def test_another_shape_is_one_sentence(copy, file, document):
    write(copy / "own_data/1.1.0", file, document)
    with pytest.raises(ValueError, match=rf"{file} .*{AGAIN}") as caught:
        open_own(copy)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_one_sentence(copy, file):
    (copy / "own_data/1.1.0" / file).unlink()
    with pytest.raises(ValueError, match=rf"{file} .*{AGAIN}"):
        prepare("own_data", "nowhere", copy)


def test_a_missing_file_of_scenes_is_one_sentence(tmp_path):
    options = ScenesOptions(image_size=64, num_train=1, num_val=1)
    (tmp_path / "scenes" / options.name / "1.0.0").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"dataset_info\.json is missing{AGAIN}"):
        scenes.prepare(options, tmp_path, num_workers=1)


def test_a_pipe_is_not_waited_for(copy):
    (copy / "own_data/1.1.0/features.json").unlink()
    os.mkfifo(copy / "own_data/1.1.0/features.json")
    with pytest.raises(ValueError, match=rf"features\.json is a pipe .*{AGAIN}"):
        open_own(copy)


def test_the_commands_say_nothing_else(copy, capfd):
    write(copy / "own_data/1.1.0", "features.json", DEEP)
    arguments = ["--dataset=own_data", f"--data_dir={copy}"]
    with pytest.raises(SystemExit, match=rf"^Error: .*features\.json is not sound JSON .*{AGAIN}"):
        show.main([*arguments, f"--output={copy / 'sheet.png'}"])
    assert capfd.readouterr() == ("", "")
    with pytest.raises(SystemExit, match=rf"^Error: .*features\.json is not sound JSON .*{AGAIN}"):
        main([*arguments, "--source=nowhere"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def changed(draw, document):
    """The document with a value at some place, or a key there, replaced by something else."""
    document = json.loads(json.dumps(document))
    place = document
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key] and draw(st.booleans())):
            break
        place = place[key]
    if isinstance(place, dict) and draw(st.booleans()):
        place[draw(st.text(max_size=9))] = place.pop(key)
    else:
        place[key] = draw(VALUES)
    return document


def sentence_of(function, *arguments):
    """What a ValueError says, None if there is none."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)


def check_any_shape(tmp_path, features, info):
    write(tmp_path, "features.json", features)
    write(tmp_path, "dataset_info.json", info)
    for read in (read_features, lambda folder: read_splits(folder, "own_data", "1.1.0")):
        sentence = sentence_of(read, tmp_path)
        if sentence is not None:
            assert sentence.endswith("prepare the dataset again.")
            assert sentence.isprintable()


shapes = given(features=VALUES | changed(features_of(FEATURES)), info=VALUES | changed(info_of()))
quickly = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "derandomize": True,
}


@settings(max_examples=200, **quickly)
@shapes
def test_any_shape_is_read_or_refused(tmp_path, features, info):
    check_any_shape(tmp_path, features, info)


@pytest.mark.slow
@settings(max_examples=5000, **quickly)
@shapes
def test_any_of_many_shapes_is_read_or_refused(tmp_path, features, info):
    check_any_shape(tmp_path, features, info)
