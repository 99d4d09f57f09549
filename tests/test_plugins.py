"""What a plugin may add, how it is found, and the one sentence about a plugin that is wrong."""

import dataclasses
import importlib
import sys

import numpy as np
import pytest
from absl.testing import flagsaver
from plugged import EXAMPLES, forgotten
from settings import assert_one_sentence

from astmt_jax.command_line import arguments, config_flag
from astmt_jax.datasets import registry
from astmt_jax.models import families
from astmt_jax.models.family import Backbone
from astmt_jax.models.resnet import RESNET
from astmt_jax.plugins import PluginError, load
from astmt_jax.tasks.registry import depth, edge

OWN_TASK = EXAMPLES / "own_task.py"


@pytest.fixture(autouse=True)
def alone():
    with forgotten():
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which Python finds modules."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def refused(action, *words):
    """The sentence with which it is refused."""
    with pytest.raises(PluginError) as caught:
        action()
    message = str(caught.value)
    assert_one_sentence(message.rstrip(")"))
    assert all(word in message for word in words), message
    return message


ADDS = """
from astmt_jax.models.families import add_backbone
from astmt_jax.models.family import Backbone
from astmt_jax.models.resnet import RESNET
add_backbone("{name}", Backbone(RESNET, (1, 2, 1, 1)))
"""


def install(folder, name, module):
    """What pip leaves of a package that has a plugin."""
    installed = folder / f"{name}-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[astmt_jax.plugins]\n{name} = {module}\n")
    importlib.invalidate_caches()


def test_a_file_a_module_and_an_entry_point(folder):
    files = folder / "files"
    files.mkdir()
    (files / "one.py").write_text(ADDS.format(name="first") + "import beside_one")
    (files / "beside_one.py").write_text("")
    (folder / "package").mkdir()
    (folder / "package" / "two.py").write_text(ADDS.format(name="second"))
    (folder / "three_module.py").write_text(ADDS.format(name="third"))
    install(folder, "three", "three_module")
    before = list(families.BACKBONES)
    load("")
    assert list(families.BACKBONES) == before
    load(f"{files / 'one.py'}+package.two+three")
    assert list(families.BACKBONES) == [*before, "first", "second", "third"]
    assert sys.path[-1] == str(files)
    load(f"{files / 'one.py'}+three")  # once more


def test_nothing_is_loaded_that_is_not_named(folder):
    (folder / "installed.py").write_text("raise AssertionError")
    install(folder, "theirs", "installed")
    install(folder, "wrong", "///")
    (folder / "one.py").write_text(ADDS.format(name="first"))
    load("one")
    assert "installed" not in sys.modules
    refused(lambda: load("tehirs"), "There is no plugin tehirs", "(theirs, wrong)")
    refused(lambda: load("wrong"), "The plugin wrong cannot be imported")


WRONG = {
    "import nothing_like_it": ("(line 1)", "ModuleNotFoundError", "nothing_like_it"),
    "a = 1\nb = c": ("(line 2)", "NameError", "name 'c' is not defined"),
    "a = 1\nb = = c": ("(line 2)", "SyntaxError"),
    "import json.tests_of_none": ("(line 1)", "json.tests_of_none"),
    "a = 1\nexec('b = = c')": ("(line 2)", "SyntaxError"),
    "a = '\0'": ("cannot be imported: SyntaxError",),
    "import sys\nsys.exit('gone')": ("(line 2)", "SystemExit: gone"),
    "raise ValueError('one\\ntwo')": ("(line 1)", "ValueError: one two."),
    "raise Exception": ("(line 1)", "Exception."),
    ADDS.format(name="resnet50"): ("(line 5)", "backbone resnet50 already, of astmt_jax"),
    ADDS.format(name="own+depth"): ("(line 5)", "'own+depth', but its name must be a letter"),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text.strip().partition("\n")[0])
def test_a_plugin_with_an_error(tmp_path, text):
    path = tmp_path / "wrong_plugin.py"
    path.write_text(text)
    refused(lambda: load(str(path)), str(path), *WRONG[text])


