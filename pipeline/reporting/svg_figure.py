"""Figures as SVG: in the file with colours of its own, in the page with those of the reader's theme."""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from pipeline.display import escape_controls

ROW_HEIGHT = 0.26  # inches
FRAME_HEIGHT = 0.75  # inches, of axes and legend around the rows
ACROSS = 3  # panels in a row
DARKEST = 0.55  # the shade on which text is still legible, in both themes

# By CSS variable. Okabe and Ito (2008): colour-blind readers can distinguish them
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
MARKERS = "osD^vPX"  # so that nothing depends on colour alone
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
WIDTH = 5.4  # inches: letters stay legible on the screen of a phone


@dataclass(frozen=True)
class Figure:
    """A figure with its name, its title, a text on what it shows, and its numbers as a table (`header`, `rows`)."""

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
        """The SVG in the page: colours are CSS variables, and no style applies beyond the figure."""
        variables = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
        plain = re.sub(r"<style.*?</style>", "", self.svg, flags=re.S)
        return _change_tags(plain, lambda tag: re.sub("|".join(variables), lambda colour: variables[colour[0]], tag))


def draw_figure(
    name: str,
    title: str,
    text: str,
    draw: Callable[[Any], None],
    *,
    height: float,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> Figure:
    """Return the figure that `draw` makes on a matplotlib figure, `height` in inches. Equal input gives equal bytes."""
    from matplotlib import style
    from matplotlib.figure import Figure as Canvas

    buffer = io.StringIO()
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # matplotlib's font may lack what the reader's fonts have
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        draw(canvas)
        canvas.savefig(buffer, format="svg", metadata=NO_DATES)
    return Figure(name, title, text, _label_svg(buffer.getvalue(), name, title, text), header, rows)


def shorten_label(text: str, length: int = 24) -> str:
    """Return a name for a figure: on one line, without its middle if it is long."""
    line = escape_controls(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: length // 2]}…{line[1 - length // 2 :]}"


def list_on_axis(axes: Any, names: Sequence[str]) -> None:
    """Write names on the left axis, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.grid(axis="x", linewidth=0.5)
    axes.set_axisbelow(True)


def _label_svg(svg: str, name: str, title: str, text: str) -> str:
    """Return the SVG with its title and description, and with ids that are unique in the page."""
    body = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.S)
    body = _change_tags(body, lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag))
    opening, _, rest = body.partition(">")
    described = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(text)}</desc>'
    return f'{opening} role="img" aria-labelledby="{name}-title {name}-text">{described}{rest}'


def _change_tags(svg: str, change: Callable[[str], str]) -> str:
    """Change the tags, and not the texts between them, which are untrusted data."""
    return re.sub(r"<[^>]*>", lambda tag: change(tag[0]), svg)


def compute_height(rows: int) -> float:
    """Return the height in inches of a figure with a row for each name."""
    return ROW_HEIGHT * rows + FRAME_HEIGHT


def replace_missing(score: float | None) -> float:
    """Return NaN for None."""
    return math.nan if score is None else score


def add_panels(figure: Any, count: int, shared: bool = True) -> list[Any]:
    """Return `count` axes in rows of three, all with the same scale if `shared`."""
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


def choose_font_size(count: int) -> float:
    """Return the size of letters that fit into a cell."""
    return 8.0 if count <= 8 else 6.5


def shade_cell(axes: Any, column: int, row: int, share: float, colour: str) -> None:
    """Fill a cell of a map, the darker the larger its share of one."""
    from matplotlib.patches import Rectangle

    alpha = round(DARKEST * min(share, 1.0), 3)
    axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=alpha))


def name_cells(axes: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Write the names of a map's columns above it, and of its rows on the left."""
    axes.set_xlim(-0.5, len(columns) - 0.5)
    list_on_axis(axes, rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.tick_top()
    long = max(map(len, columns)) * len(columns) > 50
    axes.set_xticks(range(len(columns)), columns, rotation=40 if long else 0, ha="left" if long else "center")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
