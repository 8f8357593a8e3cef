"""Bootstrap draws of whole components: rows that must stay together are drawn together (Efron and Tibshirani 1993).

A draw holds how often each row counts. Rows that count zero times are out of the bag: nothing that was chosen on the
draw has seen them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from oof import OOFError
from oof.metrics.metric_registry import Metric
from oof.metrics.weighted_metrics import WeightedMetric, weight_metric
from oof.types import Array, Decided, IntArray, Truth

DRAWS = 1000
MANY_ROWS = 200_000  # above which a fifth of the draws is the default


class BootstrapDraws:
    """Random counts (rows,) of each row, the same ones at each iteration.

    `component` (rows,) marks rows that are drawn together; None draws single rows. `repeats` is the number of draws;
    None means 1,000, or 200 for more than 200,000 rows.
    """

    def __init__(self, rows: int, component: IntArray | None, repeats: int | None = None, seed: int = 0) -> None:
        self.group = np.arange(rows) if component is None else np.unique(component, return_inverse=True)[1]
        self.groups = int(self.group.max()) + 1
        self.repeats = repeats or (DRAWS if rows <= MANY_ROWS else DRAWS // 5)
        self.seed = seed

    def __iter__(self) -> Iterator[Array]:
        rng = np.random.default_rng(self.seed)
        for _ in range(self.repeats):
            drawn = np.bincount(rng.integers(self.groups, size=self.groups), minlength=self.groups)
            yield drawn.astype(np.float64)[self.group]

    def evaluate(self, functions: Sequence[WeightedMetric]) -> Array:
        """Return each function of the counts at each draw, (draws, functions); NaN where it is undefined.

        Raises OOFError if all rows are one group: every draw would be the same, and the result would seem certain.
        """
        if self.groups < 2:
            raise OOFError("all rows are one group, so nothing can be resampled; a standard error needs two groups")
        values = [[function(counts) for function in functions] for counts in self]
        return np.array(values, dtype=np.float64)


def compute_interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the values (draws,) that are defined."""
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compute_standard_error(values: Array, metric: Metric) -> float:
    """Return the standard deviation of the values (draws,) that are defined; OOFError if fewer than two are."""
    defined = values[np.isfinite(values)]
    if len(defined) < 2:
        raise OOFError(f"{metric.name} is undefined on resampled rows; too few rows or groups for a standard error")
    return float(defined.std(ddof=1))


def score_draws(metric: Metric, truth: Truth, decided: Sequence[Decided], draws: BootstrapDraws) -> Array:
    """Return the metric of several predictions at each draw, (draws, predictions), with its sign: larger is better."""
    functions = [weight_metric(metric, truth, predictions, same_columns=True) for predictions in decided]
    return metric.sign * draws.evaluate(functions)
