"""Predicts photos: `python -m astmt_jax.predict --workdir=DIR --input=PHOTOS --output=OUT`.

PHOTOS is a file, a folder (with all folders in it) or a pattern in quotes, such as 'trip/*.jpg'.
For each photo NAME and task this writes

    OUT/predictions/TASK/NAME.png   the prediction, as `astmt_jax.evaluate` reads it (depth: .mat)
    OUT/colors/TASK/NAME.png        the same as a picture
    OUT/panels/NAME.png             the photo and all tasks side by side

of the photo's own size and upright, but for the panel. NAME is the path below the folder without
the ending, which stays where two photos differ in nothing else.

Exit codes: 0, everything is written; 1, the command cannot be carried out, and nothing is written;
2, the command line is wrong; 3, some photos could not be read, or their files not be written, and
those of all others are.
"""

from astmt_jax.runtime import large_pages

if __name__ == "__main__":
    large_pages.use()

import argparse
import collections
import dataclasses
import itertools
import os
import pathlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.progress import Progress

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.files import storage
from astmt_jax.files.messages import one_line
from astmt_jax.pictures.photo_folder import find_photos
from astmt_jax.pictures.photos import PhotoError, photo_size, read_photo
from astmt_jax.predict.output import Output, on_one_line
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model, load

MAX_BATCH_PIXELS = 2**26
"""Most pixels of the photos that are in memory at once, unless one photo alone has more."""
SOME_UNREADABLE = 3


@dataclasses.dataclass(frozen=True)
class Job:
    """One photo to predict.

    Attributes:
      name: of its output files.
      path: of the photo.
      size: its height and width as its header gives them.
    """

    name: str
    path: pathlib.Path
    size: tuple[int, int]


def predict_photos(
    model: Model,
    photos: Mapping[str, pathlib.Path],
    output: Output,
    tasks: Sequence[str],
    *,
    size: int | None = None,
    batch_size: int = 8,
) -> list[str]:
    """Predicts photos and writes the results.

    Args:
      model: what predicts.
      photos: name -> file.
      output: where to write.
      tasks: names of the tasks.
      size: longer side at which the network sees the photos; None is that of training.
      batch_size: most photos that go through the network at once.

    Returns:
      One sentence for each photo that could not be predicted, in order.

    Raises:
      OSError: no file can be written, or the disk is full.
    """
    output.make_folders()
    problems: dict[str, str] = {}
    with Progress(console=CONSOLE) as progress:
        tracked = progress.add_task("Predicting", total=len(photos))
        jobs = _jobs(photos, problems)
        progress.advance(tracked, len(problems))
        for batch in _batches(jobs, model, size, batch_size):
            read = {job.name: _read(job, problems) for job in batch}
            read = {name: photo for name, photo in read.items() if photo is not None}
            predicted = model.predict_batch(
                list(read.values()), tasks, size=size, batch_size=batch_size, resize=False
            )
            for (name, photo), predictions in zip(read.items(), predicted, strict=True):
                try:
                    output.write(name, photo, predictions)
                except ValueError as error:
                    problems[name] = f"{photos[name]} cannot be predicted: {error}."
                except OSError as error:
                    if storage.is_disk_full(error):
                        raise
                    problems[name] = _unwritable(photos[name], error)
            progress.advance(tracked, len(batch))
    return [problems[name] for name in photos if name in problems]


def _unwritable(photo: pathlib.Path, error: OSError) -> str:
    where = f" to {error.filename}" if error.filename else ""
    return f"{photo} cannot be written{where}: {error.strerror or one_line(error)}."


def _unreadable(photo: pathlib.Path, error: PhotoError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{photo} cannot be read: {error.strerror or one_line(error)}."
    return str(error)


def _jobs(photos: Mapping[str, pathlib.Path], problems: dict[str, str]) -> list[Job]:
    """The photos with their sizes; those without go to `problems`."""
    jobs = []
    for name, path in photos.items():
        try:
            jobs.append(Job(name, path, photo_size(path)))
        except (PhotoError, OSError) as error:
            problems[name] = _unreadable(path, error)
    return jobs


def _read(job: Job, problems: dict[str, str]) -> np.ndarray | None:
    try:
        return read_photo(job.path)
    except (PhotoError, OSError) as error:
        problems[job.name] = _unreadable(job.path, error)
        return None


def _batches(
    jobs: Sequence[Job], model: Model, size: int | None, batch_size: int
) -> Iterator[list[Job]]:
    """Photos that the network sees at one shape, as many as go into a batch and into memory."""
    groups = collections.defaultdict(list)
    for job in jobs:
        groups[model.network_input(job.size, size).padded].append(job)
    for group in groups.values():
        batch: list[Job] = []
        for job in group:
            pixels = sum(height * width for height, width in (j.size for j in (*batch, job)))
            if batch and (len(batch) == batch_size or pixels > MAX_BATCH_PIXELS):
                yield batch
                batch = []
            batch.append(job)
        yield batch


def _unwritten(
    photos: Mapping[str, pathlib.Path], output: Output, args: argparse.Namespace
) -> dict[str, pathlib.Path]:
    """The photos to predict, given what exists already.

    Raises:
      FileExistsError: files would be overwritten without having been allowed to.
    """
    if args.overwrite:
        return dict(photos)
    files = {name: output.files(name) for name in photos}
    if args.skip_existing:
        return {
            name: path
            for name, path in photos.items()
            if not all(map(os.path.exists, files[name]))  # no error where a name is too long
        }
    existing = next(filter(os.path.lexists, itertools.chain(*files.values())), None)
    if existing is not None:
        raise FileExistsError(
            f"{existing} exists already: choose another folder as --output, or say --overwrite "
            "to replace, or --skip_existing to go on where an interrupted command stopped."
        )
    return dict(photos)


def _predict_command(args: argparse.Namespace) -> int:
    """Does what the command line asks for; returns the exit code."""
    model = load(args.workdir)
    names = args.tasks or model.network.names
    output = Output(args.output, [model.task(name) for name in names])
    photos = find_photos(args.input, excluded=output.folders)
    chosen = _unwritten(photos, output, args)
    if len(chosen) < len(photos):
        CONSOLE.print(f"{len(photos) - len(chosen)} of {len(photos)} photos are done already.")
    problems = predict_photos(
        model, chosen, output, names, size=args.size, batch_size=args.batch_size
    )
    CONSOLE.print(f"Predicted {len(chosen) - len(problems)} photos: {args.output}")
    if not problems:
        return 0
    print(f"{len(problems)} files could not be predicted:", file=sys.stderr)
    for problem in problems:
        print(f"  {on_one_line(problem)}", file=sys.stderr)
    return SOME_UNREADABLE


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("predict", __doc__)
    add, positive = parser.add_argument, arguments.positive
    arguments.add_workdir(parser)
    about = "file, folder, or pattern in quotes"
    add("--input", required=True, type=os.path.expanduser, help=about)
    existing = arguments.add_output(parser, "folder to write to", required=True)
    existing.add_argument(
        "--skip_existing", action="store_true", help="leave out photos whose files all exist"
    )
    arguments.add_tasks(parser, default="all")
    add("--size", type=positive, help="longer side that the network sees (default: of training)")
    add("--batch_size", type=positive, default=8, help="most photos at once (default: 8)")
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    warnings.filterwarnings("ignore", "Glyph")  # names in any script
    with told(interrupted="the same command with --skip_existing goes on where it stopped."):
        sys.exit(_predict_command(args))


if __name__ == "__main__":
    main()
