"""A page as one HTML file, with its style and scripts inside, and the policy that a browser is to keep."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_SHARED = ("drawing.js", "seeing.js")


class Page(NamedTuple):
    """A page.

    Attributes:
        html: the file.
        policy: its Content-Security-Policy: its own scripts run, and requests go to where it is from alone.
    """

    html: bytes
    policy: str


@cache
def build(folder: Path, scripts: tuple[str, ...], *, runs: tuple[str, ...] = (), inline: str = "") -> Page:
    """The page of a folder's page.html, which extends the frame here.

    Args:
        scripts: names of the folder's scripts, which come behind those that all pages have.
        runs: other sources of scripts that the policy allows.
        inline: another script that page.html has in it, as the variable `inline`.
    """
    import jinja2  # Only here: a server imports this module, and most of them are never asked for the page.
    from markupsafe import Markup

    files = [*(_HERE / name for name in _SHARED), *(folder / name for name in scripts)]
    script = '"use strict";\n' + "".join(path.read_text("utf-8") for path in files)
    allowed = " ".join([*map(_digest, filter(None, (script, inline))), *runs])
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data: blob:; media-src blob:; form-action 'none'; base-uri 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _HERE]), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style = (_HERE / "page.css").read_text("utf-8")
    html = environment.get_template("page.html").render(
        style=Markup(style), script=Markup(script), inline=Markup(inline), policy=policy
    )
    return Page(html.encode(), policy)


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
