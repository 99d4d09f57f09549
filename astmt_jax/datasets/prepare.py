"""Prepares a dataset from the archive or folder you have.

    python -m astmt_jax.datasets.prepare --dataset=pascal_context --source=PASCAL_MT.tgz \\
        --data_dir=data

The source is never written to. The slow work is done once; the result is stored under data_dir.
"""

import os
import pathlib
import re
import shutil
import signal

import tensorflow_datasets as tfds

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import full_disk_told, told
from astmt_jax.datasets import archive, registry
from astmt_jax.datasets.builder import (
    BUILDERS,
    Preparation,
    StoredDataset,
    folder_of,
    make_builder,
    open_builder,
)
from astmt_jax.datasets.terminal import quiet_tfds
from astmt_jax.runtime.console import CONSOLE

FORMER_CONFIG = (
    "say --options=classes=40 for the 40 classes of nyud, --options=config=NAME to give own_data a "
    "name"
)


def prepare(
    dataset: str,
    source: str | pathlib.Path,
    data_dir: str | pathlib.Path,
    *,
    config: str | None = None,
    num_workers: int | None = None,
    beam_options: str | None = None,
) -> StoredDataset:
    """Reads an archive or a folder and stores the dataset, unless it is there already.

    An interrupted preparation leaves nothing that looks complete, and can be started again.

    Args:
      dataset: key of `BUILDERS`.
      source: .tgz, .tar or unpacked folder; only read.
      data_dir: TFDS data folder; the dataset goes to data_dir/DATASET[/CONFIG]/VERSION.
      config: of NYUD 'classes41' (default) or 'classes40'; of own_data any name.
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
    config = _check_config(dataset, config)
    data_dir = pathlib.Path(data_dir).expanduser().absolute()
    source = pathlib.Path(source).expanduser()
    workers = len(os.sched_getaffinity(0)) if num_workers is None else num_workers
    if workers < 1:
        raise ValueError(f"num_workers is {workers}, but must be at least 1.")
    options = None if beam_options is None else _beam_pipeline_options(beam_options)
    label = "-".join(filter(None, (dataset, config)))
    kind = BUILDERS[dataset]
    final = folder_of(dataset, config, data_dir)
    scratch = data_dir / f".{label}.unpacked"
    with archive.locked(data_dir / f".{label}.lock"), quiet_tfds():
        for left in (scratch, *final.parent.glob(f"incomplete.*_{final.name}")):
            shutil.rmtree(left, ignore_errors=True)  # by a preparation that was killed
        if (final / "dataset_info.json").is_file():
            CONSOLE.print(
                f"{final} is prepared already, and {source} was not read. To prepare it again, "
                "remove that folder."
            )
            return open_builder(dataset, config, data_dir)
        with archive.opened(source, kind.MARKER, scratch, kind.DESCRIBED) as folder:
            preparation = Preparation(folder, workers, options is not None)
            builder = make_builder(dataset, config, data_dir, preparation)
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False, beam_options=options
                )
            )
        return open_builder(dataset, config, data_dir)


def _check_config(dataset: str, config: str | None) -> str | None:
    """The configuration that is meant."""
    _check_dataset(dataset)
    known = [item.name for item in BUILDERS[dataset].BUILDER_CONFIGS]
    if known:
        config = config or known[0]
        if config not in known:
            raise ValueError(
                f"The configuration is {config!r}, but must be one of: {', '.join(known)}."
            )
    elif config and not re.fullmatch(r"\w[\w.-]*", config):
        raise ValueError(
            f"The configuration is {config!r}, but must be a name of letters, digits, '_', '-' and "
            "'.'."
        )
    return config


def _check_dataset(name: str) -> None:
    if name not in BUILDERS:
        raise ValueError(f"The dataset is {name!r}, but must be one of: {', '.join(BUILDERS)}.")


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
    arguments.add_dataset(parser, BUILDERS)
    about = "archive (.tgz, .tar) or unpacked folder"
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
        _check_dataset(args.dataset)
        builder = prepare(
            args.dataset,
            args.source,
            args.data_dir,
            config=registry.find(args.dataset).configuration(args.options),
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
