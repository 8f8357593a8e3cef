"""Learning curves: the loss and the score of every fit after each epoch, from the fits' markers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.metrics.functions import Array
from pipeline.fits.job import Job
from pipeline.reporting.svg_figure import ACROSS, COLOURS, Picture, add_panels, label, picture

PANELS = 24


@dataclass(frozen=True)
class Curves:
    """Of one variant or member: a row for each fit, a column for each epoch; NaN where there is no value."""

    name: str
    fits: Array

    @property
    def mean(self) -> Array:
        """The mean over fits (epochs,)."""
        known = np.isfinite(self.fits)
        total = np.where(known, self.fits, 0.0).sum(0)
        mean: Array = np.divide(total, known.sum(0), out=np.full(len(total), np.nan), where=known.any(0))
        return mean


def losses(jobs: Sequence[Job]) -> list[Curves]:
    """The training loss of each variant that has one."""
    return _curves([(job.variant, [epoch.get("loss") for epoch in _epochs(job)]) for job in jobs if not job.linear])


def scores(jobs: Sequence[Job]) -> list[Curves]:
    """The score on the validation rows of each member that learns in epochs."""
    return _curves(
        [
            (member, [epoch["scores"].get(pooling) for epoch in _epochs(job)])
            for job in jobs
            if not job.linear and isinstance(job.fold, int)
            for pooling, member in job.members.items()
        ]
    )


def _epochs(job: Job) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (job.marker or {}).get("epochs", [])
    return found


def _curves(found: Sequence[tuple[str, Sequence[object]]]) -> list[Curves]:
    names = dict.fromkeys(name for name, values in found if values)
    curves = [Curves(name, np.array([values for own, values in found if own == name], np.float64)) for name in names]
    return [one for one in curves if np.isfinite(one.fits).any()]


def draw_curves(name: str, title: str, what: str, curves: Sequence[Curves]) -> Picture:
    """A panel for each variant or member: a thin line for each fit and a thick one for their mean."""
    shown = curves[:PANELS]

    def draw(figure: Any) -> None:
        for panel, one in zip(add_panels(figure, len(shown)), shown, strict=True):
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
        text += f" The first {PANELS} of {len(curves)} are shown."
    height = 1.5 * math.ceil(len(shown) / ACROSS) + 0.5
    header = ["of", *(f"epoch {epoch}" for epoch in range(1, longest + 1))]
    return picture(name, title, text, draw, height=height, header=header, rows=rows)
