"""The input pipeline on a tiny dataset with maps of every kind and images of different sizes."""

import itertools
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from astmt_jax.config import AugmentationConfig
from astmt_jax.labels import IGNORE
from astmt_jax.pipeline import augment, transfer
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.examples import StoredExamples
from astmt_jax.pipeline.geometries import mark_ignored
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.pipeline.survey import labelled
from astmt_jax.pipeline.warp import Motion
from astmt_jax.tasks import registry as tasks

TASKS = (
    tasks.edge(),
    tasks.semseg(),
    tasks.human_parts(),
    tasks.normals(),
    tasks.sal(),
    tasks.depth(),
    tasks.albedo(),
)
GEOMETRIES = {task.name: task.geometry for task in TASKS}
LENGTH = 11
WITH_PERSON = (1, 2, 5, 9)
STILL = AugmentationConfig(flip=False, rotation=0, scale=(1, 1))


def truth_of(number):
    """Example number `number`, in the form that `Source.decode` promises."""
    random = np.random.default_rng(number)
    height, width = 20 + number, 31 - number
    normals = random.integers(-1, 2, (height, width, 3)).astype(np.float32)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1)
    depth = random.integers(0, 9, (height, width, 1)).astype(np.float32)
    parts = random.integers(0, 7, (height, width, 1)) * (number in WITH_PERSON)
    return {
        "image": random.integers(0, 256, (height, width, 3)).astype(np.uint8),
        "name": f"example{number}",
        "edge": random.integers(0, 2, (height, width, 1)).astype(np.uint8),
        "semseg": random.integers(0, 21, (height, width, 1)).astype(np.uint8),
        "human_parts": parts.astype(np.uint8),
        "normals": normals,
        "sal": random.integers(0, 2, (height, width, 1)).astype(np.uint8),
        "depth": depth,
        "albedo": random.random((height, width, 3)).astype(np.float32),
        "label_map": random.integers(0, 500, (height, width, 1)).astype(np.int32),
    }


