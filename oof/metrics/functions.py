"""Metrics of probabilities, ranks and values, and the derivatives of the smooth ones.

Each takes truth and predictions in the shapes of the package, which tell binary, multiclass and column-wise tasks
apart. They are written out where scikit-learn would warn on rounded rows, need all classes, or take ten to a hundred
times as long inside a search over weights; tests compare each with scikit-learn or SciPy. Derivatives are by each
prediction, (rows, columns); tests compare them with differences.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import rankdata

from oof import OOFError
from oof.types import Array, Mask, Truth

EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn's clip: a wrong certainty costs 36, not infinity


def compute_log_loss(truth: Truth, predictions: Array) -> float:
    """Return the mean negative log probability of the truth; over labels too for multilabel.

    Rows of class probabilities are divided by their sum, so that rounding does not matter.
    """
    return float(-np.log(compute_true_probability(truth, predictions).clip(EPSILON)).mean())


def compute_true_probability(truth: Truth, predictions: Array) -> Array:
    """Return the probability given to the truth: (rows,) of classes, (rows, columns) otherwise."""
    if predictions.shape[1] == 1 or truth.ndim == 2:
        return np.where(truth.reshape(predictions.shape) == 1, predictions, 1 - predictions)
    chosen: Array = predictions[np.arange(len(truth)), truth] / predictions.sum(1)
    return chosen


def compute_roc_auc(truth: Truth, predictions: Array) -> float:
    """Return the area under the ROC curve; the mean over labels or, one class against the rest, over classes.

    A column with one class only is left out. Raises OOFError if all are.
    """
    complaint = "roc_auc needs rows of both kinds in at least one column"
    return _average_columns(_compute_column_auc, truth, predictions, complaint)


def compute_average_precision(truth: Truth, predictions: Array) -> float:
    """Return the average precision, the mean over labels.

    A label without a positive row is left out. Raises OOFError if all are.
    """
    complaint = "average_precision needs a positive row in at least one column"
    return _average_columns(_compute_column_average_precision, truth, predictions, complaint)


def compute_map_at(truth: Truth, predictions: Array, k: int) -> float:
    """Return MAP@k with one right answer: the mean of 1 / rank of the true class, 0 from rank k + 1 on.

    Equal predictions rank in the order of the columns, as in a submission of the k most probable classes made by a
    stable sort. A class with the prediction -inf was not answered, and has no rank.
    """
    of_truth = predictions[np.arange(len(truth)), truth][:, None]
    is_earlier = np.arange(predictions.shape[1]) < truth[:, None]
    rank = 1 + ((predictions > of_truth) | ((predictions == of_truth) & is_earlier)).sum(1)
    return float(np.where((rank <= k) & (of_truth[:, 0] > -np.inf), 1 / rank, 0.0).mean())


def compute_rmse(truth: Truth, predictions: Array) -> float:
    """Return the root of the mean squared error over all entries."""
    return float(np.sqrt(((predictions - truth) ** 2).mean()))


def compute_mcrmse(truth: Truth, predictions: Array) -> float:
    """Return the mean over the targets of each one's RMSE."""
    return float(np.sqrt(((predictions - truth) ** 2).mean(0)).mean())


def compute_mae(truth: Truth, predictions: Array) -> float:
    """Return the mean absolute error over all entries."""
    return float(np.abs(predictions - truth).mean())


def compute_r2(truth: Truth, predictions: Array) -> float:
    """Return the explained share of variance, the mean over targets.

    A constant target counts 1 if all predictions equal it, else 0.
    """
    left = ((predictions - truth) ** 2).sum(0)
    scale = normalise_columns(truth)[1]
    return float(np.where(scale > 0, 1 - left * scale**2, left == 0).mean())


def compute_pearson(truth: Truth, predictions: Array) -> float:
    """Return the Pearson correlation, the mean over targets; a constant column counts 0."""
    return float((normalise_columns(truth)[0] * normalise_columns(predictions)[0]).sum(0).mean())


def compute_spearman(truth: Truth, predictions: Array) -> float:
    """Return the Spearman rank correlation, the mean over targets; a constant column counts 0."""
    return compute_pearson(rankdata(truth, axis=0), rankdata(predictions, axis=0))


