"""A figure as SVG: drawn in the colours of its own file, and in the page in those of the reader's theme."""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from pipeline.display import printable

ROW, FRAME = 0.26, 0.75  # inches of a line of a figure, and of what is around them
ACROSS = 3  # panels beside one another
DEEPEST = 0.55  # the shade that ink is still read on, in both themes

# By CSS variable. Okabe and Ito 2008: told apart by colour-blind readers too
COLOURS = {
    "ink": "#1b1d20",
    "soft": "#5d646b",
    "line": "#c9ced3",
    "one": "#0072b2",
    "two": "#d55e00",
    "three": "#009e73",
    "four": "#cc79a7",
    "five": "#e69f00",
    "six": "#56b4e9",
}
SERIES = [COLOURS[name] for name in ("one", "two", "three", "four", "five", "six")]
MARKERS = "osD^vPX"  # as many again: nothing is told by colour alone
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "poolblend",
    "text.parse_math": False,  # a class may be named $x$
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.markersize": 5.0,
    **dict.fromkeys(("text.color", "axes.titlecolor"), COLOURS["ink"]),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), COLOURS["soft"]),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), COLOURS["line"]),
}
NO_DATES = dict.fromkeys(("Creator", "Date", "Format", "Type"))
WIDTH = 5.4  # inches of every figure: letters stay legible at the width of a phone


@dataclass(frozen=True)
class Picture:
    """A figure with its name, what it shows in words, and its numbers as a table (`header`, `rows`)."""

    name: str
    title: str
    text: str
    svg: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @property
    def file(self) -> str:
        """The SVG as a file of its own."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self.svg}'

    @property
    def inline(self) -> str:
        """The SVG in the page: colours by CSS variables, and a style that does not reach beyond it."""
        named = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
        plain = re.sub(r"<style.*?</style>", "", self.svg, flags=re.S)
        return _in_tags(plain, lambda tag: re.sub("|".join(named), lambda colour: named[colour[0]], tag))


def picture(
    name: str,
    title: str,
    text: str,
    draw: Callable[[Any], None],
    *,
    height: float,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> Picture:
    """Draw on a matplotlib figure of that height in inches. The same numbers give the same bytes."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the reader's fonts have what the one that measures lacks
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata=NO_DATES)
    return Picture(name, title, text, _labelled(buffer.getvalue(), name, title, text), header, rows)


def label(text: str, length: int = 24) -> str:
    """A name as a figure can show it: on one line, without its middle where it is long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: length // 2]}…{line[1 - length // 2 :]}"


def listed(axes: Any, names: Sequence[str]) -> None:
    """Names on the left, the first one above."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.grid(axis="x", linewidth=0.5)
    axes.set_axisbelow(True)


def _labelled(svg: str, name: str, title: str, text: str) -> str:
    """The SVG with its title and description, and with ids that no other figure of a page has."""
    body = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.S)
    body = _in_tags(body, lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag))
    opening, _, rest = body.partition(">")
    described = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(text)}</desc>'
    return f'{opening} role="img" aria-labelledby="{name}-title {name}-text">{described}{rest}'


def _in_tags(svg: str, change: Callable[[str], str]) -> str:
    """Change the tags and leave the texts between them, which are the data's."""
    return re.sub(r"<[^>]*>", lambda tag: change(tag[0]), svg)


def figure_height(lines: int) -> float:
    return ROW * lines + FRAME


def plain_score(score: float | None) -> float:
    return math.nan if score is None else score


def add_panels(figure: Any, count: int, shared: bool = True) -> list[Any]:
    """So many axes in rows of three, all with the same scale where it is shared."""
    columns = min(count, ACROSS)
    axes: list[Any] = (
        figure.subplots(math.ceil(count / columns), columns, sharey=shared, squeeze=False).ravel().tolist()
    )
    for panel in axes[:count]:
        panel.grid(linewidth=0.5)
        panel.set_axisbelow(True)
    for spare in axes[count:]:
        spare.set_visible(False)
    return axes[:count]


def letter_size(count: int) -> float:
    """The size of letters that fit into a cell."""
    return 8.0 if count <= 8 else 6.5


def shade_cell(axes: Any, column: int, row: int, share: float, colour: str) -> None:
    """A cell of a map, the deeper the larger its share of one."""
    from matplotlib.patches import Rectangle

    cell = Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=round(DEEPEST * min(share, 1.0), 3)
    )
    axes.add_patch(cell)


def name_cells(axes: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Axes of a map: names above and to the left."""
    axes.set_xlim(-0.5, len(columns) - 0.5)
    listed(axes, rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.tick_top()
    long = max(map(len, columns)) * len(columns) > 50
    axes.set_xticks(range(len(columns)), columns, rotation=40 if long else 0, ha="left" if long else "center")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
