"""The rule of the floors, as CONTRIBUTING.md has it."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_rooms_import_only_rooms_below_and_no_files_each_other():
    """The contracts of pyproject.toml, which import-linter checks."""
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


def test_few_modules_lie_beside_the_rooms():
    assert len(list((ROOT / "astmt_jax").glob("*.py"))) <= 14
