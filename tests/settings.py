"""The settings of configs/, and changed ones."""

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = ROOT / "configs"


def load(name="scenes"):
    """The module configs/NAME.py."""
    spec = importlib.util.spec_from_file_location(f"configs_{name}", CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(**changes):
    """configs/scenes.py as a dict; `changes` maps 'section.field' (dots as __) to values."""
    values = load().get_config().to_dict()
    for path, value in changes.items():
        *sections, field = path.split("__")
        place = values
        for section in sections:
            place = place[section]
        place[field] = value
    return values


def assert_one_sentence(message):
    """One line that ends as a sentence does."""
    assert "\n" not in message
    assert message.endswith((".", "?"))
