"""Prepares a dataset from the archive or folder you have.

    python -m astmt_jax.datasets.prepare --dataset=pascal_context --source=PASCAL_MT.tgz \\
        --data_dir=data

The source is never written to. The slow work is done once; the result is stored under data_dir.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import sys

from absl import logging

from astmt_jax.datasets import archive, registry
from astmt_jax.datasets.contents import Archive
from astmt_jax.datasets.dataset import ArchiveDataset
from astmt_jax.datasets.stored import Preparation, Prepared, StoredDataset
from astmt_jax.datasets.terminal import quiet_tfds
from astmt_jax.files import storage
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.quiet_tensorflow import tfds

ARCHIVES: dict[str, Archive] = {
    name: dataset.archive
    for name, dataset in registry.DATASETS.items()
    if isinstance(dataset, ArchiveDataset)
}
"""Name of a dataset -> what it is prepared from."""


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
      dataset: key of `ARCHIVES`.
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
    prepared = Prepared(dataset, ARCHIVES[dataset], config, data_dir)
    final = prepared.folder
    scratch = data_dir / f".{label}.unpacked"
    with archive.locked(data_dir / f".{label}.lock"), quiet_tfds():
        for left in (scratch, *final.parent.glob(f"incomplete.*_{final.name}")):
            shutil.rmtree(left, ignore_errors=True)  # by a preparation that was killed
        if prepared.is_complete:
            CONSOLE.print(
                f"{final} is prepared already, and {source} was not read. To prepare it again, "
                "remove that folder."
            )
            return prepared.open()
        with archive.opened(
            source, prepared.archive.marker, scratch, prepared.archive.described
        ) as folder:
            preparation = Preparation(folder, workers, options is not None)
            prepared.builder(preparation).download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False, beam_options=options
                )
            )
        return prepared.open()


def _check_config(dataset: str, config: str | None) -> str | None:
    """The configuration that is meant."""
    if dataset not in ARCHIVES:
        raise ValueError(f"The dataset is {dataset!r}, but must be one of: {', '.join(ARCHIVES)}.")
    known = list(ARCHIVES[dataset].configurations)
    if known:
        config = config or known[0]
        if config not in known:
            raise ValueError(f"--config is {config!r}, but must be one of: {', '.join(known)}.")
    elif config and not re.fullmatch(r"\w[\w.-]*", config):
        raise ValueError(
            f"--config is {config!r}, but must be a name of letters, digits, '_', '-' and '.'."
        )
    return config


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, help=", ".join(ARCHIVES))
    parser.add_argument("--source", required=True, help="archive (.tgz, .tar) or unpacked folder")
    parser.add_argument("--data_dir", default="data", help="where prepared datasets live")
    parser.add_argument("--config", help="nyud: classes41 or classes40; own_data: a name for it")
    parser.add_argument("--num_workers", type=int, help="processes (default: one a core)")
    parser.add_argument(
        "--beam_pipeline_options",
        help="let Apache Beam distribute the work, such as runner=DirectRunner",
    )
    args = parser.parse_args(argv)
    logging.set_verbosity(logging.ERROR)  # libraries' chatter would bury the progress
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    try:
        builder = prepare(
            args.dataset,
            args.source,
            args.data_dir,
            config=args.config,
            num_workers=args.num_workers,
            beam_options=args.beam_pipeline_options,
        )
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing was kept; the same command starts again.")
    except Exception as error:
        if storage.is_disk_full(error):
            sys.exit(
                f"Error: The disk of {args.data_dir} is full: nothing was kept; free some space, "
                "and start the same command again."
            )
        if isinstance(error, ValueError | OSError):
            sys.exit(f"Error: {error}")
        raise
    for name, split in builder.info.splits.items():
        size = split.num_bytes / 2**20
        CONSOLE.print(
            f"{builder.info.full_name} {name}: {split.num_examples} images, {size:.0f} MiB"
        )
    CONSOLE.print(f"Ready in {builder.data_dir}.")


if __name__ == "__main__":
    main()