def test_a_plugin_that_is_missing(tmp_path):
    refused(lambda: load(f"{tmp_path}/none.py"), f"{tmp_path}/none.py", "no such file")
    refused(lambda: load(f"{tmp_path}/{'a' * 5000}.py"), "no such file")
    refused(lambda: load("no_project.tasks"), "There is no plugin no_project.tasks")
    refused(lambda: load("astmt_jax.nothing"), "There is no plugin astmt_jax.nothing")
    refused(lambda: load("a..b"), "a..b")
    refused(lambda: load(".relative"), ".relative")


def test_a_file_that_is_called_as_another_module(tmp_path):
    for name in ("json.py", "jax.py", "settings.py"):
        (tmp_path / name).write_text("raise AssertionError")
        refused(lambda name=name: load(str(tmp_path / name)), name, "another name")
    (tmp_path / "a b.py").write_text("")
    refused(lambda: load(str(tmp_path / "a b.py")), "letters, digits")


def test_two_plugins_cannot_add_the_same_and_one_can_again(tmp_path):
    first, second = tmp_path / "first_plugin.py", tmp_path / "second_plugin.py"
    first.write_text(ADDS.format(name="own"))
    second.write_text(ADDS.format(name="own"))
    load(str(first))
    refused(lambda: load(str(second)), "backbone own already", str(first))
    first.write_text(ADDS.format(name="own").replace("(1, 2, 1, 1)", "(1, 3, 1, 1)") + "1 / 0")
    del sys.modules["first_plugin"]
    refused(lambda: load(str(first)), "ZeroDivisionError")
    first.write_text(ADDS.format(name="own").replace("(1, 2, 1, 1)", "(1, 4, 11, 1)"))
    load(str(first))
    assert families.BACKBONES["own"].blocks == (1, 4, 11, 1)


def test_what_is_no_entry():
    refused(lambda: families.add_backbone("own", RESNET), "backbone own", "must be a Backbone")
    refused(lambda: registry.add_dataset(registry), "must be a Dataset")
    twice = registry.find("camvid")
    refused(lambda: registry.add_dataset(twice), "dataset camvid already")
    families.add_backbone("own", Backbone(RESNET, (1, 2, 1, 1)))


def near():
    return dataclasses.replace(depth(), name="near", truth="near")


def add(task, dataset="scenes", inputs=("depth",)):
    registry.add_task(dataset, task, inputs, lambda metres: metres)


TASKS = {
    "no task": (lambda: add("near"), "must be a Task"),
    "a function": (lambda: add(near), "must be a Task"),
    "a text as inputs": (lambda: add(near(), inputs="depth"), "must be a tuple"),
    "no inputs": (lambda: add(near(), inputs=()), "must be a tuple"),
    "a number as input": (lambda: add(near(), inputs=(1,)), "must be a tuple"),
    "no map as input": (lambda: add(near(), inputs=("name",)), "must be a tuple"),
    "no function": (
        lambda: registry.add_task("scenes", near(), ("depth",), "depth"),
        "must be a Callable",
    ),
    "another truth": (
        lambda: add(dataclasses.replace(near(), truth="depth")),
        "would be compared with depth",
    ),
    "no dataset": (lambda: add(near(), "screens"), "'screens'|screens, but there are: scenes"),
    "a task that is there": (lambda: add(depth()), "scenes has a task depth already"),
    "a reserved name": (lambda: add(dataclasses.replace(near(), name="all")), "called all"),
    "no name": (lambda: add(dataclasses.replace(near(), name="../x")), "must be a letter"),
    "no geometry": (lambda: add(dataclasses.replace(near(), geometry="flat")), "'flat'"),
    "another headline": (lambda: add(dataclasses.replace(near(), headline="F")), "headline, F"),
    "no notation": (lambda: add(dataclasses.replace(near(), notation={})), "notation"),
    "a map as loss": (
        lambda: add(dataclasses.replace(near(), loss=lambda logits, labels: logits)),
        "a loss that is ShapeDtypeStruct(shape=(1, 8, 8, 1)",
    ),
    "two losses": (
        lambda: add(dataclasses.replace(near(), loss=lambda logits, labels: (0.0, 1.0))),
        "but must be one number",
    ),
    "channels too many": (
        lambda: add(dataclasses.replace(near(), predict=lambda logits: logits)),
        "predicts (1, 8, 8, 1)",
    ),
}


