"""Offsets of classes: how much more or less probable a class must look before it is named.

The most probable class is the best guess for accuracy alone; macro F1, balanced accuracy and MCC pay more for rare
ones. What a threshold is for two classes, an offset of the log probability is for each of many.

What is done to a blend's predictions after it: a temperature for probabilities, the target's range for values,
offsets of classes for labels. Binary and ordinal labels have thresholds instead (`oof.metrics.thresholds`).

Fitted on the rows that chose the weights and kept as numbers, like everything a blend learns.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from oof.metrics.confusion import build_confusion_matrix
from oof.metrics.functions import EPSILON, compute_log_loss
from oof.metrics.metric_registry import Metric
from oof.types import Array, Numbers, Truth

OFFSET_CANDIDATES = 200  # offsets tried for a class in a sweep
SWEEPS = 5
CLIP = 1e-9
TIE = 1e-12
Confusion = Callable[[Array], Array]
HIGHEST_TEMPERATURE = 20.0


def fit_offsets(confusion: Confusion, truth: Truth, predictions: Array) -> list[float]:
    """One offset a class (classes,), by coordinate search from zero; `confusion` is better when larger.

    Each class in turn takes the offset that is best while the others rest, the smallest change where several are.
    """
    scores = np.log(predictions.clip(CLIP))
    classes = scores.shape[1]
    offsets = np.zeros(classes)
    best = float(confusion(build_confusion_matrix(truth, scores.argmax(1), classes)))
    for _ in range(SWEEPS):
        before = best
        for at in range(classes):
            shift, value = _find_best_shift(confusion, truth, scores + offsets, at)
            if value > best + TIE:
                offsets[at] += shift
                best = value
        if best <= before + TIE:
            break
    return [float(one) for one in offsets - offsets.mean()]


def apply_offsets(offsets: list[float], predictions: Array) -> Array:
    """Probabilities (rows, classes) after the offsets; the most probable class is the one to name."""
    moved: Array = softmax(np.log(predictions.clip(CLIP)) + np.array(offsets), axis=1)
    return moved


def _find_best_shift(confusion: Confusion, truth: Truth, scores: Array, at: int) -> tuple[float, float]:
    """The best shift of one class's scores, and the metric there."""
    classes = scores.shape[1]
    others = scores.copy()
    others[:, at] = -np.inf
    rival = others.argmax(1)
    margin = others.max(1) - scores[:, at]  # a row is given to the class by any shift above it
    cuts = np.unique(np.quantile(margin, np.linspace(0, 1, OFFSET_CANDIDATES)))
    shifts = np.concatenate([[cuts[0] - 1], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + 1]])
    place = np.searchsorted(shifts, margin, side="right").clip(max=len(shifts) - 1)  # first shift above the margin
    moved = np.zeros((len(shifts), classes * classes))
    given = margin < shifts[-1]
    np.add.at(moved, (place[given], truth[given] * classes + rival[given]), -1)
    np.add.at(moved, (place[given], truth[given] * classes + at), 1)
    tables = build_confusion_matrix(truth, rival, classes) + np.cumsum(moved, axis=0).reshape(-1, classes, classes)
    values = confusion(tables)
    tied = np.flatnonzero(values >= values.max() - TIE)
    best = tied[np.argmin(np.abs(shifts[tied]))]
    return float(shifts[best]), float(values[best])


def has_finish(metric: Metric, task: str) -> bool:
    """Whether there is a finish for predictions that this metric judges; order does not feel one."""
    return metric.needs in ("probabilities", "values") or (task == "multiclass" and metric.confusion is not None)


def fit_finish(metric: Metric, task: str, truth: Truth, predictions: Array) -> Numbers:
    """{"temperature"} with the least log loss, {"low", "high"} of each target's values, or {"offsets"} of classes."""
    if metric.needs == "values":
        return {"low": truth.min(0).tolist(), "high": truth.max(0).tolist()}
    if metric.confusion is not None:
        return {"offsets": fit_offsets(metric.confusion, truth, predictions)}
    return _fit_temperature(truth, predictions, task in ("multiclass", "ordinal"))


def _fit_temperature(truth: Truth, predictions: Array, classes: bool) -> Numbers:
    """Temperature scaling (Guo et al. 2017).

    One row's worth of the labels counts as mistaken (as in Platt 1999): no finite sample can tell that there is none.
    """
    mistaken = 1 / (len(truth) + 2)

    def loss(log_temperature: float) -> float:
        heated = _apply_temperature(predictions, float(np.exp(log_temperature)), classes)
        sure = heated if classes else np.concatenate([heated, 1 - heated])
        return (1 - mistaken) * compute_log_loss(truth, heated) - mistaken * float(np.log(sure.clip(EPSILON)).mean())

    widest = float(np.log(HIGHEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=(-widest, widest), method="bounded", options={"xatol": 1e-4})
    return {"temperature": float(np.exp(found.x)), "classes": classes}


def apply_finish(finish: Numbers | None, predictions: Array) -> Array:
    """Predictions (rows, columns) after it; None changes nothing."""
    if finish is None:
        return predictions
    if "temperature" in finish:
        return _apply_temperature(predictions, finish["temperature"], finish["classes"])
    if "offsets" in finish:
        return apply_offsets(finish["offsets"], predictions)
    clipped: Array = predictions.clip(finish["low"], finish["high"])
    return clipped


def _apply_temperature(predictions: Array, temperature: float, classes: bool) -> Array:
    """Probabilities drawn together by a temperature above one, apart by one below."""
    heated: Array
    if classes:
        heated = softmax(np.log(predictions.clip(CLIP)) / temperature, axis=1)
    else:
        heated = expit(logit(predictions.clip(CLIP, 1 - CLIP)) / temperature)
    return heated
