"""Offsets of classes: how much more or less probable a class must look before it is named.

The most probable class is the best guess for accuracy alone; macro F1, balanced accuracy and MCC pay more for rare
ones. What a threshold is for two classes, an offset of the log probability is for each of many.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from oof.metrics.confusion import counts
from oof.metrics.functions import Array, Truth

CANDIDATES = 200  # offsets tried for a class in a sweep
SWEEPS = 5
CLIP = 1e-9
TIE = 1e-12

Confusion = Callable[[Array], Array]


def fit_offsets(confusion: Confusion, truth: Truth, predictions: Array) -> list[float]:
    """One offset a class (classes,), by coordinate search from zero; `confusion` is better when larger.

    Each class in turn takes the offset that is best while the others rest, the smallest change where several are.
    """
    scores = np.log(predictions.clip(CLIP))
    classes = scores.shape[1]
    offsets = np.zeros(classes)
    best = float(confusion(counts(truth, scores.argmax(1), classes)))
    for _ in range(SWEEPS):
        before = best
        for at in range(classes):
            shift, value = _best_shift(confusion, truth, scores + offsets, at)
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


def _best_shift(confusion: Confusion, truth: Truth, scores: Array, at: int) -> tuple[float, float]:
    """The best shift of one class's scores, and the metric there."""
    classes = scores.shape[1]
    others = scores.copy()
    others[:, at] = -np.inf
    rival = others.argmax(1)
    margin = others.max(1) - scores[:, at]  # a row is given to the class by any shift above it
    cuts = np.unique(np.quantile(margin, np.linspace(0, 1, CANDIDATES)))
    shifts = np.concatenate([[cuts[0] - 1], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + 1]])
    place = np.searchsorted(shifts, margin, side="right").clip(max=len(shifts) - 1)  # first shift above the margin
    moved = np.zeros((len(shifts), classes * classes))
    given = margin < shifts[-1]
    np.add.at(moved, (place[given], truth[given] * classes + rival[given]), -1)
    np.add.at(moved, (place[given], truth[given] * classes + at), 1)
    tables = counts(truth, rival, classes) + np.cumsum(moved, axis=0).reshape(-1, classes, classes)
    values = confusion(tables)
    tied = np.flatnonzero(values >= values.max() - TIE)
    best = tied[np.argmin(np.abs(shifts[tied]))]
    return float(shifts[best]), float(values[best])
