"""The page itself: one file that needs no other and no network."""

from collections.abc import Sequence

import jinja2

from astmt_jax.report.blocks import Section

TEMPLATE = "page.html"


def render(title: str, about: str, sections: Sequence[Section]) -> str:
    """HTML of a report.

    Args:
      title: of the page.
      about: what stands below it.
      sections: in order.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("astmt_jax.report", package_path="."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template(TEMPLATE)
    return template.render(title=title, about=about, sections=sections)
