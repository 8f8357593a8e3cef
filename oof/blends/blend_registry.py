"""The table of blends: rules from members to one prediction per row.

The `fit(problem)` of a blend returns numbers that JSON can hold, its `apply(numbers, P)` returns predictions (rows,
columns) from P (members, rows, columns): probabilities, values, or shares of lower ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from oof import OOFError
from oof.blends import means, stacker, weights
from oof.blends.problem import Problem
from oof.metrics.metric_registry import CLASSES, VALUES, Metric
from oof.types import Array, Numbers

ANY_TASK = CLASSES | VALUES
ANY_NEED = frozenset({"probabilities", "labels", "ranks", "values"})


@dataclass(frozen=True)
class Blend:
    """One rule, for these tasks and for metrics with these needs.

    `linear`: applied to the mean over fold models it equals the mean of its results. `learns`: it is a model on top of
    the members, so it could learn from noise. `response(numbers, members)`, for a rule that can reverse members, is how
    much its predictions rise where every member rises by one.
    """

    fit: Callable[[Problem], Numbers]
    apply: Callable[[Numbers, Array], Array]
    linear: bool
    tasks: frozenset[str] = ANY_TASK
    needs: frozenset[str] = ANY_NEED
    learns: bool = False
    response: Callable[[Numbers, int], float] | None = None


BLENDS: dict[str, Blend] = {
    "mean": Blend(weights.fit_equal, weights.apply_weights, linear=True),
    "subset_mean": Blend(weights.fit_subset, weights.apply_weights, linear=True),
    "geometric_mean": Blend(means.fit_transformed_mean, means.apply_geometric_mean, linear=False, tasks=CLASSES),
    "logit_mean": Blend(means.fit_transformed_mean, means.apply_logit_mean, linear=False, tasks=CLASSES),
    "rank_mean": Blend(
        means.fit_ranks,
        means.apply_ranks,
        linear=False,
        tasks=frozenset({"binary", "multilabel", "regression"}),
        needs=frozenset({"ranks", "labels"}),
    ),
    "shrunk": Blend(weights.fit_shrunk, weights.apply_weights, linear=True),
    "simplex": Blend(weights.fit_simplex, weights.apply_weights, linear=True),
    "column_simplex": Blend(
        weights.fit_column_simplex, weights.apply_column_weights, linear=False, tasks=ANY_TASK - {"binary"}
    ),
    "hill_climb": Blend(weights.fit_hill_climb, weights.apply_weights, linear=True),
    "bagged_hill_climb": Blend(weights.fit_bagged_hill_climb, weights.apply_weights, linear=True),
    "nnls": Blend(stacker.fit_nnls, stacker.apply_stacker, linear=True, learns=True),
    "stacker": Blend(
        stacker.fit_stacker, stacker.apply_stacker, linear=False, learns=True, response=stacker.compute_response
    ),
}


def find_blend(name: str, task: str, metric: Metric) -> Blend:
    """Return the blend of that name. Raises OOFError if there is none, or if it does not fit the task or the metric."""
    if name not in BLENDS:
        near = get_close_matches(name, BLENDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OOFError(f"unknown blend {name!r}: {hint}known ones: {', '.join(BLENDS)}")
    blend = BLENDS[name]
    fitting = [other for other, rule in BLENDS.items() if task in rule.tasks and metric.needs in rule.needs]
    if task not in blend.tasks:
        raise OOFError(f"blend {name} does not fit task {task}; fitting ones: {', '.join(fitting)}")
    if metric.needs not in blend.needs:
        raise OOFError(
            f"blend {name} gives no {metric.needs}, which metric {metric.name} needs; "
            f"fitting ones: {', '.join(fitting)}"
        )
    return blend
