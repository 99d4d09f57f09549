"""Exported networks: run where nothing but jax and numpy can be imported, and slices of weights."""

import ast
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
from export_models import real_model
from networks import SMALL_LITE, SMALL_MOBILENET
from tiny_network import TinyNetwork
from tiny_run import TASKS, tiny_config, tiny_model

from astmt_jax.export import __main__ as export
from astmt_jax.export import comparison, program, stablehlo
from astmt_jax.models.variables import Params, Stats
from astmt_jax.trained_model import Model

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "export.md"

JAX_AND_NUMPY = ("jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "scipy")
"""Packages that jax and numpy bring with them."""
SAVE = """
images = np.load("images.npy")
np.save("found.npy", network(images.astype(np.float32))["normals"])
print(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""


def loader():
    """The example in the documentation."""
    return re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def command(model):
    """Runs the command with that model; returns its exit code, None for success."""

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "load", lambda workdir: model)
            try:
                export.main(["--workdir=run", *map(str, arguments)])
            except SystemExit as end:
                return end.code

    return run


@pytest.fixture(scope="module")
def folder(command, tmp_path_factory):
    """Holds an artefact of all tasks under the name that the documentation has."""
    folder = tmp_path_factory.mktemp("export")
    assert command("--task=all", f"--output={folder / 'normals.zip'}") is None
    return folder


def pictures(batch, height, width):
    return np.random.default_rng(1).integers(0, 256, (batch, height, width, 3)).astype(np.uint8)


def assert_runs(command, folder, model, **environment):
    """Runs the documentation's loader in a process of its own, on images it was not checked on."""
    images = pictures(3, 64, 80)
    np.save(folder / "images.npy", images)
    result = subprocess.run(
        [*command, "-c", loader() + SAVE],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"JAX_PLATFORMS": "cpu"} | environment,
    )
    assert result.returncode == 0, result.stderr
    expected = model.predict_batch(list(images), ["normals"], size=80)
    found = np.load(folder / "found.npy")
    np.testing.assert_allclose(found, [p["normals"] for p in expected], atol=1e-4)
    return result.stdout


def test_artefact_runs_where_only_jax_and_numpy_are(folder, model, tmp_path):
    """Python without its installed packages (-S), but for links to these."""
    for name in JAX_AND_NUMPY:
        package = pathlib.Path(importlib.util.find_spec(name).origin).parent
        for path in (package, package.with_name(f"{name}.libs")):
            (tmp_path / path.name).symlink_to(path)
    output = assert_runs([sys.executable, "-S"], folder, model, PYTHONPATH=str(tmp_path))
    packages = set(ast.literal_eval(output))
    assert packages >= {"jax", "numpy", "flatbuffers"}
    assert not packages & {"flax", "tensorflow", "orbax", "astmt_jax", "safetensors"}


