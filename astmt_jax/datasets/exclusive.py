"""One preparation of a dataset at a time, which removes what a killed one left."""

import contextlib
import pathlib
import shutil
from collections.abc import Callable, Generator

from astmt_jax.files import lock


@contextlib.contextmanager
def preparing(
    folder: pathlib.Path, data_dir: pathlib.Path, label: str, told: Callable[[str], None]
) -> Generator[pathlib.Path]:
    """Context that one process at a time can be in; yields the folder to unpack archives in.

    Args:
      folder: of the prepared dataset.
      data_dir: folder of prepared datasets; made if it is not there.
      label: name of the dataset, which names the lock and the folder to unpack in.
      told: as in `lock.exclusive`.
    """
    scratch = data_dir / f".{label}.unpacked"
    data_dir.mkdir(parents=True, exist_ok=True)
    with lock.exclusive(data_dir / f".{label}.lock", told):
        for left in (scratch, *folder.parent.glob(f"incomplete.*_{folder.name}")):
            shutil.rmtree(left, ignore_errors=True)
        yield scratch
