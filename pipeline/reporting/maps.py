"""Maps: correlations of errors, and classes taken for one another, in shades of a colour."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from oof.comparison.diversity import by_likeness
from oof.metrics.functions import Array
from pipeline.blending.blend_summary import correlation
from pipeline.reporting.svg_figure import COLOURS, Picture, label, listed, picture

NUMBERED, CLASSES = 12, 12  # members up to which cells hold numbers; classes in a confusion matrix
DEEPEST = 0.55  # the shade that ink is still read on, in both themes


def correlations(names: Sequence[str], alike: Array) -> Picture:
    """A map of the correlations of the members' errors."""
    count, apart = len(names), alike[~np.eye(len(names), dtype=bool)]
    low, spread = float(apart.min()), max(float(np.ptp(apart)), 0.05)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.argwhere(~np.eye(count, dtype=bool)).tolist():
            value = float(alike[row, column])
            _shade(axes, column, row, 0.1 + 0.9 * (value - low) / spread, COLOURS["one"])
            if count <= NUMBERED:
                axes.text(column, row, correlation(value), ha="center", va="center", fontsize=_size(len(names)))
        _grid(axes, [label(name, 18) for name in names], [label(name, 18) for name in names])

    pairs = [(names[a], names[b], float(alike[a, b])) for a, b in by_likeness(alike)]
    rows = [(*both, correlation(value, 5)) for *both, value in pairs[:100]]
    (first, second, most), (third, fourth, least) = pairs[0], pairs[-1]
    text = (
        f"Errors of {first} and {second} go together most ({correlation(most)}), those of {third} and {fourth} least "
    )
    text += f"({correlation(least)}); the deeper the shade, the more. "
    if count == 2:
        text = f"Errors of {first} and {second} correlate by {correlation(most)}. "
    text += "What a blend can gain lies where errors do not go together."
    header = ["member", "and member", "correlation of errors"]
    height, title = min(0.3 * count + 1.1, 7.5), "Correlations of errors"
    return picture("correlations", title, text, draw, height=height, header=header, rows=rows)


def confusion(matrix: Array, classes: Sequence[str]) -> Picture:
    """Rows of a true class by the class predicted; the classes with the most errors where there are many."""
    errors = matrix.sum(1) + matrix.sum(0) - 2 * np.diag(matrix)
    kept = np.sort(np.argsort(-errors, kind="stable")[:CLASSES])
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = [label(classes[at], 18) for at in kept]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, column in np.ndindex(len(kept), len(kept)):
            at = kept[row], kept[column]
            _shade(axes, column, row, float(shares[at]), COLOURS["one" if row == column else "two"])
            axes.text(column, row, f"{int(matrix[at]):,}", ha="center", va="center", fontsize=_size(len(names)))
        _grid(axes, names, names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.xaxis.set_label_position("top")

    text = "Rows of each true class by the class predicted, the deeper the larger their share of the true class; blue "
    text += "is right, orange is wrong."
    if len(kept) < len(classes):
        text += f" The {CLASSES} of {len(classes)} classes with the most errors."
    rows = [[classes[row], *(int(matrix[row, column]) for column in kept)] for row in kept]
    header = ["true class", *(classes[at] for at in kept)]
    height = min(0.34 * len(kept) + 1.3, 7.0)
    return picture("confusion", "Confusion matrix", text, draw, height=height, header=header, rows=rows)


def _size(count: int) -> float:
    """The size of letters that fit into a cell."""
    return 8.0 if count <= 8 else 6.5


def _shade(axes: Any, column: int, row: int, share: float, colour: str) -> None:
    """A cell of a map, the deeper the larger its share of one."""
    from matplotlib.patches import Rectangle

    cell = Rectangle(
        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=round(DEEPEST * min(share, 1.0), 3)
    )
    axes.add_patch(cell)


def _grid(axes: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
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
