"""Bootstrap draws of whole components: rows that must stay together are drawn together (Efron and Tibshirani 1993).

A draw is how often each row counts. Rows that count zero times are out of the bag: nothing chosen on the draw has
seen them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.metrics.functions import Array
from oof.metrics.metric_registry import Metric
from oof.metrics.weighted_metrics import Counted, counted

REPEATS, MANY_ROWS = 1000, 200_000


class Resamples:
    """The same draws, each time they are asked for.

    `component` (rows,) marks rows that are drawn together; None draws single rows. `repeats` None is a thousand, on
    more than 200,000 rows two hundred.
    """

    def __init__(
        self, rows: int, component: npt.NDArray[np.int64] | None, repeats: int | None = None, seed: int = 0
    ) -> None:
        self.label = np.arange(rows) if component is None else np.unique(component, return_inverse=True)[1]
        self.size = int(self.label.max()) + 1
        self.repeats = repeats or (REPEATS if rows <= MANY_ROWS else REPEATS // 5)
        self.seed = seed

    def __iter__(self) -> Iterator[Array]:
        rng = np.random.default_rng(self.seed)
        for _ in range(self.repeats):
            drawn = np.bincount(rng.integers(self.size, size=self.size), minlength=self.size)
            yield drawn.astype(np.float64)[self.label]

    def values(self, functions: Sequence[Counted]) -> Array:
        """Each function of the counts at each draw, (draws, functions); NaN where it is undefined.

        Raises OOFError where all rows are one group: every draw would be the same, and seem certain.
        """
        if self.size < 2:
            raise OOFError("all rows are one group, so nothing can be resampled; a standard error needs two groups")
        found = [[function(counts) for function in functions] for counts in self]
        return np.array(found, dtype=np.float64)


def interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the values (draws,) that are defined."""
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_error(values: Array, metric: Metric) -> float:
    """Deviation of the values (draws,) that are defined; OOFError if fewer than two are."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        raise OOFError(f"{metric.name} is undefined on resampled rows; too few rows or groups for a standard error")
    return float(known.std(ddof=1))


def resampled(
    metric: Metric, truth: npt.NDArray[Any], decided: Sequence[npt.NDArray[Any]], resamples: Resamples
) -> Array:
    """The metric of each of several predictions at each draw, (draws, predictions); larger is better."""
    return metric.sign * resamples.values([counted(metric, truth, one) for one in decided])
