"""Speed and memory of the training input: decoding, augmentation and batches of all tasks.

    python -m benchmarks.input_pipeline [--threads 1 2] [--images=48] [--batches=12]
    python -m benchmarks.input_pipeline --dataset=pascal_context --data_dir=data

Without --dataset it writes a folder in PASCAL_MT's format (375 x 500 pixels, five tasks) and
prepares it. Prints images a second, CPU milliseconds an image (which other work on the machine does
not change much), what decoding and augmenting each map take of them, and the process's peak of
memory. Everything is at 512 x 512 with the paper's flips, rotations and zooms.
"""

import argparse
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable

import numpy as np

from astmt_jax.config import AugmentationConfig
from astmt_jax.datasets import registry
from astmt_jax.datasets.prepare import prepare
from astmt_jax.pipeline import augment
from astmt_jax.pipeline import batches as pipeline
from astmt_jax.pipeline.settings import InputSettings
from astmt_jax.pipeline.source import Source
from astmt_jax.tasks.task import Task
from tests import archives

SIZE = 512
BATCH = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a prepared dataset (default: a synthetic one)")
    parser.add_argument("--data_dir", default="data", help="where it lives")
    parser.add_argument("--images", type=int, default=48, help="of the synthetic dataset")
    parser.add_argument("--batches", type=int, default=12, help="to measure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name, data_dir = args.dataset, pathlib.Path(args.data_dir)
        if name is None:
            name, data_dir = "pascal_context", pathlib.Path(folder) / "data"
            prepare_synthetic(pathlib.Path(folder) / "source", data_dir, args.images)
        source = registry.find(name).open(data_dir, {}, "train")
        tasks = tuple(registry.find(name).tasks({}).values())
        print(f"{source.name}, {', '.join(task.name for task in tasks)}, {SIZE} x {SIZE}")
        for threads in args.threads:
            measure(source, tasks, threads, args.batches)
        stages(source, tasks)
    print(f"peak memory of the process: {peak_mebibytes():.0f} MiB")


def peak_mebibytes() -> float:
    """The most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepare_synthetic(folder: pathlib.Path, data_dir: pathlib.Path, images: int) -> None:
    """Writes and prepares a folder in PASCAL_MT's format."""
    lists = {"train": [f"t{number:05d}" for number in range(images)], "val": ["v"]}
    archives.make_pascal(folder, lists=lists, size_of=lambda number: (375, 500))
    prepare("pascal_context", folder, data_dir)


def measure(source: Source, tasks: tuple[Task, ...], threads: int, batches: int) -> None:
    """Prints the speed of so many batches, after the first ones."""
    # The end is not measured: TensorFlow takes up to a second to stop its threads.
    warm, rest = 3, 2
    iterator = pipeline.train_batches(
        source,
        tasks,
        InputSettings(BATCH, SIZE, num_threads=threads),
        AugmentationConfig(),
        seed=0,
        steps=range(warm + batches + rest),
    )
    for _ in range(warm):
        next(iterator)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(iterator)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = BATCH * batches
    print(
        f"{threads} thread(s): {count / wall:7.1f} images/s, {1000 * cpu / count:6.1f} CPU ms/image"
        f", peak memory so far {peak_mebibytes():.0f} MiB"
    )


def stages(source: Source, tasks: tuple[Task, ...], count: int = 24) -> None:
    """Prints CPU milliseconds an image of each stage for each map, one after the other."""
    geometries = {task.name: task.geometry for task in tasks}
    random = np.random.default_rng(0)
    numbers = [int(number) for number in random.integers(0, source.length, count)]
    records = source.read(numbers)
    examples = [source.parser(["image", *geometries], packed=True)(record) for record in records]
    motions = [augment.draw_motion(AugmentationConfig(), random) for _ in records]
    normalized = [augment.normalization("imagenet")]

    def decode(key: str) -> float:
        parse = source.parser([key], packed=True)
        return milliseconds(lambda: [parse(record) for record in records], count)

    def move(names: dict[str, str]) -> float:
        def work():
            for example, motion in zip(examples, motions, strict=True):
                augment.move(example, names, SIZE, motion, normalized)

        return milliseconds(work, count)

    image = move({})
    print("CPU ms/image     decode   augment")
    print(f"  {'image':13}{decode('image'):8.2f}{image:10.2f}")
    for name, geometry in geometries.items():
        print(f"  {name:13}{decode(name):8.2f}{move({name: geometry}) - image:10.2f}")
    print(f"  {'reading':13}{milliseconds(lambda: source.read(numbers), count):8.2f}")


def milliseconds(work: Callable[[], object], count: int) -> float:
    """CPU time of `work` for each of `count` images, the least of three times."""
    work()  # first use of the libraries
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times) / count


if __name__ == "__main__":
    main()
