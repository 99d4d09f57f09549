"""Runs of the program that tests kill and stop, each with a line about what it compiled."""

import dataclasses
import pathlib
import signal

from device_runs import free_port
from forked_programs import Program, Programs
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


@dataclasses.dataclass
class Run:
    """One process of the program.

    Attributes:
      program: itself; what it says of errors is in what it prints.
    """

    program: Program

    @property
    def output(self) -> str:
        return self.program.stdout.read_text()

    def wait_for(self, words: str, count: int = 1) -> None:
        """Until it has printed the words, so many times, or has ended."""
        self.program.wait_for(words, count, or_end=True)

    def signal(self, number: signal.Signals) -> None:
        self.program.send_signal(number)

    def kill(self) -> bool:
        """SIGKILL to it and the processes that it started; whether it was still running."""
        self.program.kill()
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """The exit code, once it has one."""
        self.program.communicate()
        return self.program.returncode


@dataclasses.dataclass
class Runs:
    """Starts processes; the data is in `folder`."""

    programs: Programs
    folder: pathlib.Path

    def start(self, workdir: pathlib.Path, *arguments: str, fails: bool = False, **settings) -> Run:
        """One process; whether it fails as soon as it saves."""
        settings = SETTINGS | {"dataset.data_dir": self.folder / "data"} | settings
        command = ["--config=configs/scenes.py:tasks=edge+depth", f"--workdir={workdir}"]
        command += [f"--config.{name}={value}" for name, value in settings.items()]
        command = ["tests.counted_main", "yes" if fails else "no", *command, *arguments]
        return Run(self.programs.start(*command, together=True))

    def start_two(
        self, workdir: pathlib.Path, second_fails: bool = False, **settings
    ) -> tuple[Run, Run]:
        """Two processes that do one run together."""
        address = f"--coordinator_address=localhost:{free_port()}"
        return tuple(
            self.start(
                workdir,
                address,
                "--num_processes=2",
                f"--process_id={index}",
                fails=second_fails and index == 1,
                **settings,
            )
            for index in range(2)
        )
