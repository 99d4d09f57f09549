"""Several sources as one: what examples hold, and which of them stand where in a batch."""

import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from astmt_jax.config import AugmentationConfig
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.examples import StoredExamples
from astmt_jax.pipeline.mixture import Member, mixed
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.survey import labelled
from astmt_jax.pipeline.truths import truths
from astmt_jax.tasks import registry as tasks

SIZE = 8
EDGE = tasks.edge(protocol="edge_map", truth="edge")
TASKS = {"drawings": (EDGE,), "rooms": (tasks.semseg(), tasks.depth())}
LENGTHS = {"drawings": 5, "rooms": 12}
STILL = AugmentationConfig(flip=False, rotation=0, scale=(1, 1))
SETTINGS = InputSettings(batch_size=2, image_size=SIZE, normalize="none", num_threads=1)


def example(member, number):
    """An example with labels for all tasks, whose image says in its channels which one it is."""
    random = np.random.default_rng((LENGTHS[member], number))
    shape = (SIZE, SIZE, 1)
    return {
        "name": f"{number}",
        "image": np.full((SIZE, SIZE, 3), (list(TASKS).index(member), number, 0), np.uint8),
        "edge": random.integers(0, 2, shape).astype(np.uint8),
        "semseg": random.integers(0, 21, shape).astype(np.uint8),
        "depth": random.integers(1, 9, shape).astype(np.uint8),
    }


FEATURES = tfds.features.FeaturesDict(
    {
        "name": tfds.features.Text(),
        "image": tfds.features.Image(shape=(SIZE, SIZE, 3)),
        **{key: tfds.features.Image(shape=(SIZE, SIZE, 1)) for key in ("edge", "semseg", "depth")},
    }
)


def decode(features):
    return {
        key: value.astype(np.float32) if key == "depth" else value
        for key, value in features.items()
    }


def source_of(name):
    records = [
        FEATURES.serialize_example(FEATURES.encode_example(example(name, number)))
        for number in range(LENGTHS[name])
    ]
    return Source(
        name,
        len(records),
        lambda indices: [records[index] for index in indices],
        StoredExamples(name, FEATURES, decode),
    )


def mixture(groups=None, **images):
    members = [Member(name, source_of(name), TASKS[name], images.get(name, 1)) for name in TASKS]
    return mixed("both", members, groups)


WANTED = (EDGE, tasks.semseg(), tasks.depth())


def batches(source, steps, wanted=WANTED, **settings):
    return list(
        pipeline.train_batches(
            source,
            wanted,
            dataclasses.replace(SETTINGS, batch_size=settings.pop("batch_size", 2)),
            STILL,
            seed=3,
            steps=range(steps),
            **settings,
        )
    )


def drawn(batch):
    """(member, number) of every image of a batch."""
    return [tuple(int(value) for value in image[0, 0, :2]) for image in batch["image"]]


def test_an_example_has_labels_for_the_tasks_of_its_source_only():
    source = mixture()
    assert source.length == 17
    parse = source.parser(["semseg", "name", "depth", "edge"])
    order = [16, 0, 5, 4]
    for index, record in zip(order, source.read(order), strict=True):
        member, number = ("drawings", index) if index < 5 else ("rooms", index - 5)
        found, truth = parse(record), example(member, number)
        assert list(found) == ["semseg", "name", "depth", "edge"]
        assert found["name"] == f"{member}/{number}".encode()
        known = {task.name for task in TASKS[member]}
        unknown = {"edge": IGNORE, "semseg": IGNORE, "depth": 0}
        for key, value in unknown.items():
            expected = truth[key] if key in known else np.full_like(truth[key], value)
            np.testing.assert_array_equal(found[key], expected)
            assert found[key].dtype == (np.float32 if key == "depth" else np.uint8)


def test_evaluation_sees_every_example_once():
    rows = list(truths(mixture(), WANTED, 1))
    assert [row.name for row in rows] == [
        f"{member}/{number}" for member, length in LENGTHS.items() for number in range(length)
    ]
    for row in rows:
        own = {task.name for task in WANTED if task.is_labelled(row.truths)}
        assert own == {task.name for task in TASKS[row.name.split("/")[0]]}


