"""The packages that formats need beyond the project's own."""

import importlib.util
from collections.abc import Mapping


def check_installed(format_name: str, extras: Mapping[str, str]) -> None:
    """Checks that packages are there.

    Args:
      format_name: value of --format.
      extras: package -> extra of this project that installs it.

    Raises:
      ValueError: one is not, naming the extra.
    """
    missing = [name for name in extras if importlib.util.find_spec(name) is None]
    if missing:
        wanted = ",".join(dict.fromkeys(extras[name] for name in missing))
        raise ValueError(
            f"--format={format_name} needs {' and '.join(missing)}, which is not installed: pip "
            f"install 'astmt_jax[{wanted}]'."
        )