def compute_log_loss_gradient(truth: Truth, predictions: Array) -> Array:
    """Return the derivative of `compute_log_loss`."""
    if predictions.shape[1] == 1 or truth.ndim == 2:
        hit = truth.reshape(predictions.shape) == 1
        p = predictions.clip(EPSILON, 1 - EPSILON)
        gradient: Array = np.where(hit, -1 / p, 1 / (1 - p)) / predictions.size
        return gradient
    gradient = np.repeat(1 / predictions.sum(1, keepdims=True), predictions.shape[1], axis=1)
    rows = np.arange(len(predictions))
    gradient[rows, truth] -= 1 / predictions[rows, truth].clip(EPSILON)
    return gradient / len(predictions)


def compute_rmse_gradient(truth: Truth, predictions: Array) -> Array:
    """Return the derivative of `compute_rmse`; zero where the error is zero."""
    error: Array = predictions - truth
    slope: Array = error / (max(float(np.sqrt((error**2).mean())), EPSILON) * error.size)
    return slope


def compute_mcrmse_gradient(truth: Truth, predictions: Array) -> Array:
    """Return the derivative of `compute_mcrmse`; zero where the error is zero."""
    error: Array = predictions - truth
    slope: Array = error / (np.sqrt((error**2).mean(0)).clip(EPSILON) * error.size)
    return slope


def compute_mae_gradient(truth: Truth, predictions: Array) -> Array:
    """Return a subgradient of `compute_mae`; zero where the error is zero."""
    slope: Array = np.sign(predictions - truth) / predictions.size
    return slope


def compute_r2_gradient(truth: Truth, predictions: Array) -> Array:
    """Return the derivative of `compute_r2`; zero for a constant target."""
    gradient: Array = -2 * (predictions - truth) * normalise_columns(truth)[1] ** 2 / truth.shape[1]
    return gradient


def compute_pearson_gradient(truth: Truth, predictions: Array) -> Array:
    """Return the derivative of `compute_pearson`; zero for a constant column."""
    a, _ = normalise_columns(truth)
    b, scale = normalise_columns(predictions)
    gradient: Array = (a - (a * b).sum(0) * b) * scale / truth.shape[1]
    return gradient


def normalise_columns(values: Truth) -> tuple[Array, Array]:
    """Return columns with mean 0 and length 1, and the factors of the columns; both are zero for a constant column."""
    centred = values - values.mean(0)
    length = np.sqrt((centred**2).sum(0))
    flat = (np.ptp(values, axis=0) == 0) | (length == 0)  # the mean of equal numbers may differ from them by rounding
    scale: Array = np.where(flat, 0.0, 1 / np.where(flat, 1.0, length))
    return centred * scale, scale


def iterate_columns(truth: Truth, predictions: Array) -> Iterator[tuple[Mask, Array]]:
    """Yield for each label or class which rows have it, and its predictions, both (rows,)."""
    for column in range(predictions.shape[1]):
        code = 1 if truth.ndim == 2 or predictions.shape[1] == 1 else column
        yield (truth[:, column] if truth.ndim == 2 else truth) == code, predictions[:, column]


def _average_columns(
    function: Callable[[Mask, Array], float | None], truth: Truth, predictions: Array, complaint: str
) -> float:
    scores = [function(hit, p) for hit, p in iterate_columns(truth, predictions)]
    defined = [score for score in scores if score is not None]
    if not defined:
        raise OOFError(f"{complaint}; these {len(truth)} rows have none")
    return float(np.mean(defined))


def _compute_column_auc(hit: Mask, p: Array) -> float | None:
    """Return the share of pairs in the right order (Mann-Whitney), ties half; None with one class only."""
    positives = int(np.count_nonzero(hit))
    negatives = len(p) - positives
    if not positives or not negatives:
        return None
    order = np.argsort(p)
    sorted_hit, values = hit[order], p[order]
    tied = values[1:] == values[:-1]
    if tied.any():
        starts = np.flatnonzero(np.append(True, ~tied))
        group = np.add.reduceat(sorted_hit, starts, dtype=np.int64)
        below = starts - (np.cumsum(group) - group)  # negatives below each group of equal predictions
        wins = float((group * (below + (np.diff(starts, append=len(p)) - group) / 2)).sum())
    else:
        wins = float(np.flatnonzero(sorted_hit).sum() - positives * (positives - 1) / 2)
    return wins / (positives * negatives)


def _compute_column_average_precision(hit: Mask, p: Array) -> float | None:
    """Return the precision at each distinct value, weighted by the recall it adds; None without a positive row."""
    if not hit.any():
        return None
    order = np.argsort(-p)
    values = p[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(p) - 1)
    positives = np.cumsum(hit[order])[last]
    return float((positives / (last + 1) * np.diff(positives, prepend=0)).sum() / positives[-1])
