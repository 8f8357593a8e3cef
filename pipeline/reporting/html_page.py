"""Render the page: the template puts facts and figures into words, and escapes all text of the data."""

import base64
import hashlib
import math
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.display import escape_controls, format_duration, format_score
from pipeline.reporting.svg_figure import Figure

HERE = Path(__file__).parent
DASH = "–"
JOINERS = "\u200c\u200d"  # of Persian letters and of emoji: harmless control characters


def render(facts: Mapping[str, object]) -> str:
    """Return the page as HTML. `facts` are the names that the template uses; a missing one is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_score,
        duration=format_duration,
        cell=_format_cell,
        inline=_embed_svg,
        capitalise=_capitalise,
    )
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("template.html.j2")
    return template.render(**facts, style=Markup(style), script=Markup(script), script_hash=script_hash)


def _show_value(value: Any) -> Any:
    """Return a value as the template inserts it: control characters of untrusted text are escaped; None is a dash."""
    if value is None:
        return DASH
    if type(value) is not str:
        return value
    return "".join(part if part in JOINERS else escape_controls(part) for part in re.split(f"([{JOINERS}])", value))


def _capitalise(sentence: str, names: Container[str]) -> str:
    """Return a sentence with a capital, unless it begins with a name, which a capital would change."""
    first = re.split(r"[ ,:;]", sentence, maxsplit=1)[0]
    return sentence if first in names else sentence[:1].upper() + sentence[1:]


def _format_cell(value: Any) -> str:
    """Return a value of a table of numbers as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return format_score(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _embed_svg(figure: Figure) -> Markup:
    """Return a figure's SVG, whose texts are escaped already."""
    return Markup(figure.inline)
