"""Programs whose start takes no seconds of imports: forked from a process that has made them.

python forked_programs.py MODULE ...   # imports these, then starts what its input says
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from astmt_jax.runtime import allocator

ROOT = pathlib.Path(__file__).parents[1]
FOREVER = 500
"""Seconds after which a program hangs; fewer than --timeout, 600, so that its errors are shown."""
TRAINING_IMPORTS = (
    "astmt_jax.command_line.config_flag",
    "astmt_jax.runtime.profiling",
    "astmt_jax.training.finish",
    "astmt_jax.training.loop",
)
"""What the program that trains imports, but for itself."""


def training_environment(folder: pathlib.Path) -> dict[str, str]:
    """Of programs that train, which keep in `folder` what they compile."""
    return os.environ | {
        "COLUMNS": "200",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@dataclasses.dataclass
class Program:
    """A program that was started, and what it prints.

    Attributes:
      server: what it was forked from.
      pid: its process.
      stdout: file with what it printed.
      stderr: file with what it said of errors.
      returncode: as `subprocess.Popen` has it; None while it runs.
    """

    server: subprocess.Popen
    pid: int
    stdout: pathlib.Path
    stderr: pathlib.Path
    returncode: int | None = None

    def poll(self) -> int | None:
        """Whether it has ended: its `returncode`."""
        if self.returncode is None:
            self.returncode = _asked(self.server, poll=self.pid)
        return self.returncode

    def communicate(self, timeout: float = FOREVER) -> tuple[str, str]:
        """What it printed and said of errors until it ended."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            self._kill_after(deadline)
            time.sleep(0.02)
        return self.stdout.read_text(), self.stderr.read_text()

    def wait_for(self, words: str, count: int = 1, or_end: bool = False) -> None:
        """Until it has printed the words, so many times, or has ended, if that will do, too."""
        deadline = time.monotonic() + FOREVER
        ended = False
        while not ended:
            ended = self.poll() is not None  # before it reads: the words may be its last
            if self.stdout.read_text().count(words) >= count:
                return
            self._kill_after(deadline)
            time.sleep(0.005)
        if not or_end:
            raise AssertionError(f"It ended without {words!r}:\n{self.stderr.read_text()}")

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to it, and to what it started."""
        with contextlib.suppress(ProcessLookupError):  # they have ended
            os.killpg(self.pid, signal.SIGKILL)

    def _kill_after(self, deadline: float) -> None:
        if time.monotonic() >= deadline:
            self.kill()
            raise AssertionError(f"It hung, and was killed:\n{self.stderr.read_text()}")


class Programs:
    """Starts programs that are forked from one process."""

    def __init__(self, server: subprocess.Popen, folder: pathlib.Path):
        self._server = server
        self._folder = folder
        self._started: list[Program] = []

    def start(self, module: str, *arguments: str, together: bool = False) -> Program:
        """Starts what `python -m MODULE ARGUMENTS` does.

        Args:
          module: the program.
          *arguments: its command line.
          together: what it says of errors goes where it prints everything else.
        """
        kinds = ("output", "output") if together else ("stdout", "stderr")
        files = [self._folder / f"{len(self._started)}.{kind}" for kind in kinds]
        for file in files:
            file.touch()
        pid = _asked(self._server, start=[module, *arguments], files=[*map(str, files)])
        self._started.append(Program(self._server, pid, *files))
        return self._started[-1]

    def kill(self) -> None:
        """Kills those that still run, with what they started."""
        for program in self._started:
            if program.returncode is None:
                program.kill()


@contextlib.contextmanager
def programs(
    folder: pathlib.Path, environment: Mapping[str, str], *modules: str
) -> Iterator[Programs]:
    """Context in which programs start quickly that import the modules.

    Its end kills those that still run, with what they started.

    Args:
      folder: for files with what they print.
      environment: of all of them.
      modules: what is imported beforehand; of the package whose program is started, only what
        defines no flags.
    """
    # Programs that would start themselves again with these settings find them made.
    environment = {allocator.VARIABLE: allocator.SETTINGS} | dict(environment)
    server = subprocess.Popen(
        [sys.executable, __file__, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    started = Programs(server, folder)
    try:
        yield started
    finally:
        started.kill()
        server.kill()
        server.communicate()


def _asked(server: subprocess.Popen, **request) -> int | None:
    """What the server answers."""
    with contextlib.suppress(BrokenPipeError):  # it has ended, and does not answer
        print(json.dumps(request), file=server.stdin, flush=True)
    answer = server.stdout.readline()
    if not answer:
        raise RuntimeError("The process that programs are forked from ended: stderr says why.")
    return json.loads(answer)


def _serve(descriptor: int) -> list[str] | None:
    """Starts programs as its input asks for them; in their processes, returns their arguments."""
    with os.fdopen(descriptor, "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            if "start" in request:
                answer = os.fork()
                with contextlib.suppress(PermissionError, ProcessLookupError):  # the other did it
                    os.setpgid(answer, answer)
                if answer == 0:
                    _redirect(*request["files"])
                    return request["start"]
            else:
                pid, status = os.waitpid(request["poll"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if pid else None
            print(json.dumps(answer), file=answers, flush=True)
    return None


def _redirect(stdout: str, stderr: str) -> None:
    """Lets this process print into files, and read nothing."""
    for number, file, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_APPEND),
        (2, stderr, os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(file, flags)
        os.dup2(opened, number)
        os.close(opened)


def main(modules: list[str]) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no answer
    for module in modules:
        importlib.import_module(module)
    sys.stdout.flush()  # nor do programs print it again
    arguments = _serve(answers)
    if arguments is not None:
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
