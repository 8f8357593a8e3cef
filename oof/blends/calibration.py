"""What is done to a blend's predictions after it: a temperature for probabilities, the target's range for values,
offsets of classes for labels. Binary and ordinal labels have thresholds instead (`oof.metrics.thresholds`).

Fitted on the rows that chose the weights and kept as numbers, like everything a blend learns.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from oof.metrics.functions import EPSILON, Array, Truth, log_loss
from oof.metrics.metric_registry import Metric
from oof.offsets import apply_offsets, fit_offsets

CLIP = 1e-9
HOTTEST = 20.0

Finish = dict[str, Any]


def finishes(metric: Metric, task: str) -> bool:
    """Whether there is a finish for predictions that this metric judges; order does not feel one."""
    return metric.needs in ("probabilities", "values") or (task == "multiclass" and metric.confusion is not None)


def fit_finish(metric: Metric, task: str, truth: Truth, predictions: Array) -> Finish:
    """{"temperature"} with the least log loss, {"low", "high"} of each target's values, or {"offsets"} of classes."""
    if metric.needs == "values":
        return {"low": truth.min(0).tolist(), "high": truth.max(0).tolist()}
    if metric.confusion is not None:
        return {"offsets": fit_offsets(metric.confusion, truth, predictions)}
    return _temperature(truth, predictions, task in ("multiclass", "ordinal"))


def _temperature(truth: Truth, predictions: Array, classes: bool) -> Finish:
    """Temperature scaling (Guo et al. 2017).

    One row's worth of the labels counts as mistaken (as in Platt 1999): no finite sample can tell that there is none.
    """
    mistaken = 1 / (len(truth) + 2)

    def loss(log_temperature: float) -> float:
        heated = _heated(predictions, float(np.exp(log_temperature)), classes)
        sure = heated if classes else np.concatenate([heated, 1 - heated])
        return (1 - mistaken) * log_loss(truth, heated) - mistaken * float(np.log(sure.clip(EPSILON)).mean())

    widest = float(np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=(-widest, widest), method="bounded", options={"xatol": 1e-4})
    return {"temperature": float(np.exp(found.x)), "classes": classes}


def apply_finish(finish: Finish | None, predictions: Array) -> Array:
    """Predictions (rows, columns) after it; None changes nothing."""
    if finish is None:
        return predictions
    if "temperature" in finish:
        return _heated(predictions, finish["temperature"], finish["classes"])
    if "offsets" in finish:
        return apply_offsets(finish["offsets"], predictions)
    clipped: Array = predictions.clip(finish["low"], finish["high"])
    return clipped


def _heated(predictions: Array, temperature: float, classes: bool) -> Array:
    """Probabilities drawn together by a temperature above one, apart by one below."""
    heated: Array
    if classes:
        heated = softmax(np.log(predictions.clip(CLIP)) / temperature, axis=1)
    else:
        heated = expit(logit(predictions.clip(CLIP, 1 - CLIP)) / temperature)
    return heated
