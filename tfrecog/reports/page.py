"""The page as one HTML file that needs no network and no JavaScript."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tfrecog.reports.blocks import Facts, Section


def render(title: str, head: Facts, sections: Sequence[Section]) -> str:
    """The page as HTML; whatever is in the values is text, and of a path that is no UTF-8 what is not becomes "?"."""
    import markupsafe

    style, template = _parts()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = template.render(
        title=title, head=head, sections=sections, style=markupsafe.Markup(style), style_hash=f"sha256-{digest}"
    )
    return text.encode(errors="replace").decode()


@cache
def _parts():
    import jinja2  # Only here: a prediction imports this module, and writes no page.

    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return (here / "page.css").read_text(), environment.get_template("page.html")
