"""A template and what it says → one page that holds all that it shows."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent


def render(name: str, content: dict[str, Any]) -> str:
    """Returns a page in HTML, whose names are words and nothing else.

    Args:
        name: of the page; its template, style sheet and script are `name.html.j2`, `name.css` and
            `name.js` here, which stand on `page.html.j2`, `page.css` and `page.js`.
        content: what the template asks for, title among it.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
    )
    parts = {
        kind: "".join((_FOLDER / f"{one}.{kind}").read_text("utf-8") for one in ("page", name))
        for kind in ("css", "js")
    }
    template = environment.get_template(f"{name}.html.j2")
    return template.render(style=parts["css"], script=parts["js"], **content)


def address(jpeg: bytes | None) -> str:
    """Returns a picture as an address that holds it; '' without."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
