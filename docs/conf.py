"""How the site is built from these pages and the package's docstrings:

pip install -r requirements.txt -r docs/requirements.txt && sphinx-build --fail-on-warning docs site
"""

import importlib.metadata
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

project = "astmt_jax"
author = "the authors of astmt_jax"
copyright = author
try:
    release = importlib.metadata.version(project)
except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
    release = ""

extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["aot"]
html_theme = "furo"
html_title = project

toc_object_entries = False  # thousands of names would be copied into every page
myst_heading_anchors = 3  # as on GitHub
nb_execution_mode = "off"  # a test executes the tutorial

default_role = "literal"  # docstrings are written as Markdown
apidoc_modules = [
    {
        "path": "../astmt_jax",
        "destination": "api",
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
autodoc_mock_imports = ["apache_beam", "gradio", "libtpu", "mlflow", "starlette", "torch", "wandb"]
autodoc_typehints = "description"
napoleon_use_ivar = True
autodoc_inherit_docstrings = False
suppress_warnings = ["ref.python"]  # two classes may have an attribute of one name


def setup(app):
    """Shows what a module's docstring indents, such as commands, as it stands."""
    app.connect("autodoc-process-docstring", _literal_blocks)


def _literal_blocks(app, what, name, obj, options, lines):
    if what == "module":
        for i in reversed(range(1, len(lines))):
            if lines[i].startswith("    ") and not lines[i - 1].strip():
                lines[i:i] = ["::", ""]
