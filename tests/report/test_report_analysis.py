"""What a report computes, against closed forms and direct computation on a tiny network."""

import functools
import os
import struct
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from settings import settings
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tiny_network import PAIR, random_batch, random_state, tiny_step

from astmt_jax.config import from_config_dict
from astmt_jax.evaluation.inference import Predicted
from astmt_jax.models.variables import one_task
from astmt_jax.report import analysis, confusion, curves, examples, gradients, modulation, probes
from astmt_jax.runtime.quiet_clu import metric_writers
from astmt_jax.runtime.quiet_tensorflow import tf
from astmt_jax.tasks import registry as tasks

EYE = np.eye(3)


@pytest.fixture(scope="module")
def plain():
    """Step without a discriminator, state and batch of a tiny network for two tasks."""
    step = tiny_step(tasks=PAIR, discriminator_weight=0.0)
    return step, random_state(step), random_batch(step)


@pytest.fixture(scope="module")
def adversarial():
    """The same with a discriminator, on batches in which everything is labelled."""
    step = tiny_step(tasks=PAIR)
    batch = random_batch(step)
    batch["labels"] = {
        name: jnp.where(label == 255, 0.5 if name == "normals" else 1, label)
        for name, label in batch["labels"].items()
    }
    return step, random_state(step), batch


def test_all_tasks_are_looked_at_where_one_was_trained(monkeypatch, tmp_path):
    names = ("semseg", "normals", "depth")
    start = {"init_from": "elsewhere", "freeze": "shared", "trained_tasks": ("depth",)}
    config = from_config_dict(settings(tasks=names, model__stride_in="conv1", **start))
    monkeypatch.setattr(analysis, "load", lambda workdir: types.SimpleNamespace(config=config))
    run = analysis.TrainedRun.open(tmp_path, tmp_path)
    assert tuple(task.name for task in run.experiment.learning_tasks) == names


def test_curves_hold_what_was_written_last(tmp_path):
    """A run that was killed writes the steps after its checkpoint once more."""
    for values in ({1: 5.0, 2: 4.0, 3: 9.0}, {2: 3.0, 3: 2.0}):
        writer = metric_writers.SummaryWriter(str(tmp_path))
        for step, value in values.items():
            writer.write_scalars(step, {"loss/depth": value, "rate": 0.5})
        writer.write_images(3, {"panels": np.zeros((1, 2, 2, 3), np.uint8)})
        writer.close()
    found = curves.read_curves(tmp_path)
    assert sorted(found) == ["loss/depth", "rate"]
    np.testing.assert_array_equal(found["loss/depth"].steps, [1, 2, 3])
    np.testing.assert_array_equal(found["loss/depth"].values, [5, 3, 2])
    assert list(curves.by_task(found, "loss")) == ["depth"]


def test_no_curves_in_a_folder_without_event_files(tmp_path):
    assert curves.read_curves(tmp_path) == {}


def test_distances_of_gates_between_tasks_and_images():
    """Equal directions of different lengths are at distance 0, orthogonal ones at 1."""
    first = [EYE[0], EYE[1]]
    second = [3 * EYE[0], EYE[2]]
    found = modulation.gate_distances(np.array([first, second]))
    np.testing.assert_allclose(found.between_tasks, [[0, 0.5], [0.5, 0]], atol=1e-12)
    assert found.between_images == pytest.approx(1)
    np.testing.assert_allclose(found.of_pairs(), [0.5])


def test_distances_of_factors_between_tasks():
    found = modulation.scale_distances(np.array([EYE[0], EYE[0] + EYE[1], -EYE[0]]))
    half = 1 - np.sqrt(0.5)
    np.testing.assert_allclose(found.of_pairs(), [half, 2, 2 - half], atol=1e-12)
    assert found.between_images is None


def test_one_image_has_no_distance_to_others():
    assert modulation.gate_distances(np.ones((2, 1, 3))).between_images is None


def test_modulation_is_what_each_task_computes(plain):
    """Against the formula of squeeze-and-excitation on what the layers before it give."""
    step, state, batch = plain
    images = batch["image"]
    found = modulation.read_modulation(step.network, state.params, state.stats, images)
    assert list(found.gates) == ["refine.se"]
    assert list(found.scales) == ["refine.norm"]  # that of the stem is shared
    np.testing.assert_array_equal(
        found.scales["refine.norm"], state.params.task["refine"]["norm"]["scale"]
    )
    for index in range(2):
        trunk = step.network.trunk(one_task(state.params, index), one_task(state.stats, index))
        x = jax.nn.relu(trunk.norm(trunk.stem(images), train=False))
        x = trunk.refine.conv(x) + trunk.refine.adapter(x)
        x = np.asarray(jax.nn.relu(trunk.refine.norm(x, train=False)))
        weights = {n: np.asarray(v[index]) for n, v in state.params.task["refine"]["se"].items()}
        hidden = x.mean(axis=(1, 2)) @ weights["reduce_kernel"] + weights["reduce_bias"]
        logits = np.maximum(hidden, 0) @ weights["expand_kernel"] + weights["expand_bias"]
        gate = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(found.gates["refine.se"][index], gate, rtol=1e-4)


