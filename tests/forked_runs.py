"""Runs of the program that tests kill and stop.

Processes are forked from one that has imported everything, so that a start takes a second.
"""

import atexit
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable

import jax
from device_runs import free_port
from quick_settings import QUICK_SETTINGS

SETTINGS = QUICK_SETTINGS | {
    "train.epochs": 18,
    "train.log_every_steps": 1,
    "train.checkpoint_every_steps": 2,
    "train.eval_every_epochs": 5,
    "train.best_by": "depth.rmse",
    "dataset.train_split": "train[:12]",
    "dataset.validation_split": "train[12:]",
    "optimizer.warmup_steps": 0,
}
NUM_STEPS = 54
CACHE_MISS = "/jax/compilation_cache/cache_misses"
FOREVER = 900
"""Seconds after which a run hangs."""


def run_main(arguments, log, prepare):
    """The program, as the target of a process; what it prints goes to a file."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.setpgid(0, 0)
    from absl import app, flags  # imported already, where this runs

    from astmt_jax import main
    from astmt_jax.command_line import config_flag

    misses = []
    jax.monitoring.register_event_listener(
        lambda event, **_: misses.append(event) if event == CACHE_MISS else None
    )
    if prepare is not None:
        prepare()
    sys.argv = ["main", *arguments]
    flags.mark_flag_as_required("config")
    try:
        app.run(main.main, argv=sys.argv, flags_parser=config_flag.parse_flags)
    finally:
        print(f"{len(misses)} programs were compiled.")
        atexit._run_exitfuncs()  # as at the end of a program, where JAX waits for other processes


def fail_while_saving():
    """Makes the program fail as soon as it has started to save."""
    from astmt_jax.training.checkpoint import Checkpoints

    start_saving = Checkpoints.save

    def save(self, step, state):
        start_saving(self, step, state)
        raise RuntimeError(f"This process alone fails in step {step}.")

    Checkpoints.save = save


@dataclasses.dataclass
class Run:
    """One process of the program.

    Attributes:
      process: itself.
      log: the file with what it printed.
    """

    process: multiprocessing.Process
    log: pathlib.Path

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, words: str, count: int = 1) -> None:
        """Until it has printed the words, so many times, or has ended."""
        deadline = time.monotonic() + FOREVER
        while self.output.count(words) < count and self.process.is_alive():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.005)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> bool:
        """SIGKILL to it and the processes that it started; whether it was still running."""
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """The exit code, once it has one."""
        self.process.join(FOREVER)
        assert self.process.exitcode is not None, self.output
        return self.process.exitcode


@dataclasses.dataclass
class Runs:
    """Starts processes; the data is in `folder`."""

    context: multiprocessing.context.ForkServerContext
    folder: pathlib.Path

    def start(
        self,
        workdir: pathlib.Path,
        *arguments: str,
        index: int = 0,
        prepare: Callable[[], None] | None = None,
        **settings,
    ) -> Run:
        """One process; `prepare`, a module's function, changes something in it before it runs."""
        log = self.folder / f"{workdir.name}-{index}.log"
        log.unlink(missing_ok=True)
        settings = SETTINGS | {"dataset.data_dir": self.folder / "data"} | settings
        argv = ["--config=configs/scenes.py:tasks=edge+depth", f"--workdir={workdir}"]
        argv += [f"--config.{name}={value}" for name, value in settings.items()]
        process = self.context.Process(target=run_main, args=([*argv, *arguments], log, prepare))
        process.start()
        return Run(process, log)

    def start_two(
        self, workdir: pathlib.Path, prepare: Callable[[], None] | None = None, **settings
    ) -> tuple[Run, Run]:
        """Two processes that do one run together; `prepare` is for the second one."""
        address = f"--coordinator_address=localhost:{free_port()}"
        return tuple(
            self.start(
                workdir,
                address,
                "--num_processes=2",
                f"--process_id={index}",
                index=index,
                prepare=prepare if index == 1 else None,
                **settings,
            )
            for index in range(2)
        )
