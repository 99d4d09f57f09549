"""Plugins in tests: what they add is forgotten when a test ends."""

import contextlib
import sys
from collections.abc import Iterator

from settings import ROOT

from astmt_jax.datasets import registry
from astmt_jax.models import families

EXAMPLES = ROOT / "examples"


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Context after which tables, imported modules and where they are looked for are as before."""
    tables = (registry.DATASETS, families.BACKBONES)
    kept = [(dict(table), dict(table._added)) for table in tables]
    added, path, modules = dict(registry._ADDED_TASKS), list(sys.path), set(sys.modules)
    registry._ADDED_TASKS.clear()
    try:
        yield
    finally:
        for table, (entries, owners) in zip(tables, kept, strict=True):
            table.clear()
            table.update(entries)
            table._added = owners
        registry._ADDED_TASKS.clear()
        registry._ADDED_TASKS.update(added)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if not name.startswith("astmt_jax"):
                del sys.modules[name]