def test_groups_hold_images_of_every_source_in_the_same_places():
    for images in ({}, {"rooms": 3}, {"drawings": 2}):
        group = [images.get("drawings", 1), images.get("rooms", 1)]
        for batch in batches(mixture(**images), 4):
            members = [member for member, _ in drawn(batch)]
            assert members == ([0] * group[0] + [1] * group[1]) * 2
            for key, owner in (("edge", 0), ("semseg", 1), ("depth", 1)):
                known = (batch["labels"][key] != IGNORE).any(axis=(1, 2, 3))
                np.testing.assert_array_equal(known, np.array(members) == owner)


@pytest.mark.parametrize(("images", "groups"), [({}, 12), ({"rooms": 2}, 6), ({"drawings": 2}, 12)])
def test_every_source_has_epochs_of_its_own(images, groups):
    """No example comes again before all others of its source, but those that are left over."""
    source = mixture(**images)
    assert pipeline.steps_per_epoch(source, 2) == groups // 2
    seen = {0: [], 1: []}
    for batch in batches(source, 12):
        for member, number in drawn(batch):
            seen[member].append(number)
    for member, (name, length) in enumerate(LENGTHS.items()):
        per_step = 2 * images.get(name, 1)
        per_epoch = length // per_step * per_step
        epochs = [seen[member][i : i + per_epoch] for i in range(0, len(seen[member]), per_epoch)]
        assert all(len(set(epoch)) == len(epoch) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > 1


def test_an_epoch_can_have_another_length():
    assert pipeline.steps_per_epoch(mixture(groups=50), 2) == 25
    with pytest.raises(ValueError, match=r"batch_size is 6; it must be 1 to 5.* of drawings"):
        pipeline.steps_per_epoch(mixture(groups=50), 6)
    with pytest.raises(ValueError, match=r"1 to 2, as it takes 2 of the 5 examples of drawings"):
        pipeline.steps_per_epoch(mixture(drawings=2), 3)
    with pytest.raises(ValueError, match=r"takes 6 of the 5 examples of drawings; .* so many"):
        pipeline.steps_per_epoch(mixture(drawings=6), 1)


def assert_alike(first, second):
    np.testing.assert_array_equal(first["image"], second["image"])
    for key, label in first["labels"].items():
        np.testing.assert_array_equal(label, second["labels"][key])


def test_training_goes_on_where_it_stopped():
    whole = batches(mixture(rooms=2), 9)
    rest = pipeline.train_batches(
        mixture(rooms=2), WANTED, SETTINGS, STILL, seed=3, steps=range(5, 9)
    )
    for first, second in zip(whole[5:], rest, strict=True):
        assert_alike(first, second)


def test_processes_share_groups():
    whole = batches(mixture(rooms=2), 3)
    shares = [batches(mixture(rooms=2), 3, share=pipeline.Share(i, 2)) for i in range(2)]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert drawn(first) + drawn(second) == drawn(batch)


def test_a_mixture_of_one_is_that_source():
    alone = source_of("rooms")
    one = mixed("one", [Member("rooms", alone, TASKS["rooms"], 1)], None)
    moved = AugmentationConfig()
    for source in (alone, one):
        assert pipeline.steps_per_epoch(source, 2) == 6
    both = (
        pipeline.train_batches(s, TASKS["rooms"], SETTINGS, moved, seed=1, steps=range(8))
        for s in (alone, one)
    )
    for first, second in zip(*both, strict=True):
        assert_alike(first, second)


def test_one_task_is_trained_on_its_own_source():
    source = mixture(groups=12).labelled_for(["edge"])
    assert (source.length, pipeline.steps_per_epoch(source, 2)) == (5, 6)
    assert source.name == "drawings"
    assert {member for batch in batches(source, 4) for member, _ in drawn(batch)} == {0}
    few = labelled(source, EDGE, 1)
    assert few.length == 5
    assert [part.name for part in mixture().labelled_for(["depth", "edge"]).parts] == list(TASKS)


def test_selected_examples_stay_in_their_parts():
    source = mixture().select([16, 2, 7, 0])
    assert {part.name: part.indices.tolist() for part in source.parts} == {
        "drawings": [1, 3],
        "rooms": [0, 2],
    }
    (batch,) = batches(source, 1)
    assert {number for member, number in drawn(batch) if member == 0} == {0, 2}
    assert {number for member, number in drawn(batch) if member == 1} == {11, 2}


def test_what_is_lacking_is_named():
    with pytest.raises(ValueError, match="drawings has no normals; it has name, image"):
        mixed("both", [Member("drawings", source_of("drawings"), (tasks.normals(),), 1)], None)
    with pytest.raises(ValueError, match="both has no albedo; it has name, image, edge, depth"):
        mixture().parser(["albedo"])
