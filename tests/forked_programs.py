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

ROOT = pathlib.Path(__file__).parents[1]
FOREVER = 500
"""Seconds after which a program hangs; fewer than --timeout, 600, so that its errors are shown."""


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

    def wait_for(self, words: str) -> None:
        """Until it has printed the words."""
        deadline = time.monotonic() + FOREVER
        ended = False
        while not ended:
            ended = self.poll() is not None  # before it reads: the words may be its last
            if words in self.stdout.read_text():
                return
            self._kill_after(deadline)
            time.sleep(0.005)
        raise AssertionError(f"It ended without {words!r}:\n{self.stderr.read_text()}")

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _kill_after(self, deadline: float) -> None:
        if time.monotonic() >= deadline:
            self.send_signal(signal.SIGKILL)
            raise AssertionError(f"It hung, and was killed:\n{self.stderr.read_text()}")


class Programs:
    """Starts programs that are forked from one process."""

    def __init__(self, server: subprocess.Popen, folder: pathlib.Path):
        self._server = server
        self._folder = folder
        self._count = 0

    def start(self, module: str, *arguments: str) -> Program:
        """Starts what `python -m MODULE ARGUMENTS` does."""
        self._count += 1
        files = [self._folder / f"{self._count}.{kind}" for kind in ("stdout", "stderr")]
        for file in files:
            file.touch()
        pid = _asked(self._server, start=[module, *arguments], files=[*map(str, files)])
        return Program(self._server, pid, *files)


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
    # Programs that would start themselves again with this setting find it made.
    environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} | dict(environment)
    server = subprocess.Popen(
        [sys.executable, __file__, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        process_group=0,
    )
    try:
        yield Programs(server, folder)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
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
        (1, stdout, os.O_WRONLY),
        (2, stderr, os.O_WRONLY),
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
