"""The page: facts and figures put into words by the template, which escapes all text of the data."""

import base64
import hashlib
import math
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.display import duration, number, printable

HERE = Path(__file__).parent
DASH = "–"
JOINERS = "\u200c\u200d"  # of Persian letters and of emoji: they steer nothing


def render(facts: Mapping[str, Any]) -> str:
    """The page as HTML. `facts` are the names that the template uses; a missing one is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, duration=duration, cell=_cell, inline=_inline, opening=_opening)
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("template.html.j2")
    return template.render(**facts, style=Markup(style), script=Markup(script), script_hash=known)


def _shown(value: Any) -> Any:
    """What a place of the template holds: a stranger's control characters are shown, not done; None is a dash."""
    if value is None:
        return DASH
    if type(value) is not str:
        return value
    return "".join(part if part in JOINERS else printable(part) for part in re.split(f"([{JOINERS}])", value))


def _opening(sentence: str, names: Container[str]) -> str:
    """A sentence with a capital, unless it opens with a name, which is another one with a capital."""
    first = re.split(r"[ ,:;]", sentence, maxsplit=1)[0]
    return sentence if first in names else sentence[:1].upper() + sentence[1:]


def _cell(value: Any) -> str:
    """A value of a table of numbers."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _inline(picture: Any) -> Markup:
    """A figure's SVG, whose texts its writer has escaped."""
    return Markup(picture.inline)
