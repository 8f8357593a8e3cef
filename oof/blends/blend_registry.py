"""The table of blends: rules from members to one prediction per row.

A blend's `fit(problem)` gives numbers that JSON can hold, and `apply(numbers, P)` predictions (rows, columns) from P
(members, rows, columns). Probabilities come out as probabilities, ranks as shares.
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
    """One rule. `linear`: applying it to the mean over fold models equals the mean of applying it to each.

    `learns`: it is a model of its own on top of the members, so that it could learn from noise. `response(numbers,
    members)`, for one that can turn members around: by how much it rises where all of them rise by one.
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
    """The blend of that name; OOFError if there is none, or if its output does not fit the task or the metric."""
    if name not in BLENDS:
        near = get_close_matches(name, BLENDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OOFError(f"unknown blend {name!r}: {hint}known ones: {', '.join(BLENDS)}")
    found = BLENDS[name]
    fitting = ", ".join(known for known, one in BLENDS.items() if task in one.tasks and metric.needs in one.needs)
    if task not in found.tasks:
        raise OOFError(f"blend {name} does not fit task {task}; fitting ones: {fitting}")
    if metric.needs not in found.needs:
        raise OOFError(
            f"blend {name} gives no {metric.needs}, which metric {metric.name} needs; fitting ones: {fitting}"
        )
    return found
