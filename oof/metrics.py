"""The table of metrics: a name, a function, its direction, what it needs, the tasks it fits.

The functions are scikit-learn's and SciPy's or held against them. A label metric takes labels that `oof.decide` made
of the predictions; every other metric takes the predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from oof import OOFError, confusion, measures

Array = npt.NDArray[np.float64]
Truth = npt.NDArray[Any]
Task = Literal["binary", "multiclass", "multilabel", "regression", "ordinal"]

CLASSES = frozenset({"binary", "multiclass", "multilabel", "ordinal"})
VALUES = frozenset({"regression"})


@dataclass(frozen=True)
class Metric:
    """One way to judge predictions.

    `function(truth, predictions)` gives the value; for a metric that needs labels, `predictions` are labels shaped as
    the truth. `gradient(truth, predictions)` is its derivative by each prediction, for the smooth ones;
    `confusion(matrices)` gives a label metric for confusion matrices (..., true, predicted), for threshold searches.
    """

    name: str
    function: Callable[[Truth, Any], float]
    higher_is_better: bool
    needs: Literal["probabilities", "labels", "ranks", "values"]
    tasks: frozenset[str]
    gradient: Callable[[Truth, Array], Array] | None = None
    confusion: Callable[[Array], Array] | None = None

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1: `sign * value` is always better when larger."""
        return 1 if self.higher_is_better else -1


METRICS: dict[str, Metric] = {
    "log_loss": Metric(
        "log_loss", measures.log_loss, False, "probabilities", CLASSES, gradient=measures.log_loss_gradient
    ),
    "roc_auc": Metric("roc_auc", measures.roc_auc, True, "ranks", CLASSES),
    "average_precision": Metric(
        "average_precision", measures.average_precision, True, "ranks", frozenset({"binary", "multilabel"})
    ),
    "accuracy": Metric("accuracy", confusion.accuracy, True, "labels", CLASSES, confusion=confusion.accuracy_of),
    "balanced_accuracy": Metric(
        "balanced_accuracy",
        confusion.balanced_accuracy,
        True,
        "labels",
        CLASSES,
        confusion=confusion.balanced_accuracy_of,
    ),
    "f1": Metric("f1", confusion.f1, True, "labels", CLASSES, confusion=confusion.f1_of),
    "macro_f1": Metric("macro_f1", confusion.macro_f1, True, "labels", CLASSES, confusion=confusion.macro_f1_of),
    "mcc": Metric("mcc", confusion.mcc, True, "labels", CLASSES, confusion=confusion.mcc_of),
    "qwk": Metric("qwk", confusion.qwk, True, "labels", frozenset({"ordinal"}), confusion=confusion.qwk_of),
    "rmse": Metric("rmse", measures.rmse, False, "values", VALUES, gradient=measures.rmse_gradient),
    "mcrmse": Metric("mcrmse", measures.mcrmse, False, "values", VALUES, gradient=measures.mcrmse_gradient),
    "mae": Metric("mae", measures.mae, False, "values", VALUES),
    "r2": Metric("r2", measures.r2, True, "values", VALUES, gradient=measures.r2_gradient),
    "pearson": Metric("pearson", measures.pearson, True, "values", VALUES),
    "spearman": Metric("spearman", measures.spearman, True, "ranks", VALUES),
}

# F1 of many classes is the mean over them; of many labels, the mean of each one's F1 of the positive class
MEANS = {("f1", "multiclass"): "macro_f1", ("f1", "ordinal"): "macro_f1", ("macro_f1", "multilabel"): "f1"}

DEFAULTS = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "multilabel": "log_loss",
    "ordinal": "qwk",
    "regression": "rmse",
}


def metric(name: str, task: str) -> Metric:
    """The metric of that name as the task reads it.

    Raises OOFError for an unknown name (with the nearest known one) and for a metric that does not fit the task.
    """
    if name not in METRICS:
        near = get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OOFError(f"unknown metric {name!r}: {hint}known ones: {', '.join(METRICS)}")
    if task not in METRICS[name].tasks:
        fitting = ", ".join(known for known, entry in METRICS.items() if task in entry.tasks)
        raise OOFError(f"metric {name} does not fit task {task}; fitting ones: {fitting}")
    return replace(METRICS[MEANS.get((name, task), name)], name=name)


def default_metric(task: str) -> Metric:
    """The metric used where the config names none: log_loss, qwk for ordinal, rmse for regression."""
    return metric(DEFAULTS[task], task)
