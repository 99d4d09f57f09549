"""How long commands and a trained network take to start, each in a new process.

    python -m benchmarks.start_up [--workdir=DIR] [--repeats=3]

Prints the shortest wall time of some processes: of `load` in Python and the photos after it, of
`astmt_jax.predict` on four photos, and of every command's `--help`, which is the time of its
imports. Without --workdir the network is that of configs/scenes.py with random weights. In Python
nothing is compiled before; `predict` keeps compiled programs in a folder that is empty when it
starts 'cold'.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

COMMANDS = (
    *("main", "evaluate", "predict", "export", "convert", "summary", "compare", "report", "demo"),
    *("datasets.prepare", "datasets.show"),
)
SIZES = ((480, 640), (480, 640), (480, 640), (640, 480))
"""Height and width of the photos: two programs, of one photo and of three."""

MAKE_RUN = """
import jax, pathlib, sys
from astmt_jax.config import from_config_dict
from astmt_jax.training.checkpoint import Checkpoints
from astmt_jax.training.experiment import Experiment
from astmt_jax.training.workdir import claim_workdir
from configs.scenes import get_config

workdir = pathlib.Path(sys.argv[1])
experiment = Experiment(from_config_dict(get_config()))
claim_workdir(workdir, experiment.config)
with Checkpoints(workdir) as checkpoints:
    checkpoints.save(1, experiment.init(experiment.train_step(steps_per_epoch=1)))
"""
LOAD = """
import json, sys, time
times = [time.perf_counter()]
from astmt_jax import load
times.append(time.perf_counter())
model = load(sys.argv[1])
times.append(time.perf_counter())
for photo in sys.argv[2:]:
    model.predict(photo)
    times.append(time.perf_counter())
print(json.dumps([end - start for start, end in zip(times, times[1:])]))
"""
STEPS = ("import", "load", "first photo", "next photo")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, help="folder of a trained run")
    parser.add_argument("--repeats", type=int, default=3, help="processes (default: 3)")
    args = parser.parse_args()
    table = Table("", "seconds")
    table.columns[1].justify = "right"
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in measurements(pathlib.Path(folder), args.workdir, args.repeats):
            table.add_row(name, f"{seconds:.2f}")
    Console().print(table)


def measurements(folder: pathlib.Path, workdir: pathlib.Path | None, repeats: int):
    """Yields what was measured, and its seconds."""
    if workdir is None:
        workdir = folder / "run"
        run("-c", MAKE_RUN, workdir)
    photos = write_photos(folder / "photos")
    loading = ["-c", LOAD, workdir, photos[0], photos[1]]
    found = [json.loads(run(*loading)[1].splitlines()[-1]) for _ in range(repeats)]
    yield from zip(STEPS, np.min(found, axis=0), strict=True)
    whole = ["-c", "import sys; from astmt_jax import load; load(sys.argv[1])", workdir]
    yield "process that imports and loads", best(repeats, *whole)
    predict = ["-m", "astmt_jax.predict", f"--workdir={workdir}", f"--input={folder / 'photos'}"]
    predict += [f"--output={folder / 'predicted'}", "--overwrite"]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
    yield "predict, four photos, cold", run(*predict, **cache)[0]
    yield "predict, four photos", best(repeats, *predict, **cache)
    for command in COMMANDS:
        arguments = ["-m", f"astmt_jax.{command}", "--help"]
        yield f"{command} --help", best(repeats, *arguments)


def write_photos(folder: pathlib.Path) -> list[pathlib.Path]:
    """Coloured squares, of `SIZES`."""
    folder.mkdir()
    random = np.random.default_rng(0)
    paths = [folder / f"{number}.jpg" for number in range(len(SIZES))]
    for path, (height, width) in zip(paths, SIZES, strict=True):
        squares = random.integers(0, 256, (height // 40, width // 40, 3)).astype(np.uint8)
        Image.fromarray(np.kron(squares, np.ones((40, 40, 1), np.uint8))).save(path)
    return paths


def best(repeats: int, *arguments, **environment: str) -> float:
    """Shortest wall time of the same process."""
    return min(run(*arguments, **environment)[0] for _ in range(repeats))


def run(*arguments, **environment: str) -> tuple[float, str]:
    """Wall time and output of `python ARGUMENTS`, with these variables in its environment."""
    command = [sys.executable, *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode and "--help" not in command:  # which ends with 1 where there is --config
        sys.exit(done.stderr)
    return seconds, done.stdout


if __name__ == "__main__":
    main()
