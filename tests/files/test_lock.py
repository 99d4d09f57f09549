"""Locks: between real processes, that end in every way, and among what lies in wait."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from astmt_jax.files import lock

ROOT = pathlib.Path(lock.__file__).parents[2]

HOLDER = """
import pathlib, sys, time
from astmt_jax.files.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Refused(Exception):
    pass


def refuse(holder):
    raise Refused(holder)


@contextlib.contextmanager
def another_process(path):
    """Holds the lock until it is killed, or what it reads ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        env=os.environ | {"PYTHONPATH": os.fspath(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_holds_it_is_told(tmp_path):
    path = tmp_path / "lock"
    with (
        another_process(path) as process,
        pytest.raises(Refused) as caught,
        lock.exclusive(path, refuse),
    ):
        pass
    who = str(caught.value)
    assert who.startswith(f"process {process.pid} on {os.uname().nodename} since 20")
    assert "-c" in who
    assert who.isprintable()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_process(tmp_path, number):
    path = tmp_path / "lock"
    with another_process(path) as process:
        process.send_signal(number)
        process.wait()
        with lock.exclusive(path, refuse):
            assert str(os.getpid()) in path.read_text()
    assert not list(tmp_path.iterdir())


def test_it_is_waited_for(tmp_path):
    path = tmp_path / "lock"
    told = []
    with another_process(path) as process:

        def let_go(holder):
            told.append(holder)
            threading.Timer(0.2, process.stdin.close).start()

        with (
            lock.exclusive(path, let_go),
            pytest.raises(Refused, match=f"process {os.getpid()} "),
            lock.exclusive(path, refuse),
        ):
            pass
    assert [str(process.pid) in holder for holder in told] == [True]
    assert not list(tmp_path.iterdir())


def test_one_of_many_is_in_it(tmp_path):
    """Although each of them removes the file that the others wait for."""
    path, inside, most = tmp_path / "lock", [], []

    def work():
        for _ in range(50):
            with lock.exclusive(path, lambda holder: None):
                inside.append(None)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 400
    assert not path.exists()


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe"])
def test_what_lies_in_wait_is_not_followed(tmp_path, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    path = tmp_path / "inside.lock"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "hard link":
        path.hardlink_to(outside / "file")
    else:
        path.symlink_to(outside / ("file" if kind == "link" else "nothing"))
    with lock.exclusive(path, refuse):
        assert path.is_file()
        assert not path.is_symlink()
    assert [file.read_text() for file in outside.iterdir()] == ["precious"]
    assert list(tmp_path.iterdir()) == [outside]


def test_what_a_stranger_wrote_is_shown_by_its_codes(tmp_path):
    path = tmp_path / "lock"
    with another_process(path):
        path.write_bytes(b"\x1b[31m process 1\n" + b"\xff" * 5000)
        with pytest.raises(Refused) as caught, lock.exclusive(path, refuse):
            pass
    assert str(caught.value).startswith("\\x1b[31m process 1\\n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


def test_file_systems_without_locks_have_none(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with lock.exclusive(tmp_path / "lock", refuse), lock.exclusive(tmp_path / "lock", refuse):
        pass
