"""Run folders of strangers: whatever their files hold, a sentence is all that is told."""

import contextlib
import copy
import json
import os
import pathlib
import resource
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugged import forgotten
from tiny_network import TinyNetwork
from tiny_run import tiny_config, write_run

from astmt_jax import convert, trained_model
from astmt_jax.demo import __main__ as demo
from astmt_jax.evaluation.results import read_results, write_results
from astmt_jax.evaluation.scoring import Scores
from astmt_jax.export import __main__ as export
from astmt_jax.predict import __main__ as predict
from astmt_jax.report import __main__ as report
from astmt_jax.training import experiment
from astmt_jax.training.workdir import (
    check_workdir,
    imported_settings,
    record_import,
    recorded_config,
)

RESULTS = Scores(
    {"depth": {"rmse": 0.5, "log_rmse": float("nan")}, "semseg": {"mIoU": 0.25}},
    {"semseg": {"classes": {"sofa": {"iou": 0.5, "pixels": 3}}, "images": 3}},
)
READERS = {
    "config.json": lambda folder: recorded_config(folder),
    "imported.json": lambda folder: imported_settings(folder),
    "results.json": lambda folder: read_results(folder / "results.json"),
}
METADATA = (
    "checkpoints/7/_CHECKPOINT_METADATA",
    "checkpoints/7/default/_METADATA",
    "checkpoints/7/default/_sharding",
    "checkpoints/7/default/array_metadatas/process_0",
    "checkpoints/7/default/manifest.ocdbt",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with everything that is read of it."""
    folder = tmp_path_factory.mktemp("strangers") / "run"
    write_run(folder)
    record_import(folder, pathlib.Path("model.npz"), {"train.normalize": "none"})
    write_results(folder / "results.json", RESULTS, {"step": 7})
    return folder


@pytest.fixture
def theirs(run, tmp_path, monkeypatch):
    """A copy of the run, to be spoilt."""
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    return pathlib.Path(shutil.copytree(run, tmp_path / "theirs"))


@contextlib.contextmanager
def sentence():
    """Context that may raise what commands tell, in one line."""
    try:
        yield
    except (ValueError, OSError) as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            raise AssertionError(f"no sentence: {str(error)[:200]}") from error


NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**32, 2**63, 2**70, 10**400, 1e12, -1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
)
NAMES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "train", "seed", "none", "/", "..", "\x1b[31m", "[bold]", "\ud800", "1", "a\nb"]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


def places(document, path=()):
    """Paths of everything in a document, the document itself included."""
    yield path
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


@st.composite
def spoilt(draw, document):
    """The document with some values replaced, added or removed."""
    document = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from(sorted(places(document), key=str)[1:] or [(0,)]))
        place = document
        for step in path:
            place = place[step]
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            place[key] = draw(VALUES)
        elif action == "remove" and len(path):
            del place[key]
        elif action == "add" and isinstance(place, dict):
            place[draw(NAMES)] = draw(VALUES)
    return document[0] if document else None


@st.composite
def written(draw, document):
    """Bytes of a spoilt document, or a text that is none."""
    text = json.dumps(draw(spoilt(document))).encode()
    if draw(st.integers(0, 3)):
        return text
    cut = draw(st.integers(0, len(text)))
    return draw(
        st.sampled_from([text[:cut], text[:cut] + draw(st.binary(max_size=9)) + text[cut:]])
    )


def check_readers(run, name, data):
    content = data.draw(written(json.loads((run / name).read_text())))
    path = run.with_name("spoilt") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with sentence():
        READERS[name](path.parent)


QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.mark.parametrize("name", READERS)
@QUICK
@given(data=st.data())
def test_spoilt_documents_end_in_a_sentence(run, name, data):
    check_readers(run, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(QUICK, max_examples=500)
@given(data=st.data())
def test_many_spoilt_documents_end_in_a_sentence(run, name, data):
    check_readers(run, name, data)


SPOILT = {
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "a text": b'"a"',
    "no text": b"\xff\xfe\x00" * 20,
    "a list of itself": b"[" * 10**5 + b"]" * 10**5,
    "4 MiB of lists": b"[" + b"[]," * (2**22 // 3 - 1) + b"[]]",
}


def spoil(path, kind):
    """Puts something else in a file's place."""
    path.unlink()
    if kind == "a hole of 3 GiB":
        path.touch()
        os.truncate(path, 3 * 2**30)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "an endless device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(SPOILT[kind])


KINDS = (*SPOILT, "a hole of 3 GiB", "a folder", "a pipe", "an endless device")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*METADATA, "config.json"])
def test_runs_with_other_files_are_loaded_or_refused_soon(theirs, name, kind):
    spoil(theirs / name, kind)
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with sentence():
        trained_model.load(theirs)
    assert time.monotonic() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**20


