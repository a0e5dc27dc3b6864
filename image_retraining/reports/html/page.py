"""A template and what it says → one page that holds all that it shows."""

import base64
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

_FOLDER = Path(__file__).parent
# Words of scripts that are written from right to left, of one name: blocks of the Unicode standard.
_LETTERS = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
_RIGHT_TO_LEFT = re.compile(f"{_LETTERS}+(?:[ _-]{_LETTERS}+)*")


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
    environment.filters |= {"bidi": marked, "isolated": isolated}
    parts = {
        kind: "".join((_FOLDER / f"{one}.{kind}").read_text("utf-8") for one in ("page", name))
        for kind in ("css", "js")
    }
    template = environment.get_template(f"{name}.html.j2")
    return template.render(style=parts["css"], script=parts["js"], **content)


def marked(words: object) -> Markup:
    """Returns words in HTML in which names from right to left turn nothing else around.

    Without it "96%" after an Arabic label stands before it: Unicode Standard Annex 9.
    """
    return Markup(  # noqa: S704 - of what is escaped
        _RIGHT_TO_LEFT.sub(r"<bdi>\g<0></bdi>", str(escape(str(words))))
    )


def isolated(words: object) -> str:
    """Returns the same by characters that are not seen, for where HTML allows no marks."""
    return _RIGHT_TO_LEFT.sub("\u2068\\g<0>\u2069", str(words))


def address(jpeg: bytes | None) -> str:
    """Returns a picture as an address that holds it; '' without."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
