"""Learning curves: the loss and the score of every fit after each epoch, from the fits' markers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oof.metrics.functions import Array
from pipeline.fits.job import Job


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