@pytest.mark.slow  # installs packages
def test_artefact_runs_in_an_environment_of_its_own(folder, model, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = [f"jax=={jax.__version__}", f"numpy=={np.__version__}"]
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-compile", *packages], check=True)
    assert_runs([python], folder, model)


def test_artefact_says_what_it_is(folder):
    with zipfile.ZipFile(folder / "normals.zip") as archive:
        description = json.loads(archive.read("about.json"))
        exported = jax.export.deserialize(bytearray(archive.read("network.jax_export")))
    assert list(description["tasks"]) == list(TASKS)
    assert description["tasks"]["semseg"][:2] == ["background", "aeroplane"]
    assert description["multiple_of"] == 16
    assert description["longer_side_in_training"] == 32
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_images_of_other_sizes_are_refused(folder):
    with zipfile.ZipFile(folder / "normals.zip") as archive:
        exported = jax.export.deserialize(bytearray(archive.read("network.jax_export")))
    with pytest.raises(ValueError, match="16"):
        exported.call(np.zeros((1, 32, 40, 3), np.float32))


def test_what_differs_from_the_network_is_not_written(command, model, tmp_path, monkeypatch):
    """Here the exported network has another task's modulation."""
    original = program.features

    def wrong(network, normalize, params, stats, images, modulations):
        swapped = np.full_like(modulations, network.names.index("edge"))
        return original(network, normalize, params, stats, images, swapped)

    monkeypatch.setattr(program, "features", wrong)
    code = command("--task=normals", f"--output={tmp_path / 'normals.zip'}")
    assert re.match(
        r"Error: The exported network's predictions are \S+ from the network's own", code
    )
    assert list(tmp_path.iterdir()) == []


def test_distance_is_a_share():
    expected = np.float32([[4, 4], [0, 0]])
    assert comparison._distance(expected + 1, expected) == 0.25
    assert not comparison._distance(expected + np.nan, expected) <= 1
    assert comparison._distance(expected[:1], expected) == float("inf")
    classes = np.uint8([[1, 2], [3, 4]])
    assert comparison._distance(np.uint8([[1, 2], [3, 200]]), classes) == 0.25


def test_numbers_that_are_none_are_far_wherever_they_stand(model):
    """Here the second task's predictions, of the second size only."""

    def broken(images):
        found = jax.device_get(program.program(model, ("depth", "edge"))(jnp.asarray(images)))
        return found if len(images) == 1 else found | {"edge": np.full_like(found["edge"], np.nan)}

    with pytest.raises(comparison.ExportError, match="are nan from the network's own"):
        comparison.checked(broken, model, ("depth", "edge"))


def test_weights_are_those_of_the_single_task_network(command, model, tmp_path):
    """A network for this task alone predicts the same with them."""
    path = tmp_path / "depth.safetensors"
    assert command("--task=depth", f"--output={path}") is None
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["task"] == "depth"
    assert metadata["normalize"] == "imagenet"
    assert json.loads(metadata["model"])["decoder_width"] == 32
    config = tiny_config()
    network = TinyNetwork(config.model, {"depth": 1}, config.discriminator)
    unused = set(weights)

    def take(path, leaf):
        collection, *names = (getattr(entry, "name", getattr(entry, "key", None)) for entry in path)
        if collection == "heads":
            names = ["head", *names[1:]]
        name = ".".join(map(str, names))
        unused.discard(name)
        return jnp.asarray(weights[name][None] if collection == "task" else weights[name])

    params, stats = jax.eval_shape(network.init, jax.random.key(0))
    params, stats = (jax.tree_util.tree_map_with_path(take, tree) for tree in (params, stats))
    assert isinstance(params, Params)
    assert isinstance(stats, Stats)
    assert unused == set()
    single = Model(config, network, (model.task("depth"),), params, stats, 0)
    image = pictures(1, 32, 32)[0]
    expected = model.predict(image, ["depth"])["depth"]
    np.testing.assert_allclose(single.predict(image)["depth"], expected, rtol=1e-4, atol=1e-4)


def test_what_exists_is_not_overwritten_unasked(command, tmp_path):
    path = tmp_path / "new" / "depth.safetensors"
    assert command("--task=depth", f"--output={path}") is None
    path.write_text("precious")
    assert f"{path} exists already" in command("--task=depth", f"--output={path}")
    assert path.read_text() == "precious"
    assert command("--task=depth", f"--output={path}", "--overwrite") is None
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task=sal", "--output=x.zip"], "There is no task 'sal': the model has semseg, "),
        (["--task=sal", "--output=x.safetensors"], "There is no task 'sal': "),
        (["--task=all", "--output=x.safetensors"], "x.safetensors would hold one task's network"),
        (["--output=x.pt"], "x.pt must end in one of .zip, .safetensors"),
        (["--output=x", "--format=torch"], "--format is 'torch', but must be one of: stablehlo, "),
        (["--output=x.zip", "--format=safetensors"], "x.zip must end in .safetensors, as "),
        (["--output=x.zip", "--format=hub"], "x.zip is to be a folder, as --format=hub writes"),
        (["--output=x.onnx", "--size=32x32"], "--size is for --format=tflite only"),
        (["--output=x", "--format=hub", "--task=edge"], "--format=hub writes the whole network"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(command, arguments, message):
    assert command(*arguments).startswith(f"Error: {message}")


def test_real_network_exports_for_any_size():
    model = real_model(backbone="resnet14", conv_init="kaiming")
    exported = stablehlo.export_network(model, ["normals"])
    assert str(exported.in_avals[0].shape) == "(b, 16*h, 16*w, 3)"
    assert str(exported.out_avals[0].shape) == "(b, 16*h, 16*w, 3)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"output_stride": 8},
        SMALL_MOBILENET,
        SMALL_MOBILENET | {"output_stride": 8},
        SMALL_LITE,
        SMALL_LITE | {"output_stride": 8},
        {"decoder": "uber"},
    ],
    ids=["resnet", "stride8", "mobilenet", "mobilenet8", "lite", "lite8", "uber"],
)
def test_all_kinds_of_networks_export(settings):
    model = real_model(**({"conv_init": "kaiming"} | settings))
    call = jax.jit(stablehlo.export_network(model, TASKS).call)
    comparison.checked(lambda images: jax.device_get(call(images)), model, TASKS)