def test_layers_are_in_the_order_of_the_forward_pass(plain):
    step, state, _ = plain
    order = probes.layer_order(step.network, state.params, state.stats, image_size=32)
    assert order == ["stem", "norm", "refine.conv", "refine.norm", "refine.se"]


def test_embedding_keeps_tasks_apart_that_are_apart():
    random = np.random.default_rng(0)
    gates = EYE[:2, None] + random.uniform(0, 0.05, (2, 8, 3))
    embedding = modulation.embed(gates)
    assert embedding.shape == (2, 8, 2)
    centres = embedding.mean(axis=1)
    spread = np.linalg.norm(embedding - centres[:, None], axis=-1).max()
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread


def test_cosines_of_gradients_in_closed_form():
    """Layers add up like parts of one vector; a task without a gradient has no cosine."""
    trees = [
        {"a": {"kernel": np.array([[3.0, 0.0]])}, "b": {"kernel": np.array([4.0])}},
        {"a": {"kernel": np.array([[0.0, 1.0]])}, "b": {"kernel": np.array([1.0])}},
        {"a": {"kernel": np.zeros((1, 2))}, "b": {"kernel": np.zeros(1)}},
    ]
    grams = gradients.gram_matrices(trees)
    np.testing.assert_allclose(grams["a"][:2, :2], [[9, 0], [0, 1]])
    whole = gradients.cosines(sum(grams.values()))
    assert whole[0, 1] == pytest.approx(4 / (5 * np.sqrt(2)))
    assert np.isnan(whole[2]).all()
    assert gradients.mean_of_pairs(whole) == pytest.approx(whole[0, 1])


def test_cosines_of_gradients_are_those_of_the_losses(plain):
    """Against automatic differentiation of each task's loss by itself."""
    step, state, batch = plain
    network = step.network

    def loss(shared, index, task):
        params = one_task(state.params, index)
        params = type(params)(shared, params.task, params.heads, params.discriminator)
        stats = one_task(state.stats, index)
        features, _ = network.task_features(params, stats, batch["image"], train=True)
        head, head_stats = params.heads[task.name], stats.heads[task.name]
        logits = network.logits(task.name, head, head_stats, features, (32, 32))
        return task.loss(logits, batch["labels"][task.name])

    direct = []
    for index, task in enumerate(step.objective.tasks):
        gradient = jax.jit(jax.grad(functools.partial(loss, index=index, task=task)))
        compiled = gradient.lower(state.params.shared).compile()
        leaves = jax.tree.leaves(compiled(state.params.shared))
        direct.append(np.concatenate([np.ravel(leaf) for leaf in leaves]))
    expected = direct[0] @ direct[1] / np.prod([np.linalg.norm(g) for g in direct])
    layers = ["stem", "norm", "refine.conv", "refine.norm"]
    found = gradients.gradient_cosines(
        step.objective, state.params, state.stats, [[batch, batch]] * 2, layers
    )
    assert found.whole[0, 1] == pytest.approx(expected, rel=1e-3)
    assert found.mean() == pytest.approx(expected, rel=1e-3)
    assert list(found.by_layer) == ["stem", "norm", "refine.conv"]  # those that are shared


def test_confusion_has_the_accuracy_of_training(adversarial):
    """Row by row, where every position is labelled."""
    step, state, batch = adversarial
    batches = [[batch, batch]] * 2
    found = confusion.confusion_matrix(step.objective, state.params, state.stats, batches)
    assert found.sum(axis=1).tolist() == [2 * 2 * 8 * 8] * 2  # batches x images x positions

    def arguments(index):
        views = one_task(state.params, index), one_task(state.stats, index)
        return *views, batch, np.int32(index), np.float32(1)

    train = jax.jit(step.objective.task_gradients).lower(*arguments(0)).compile()
    for index in range(2):
        metrics = train(*arguments(index))[2]
        accuracy = confusion.shares(found)[index, index]
        assert accuracy == pytest.approx(float(metrics["discriminator_accuracy"]), abs=1e-6)


def test_shares_of_a_task_without_gradients_are_unknown():
    np.testing.assert_array_equal(
        confusion.shares(np.array([[1.0, 3], [0, 0]])), [[0.25, 0.75], [np.nan, np.nan]]
    )


def test_score_of_one_image_is_over_its_own_classes():
    """Half of the background and all of class 3 are found; the other 19 classes do not count."""
    truth = np.zeros((4, 4, 1), np.uint8)
    truth[2:] = 3
    prediction = truth[..., 0].copy()
    prediction[0] = 5
    score = examples.image_score(tasks.semseg(), prediction, truth)
    assert score == pytest.approx((0.5 + 1) / 2)


