"""The table of metrics: name, function, direction, kind of predictions, tasks.

The functions are those of scikit-learn and SciPy, or tested against them. A label metric takes the labels that
`oof.metrics.thresholds` decides from the predictions; every other metric takes the predictions.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal

from oof import OOFError
from oof.metrics import confusion, functions
from oof.types import Array, Truth

Task = Literal["binary", "multiclass", "multilabel", "regression", "ordinal"]
Needs = Literal["probabilities", "labels", "ranks", "values"]

CLASSES = frozenset({"binary", "multiclass", "multilabel", "ordinal"})
VALUES = frozenset({"regression"})
RANKED = frozenset({"multiclass"})


@dataclass(frozen=True)
class Metric:
    """One metric.

    `function(truth, predictions)` returns the value; for a metric that needs labels, `predictions` are labels shaped
    as the truth. `gradient(truth, predictions)` is its derivative by each prediction, None unless it is smooth.
    `confusion(matrices)` returns a label metric of confusion matrices (..., true, predicted), for threshold searches.
    `answers` is the number of best classes that the metric looks at, 0 where it is not of that kind.
    """

    name: str
    function: Callable[[Truth, Any], float]
    higher_is_better: bool
    needs: Needs
    tasks: frozenset[str]
    gradient: Callable[[Truth, Array], Array] | None = None
    confusion: Callable[[Array], Array] | None = None
    answers: int = 0

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1: a larger `sign * value` is always better."""
        return 1 if self.higher_is_better else -1


METRICS: dict[str, Metric] = {
    "log_loss": Metric(
        "log_loss",
        functions.compute_log_loss,
        False,
        "probabilities",
        CLASSES,
        gradient=functions.compute_log_loss_gradient,
    ),
    "roc_auc": Metric("roc_auc", functions.compute_roc_auc, True, "ranks", CLASSES),
    "average_precision": Metric(
        "average_precision", functions.compute_average_precision, True, "ranks", frozenset({"binary", "multilabel"})
    ),
    "accuracy": Metric(
        "accuracy", confusion.compute_accuracy, True, "labels", CLASSES, confusion=confusion.derive_accuracy
    ),
    "exact_match": Metric("exact_match", confusion.compute_exact_match, True, "labels", frozenset({"multilabel"})),
    "balanced_accuracy": Metric(
        "balanced_accuracy",
        confusion.compute_balanced_accuracy,
        True,
        "labels",
        CLASSES,
        confusion=confusion.derive_balanced_accuracy,
    ),
    "f1": Metric("f1", confusion.compute_f1, True, "labels", CLASSES, confusion=confusion.derive_f1),
    "macro_f1": Metric(
        "macro_f1", confusion.compute_macro_f1, True, "labels", CLASSES, confusion=confusion.derive_macro_f1
    ),
    "mcc": Metric("mcc", confusion.compute_mcc, True, "labels", CLASSES, confusion=confusion.derive_mcc),
    "qwk": Metric("qwk", confusion.compute_qwk, True, "labels", frozenset({"ordinal"}), confusion=confusion.derive_qwk),
    "rmse": Metric("rmse", functions.compute_rmse, False, "values", VALUES, gradient=functions.compute_rmse_gradient),
    "mcrmse": Metric(
        "mcrmse", functions.compute_mcrmse, False, "values", VALUES, gradient=functions.compute_mcrmse_gradient
    ),
    "mae": Metric("mae", functions.compute_mae, False, "values", VALUES, gradient=functions.compute_mae_gradient),
    "r2": Metric("r2", functions.compute_r2, True, "values", VALUES, gradient=functions.compute_r2_gradient),
    "pearson": Metric(
        "pearson", functions.compute_pearson, True, "values", VALUES, gradient=functions.compute_pearson_gradient
    ),
    "spearman": Metric("spearman", functions.compute_spearman, True, "ranks", VALUES),
}

# F1 of several classes is the mean over them; F1 of labels is the mean of each label's F1 of the positive class
MEANS = {("f1", "multiclass"): "macro_f1", ("f1", "ordinal"): "macro_f1", ("macro_f1", "multilabel"): "f1"}

MAP_AT = 'map_at_k ("map_at_3")'  # as error messages list it: any k from 1

DEFAULTS = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "multilabel": "log_loss",
    "ordinal": "qwk",
    "regression": "rmse",
}


def find_metric(name: str, task: str) -> Metric:
    """Return the metric of that name for a task; `map_at_1`, `map_at_2` and so on exist for every number.

    Raises OOFError for an unknown name, with the nearest known one, and for a metric that does not fit the task.
    """
    metric = METRICS.get(MEANS.get((name, task), name)) or _parse_map_at(name)
    if metric is None:
        near = get_close_matches(name, [*METRICS, "map_at_3"], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OOFError(f"unknown metric {name!r}: {hint}known ones: {', '.join([*METRICS, MAP_AT])}")
    if task not in metric.tasks:
        fitting = [other for other, entry in METRICS.items() if task in entry.tasks]
        fitting += [MAP_AT] if task in RANKED else []
        grades = "; for grades take task ordinal, whose cut points are fitted inside the folds"
        hint = grades if (name, task) == ("qwk", "regression") else ""
        raise OOFError(f"metric {name} does not fit task {task}; fitting ones: {', '.join(fitting)}{hint}")
    return replace(metric, name=name)


def weigh_by_grades(metric: Metric, grades: Sequence[float]) -> Metric:
    """Return the metric with the numbers of the grades in place of their order, where it is a kappa; else unchanged."""
    if metric.name != "qwk":
        return metric
    return replace(
        metric,
        function=partial(confusion.compute_qwk_of_numbers, grades=tuple(grades)),
        confusion=partial(confusion.derive_qwk, grades=tuple(grades)),
    )


def get_default_metric(task: str) -> Metric:
    """Return the metric used where the config names none: log_loss, qwk for ordinal, rmse for regression."""
    return find_metric(DEFAULTS[task], task)


def _parse_map_at(name: str) -> Metric | None:
    if not name.startswith("map_at"):
        return None
    number = re.fullmatch(r"map_at_([1-9][0-9]*)", name)
    if number is None:
        raise OOFError(f"metric {name!r} must end in a whole number from 1 up, for the k best classes: map_at_3")
    k = int(number[1])
    return Metric(name, partial(functions.compute_map_at, k=k), True, "probabilities", RANKED, answers=k)
