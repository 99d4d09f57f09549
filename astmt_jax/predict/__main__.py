"""Predicts photos: `python -m astmt_jax.predict --workdir=DIR --input=PHOTOS --output=OUT`.

PHOTOS is a file, a folder (with all folders in it) or a pattern in quotes, such as 'trip/*.jpg'.
For each photo NAME and task this writes

    OUT/predictions/TASK/NAME.png   the prediction, as `astmt_jax.evaluate` reads it (depth: .mat)
    OUT/colors/TASK/NAME.png        the same as a picture
    OUT/panels/NAME.png             the photo and all tasks side by side

of the photo's own size and upright, but for the panel. With --tile the network sees a photo in
tiles, at the photo's own resolution (or at --size), and one task after the other is predicted and
written, so that large photos fit into the memory. NAME is the path below the folder without
the ending, which stays where two photos differ in nothing else.

Exit codes: 0, everything is written; 1, the command cannot be carried out, and nothing is written;
2, the command line is wrong; 3, some photos could not be read, or their files not be written, and
those of all others are.
"""

from astmt_jax.runtime import allocator

if __name__ == "__main__":
    allocator.use()

import argparse
import collections
import dataclasses
import functools
import itertools
import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image
from rich.progress import Progress

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import told
from astmt_jax.evaluation.views import PLAIN, Views
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


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is predicted, and how.

    Attributes:
      tasks: names of the tasks.
      views: how the network sees a photo.
      size: longer side at which it does; None is that of training, with tiles the photo's own.
      batch_size: most photos, or tiles, that go through the network at once.
    """

    tasks: Sequence[str]
    views: Views = PLAIN
    size: int | None = None
    batch_size: int = 8


def predict_photos(
    model: Model,
    photos: Mapping[str, pathlib.Path],
    output: Output,
    settings: Settings,
) -> list[str]:
    """Predicts photos and writes the results.

    Args:
      model: what predicts.
      photos: name -> file.
      output: where to write.
      settings: what is predicted, and how.

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
        for batch in _batches(jobs, model, settings):
            read = {job.name: _read(job, problems) for job in batch}
            read = {name: photo for name, photo in read.items() if photo is not None}
            predicted = _predicted(model, list(read.values()), settings)
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


def _predicted(
    model: Model, photos: Sequence[np.ndarray], settings: Settings
) -> list[Callable[[str], np.ndarray]]:
    """For each photo what gives a task's prediction, at the network's resolution.

    Of photos in tiles, which may be large, one task is predicted when it is asked for.
    """

    def predict(photos: Sequence[np.ndarray], tasks: Sequence[str]) -> list[dict[str, np.ndarray]]:
        return model.predict_batch(
            photos,
            tasks,
            size=settings.size,
            batch_size=settings.batch_size,
            resize=False,
            views=settings.views,
        )

    if settings.views.tile is None:
        return [predictions.__getitem__ for predictions in predict(photos, settings.tasks)]
    return [
        functools.partial(lambda photo, task: predict([photo], [task])[0][task], photo)
        for photo in photos
    ]


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


def _batches(jobs: Sequence[Job], model: Model, settings: Settings) -> Iterator[list[Job]]:
    """Photos that the network sees at one shape, as many as go into a batch and into memory.

    Photos in tiles are alone: their tiles are what goes into a batch.
    """
    views, batch_size = settings.views, settings.batch_size if settings.views.tile is None else 1
    groups = collections.defaultdict(list)
    for job in jobs:
        groups[model.network_input(job.size, settings.size, views).padded].append(job)
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
    views = Views(args.tile, args.overlap, args.flip, args.scales)
    model = load(args.workdir)
    names = args.tasks or model.network.names
    model.check_views(views, names)
    if args.max_megapixels is not None:
        Image.MAX_IMAGE_PIXELS = args.max_megapixels * 10**6
    output = Output(args.output, [model.task(name) for name in names])
    photos = find_photos(args.input, excluded=output.folders)
    chosen = _unwritten(photos, output, args)
    if len(chosen) < len(photos):
        CONSOLE.print(f"{len(photos) - len(chosen)} of {len(photos)} photos are done already.")
    settings = Settings(names, views, args.size, args.batch_size)
    problems = predict_photos(model, chosen, output, settings)
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
    about = "longer side that the network sees (default: of training; with --tile the photo's own)"
    add("--size", type=positive, help=about)
    add("--batch_size", type=positive, default=8, help="most photos or tiles at once (default: 8)")
    about = (
        "side of the tiles that the network sees, such as 512 (default: the whole photo at once)"
    )
    add("--tile", type=positive, help=about)
    add(
        "--overlap", type=int, help="of neighbouring tiles in pixels (default: an eighth of --tile)"
    )
    add("--flip", action="store_true", help="average with the mirror image's predictions")
    about = "average over sizes, such as 0.75,1,1.25 times that of the photo (default: 1)"
    add("--scales", type=arguments.numbers, default=(1.0,), help=about)
    about = (
        f"most pixels of a photo, in millions (default: {(Image.MAX_IMAGE_PIXELS or 0) // 10**6})"
    )
    add("--max_megapixels", type=positive, help=about)
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    warnings.filterwarnings("ignore", "Glyph")  # names in any script
    with told(interrupted="the same command with --skip_existing goes on where it stopped."):
        sys.exit(_predict_command(args))


if __name__ == "__main__":
    main()