def test_score_of_one_image_is_the_headline_metric():
    truth = np.full((4, 4, 1), 2.0, np.float32)
    assert examples.image_score(tasks.depth(), truth[..., 0] + 0.5, truth) == pytest.approx(0.5)


def test_image_without_a_person_has_no_score():
    empty = np.zeros((4, 4, 1), np.uint8)
    assert np.isnan(examples.image_score(tasks.human_parts(), empty[..., 0], empty))


def scored(name, **scores):
    return examples.Scored(types.SimpleNamespace(name=name), scores)


def test_worst_images_by_the_direction_of_the_metric():
    """The lowest overlap and the greatest error; an image without a label is left out."""
    chosen = tasks.semseg(), tasks.depth()
    items = [
        scored("a", semseg=0.5, depth=1.0),
        scored("b", depth=3.0),
        scored("c", semseg=0.1, depth=2.0),
        scored("d", semseg=0.9, depth=0.5),
    ]
    found = examples.select_examples(items, chosen, len(items), num_shown=2, num_worst=2)
    assert [item.example.name for item in found.worst["semseg"]] == ["c", "a"]
    assert [item.example.name for item in found.worst["depth"]] == ["b", "c"]
    assert [item.example.name for item in found.shown] == ["a", "c"]
    assert found.scores["semseg"] == [0.5, 0.1, 0.9]


def test_unlabelled_images_are_not_scored():
    """Only the first image is labelled; 8-bit rounding is that of the files."""
    ones = np.ones((2, 2, 1), np.float32)
    predicted = [
        Predicted(name, np.zeros((2, 2, 3), np.uint8), {"albedo": truth}, {"albedo": prediction})
        for name, truth, prediction in (
            ("a", np.ones((2, 2, 3), np.float32), np.full((2, 2, 3), 0.5, np.float32)),
            ("b", np.full((2, 2, 3), 255, np.float32), np.repeat(ones, 3, axis=-1)),
        )
    ]
    exact, rounded = (
        list(examples.score_examples(predicted, (tasks.albedo(),), quantize))
        for quantize in (False, True)
    )
    assert exact[0].scores["albedo"] == pytest.approx(0.5)
    assert rounded[0].scores["albedo"] == pytest.approx(1 - 127 / 255, abs=1e-6)
    assert exact[1].scores == {}


def event_file(folder, records):
    """An event file with these records, whose lengths may be others than they claim."""
    with tf.io.TFRecordWriter(str(folder / "events.out.tfevents.1.host")) as writer:
        for record in records:
            writer.write(record)


def scalar(tag, step=0, value=1.0, **tensor):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[value])
    proto.MergeFrom(tensor_pb2.TensorProto(**tensor))
    summary = summary_pb2.Summary()
    entry = summary.value.add(tag=tag, tensor=proto)
    entry.metadata.plugin_data.plugin_name = "scalars"
    return event_pb2.Event(step=step, wall_time=step, summary=summary).SerializeToString()


def test_what_is_no_scalar_of_a_training_is_passed_over(tmp_path):
    huge = tensor_pb2.TensorProto().tensor_shape
    huge.dim.add(size=2**31)
    records = [
        scalar("loss/depth"),
        scalar("huge", tensor_shape=huge),
        scalar("text", dtype=types_pb2.DT_STRING, string_val=[b"a"]),
        scalar("not a number", value=float("nan")),
        scalar("endless", value=float("inf")),
        scalar("$x^$"),
        scalar("x" * 1000),
        scalar("\x1b[31m"),
        scalar("loss/depth", step=-(2**63)),
        scalar("loss/depth", step=2**63 - 1),
        b"no event at all",
        scalar("after"),
    ]
    event_file(tmp_path, records)
    found = curves.read_curves(tmp_path)
    assert list(found) == ["loss/depth"]
    assert found["loss/depth"].steps.tolist() == [-(2**63), 0, 2**63 - 1]


@pytest.mark.parametrize("kind", ["length", "zeros", "curves", "pipe"])
def test_event_files_beyond_reason_are_refused_soon(kind, tmp_path):
    """The length that a record claims to have would be allocated."""
    path = tmp_path / "events.out.tfevents.1.host"
    if kind == "length":
        path.write_bytes(struct.pack("<QI", 2**32, 0))
    elif kind == "zeros":
        path.touch()
        os.truncate(path, 3 * 2**30)
    elif kind == "curves":
        event_file(tmp_path, [scalar(f"loss/{n}") for n in range(1000)])
    else:
        os.mkfifo(path)
        assert curves.read_curves(tmp_path) == {}
        return
    with pytest.raises(ValueError, match="move") as caught:
        curves.read_curves(tmp_path)
    assert str(tmp_path) in str(caught.value)
