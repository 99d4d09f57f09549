"""Several processes as one program: how they find, wait for and talk to each other.

Everything rests on JAX's own runtime. With one process every function here does nothing, or only
what a single process needs.
"""

import contextlib
import functools
import itertools
import os
import pickle
import socket
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax._src.clusters import ClusterEnv
from jax.experimental import multihost_utils

from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.sharding import Placement, data_mesh

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that processes wait for process 0 when they start; JAX's own limit, too."""

RETRY_AFTER = 0.5
LONGEST_PREPARATION_MS = 3600 * 1000
LAST_WAIT_MS = 30 * 1000
LOST_CONNECTION = ("Gloo", "NCCL", "UNAVAILABLE")
"""Words for a failed exchange between processes: of CPUs, of GPUs, of JAX's own service."""
_turns = itertools.count()  # a barrier's name is used once


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes this process one of several, if there are several; to be called before all else.

    Without arguments JAX detects the processes of a TPU VM or pod, SLURM, Open MPI or Kubernetes
    job from their environment; where there is none of these, this process stays alone. Processes
    other than the first fall silent.

    Args:
      coordinator_address: HOST:PORT of process 0, the same for all processes.
      num_processes: how many there are; 1 stays alone whatever the environment says.
      process_id: which one this is, from 0.

    Raises:
      ValueError: only some of the arguments are given, one is out of its range, or the processes
        did not find each other.
    """
    given = {
        "coordinator_address": coordinator_address,
        "num_processes": num_processes,
        "process_id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        if _in_cluster():
            _connect()
    elif num_processes != 1:
        if coordinator_address is None or num_processes is None or process_id is None:
            raise ValueError(
                f"--{', --'.join(missing)} must be given, too: several processes need all of "
                f"--{', --'.join(given)}, or none of them where JAX detects the cluster."
            )
        _check(coordinator_address, num_processes, process_id)
        if process_id != 0:
            _wait_for(coordinator_address)
        _connect(**given, cluster_detection_method="deactivate")
    CONSOLE.quiet = not is_main()


def _in_cluster() -> bool:
    """Whether JAX detects a cluster."""
    # Private: the public function joins it, and tells by an error's words only that there is none.
    kinds = [kind for kind in ClusterEnv._cluster_types if not kind.opt_in_only_method]
    return any(kind.is_env_present() for kind in kinds)


def _check(coordinator_address: str, num_processes: int, process_id: int) -> None:
    host, _, port = coordinator_address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(
            f"--coordinator_address is {coordinator_address!r}, but must be HOST:PORT, such as "
            "10.0.0.1:1234."
        )
    if not 0 <= process_id < num_processes:
        raise ValueError(
            f"--process_id is {process_id}, but must be at least 0 and less than --num_processes, "
            f"{num_processes}."
        )


def _wait_for(address: str) -> None:
    """Waits until process 0 listens; JAX itself would end this process with a C++ stack trace."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + PATIENCE
    CONSOLE.print(f"Waiting for process 0 at {address}.")
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"Nobody answered at --coordinator_address={address} for {PATIENCE:.0f} s "
                    f"({error}): it must be where process 0 runs, and be reached from here."
                ) from error
        time.sleep(RETRY_AFTER)


def _connect(**arguments) -> None:
    try:
        jax.distributed.initialize(**arguments)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"The processes of this run did not find each other ({reason}); --num_processes=1 "
            "runs this one alone."
        ) from error
    _open_connections()


def _open_connections() -> None:
    """Exchanges something between all devices, and between all processes.

    Gloo, which connects CPUs, does so when a program first exchanges something, and waits 30 s for
    the others: one that still compiles its part of a large program would be given up, or waited
    for without end. Once connected they wait as long as it takes.
    """
    split = Placement(data_mesh()).batch
    ones = jax.make_array_from_process_local_data(split, np.ones(jax.local_device_count()))
    jax.block_until_ready(jax.jit(jnp.sum)(ones))
    on_all(True)
    agreed(True)


@contextlib.contextmanager
def ending_together() -> Generator[None]:
    """Context in which an error of one of several processes ends all of them, within seconds.

    It is printed at once. Where it ends the other processes, too, they end as a single one would;
    otherwise this one leaves them behind, and they find it lost when they next wait for it. JAX's
    own exit would wait for them for minutes, and then end all with a C++ stack trace. What is being
    written must be finished inside the context.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if not jax.distributed.is_initialized():
            raise
        code = _reported(error)
        if not _all_end():
            os._exit(code)
        sys.exit(code)


def _reported(error: Exception | SystemExit) -> int:
    """Prints what Python prints at the end of a program; returns the exit code."""
    code = (error.code or 0) if isinstance(error, SystemExit) else 1
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
    elif not isinstance(code, int):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _all_end() -> bool:
    """Whether the other processes come here, too, within `LAST_WAIT_MS`."""
    try:
        ocp.multihost.get_barrier_sync_fn()(key="ending_together", timeout_ms=LAST_WAIT_MS)
    except Exception:  # of several kinds: they do not come in time, or are known to be gone
        return False
    return True


def is_lost_connection(error: BaseException) -> bool:
    """Whether another process is gone; JAX raises several kinds of errors then."""
    several = jax.distributed.is_initialized()
    return several and any(words in str(error) for words in LOST_CONNECTION)


def is_main() -> bool:
    """Whether this is the process that prints and writes what is written once."""
    return jax.process_index() == 0


@contextlib.contextmanager
def main_process_first() -> Generator[None]:
    """Context that the other processes enter when process 0 has left it.

    What process 0 prepares in it, such as a dataset, is there for the others.
    """
    barrier = ocp.multihost.get_barrier_sync_fn()
    turn = {"key": f"main_process_first_{next(_turns)}", "timeout_ms": LONGEST_PREPARATION_MS}
    if not is_main():
        barrier(**turn)
    try:
        yield
    finally:
        if is_main():
            barrier(**turn)


def agreed(flag: bool) -> bool:
    """What process 0 has found, on every process; all call this at the same point."""
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(flag)))


def on_all(flag: bool) -> bool:
    """Whether all processes have found so; all call this at the same point."""
    return bool(np.all(multihost_utils.process_allgather(np.bool_(flag))))


def fold(merge: Callable[[T, T], T], value: T) -> T:
    """Merges the values of all processes, in their order; all call this at the same point.

    Args:
      merge: of what was merged so far and the next process's value; may change the former.
      value: of this process; can be pickled.

    Returns:
      The same on every process; with one process, `value`.
    """
    if jax.process_count() == 1:
        return value
    return functools.reduce(merge, _of_all_processes(value))


def _of_all_processes(value: Any) -> Iterator[Any]:
    """The values of all processes, in their order."""
    own = np.frombuffer(zlib.compress(pickle.dumps(value), level=1), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(own.size))
    for index, size in enumerate(sizes.tolist()):
        # All of one size, which is one program for all; one at a time, as they can be large.
        sent = np.zeros(sizes.max(), np.uint8)
        is_source = index == jax.process_index()
        if is_source:
            sent[:size] = own
        received = multihost_utils.broadcast_one_to_all(sent, is_source=is_source)
        yield pickle.loads(zlib.decompress(received[:size].tobytes()))
