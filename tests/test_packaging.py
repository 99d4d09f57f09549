"""What an installation has: the packages that the code imports, and the configurations."""

import ast
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from astmt_jax.commands.table import EXTRAS

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNDECLARED = {"flatbuffers", "importlib-resources", "protobuf"}
"""What JAX and TensorFlow Datasets import without asking for it, or for a version of it."""


def requirements(lines):
    """Canonical name -> requirement."""
    found = [
        Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()
    ]
    return {canonicalize_name(one.name): one for one in found}


BASE = requirements(PROJECT["dependencies"])
TRAIN = requirements(PROJECT["optional-dependencies"]["train"])
PINS = requirements((ROOT / "requirements.txt").read_text().splitlines())


def imported():
    """Top-level names of all packages that astmt_jax imports, wherever it does."""
    names = set()
    for path in (ROOT / "astmt_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - {*sys.stdlib_module_names, "astmt_jax"}


def test_dependencies_are_what_is_imported():
    """And no more: nothing of the tests, and nothing that is no longer used."""
    providers = importlib.metadata.packages_distributions()
    optional = {"apache_beam", "gradio", "libtpu", "starlette", "torch", "mlflow", "wandb"}
    optional |= {"ai_edge_litert", "onnx", "onnxruntime"}
    needed = {
        canonicalize_name(name)
        for package in imported() - optional
        for name in providers[package]
        if canonicalize_name(name) in {*BASE, *TRAIN} or len(providers[package]) == 1
    }
    assert needed - {"jaxlib"} == {*BASE, *TRAIN} - UNDECLARED - {"tensorflow"}


def test_pins_are_within_the_ranges():
    for name, requirement in {**BASE, **TRAIN}.items():
        if requirement.marker is None or requirement.marker.evaluate():
            (pin,) = PINS[name].specifier
            assert pin.operator == "=="
            assert pin.version in requirement.specifier


def test_extras_are_told_of_what_they_have():
    """By the names under which it is imported."""
    providers = importlib.metadata.packages_distributions()
    named = {canonicalize_name(providers[package][0]) for package in EXTRAS["train"]}
    assert named == {*TRAIN} - UNDECLARED - {"tensorflow"}


@pytest.mark.slow
def test_wheel_works_without_the_clone(tmp_path):
    """Commands, files of the package and configurations by name, from another folder."""
    pip = [sys.executable, "-m", "pip", "--quiet"]
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}", ROOT], **run
    )
    (wheel,) = tmp_path.glob("astmt_jax-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", f"--target={site}", wheel], **run)
    away = run | {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(site)}}
    where = subprocess.run(
        [sys.executable, "-c", "import astmt_jax; print(astmt_jax.__file__)"], **away
    )
    assert where.stdout.startswith(str(site))
    summary = [sys.executable, site / "bin" / "astmt", "summary", "--config=scenes:size=small"]
    assert "one image of 64 x 64" in subprocess.run(summary, **away).stdout
    for file in ("py.typed", "report/page.html", "datasets/normals_valid_classes.json"):
        assert (site / "astmt_jax" / file).exists()