class Tiny(tfds.core.GeneratorBasedBuilder):
    """Depth is stored in whole metres as uint8, everything else as in `truth_of`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        def png(channels):
            return tfds.features.Image(shape=(None, None, channels), encoding_format="png")

        def array(channels, dtype):
            return tfds.features.Tensor(shape=(None, None, channels), dtype=dtype, encoding="bytes")

        features = {
            "image": png(3),
            "name": tfds.features.Text(),
            "normals": array(3, np.float32),
            "depth": png(1),
            "albedo": array(3, np.float32),
            "label_map": array(1, np.int32),
        }
        features |= {name: png(1) for name in ("edge", "semseg", "human_parts", "sal")}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(LENGTH):
            truth = truth_of(number)
            yield number, truth | {"depth": truth["depth"].astype(np.uint8)}


def decode(features):
    return {
        key: value.astype(np.float32) if key == "depth" else value
        for key, value in features.items()
    }


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    builder = Tiny(data_dir=tmp_path_factory.mktemp("data"), file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return builder


@pytest.fixture(scope="module")
def source(builder):
    return Source.from_builder(builder, "train", decode)


ALONE = pipeline.ALONE


def train(*arguments, **settings):
    return list(begin(*arguments, **settings))


def begin(source, wanted=TASKS, augmentation=None, seed=3, steps=range(5), share=ALONE, **changes):
    settings = {"batch_size": 4, "image_size": 16, "normalize": "none", "num_threads": 1}
    return pipeline.train_batches(
        source,
        wanted,
        InputSettings(**settings | changes),
        augmentation or AugmentationConfig(),
        seed=seed,
        steps=steps,
        share=share,
    )


def evaluate(source, wanted=TASKS, share=ALONE, **changes):
    settings = {"batch_size": 4, "image_size": 16, "normalize": "none", "num_threads": 2}
    return list(pipeline.eval_batches(source, wanted, InputSettings(**settings | changes), share))


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def stored_numbers(source):
    """Which example of `truth_of` each index of the source is."""
    return [int(name.removeprefix("example")) for b in evaluate(source) for name in b.names]


def test_batches_have_the_promised_shapes_and_types(source):
    (batch,) = train(source, steps=range(1))
    assert batch["image"].shape == (4, 16, 16, 3)
    assert batch["image"].dtype == np.float32
    assert list(batch["labels"]) == [task.name for task in TASKS]
    for name, label in batch["labels"].items():
        values = name in ("normals", "depth", "albedo")
        assert label.shape == (4, 16, 16, 3 if name in ("normals", "albedo") else 1)
        assert label.dtype == (np.float32 if values else np.uint8)


def test_an_epoch_has_every_example_at_most_once_resized_with_its_own_labels(source):
    batches = train(source, augmentation=STILL, steps=range(4))
    expected = [
        augment.move(truth_of(number), GEOMETRIES, 16, Motion()) for number in range(LENGTH)
    ]
    seen = []
    for batch in batches:
        for row, image in enumerate(batch["image"]):
            errors = [np.abs(image - example["image"]).max() for example in expected]
            number = int(np.argmin(errors))
            assert errors[number] < 1e-4
            seen.append(number)
            labels = {name: expected[number][name] for name in GEOMETRIES}
            assert_same({k: v[row] for k, v in batch["labels"].items()}, labels)
    first, second = seen[:8], seen[8:]
    assert len(set(first)) == 8
    assert len(set(second)) == 8
    assert first != second


def test_augmentation_differs_between_examples_and_epochs(source):
    one = source.select([0])
    first, second = train(one, batch_size=1, steps=range(2))
    assert not np.array_equal(first["image"], second["image"])
    copies = source.select([0, 0])
    (batch,) = train(copies, batch_size=2, steps=range(1))
    assert not np.array_equal(batch["image"][0], batch["image"][1])


def test_batches_do_not_depend_on_threads_or_restarts(source):
    whole = train(source, num_threads=1)
    assert_same(train(source, num_threads=4), whole)
    assert_same(train(source, num_threads=2, steps=range(3, 5)), whole[3:])


def test_the_seed_decides(source):
    (first,), (again,), (other,) = (train(source, steps=range(1), seed=seed) for seed in (3, 3, 4))
    assert_same(first, again)
    assert not np.array_equal(first["image"], other["image"])


def test_processes_share_out_the_same_global_batch(source):
    whole = train(source)
    parts = [train(source, share=pipeline.Share(index, 2)) for index in range(2)]
    assert parts[0][0]["image"].shape[0] == 2
    joined = [
        jax.tree.map(lambda *a: np.concatenate(a), *pair) for pair in zip(*parts, strict=True)
    ]
    assert_same(joined, whole)


def test_fewer_tasks_give_the_same_batches_without_the_other_labels(source):
    few = train(source, (TASKS[3], TASKS[1]))
    for batch, full in zip(few, train(source), strict=True):
        assert set(batch["labels"]) == {"normals", "semseg"}
        assert_same(batch["labels"], {k: full["labels"][k] for k in batch["labels"]})


@pytest.mark.parametrize(
    ("split", "other", "count"),
    [
        ("train", "train", LENGTH),
        ("train[:4]", "train[4:]", 0),
        ("train[:4]", "train[3:]", 1),
        ("train[:40%]", "train[20%:]", None),
        ("train[2:3]+train[5:]", "train[:6]", 2),
    ],
)
def test_splits_know_what_they_share(builder, split, other, count):
    """The examples themselves are compared: their numbers are their names."""
    opened = [Source.from_builder(builder, name, decode) for name in (split, other)]
    numbers = [set(stored_numbers(it)) for it in opened]
    expected = len(numbers[0] & numbers[1])
    assert opened[0].shared_with(opened[1]) == opened[1].shared_with(opened[0]) == expected
    assert count in (expected, None)


@pytest.mark.parametrize("split", ["train+train", "train[:1]+train[:1]", "train[3:]+train[:4]"])
def test_splits_with_an_image_twice_are_refused(builder, split):
    with pytest.raises(ValueError, match=r"has images twice; its parts must not overlap$"):
        Source.from_builder(builder, split, decode)
    apart = Source.from_builder(builder, "train[3:]+train[:3]", decode)
    assert sorted(stored_numbers(apart)) == list(range(LENGTH))


def test_only_wanted_features_are_decoded(source):
    (record,) = source.read([0])
    assert set(source.parser(("image", "depth"))(record)) == {"image", "depth"}


def test_imagenet_normalisation(source):
    (plain,), (normalised,) = (
        train(source, steps=range(1), normalize=name) for name in ("none", "imagenet")
    )
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (plain["image"] / 255 - mean) / deviation
    np.testing.assert_allclose(normalised["image"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("process_count", [1, 2])
def test_evaluation_yields_every_example_once_with_its_truth(source, process_count):
    names = []
    shares = [
        evaluate(source, share=pipeline.Share(index, process_count))
        for index in range(process_count)
    ]
    assert {len(share) for share in shares} == {3}
    for batch in itertools.chain(*shares):
        rows = 4 // process_count
        assert batch.images.shape == (rows, 16, 16, 3)
        real = len(batch.names)
        assert real == len(batch.truths) == len(batch.originals) <= rows
        assert not batch.images[real:].any()
        names += batch.names
        for row, name in enumerate(batch.names):
            truth = truth_of(int(name.removeprefix("example")))
            np.testing.assert_array_equal(batch.originals[row], truth["image"])
            resized = augment.resize_image(truth["image"], 16)
            np.testing.assert_allclose(batch.images[row], resized, rtol=0, atol=1e-4)
            marked = mark_ignored(truth, GEOMETRIES)
            assert_same(batch.truths[row], marked | {"label_map": truth["label_map"]})
    assert sorted(names) == sorted(f"example{number}" for number in range(LENGTH))


def test_evaluation_resizes_as_it_is_told(source):
    (batch, *_) = evaluate(source, resize="cubic")
    for image, original in zip(batch.images, batch.originals, strict=True):
        expected = augment.resize_image(original, 16, "cubic")
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-4)


def test_ignore_rules_reach_training_and_evaluation(source):
    numbers = stored_numbers(source)
    without = source.select([i for i, n in enumerate(numbers) if n not in WITH_PERSON])
    (batch,) = train(without, steps=range(1))
    assert (batch["labels"]["human_parts"] == IGNORE).all()
    assert not (batch["labels"]["semseg"] == IGNORE).all()
    for name in ("normals", "depth"):
        label = batch["labels"][name]
        assert (label == IGNORE).any()
        assert label.any(axis=-1).all()
    truths = [truth for batch in evaluate(without) for truth in batch.truths]
    assert all((truth["human_parts"] == IGNORE).all() for truth in truths)
    assert all((truth["depth"] > 0).all() for truth in truths)


def test_labelled_keeps_the_images_with_people(source):
    numbers = stored_numbers(labelled(source, TASKS[2]))
    assert sorted(numbers) == sorted(WITH_PERSON)
    assert labelled(source, TASKS[1]).length == LENGTH
    with pytest.raises(ValueError, match="no example with a label for human_parts"):
        labelled(labelled(source, TASKS[2]).select([]), TASKS[2])


def test_split_slices(builder, source):
    part = Source.from_builder(builder, "train[3:7]", decode)
    assert part.length == 4
    assert stored_numbers(part) == stored_numbers(source)[3:7]


def test_prefetch_puts_batches_on_the_devices_in_order(source):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    batches = train(source)
    placed = list(transfer.prefetch(iter(batches), sharding))
    assert_same(placed, batches)
    assert all(leaf.sharding == sharding for leaf in jax.tree.leaves(placed))


def test_prefetch_runs_ahead_by_no_more_than_it_should():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    taken = []

    def batches():
        for number in range(6):
            taken.append(number)
            yield np.full(1, number)

    placed = transfer.prefetch(batches(), NamedSharding(mesh, PartitionSpec("data")), lookahead=2)
    assert next(placed) == 0
    assert taken == [0, 1, 2]


UNFINISHED = """
import numpy as np, tensorflow as tf
from astmt_jax.pipeline.iteration import iterate
def slow(number):
    return np.float32(sum(range(20000)))
