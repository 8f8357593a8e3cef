"""Charts of the fits and of the predictions: learning curves, reliability, residuals."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.reporting.calibration import BINS, Reliability, Residuals
from pipeline.reporting.learning_curves import Curves
from pipeline.reporting.svg_figure import COLOURS, Picture, label, picture

ACROSS, MOST = 3, 24  # panels beside one another, and in all


def learning(name: str, title: str, what: str, curves: Sequence[Curves]) -> Picture:
    """A panel for each variant or member: a thin line for each fit and a thick one for their mean."""
    shown = curves[:MOST]

    def draw(figure: Any) -> None:
        for panel, one in zip(_panels(figure, len(shown)), shown, strict=True):
            epochs = range(1, one.fits.shape[1] + 1)
            for fit in one.fits:
                panel.plot(epochs, fit, color=COLOURS["six"], linewidth=0.7, marker="." if len(fit) < 3 else "")
            panel.plot(epochs, one.mean, color=COLOURS["one"], linewidth=1.8, marker="o" if len(epochs) < 9 else "")
            panel.set_title(label(one.name))
            panel.set_xticks(sorted({1, math.ceil(len(epochs) / 2), len(epochs)}))
        figure.supxlabel("epoch", fontsize=9, color=COLOURS["soft"])

    longest = max(one.fits.shape[1] for one in shown)
    rows = [[one.name, *one.mean.tolist(), *[None] * (longest - one.fits.shape[1])] for one in shown]
    text = f"Thin lines are single fits, the thick one is their mean, which the table holds: {what} after each epoch."
    if len(shown) < len(curves):
        text += f" The first {MOST} of {len(curves)} are shown."
    height = 1.5 * math.ceil(len(shown) / ACROSS) + 0.5
    header = ["of", *(f"epoch {epoch}" for epoch in range(1, longest + 1))]
    return picture(name, title, text, draw, height=height, header=header, rows=rows)


def reliability(found: Reliability) -> Picture:
    """Share of what happened by predicted probability, with the number of predictions below."""
    middle = (np.arange(BINS) + 0.5) / BINS

    def draw(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
        above.plot([0, 1], [0, 1], color=COLOURS["soft"], linewidth=0.8, linestyle="--", label="perfect")
        above.plot(found.predicted, found.observed, "o-", color=COLOURS["one"], label="observed")
        above.set(ylabel="share that happened", xlim=(0, 1), ylim=(-0.03, 1.03))
        above.legend(loc="upper left")
        below.bar(middle, found.counts, width=0.9 / BINS, color=COLOURS["one"])
        below.set(xlabel="predicted probability", ylabel="predictions")
        for axes in (above, below):
            axes.grid(linewidth=0.5)
            axes.set_axisbelow(True)

    text = f"Shown for {found.of}. Probability and observed share are {found.error:.3f} apart on average, weighted by "
    text += (
        "counts (expected calibration error, Guo et al. 2017). Below the dashed line predictions are too high, above "
    )
    text += "it too low."
    columns = zip(found.counts, found.predicted, found.observed, strict=True)
    rows = [
        [f"{at / BINS:.1f} to {(at + 1) / BINS:.1f}", int(n), float(p), float(o)]
        for at, (n, p, o) in enumerate(columns)
    ]
    header = ["probability", "predictions", "mean predicted", "share that happened"]
    return picture("reliability", "Calibration", text, draw, height=4.2, header=header, rows=rows)


def residuals(found: Sequence[Residuals]) -> Picture:
    """Truth minus prediction against the prediction, a panel for each target."""
    shown = found[: MOST // 4]

    def draw(figure: Any) -> None:
        for panel, one in zip(_panels(figure, len(shown), shared=False), shown, strict=True):
            panel.axhline(0, color=COLOURS["soft"], linewidth=0.8)
            panel.plot(*one.points.T, ".", color=COLOURS["six"], markersize=3, alpha=0.6)
            panel.plot(*one.means.T, "o-", color=COLOURS["two"], markersize=4)
            panel.set_title(label(one.name))
        figure.supxlabel("prediction", fontsize=9, color=COLOURS["soft"])
        figure.supylabel("truth minus prediction", fontsize=9, color=COLOURS["soft"])

    text = "Light dots are rows, evenly picked along the predictions where there are many; dark ones are means of all "
    text += (
        "rows by tenths. Where the dark line rises, predictions are drawn too far together; where it falls, not enough."
    )
    rows = [[one.name, *map(float, mean)] for one in shown for mean in one.means]
    height = 2.2 * math.ceil(len(shown) / ACROSS) + 0.6 + 0.8 * (len(shown) == 1)
    header = ["target", "mean prediction", "mean residual"]
    return picture("residuals", "Residuals", text, draw, height=height, header=header, rows=rows)


def _panels(figure: Any, count: int, shared: bool = True) -> list[Any]:
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
