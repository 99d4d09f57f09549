"""The notebook in docs/ runs as it stands, from its first cell to its last."""

import os
import pathlib
import sys

import pytest

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_tutorial(tmp_path, monkeypatch):
    """It trains, and what it exports predicts what the network does."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "")  # those of tests make programs that run slowly
    monkeypatch.setenv("PATH", str(pathlib.Path(sys.executable).parent), prepend=os.pathsep)
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1200, resources=where).execute()
    exported = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    assert exported.outputs[0].text.endswith("by more than a thousandth: 0\n")
    assert (tmp_path / "runs" / "tutorial" / "results.json").exists()