dataset = tf.data.Dataset.range(10**9).map(
    lambda number: tf.numpy_function(slow, [number], tf.float32), num_parallel_calls=2
)
numbers = iterate(dataset.prefetch(2), count=10**9, threads=2)
next(numbers)
raise SystemExit(7)
"""


def test_a_program_may_end_before_its_data():
    # Without an end to TensorFlow's threads, two out of three such programs hang.
    ended = subprocess.run([sys.executable, "-c", UNFINISHED], timeout=100, check=False)
    assert ended.returncode == 7


@pytest.mark.slow
def test_no_end_is_waited_for(source):
    """300 iterators, ended by their last batch or before it, while both cores are busy."""
    multiply = jax.jit(lambda x: x @ x)
    over = threading.Event()

    def work():
        x = np.ones((1500, 1500), np.float32)
        while not over.is_set():
            multiply(x).block_until_ready()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    waits = []
    try:
        for number in range(300):
            batches = begin(source, steps=range(6), image_size=64, num_threads=2)
            for _ in range(6 - number % 2):
                next(batches)
            start = time.perf_counter()
            assert number % 2 or next(batches, None) is None
            batches.close()
            waits.append(time.perf_counter() - start)
    finally:
        over.set()
        for worker in workers:
            worker.join()
    assert max(waits) < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 12}, "batch_size is 12; it must be 1 to 11"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"share": pipeline.Share(0, 3)}, "multiple of the number of processes, 3"),
        (
            {"normalize": "mean"},
            r"^train\.normalize is 'mean', but must be one of",
        ),
        (
            {"resize": "area"},
            r"^evaluation\.image_resize is 'area', but must be one of: linear, cubic\.$",
        ),
        ({"seed": -1}, "seed is -1"),
        ({"num_threads": 0}, "num_threads is 0"),
    ],
)
def test_bad_settings_are_refused_at_the_call(source, changes, message):
    with pytest.raises(ValueError, match=message):
        train(source, **changes)


def test_bad_sources_are_refused(builder, source):
    with pytest.raises(ValueError, match="prepared splits: "):
        Source.from_builder(builder, "val", decode)
    with pytest.raises(ValueError, match=r"train\[:0\] is empty"):
        Source.from_builder(builder, "train[:0]", decode)
    stored = source.examples.features.items()
    features = {k: v for k, v in stored if k not in ("depth", "label_map")}
    examples = StoredExamples("poor", tfds.features.FeaturesDict(features), decode)
    lacking = Source("poor", source.length, source.read, examples)
    with pytest.raises(ValueError, match="poor has no depth; it has "):
        train(lacking)
    with pytest.raises(ValueError, match="poor has no label_map; it has "):
        evaluate(lacking, TASKS[:1])
