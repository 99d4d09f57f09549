"""Prepares a dataset from the archive or folder you have.

    python -m astmt_jax.datasets.prepare --dataset=pascal_context --source=PASCAL_MT.tgz \\
        --data_dir=data

The source is never written to. The slow work is done once; the result is stored under data_dir.
"""

import functools
import os
import pathlib
import signal
from collections.abc import Collection, Mapping
from typing import Any

from rich.table import Table

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import full_disk_told, told
from astmt_jax.datasets import archive, registry
from astmt_jax.datasets.dataset import NO_OPTIONS, ArchiveDataset
from astmt_jax.datasets.exclusive import preparing
from astmt_jax.datasets.local_builder import quiet_tfds
from astmt_jax.datasets.statistics import Statistics, check, described, doubts
from astmt_jax.datasets.stored import Preparation, StoredDataset
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.quiet_tensorflow import tfds
from astmt_jax.tasks.task import Task

FORMER_CONFIG = (
    "say --options=classes=40 for the 40 classes of nyud, --options=config=NAME to give own_data a "
    "name"
)


def archives() -> dict[str, ArchiveDataset]:
    """Name -> record of the datasets that are prepared from what a user has."""
    return {
        name: dataset
        for name, dataset in registry.DATASETS.items()
        if isinstance(dataset, ArchiveDataset)
    }


def prepare(
    dataset: str,
    source: str | pathlib.Path,
    data_dir: str | pathlib.Path,
    *,
    options: Mapping[str, Any] = NO_OPTIONS,
    num_workers: int | None = None,
    beam_options: str | None = None,
) -> StoredDataset:
    """Reads an archive or a folder and stores the dataset, unless it is there already.

    An interrupted preparation leaves nothing that looks complete, and can be started again.

    Args:
      dataset: key of `archives()`.
      source: archive (`archive.ENDINGS`) or unpacked folder; only read.
      data_dir: TFDS data folder; the dataset goes to data_dir/DATASET[/CONFIG]/VERSION.
      options: of the dataset, such as the 40 classes of NYUD or the name of own_data.
      num_workers: processes; None is one a core.
      beam_options: options of Apache Beam, such as 'runner=DirectRunner', which then
        distributes the work; None does without Beam.

    Returns:
      The builder, ready for reading.

    Raises:
      ValueError: the source or an argument is at fault; one sentence that names the file.
      FileNotFoundError: there is no such source.
      Exception: the disk is full or cannot be written to; whatever the library that writes raises.
    """
    known = archives()
    if dataset not in known:
        raise ValueError(f"The dataset is {dataset!r}, but must be one of: {', '.join(known)}.")
    record = known[dataset]
    data_dir, source = arguments.path(data_dir).absolute(), arguments.path(source)
    workers = len(os.sched_getaffinity(0)) if num_workers is None else num_workers
    if workers < 1:
        raise ValueError(f"num_workers is {workers}, but must be at least 1.")
    distribution = None if beam_options is None else _beam_pipeline_options(beam_options)
    prepared = record.prepared(options, data_dir)
    label = "-".join(filter(None, (dataset, prepared.config)))
    with preparing(prepared.folder, data_dir, label, _refuse) as scratch, quiet_tfds():
        if prepared.is_complete:
            CONSOLE.print(
                f"{prepared.folder} is prepared already, and {source} was not read. To prepare it "
                "again, remove that folder."
            )
            return prepared.open()
        with archive.opened(
            source, prepared.archive.marker, scratch, prepared.archive.described
        ) as folder:
            tasks = record.tasks(options)
            inspect = functools.partial(_inspect, folder.name, tasks, _named(record, options))
            preparation = Preparation(folder, workers, distribution is not None, inspect)
            prepared.builder(preparation).download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False, beam_options=distribution
                )
            )
        return prepared.open()


def _refuse(holder: str) -> None:
    raise ValueError(f"Another preparation of this dataset is running: {holder}.")


def _named(record: ArchiveDataset, options: Mapping[str, Any]) -> set[str]:
    """The tasks whose classes were named, by the dataset or by these options."""
    default = record.tasks()
    return {
        name
        for name, task in record.tasks(options).items()
        if name not in record.named_by_options or task.class_names != default[name].class_names
    }


def _inspect(
    source: str,
    tasks: Mapping[str, Task],
    named: Collection[str],
    statistics: Mapping[str, Statistics],
) -> None:
    """Prints what the labels of some tasks hold.

    Raises:
      ValueError: they cannot be meant; see `statistics.check`.
    """
    counted = {name: statistics[name] for name in tasks if name in statistics}
    if not counted:
        return
    table = Table("task", "files", "examples labelled", "pixels known", "of these")
    for name, found in counted.items():
        row = [f"{found.files:,}", f"{found.labelled:,} of {found.examples:,}"]
        share = f"{found.known / max(found.pixels, 1):.1%}"
        holds = described(tasks[name], found, name in named)
        table.add_row(name, *row, share, holds)
    CONSOLE.print(table)
    for name, found in counted.items():
        check(tasks[name], found, source, name in named)
        for doubt in doubts(tasks[name], found, name in named):
            CONSOLE.print(f"Warning: {doubt}.")


def _beam_pipeline_options(text: str) -> object:
    try:
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise ValueError(
            "Apache Beam is not installed; install it with: pip install 'astmt_jax[beam]'."
        ) from error
    return pipeline_options.PipelineOptions(
        flags=[f"--{option}" for option in text.split(",") if option]
    )


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("datasets.prepare", __doc__)
    add = parser.add_argument
    arguments.add_dataset(parser, archives())
    about = f"archive ({archive.ENDINGS}) or unpacked folder"
    add("--source", required=True, type=arguments.path, help=about)
    add("--num_workers", type=int, help="processes (default: one a core)")
    about = "let Apache Beam distribute the work, such as runner=DirectRunner"
    add("--beam_pipeline_options", help=about)
    arguments.add_former(parser, "--config", FORMER_CONFIG)
    args = arguments.parse(parser, argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    again = "nothing was kept; free some space, and start the same command again."
    with (
        told(interrupted="nothing was kept; the same command starts again."),
        full_disk_told(args.data_dir, again),
    ):
        builder = prepare(
            args.dataset,
            args.source,
            args.data_dir,
            options=args.options,
            num_workers=args.num_workers,
            beam_options=args.beam_pipeline_options,
        )
    for name, split in builder.info.splits.items():
        size = split.num_bytes / 2**20
        CONSOLE.print(
            f"{builder.info.full_name} {name}: {split.num_examples} images, {size:.0f} MiB"
        )
    CONSOLE.print(f"Ready in {builder.data_dir}.")


if __name__ == "__main__":
    main()
