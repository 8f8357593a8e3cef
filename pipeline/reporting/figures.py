"""Figures of the blend and its members: weights, rungs, scores by fold."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.reporting.member_scores import Standing
from pipeline.reporting.svg_figure import COLOURS, MARKERS, SERIES, Picture, label, listed, picture

ROW, FRAME = 0.26, 0.75  # inches of a line of a figure, and of what is around them
BESIDE = 4  # entries of a legend on one line
Plain = dict[str, Any]


def weights(found: dict[str, float]) -> Picture:
    """Bars of the members' weights in the blend."""
    ranked = sorted(found.items(), key=lambda one: -one[1])
    names, values = [label(name) for name, _ in ranked], [value for _, value in ranked]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.barh(range(len(names)), values, color=COLOURS["one"], height=0.6)
        listed(axes, names)
        for at, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (value, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlim(0, max(values) * 1.12)
        axes.set_xlabel("weight in the blend")

    idle = sum(value == 0 for value in values)
    text = f"The largest weight is {values[0]:.3f}, of {ranked[0][0]}"
    text += f"; {idle} of {len(values)} members {'weigh' if idle > 1 else 'weighs'} nothing." if idle else "."
    if values[0] == values[-1]:
        text = f"The {len(values)} members have the same weight." if len(values) > 1 else "There is one member only."
    return picture(
        "weights",
        "Weights of the blend",
        text,
        draw,
        height=_height(len(names)),
        header=["member", "weight"],
        rows=ranked,
    )


def rungs(found: Sequence[Plain], metric: str) -> Picture:
    """In-sample and cross-fitted score of each blend that was tried, in the order of the climb."""
    own, crossed = ([_value(rung[key]) for rung in found] for key in ("in-sample", "cross-fitted"))

    def draw(figure: Any) -> None:
        axes, places = figure.add_subplot(), range(len(found))
        axes.plot([own, crossed], [places, places], color=COLOURS["line"], zorder=1)
        for at, rung in enumerate(found):
            if rung["interval"]:
                axes.plot(rung["interval"], [at, at], color=COLOURS["one"], linewidth=1.2, zorder=2)
        axes.plot(own, places, "s", color=COLOURS["two"], fillstyle="none", label="in-sample")
        axes.plot(crossed, places, "o", color=COLOURS["one"], label="cross-fitted, 95 % interval")
        listed(axes, [label(rung["method"]) + " (held)" * rung["held"] for rung in found])
        axes.set_xlabel(metric)
        figure.legend(loc="outside upper right", ncols=2)

    keys = ("method", "in-sample", "cross-fitted", "interval", "gain", "error")
    rows = [[_between(rung[key]) if key == "interval" else rung[key] for key in keys] for rung in found]
    held = next((rung["method"] for rung in found if rung["held"]), "none")
    text = f"In the order in which they were tried, each learning more than the one before; held: {held}. The distance "
    text += "between the two scores of a blend is what choosing its weights on the rows it is scored on flatters. A "
    text += "gain is cross-fitted, over the blend held until then, and positive for the better one."
    if len(found) == 1:
        text = f"No other blend than {held} was tried."
    header = ["blend", "in-sample", "cross-fitted", "95 % interval", "gain", "standard error of it"]
    height = _height(len(found)) + 0.25
    return picture("rungs", "Blends that were tried", text, draw, height=height, header=header, rows=rows)


def folds(ranked: Sequence[Standing], numbers: Sequence[int], metric: str) -> Picture:
    """A dot for each member and fold."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, fold in enumerate(numbers):
            values = [_value(one.score.by_fold[place]) for one in ranked]
            style = {"color": SERIES[place % len(SERIES)], "marker": MARKERS[place % len(MARKERS)]}
            axes.plot(values, range(len(ranked)), linestyle="none", label=f"fold {fold}", alpha=0.9, **style)
        means = [_value(one.score.mean) for one in ranked]
        axes.plot(means, range(len(ranked)), "|", color=COLOURS["ink"], markersize=14, label="mean")
        listed(axes, [label(one.name) for one in ranked])
        axes.set_xlabel(metric)
        figure.legend(
            loc="outside upper right", ncols=min(len(numbers) + 1, BESIDE), columnspacing=1.2, handletextpad=0.3
        )

    header = ["member", *(f"fold {fold}" for fold in numbers)]
    rows = [[one.name, *one.score.by_fold] for one in ranked]
    text = "Where one fold stands apart for every member, its rows are harder; where the dots of members cross, their "
    text += "order hangs on the rows."
    if len(numbers) == 1:
        text = "One fold does not show how much the order of the members hangs on the rows."
    height = _height(len(ranked)) + 0.25 * math.ceil((len(numbers) + 1) / BESIDE)
    return picture("folds", "Score by fold", text, draw, height=height, header=header, rows=rows)


def _height(lines: int) -> float:
    return ROW * lines + FRAME


def _value(score: float | None) -> float:
    return math.nan if score is None else score


def _between(interval: Sequence[float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.5f} to {interval[1]:.5f}"
