"""Finishes: a calibration of a blend's predictions, fitted on the rows that chose the blend and kept as numbers.

Probabilities get a temperature, values are clipped to the range of the target, and for label metrics of several
classes each class gets an offset of its log probability: the most probable class is the best guess for accuracy alone;
macro F1, balanced accuracy and MCC gain more from rare ones. Binary and ordinal labels have thresholds instead
(`oof.metrics.thresholds`).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from oof.metrics.confusion import MatrixMetric, build_confusion_matrix
from oof.metrics.functions import EPSILON, compute_log_loss
from oof.metrics.metric_registry import Metric
from oof.types import Array, Numbers, Truth

HIGHEST_TEMPERATURE = 20.0
OFFSET_CANDIDATES = 200  # offsets tried for a class in a sweep
SWEEPS = 5
CLIP = 1e-9
TIE = 1e-12


def has_finish(metric: Metric, task: str) -> bool:
    """Return True if a finish can change this metric; a metric of order alone ignores one."""
    return metric.needs in ("probabilities", "values") or (task == "multiclass" and metric.confusion is not None)


def fit_finish(metric: Metric, task: str, truth: Truth, predictions: Array) -> Numbers:
    """Return {"temperature", "classes"}, {"low", "high"} of each target's values, or {"offsets"} of classes."""
    if metric.needs == "values":
        return {"low": truth.min(0).tolist(), "high": truth.max(0).tolist()}
    if metric.confusion is not None:
        return {"offsets": fit_offsets(metric.confusion, truth, predictions)}
    return _fit_temperature(truth, predictions, task in ("multiclass", "ordinal"))


def apply_finish(finish: Numbers | None, predictions: Array) -> Array:
    """Return predictions (rows, columns) after the finish; None changes nothing."""
    if finish is None:
        return predictions
    if "temperature" in finish:
        return _apply_temperature(predictions, finish["temperature"], finish["classes"])
    if "offsets" in finish:
        return apply_offsets(finish["offsets"], predictions)
    clipped: Array = predictions.clip(finish["low"], finish["high"])
    return clipped


def fit_offsets(confusion: MatrixMetric, truth: Truth, predictions: Array) -> list[float]:
    """Return one offset per class, by coordinate search from zero; `confusion` is better when larger.

    Each class in turn takes the offset that is best while the others stay, the smallest change if several are.
    """
    scores = np.log(predictions.clip(CLIP))
    classes = scores.shape[1]
    offsets = np.zeros(classes)
    best = float(confusion(build_confusion_matrix(truth, scores.argmax(1), classes)))
    for _ in range(SWEEPS):
        before = best
        for code in range(classes):
            shift, value = _find_best_shift(confusion, truth, scores + offsets, code)
            if value > best + TIE:
                offsets[code] += shift
                best = value
        if best <= before + TIE:
            break
    return [float(offset) for offset in offsets - offsets.mean()]


def apply_offsets(offsets: list[float], predictions: Array) -> Array:
    """Return probabilities (rows, classes) after the offsets; labels are the most probable classes."""
    shifted: Array = softmax(np.log(predictions.clip(CLIP)) + np.array(offsets), axis=1)
    return shifted


def _find_best_shift(confusion: MatrixMetric, truth: Truth, scores: Array, code: int) -> tuple[float, float]:
    """Return the best shift of the scores of one class, and the metric there."""
    classes = scores.shape[1]
    others = scores.copy()
    others[:, code] = -np.inf
    rival = others.argmax(1)
    margin = others.max(1) - scores[:, code]  # any shift above it gives the row to the class
    cuts = np.unique(np.quantile(margin, np.linspace(0, 1, OFFSET_CANDIDATES)))
    shifts = np.concatenate([[cuts[0] - 1], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + 1]])
    first_above = np.searchsorted(shifts, margin, side="right").clip(max=len(shifts) - 1)
    changes = np.zeros((len(shifts), classes * classes))
    is_given = margin < shifts[-1]
    np.add.at(changes, (first_above[is_given], truth[is_given] * classes + rival[is_given]), -1)
    np.add.at(changes, (first_above[is_given], truth[is_given] * classes + code), 1)
    at_start = build_confusion_matrix(truth, rival, classes)
    values = confusion(at_start + np.cumsum(changes, axis=0).reshape(-1, classes, classes))
    tied = np.flatnonzero(values >= values.max() - TIE)
    best = tied[np.argmin(np.abs(shifts[tied]))]
    return float(shifts[best]), float(values[best])


def _fit_temperature(truth: Truth, predictions: Array, classes: bool) -> Numbers:
    """Find the temperature with the least log loss (Guo et al. 2017).

    One row's worth of the labels counts as mistaken (as in Platt 1999), because no finite sample can exclude a mistake.
    """
    mistaken = 1 / (len(truth) + 2)

    def compute_loss(log_temperature: float) -> float:
        scaled = _apply_temperature(predictions, float(np.exp(log_temperature)), classes)
        by_outcome = scaled if classes else np.concatenate([scaled, 1 - scaled])
        of_mistakes = float(np.log(by_outcome.clip(EPSILON)).mean())
        return (1 - mistaken) * compute_log_loss(truth, scaled) - mistaken * of_mistakes

    bound = float(np.log(HIGHEST_TEMPERATURE))
    result = minimize_scalar(compute_loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4})
    return {"temperature": float(np.exp(result.x)), "classes": classes}


def _apply_temperature(predictions: Array, temperature: float, classes: bool) -> Array:
    """Return probabilities less certain for a temperature above one, more certain below one."""
    scaled: Array
    if classes:
        scaled = softmax(np.log(predictions.clip(CLIP)) / temperature, axis=1)
    else:
        scaled = expit(logit(predictions.clip(CLIP, 1 - CLIP)) / temperature)
    return scaled