@pytest.mark.parametrize("case", TASKS)
def test_what_is_no_task(case):
    action, words = TASKS[case]
    message = refused(action)
    assert any(word in message for word in words.split("|")), message


def test_a_task_is_the_dataset_s_once_it_is_added():
    add(near())
    add(near())  # as a cell of a notebook that runs again
    assert [*registry.find("scenes").tasks()][-2:] == ["albedo", "near"]
    assert "near" not in registry.DATASETS["scenes"].tasks()
    assert "near" not in registry.find("nyud").tasks()
    (task,) = registry.select_tasks("scenes", ("near",))
    assert task.name == "near"
    split = registry.find("scenes").with_splits("train[:3]", "")
    assert (split.train_split, split.eval_split) == ("train[:3]", "val")
    assert [*split.tasks()][-1] == "near"
    registry.add_task("camvid", edge(), ("semseg",), lambda ids: ids)  # as scenes has one
    assert [*registry.find("camvid").tasks()] == ["semseg", "edge"]


@pytest.mark.parametrize(
    ("plugin", "words"),
    [("none.py", "Error: There is no plugin none.py"), ("broken_plugin", "(line 1): NameError")],
)
def test_command_lines_tell_it_in_one_sentence(folder, plugin, words, monkeypatch, capsys):
    (folder / "broken_plugin.py").write_text("broken")
    for plugins in (f"--config.plugins={plugin}", f"--config.plugins=json+{plugin}"):
        argv = ["main", "--config=scenes", plugins]
        monkeypatch.setattr(sys, "argv", argv)
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
            config_flag.parse_flags(argv)
        assert words in caught.value.code
        assert_one_sentence(caught.value.code)
    parser = arguments.parser("mine", "what it does")
    arguments.add_workdir(parser)
    with pytest.raises(SystemExit) as caught:
        arguments.parse(parser, ["--workdir=runs/x", f"--plugins={plugin}"])
    assert caught.value.code == 1
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1


def test_configurations_name_what_plugins_add(monkeypatch):
    argv = ["main", "--config=scenes:backbone=resnet20,tasks=depth+reflectance_edge+edge"]
    argv += ["--config.plugins", f"{EXAMPLES / 'own_backbone.py'}+{OWN_TASK}"]
    monkeypatch.setattr(sys, "argv", argv)
    with flagsaver.flagsaver():
        config_flag.parse_flags(argv)
        config = config_flag.settings()
    assert config.plugins == argv[-1]
    tasks = registry.tasks_of(config)
    assert [task.name for task in tasks] == ["depth", "reflectance_edge", "edge"]
    assert families.find(config.model).blocks == (1, 2, 2, 1)


def test_the_example_s_label_and_metric_are_what_they_say():
    load(str(OWN_TASK))
    own_task = sys.modules["own_task"]
    albedo = np.full((3, 4, 3), 0.5, np.float32)
    albedo[:, 2:, 1] = 0.6  # a change to the right of the second column
    albedo[2, 0] = 0.45  # too small a change
    assert own_task.label(albedo)[..., 0].tolist() == [[0, 1, 0, 0]] * 3
    metric, other = own_task.FMeasure(), own_task.FMeasure()
    metric.add(np.array([[0.5, 0.9], [0.4, 0.9]]), np.array([[1, 0], [1, 255]]))
    other.add(np.array([[1.0]]), np.array([[1]]))
    assert metric.result()["F"] == pytest.approx(2 * 1 / (2 + 2))
    metric.merge(other)
    assert metric.result()["F"] == pytest.approx(2 * 2 / (3 + 3))
    with_unknown = np.array([[[0], [1], [255]]], np.uint8)
    colors = own_task.colorize(with_unknown)
    assert colors.tolist() == [[[255, 255, 255], [200, 20, 40], [128, 128, 128]]]
