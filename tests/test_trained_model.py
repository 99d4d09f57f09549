"""Predictions for any picture: against the network itself, and what is promised of their form."""

import dataclasses
import functools
import subprocess
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny_network import TinyNetwork
from tiny_run import SIZE, STEP, TASKS, tiny_model, write_run

import astmt_jax
from astmt_jax import trained_model
from astmt_jax.pipeline import augment

MEAN = 255 * np.array([0.485, 0.456, 0.406])
DEVIATION = 255 * np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def predict_all(model):
    """The network's own predictions for images (B, H, W, 3) in 0..255."""

    @functools.partial(jax.jit, static_argnums=0)
    def predict(network, params, stats, images):
        logits = network.all_logits(params, stats, (images - MEAN) / DEVIATION)
        return {task.name: task.predict(logits[task.name]) for task in model.tasks}

    def run(images, params=model.params, stats=model.stats):
        outputs = predict(model.network, params, stats, jnp.asarray(images, jnp.float32))
        return {name: np.asarray(output) for name, output in outputs.items()}

    return run


def photo(height, width, seed=0):
    """Smooth colours, as resizing noise compares nothing but filters."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)


def assert_same(found, expected):
    for name, values in expected.items():
        if values.dtype == np.uint8:
            assert (found[name] == values).mean() > 0.99, name  # ties of logits
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


def test_picture_of_the_networks_size_is_what_the_network_predicts(model, predict_all):
    image = photo(SIZE, SIZE)
    found = model.predict(image)
    assert list(found) == list(TASKS)
    assert_same(found, {name: output[0] for name, output in predict_all(image[None]).items()})


def test_square_pictures_are_resized_as_evaluation_does(model, predict_all):
    image = photo(100, 100)
    seen = augment.resize_image(image, SIZE)
    found = model.predict_batch([image], resize=False)[0]
    assert_same(found, {name: output[0] for name, output in predict_all(seen[None]).items()})


def test_aspect_ratio_is_kept_and_padding_is_cut_off(model, predict_all):
    image = photo(12, SIZE)
    padded = np.concatenate([image, np.repeat(image[-1:], 4, axis=0)])
    expected = {name: output[0, :12] for name, output in predict_all(padded[None]).items()}
    assert_same(model.predict(image), expected)


def test_tall_pictures_are_padded_on_the_right(model, predict_all):
    image = photo(SIZE, 12)
    padded = np.concatenate([image, np.repeat(image[:, -1:], 4, axis=1)], axis=1)
    expected = {name: output[0, :, :12] for name, output in predict_all(padded[None]).items()}
    assert_same(model.predict(image), expected)


@pytest.mark.parametrize("size", [(1, 1), (2, 5000), (5000, 1), (90, 61)])
def test_predictions_have_the_pictures_size_and_the_units_promised(model, size):
    found = model.predict(photo(*size))
    assert found["semseg"].shape == found["edge"].shape == found["depth"].shape == size
    assert found["normals"].shape == (*size, 3)
    assert found["semseg"].dtype == np.uint8
    assert found["semseg"].max() < len(model.task("semseg").class_names)
    assert found["edge"].dtype == found["normals"].dtype == found["depth"].dtype == np.float32
    assert 0 <= found["edge"].min() <= found["edge"].max() <= 1
    np.testing.assert_allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)


def test_some_tasks_are_predicted_as_among_all(model):
    image = photo(SIZE, 20)
    everything = model.predict(image)
    found = model.predict(image, tasks=["depth", "normals"])
    assert list(found) == ["depth", "normals"]
    assert_same(found, {name: everything[name] for name in found})


def test_modulation_is_another_tasks(model, predict_all):
    """As if every task owned a copy of what the other task owns."""
    image = photo(SIZE, SIZE)
    other = TASKS.index("edge")

    def for_all(variables):
        return dataclasses.replace(
            variables,
            task=jax.tree.map(lambda x: jnp.stack([x[other]] * len(TASKS)), variables.task),
        )

    outputs = predict_all(image[None], for_all(model.params), for_all(model.stats))
    expected = {name: output[0] for name, output in outputs.items()}
    found = model.predict(image, modulation="edge")
    assert_same(found, expected)
    own = model.predict(image)
    np.testing.assert_allclose(found["edge"], own["edge"], atol=1e-5)
    assert np.abs(found["depth"] - own["depth"]).max() > 0.01


def test_batches_predict_as_single_pictures_do_in_order(model):
    images = [photo(SIZE, 20, 1), photo(40, 40, 2), photo(SIZE, 20, 3), photo(SIZE, 20, 4)]
    found = model.predict_batch(images, batch_size=2)
    for image, predictions in zip(images, found, strict=True):
        assert_same(predictions, model.predict(image))


def test_number_of_programs_is_limited(model):
    """Sides are multiples of 16, numbers of images powers of two, and all tasks share the trunk."""
    fresh = tiny_model()
    for width in range(17, 33, 3):
        fresh.predict(photo(SIZE, width), tasks=["edge"])
        fresh.predict_batch([photo(40, 40)] * 3, tasks=["edge"])
    fresh.predict(photo(SIZE, SIZE), tasks=["depth"], modulation="normals")
    assert fresh._features._cache_size() == 2


def test_larger_input_is_a_choice(model, predict_all):
    image = photo(64, 64)
    expected = {name: output[0] for name, output in predict_all(image[None]).items()}
    assert_same(model.predict(image, size=64), expected)
    with pytest.raises(ValueError, match=r"^size is 0, but must be at least 1\.$"):
        model.predict(image, size=0)


def test_paths_images_and_arrays_are_the_same(model, tmp_path):
    array = photo(20, 30)
    Image.fromarray(array).save(tmp_path / "photo.png")
    expected = model.predict(array, ["depth"])["depth"]
    for image in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(array)):
        np.testing.assert_array_equal(model.predict(image, ["depth"])["depth"], expected)


def test_unknown_tasks_are_named_with_those_known(model):
    message = r"^There is no task 'sal': the model has semseg, normals, edge, depth\.$"
    with pytest.raises(ValueError, match=message):
        model.predict(photo(8, 8), tasks=["edge", "sal"])
    with pytest.raises(ValueError, match=message):
        model.predict(photo(8, 8), modulation="sal")


def test_colors_are_those_of_the_task(model):
    plane = np.full((2, 3), 3, np.float32)
    near = model.colorize("depth", plane, (3, 9))
    assert near.shape == (2, 3, 3)
    assert near.dtype == np.uint8
    assert (near != model.colorize("depth", plane, (1, 3))).any()


def test_load_restores_a_run_without_its_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    saved = write_run(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    loaded = astmt_jax.load(tmp_path / "run")
    assert isinstance(loaded, astmt_jax.Model)
    assert loaded.step == STEP
    assert loaded.config == saved.config
    assert [task.name for task in loaded.tasks] == list(TASKS)
    jax.tree.map(
        np.testing.assert_array_equal, (loaded.params, loaded.stats), (saved.params, saved.stats)
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_load_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    with pytest.raises(FileNotFoundError, match=r"^There is no run in \S+/nowhere\.$"):
        astmt_jax.load(tmp_path / "nowhere")
    write_run(tmp_path / "run")
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"^There is no checkpoint in \S+/checkpoints\.$"):
        astmt_jax.load(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_importing_the_package_loads_no_library():
    code = (
        "import sys, astmt_jax; assert 'load' in dir(astmt_jax); "
        "print({'jax', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        astmt_jax.lode  # noqa: B018
