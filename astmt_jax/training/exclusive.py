"""One process at a time trains in a run's folder."""

import contextlib
import pathlib
from collections.abc import Generator

from astmt_jax.files import lock
from astmt_jax.files.messages import as_written
from astmt_jax.runtime import distributed

LOCK_FILE = ".lock"


class InUseError(ValueError):
    """Another process trains in the folder."""


@contextlib.contextmanager
def training_in(workdir: pathlib.Path) -> Generator[None]:
    """Context of training in a folder, which is made, and removed if nothing is written to it.

    Of several processes of one run the first holds the folder for all.

    Raises:
      InUseError: another process trains in it.
      OSError: it cannot be made or written to.
    """
    if not distributed.is_main():
        yield
        return
    made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
    workdir.mkdir(parents=True, exist_ok=True)

    def refuse(holder: str) -> None:
        raise InUseError(
            f"{as_written(str(workdir))} is in use by {holder}: wait until that ends, or choose "
            "another --workdir."
        )

    try:
        with lock.exclusive(workdir / LOCK_FILE, refuse):
            yield
    finally:
        with contextlib.suppress(OSError):  # something was written
            for folder in made:
                folder.rmdir()