COMMANDS = {
    "predict": (predict.main, ["--input={photo}", "--output={folder}/out"]),
    "report": (report.main, ["--output={folder}/out"]),
    "demo": (demo.main, []),
    "export": (export.main, ["--task=depth", "--output={folder}/out.safetensors"]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config.json", "a list"),
        ("config.json", "a list of itself"),
        ("config.json", "a pipe"),
        ("checkpoints/7/default/manifest.ocdbt", "no text"),
        ("checkpoints/7/default/_METADATA", "a pipe"),
    ],
)
def test_commands_tell_one_sentence(theirs, command, name, kind, capfd):
    spoil(theirs / name, kind)
    main, arguments = COMMANDS[command]
    given = [argument.format(folder=theirs.parent, photo=__file__) for argument in arguments]
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([f"--workdir={theirs}", *given])
    assert str(caught.value).startswith("Error: ")
    assert "\n" not in str(caught.value)
    output, errors = capfd.readouterr()
    assert errors == ""
    assert all(line.startswith("Warning: the checkpoint of step") for line in output.splitlines())
    assert [path.name for path in theirs.parent.iterdir()] == ["theirs"]


def test_a_report_without_data_reads_none_and_makes_none(theirs, monkeypatch, capsys):
    """Least of all where the run's folder says that they are."""
    monkeypatch.setattr(experiment, "Network", TinyNetwork)
    (theirs / "results.json").unlink()
    document = json.loads((theirs / "config.json").read_text())
    document["dataset"]["data_dir"] = str(theirs.parent / "their_data")
    document["model"]["pretrained"] = str(theirs / "pretrained.npz")
    os.mkfifo(theirs / "pretrained.npz")
    (theirs / "config.json").write_text(json.dumps(document))
    data_dir = theirs.parent / "data"
    report.main([f"--workdir={theirs}", f"--data_dir={data_dir}"])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Without images and what is found from them: scenes")
    assert f"is not rendered in {data_dir}" in told[0]
    assert told[0].endswith("--data_dir=DIR.")
    assert [path.name for path in theirs.parent.iterdir()] == ["theirs"]
    assert "their_data" not in (theirs / "report.html").read_text()


HOSTILE = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()"


@pytest.mark.parametrize("tasks", [None, ["hostile_task"]], ids=["known tasks", "unknown ones"])
@pytest.mark.parametrize("named", ["hostile_plugin.py", "hostile_plugin", "json+{folder}/x.py+os"])
def test_no_folder_has_code_run(theirs, named, tasks, monkeypatch, capsys):
    """Whatever it names as plugins, and although Python would find them."""
    monkeypatch.setattr(experiment, "Network", TinyNetwork)
    monkeypatch.syspath_prepend(theirs)
    monkeypatch.chdir(theirs)
    for name in ("hostile_plugin.py", "x.py"):
        (theirs / name).write_text(HOSTILE)
    document = json.loads((theirs / "config.json").read_text())
    document["plugins"] = named.format(folder=theirs)
    document["tasks"] = tasks or document["tasks"]
    (theirs / "config.json").write_text(json.dumps(document))
    actions = {
        "load": lambda: trained_model.load(theirs),
        "go on": lambda: check_workdir(theirs, tiny_config()),
        "weights": lambda: convert.export_weights(theirs, theirs.parent / "out.npz"),
    }
    for name, (main, arguments) in COMMANDS.items():
        given = [it.format(folder=theirs.parent, photo=__file__) for it in arguments]
        actions[name] = lambda main=main, given=given: main([f"--workdir={theirs}", *given])
    for name, action in actions.items():
        if tasks is None and name in ("demo", "weights"):  # what comes then is no tiny network's
            continue
        told = None
        try:
            with forgotten():
                action()
        except (ValueError, SystemExit) as error:
            told = str(error)
        assert not list(theirs.glob("*.ran"))
        if tasks:
            assert "needs its plugins (" in told, name
            assert "hostile_task" in told
            assert len(told) < 2000
            assert "\n" not in told


def test_names_in_settings_do_nothing_to_the_terminal(theirs):
    document = json.loads((theirs / "config.json").read_text())
    document["tasks"] = ["\x1b[2J[bold]\u202e"]
    (theirs / "config.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit) as caught:
        demo.main([f"--workdir={theirs}"])
    assert r"names '\x1b[2J[bold]\u202e', but scenes has" in str(caught.value)
