"""The section on learning curves: the loss and the score of every fit after each epoch, from the fits' markers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.store import EpochLog
from oof.types import Array
from pipeline.fits.job import Job
from pipeline.reporting.svg_figure import ACROSS, COLOURS, Figure, add_panels, draw_figure, shorten_label

MOST_PANELS = 24


@dataclass(frozen=True)
class LearningCurves:
    """The curves of one variant or member: `fits` (fits, epochs), NaN where there is no value."""

    name: str
    fits: Array

    @property
    def mean(self) -> Array:
        """The mean over fits (epochs,)."""
        defined = np.isfinite(self.fits)
        total = np.where(defined, self.fits, 0.0).sum(0)
        mean: Array = np.divide(total, defined.sum(0), out=np.full(len(total), np.nan), where=defined.any(0))
        return mean


def collect_losses(jobs: Sequence[Job]) -> list[LearningCurves]:
    """Return the training loss of each variant that learns in epochs."""
    neural = [job for job in jobs if not job.is_linear]
    return _build_curves([(job.variant, [epoch.loss for epoch in _list_epochs(job)]) for job in neural])


def collect_scores(jobs: Sequence[Job]) -> list[LearningCurves]:
    """Return the score on the validation rows of each member that learns in epochs."""
    curves = []
    for job in jobs:
        if not job.is_linear and isinstance(job.fold, int):
            for pooling, member in job.members.items():
                curves.append((member, [epoch.scores.get(pooling) for epoch in _list_epochs(job)]))
    return _build_curves(curves)


def _list_epochs(job: Job) -> tuple[EpochLog, ...]:
    return () if job.marker is None else job.marker.epochs


def _build_curves(fits: Sequence[tuple[str, Sequence[float | None]]]) -> list[LearningCurves]:
    """Group the curves of fits by their name, and leave out names without any value."""
    by_name: dict[str, list[Sequence[float | None]]] = {name: [] for name, values in fits if values}
    for name, values in fits:
        if name in by_name:
            by_name[name].append(values)
    curves = [LearningCurves(name, np.array(rows, np.float64)) for name, rows in by_name.items()]
    return [curve for curve in curves if np.isfinite(curve.fits).any()]


def draw_curves(name: str, title: str, quantity: str, curves: Sequence[LearningCurves]) -> Figure:
    """Draw a panel for each variant or member: a thin line for each fit and a thick one for their mean."""
    shown = curves[:MOST_PANELS]

    def draw(figure: Any) -> None:
        for panel, curve in zip(add_panels(figure, len(shown)), shown, strict=True):
            epochs = range(1, curve.fits.shape[1] + 1)
            for fit in curve.fits:
                panel.plot(epochs, fit, color=COLOURS["six"], linewidth=0.7, marker="." if len(fit) < 3 else "")
            panel.plot(epochs, curve.mean, color=COLOURS["one"], linewidth=1.8, marker="o" if len(epochs) < 9 else "")
            panel.set_title(shorten_label(curve.name))
            panel.set_xticks(sorted({1, math.ceil(len(epochs) / 2), len(epochs)}))
        figure.supxlabel("epoch", fontsize=9, color=COLOURS["soft"])

    longest = max(curve.fits.shape[1] for curve in shown)
    rows = [[curve.name, *curve.mean.tolist(), *[None] * (longest - curve.fits.shape[1])] for curve in shown]
    text = (
        f"Thin lines are single fits, the thick one is their mean, which the table holds: {quantity} after each epoch."
    )
    if len(shown) < len(curves):
        text += f" The first {MOST_PANELS} of {len(curves)} are shown."
    height = 1.5 * math.ceil(len(shown) / ACROSS) + 0.5
    header = ["of", *(f"epoch {epoch}" for epoch in range(1, longest + 1))]
    return draw_figure(name, title, text, draw, height=height, header=header, rows=rows)
