"""The examples in docs/ run as they stand."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image
from tiny_network import TinyNetwork
from tiny_run import write_run

from astmt_jax import trained_model

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def python_blocks(name):
    """The Python code of a page, in order."""
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


def test_examples_of_predict(tmp_path, monkeypatch, capsys):
    """On a run with a tiny network; docs/export.md's example runs in test_export.py."""
    monkeypatch.setattr(trained_model, "Network", TinyNetwork)
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "scenes")
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(picture).save("photo.jpg")
    variables = {}
    blocks = python_blocks("predict.md")
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, "docs/predict.md", "exec"), variables)
    depth, cosine = (
        float(line.split()[position])
        for line, position in zip(capsys.readouterr().out.splitlines(), (0, -1), strict=True)
    )
    assert depth == pytest.approx(variables["predictions"]["depth"].mean(), rel=1e-3)
    assert -1 <= cosine < 0.999
    assert variables["normals"].shape == (24, 32, 3)
    with Image.open("depth.png") as image:
        assert image.size == (32, 24)
