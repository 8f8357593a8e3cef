"""Label metrics in two forms: from labels, for a score, and from confusion matrices, for a search over thresholds.

`compute_*` are scikit-learn's. `derive_*` take confusion matrices (..., true, predicted), so that a threshold search
gets thousands of values in one pass; the contract suite compares the two. An undefined metric (one class only) is 0.
"""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, matthews_corrcoef, recall_score

from oof.types import Array, Labels, Truth

LabelMetric = Callable[[Truth, Labels], float]
MatrixMetric = Callable[[Array], Array]  # of confusion matrices (..., true, predicted)


def _average_columns(function: LabelMetric) -> LabelMetric:
    """Return the metric that for multilabel is the mean over columns of a metric of one column."""

    def compute(truth: Truth, labels: Labels) -> float:
        if truth.ndim == 1:
            return float(function(truth, labels))
        return float(np.mean([function(t, column) for t, column in zip(truth.T, labels.T, strict=True)]))

    return compute


def _compute_column_balanced_accuracy(truth: Truth, labels: Labels) -> float:
    # balanced_accuracy_score warns about labels that this fold's truth lacks
    return float(recall_score(truth, labels, labels=np.unique(truth), average="macro", zero_division=0))


def _compute_column_mcc(truth: Truth, labels: Labels) -> float:
    if len(np.union1d(truth, labels)) == 1:  # scikit-learn returns 0 too, after a warning
        return 0.0
    return float(matthews_corrcoef(truth, labels))


def _compute_column_qwk(truth: Truth, labels: Labels) -> float:
    grades = int(max(truth.max(), labels.max())) + 1  # without all grades the distances between them would shrink
    if len(np.union1d(truth, labels)) == 1:
        return 0.0
    return float(cohen_kappa_score(truth, labels, labels=np.arange(grades), weights="quadratic"))


compute_accuracy = _average_columns(accuracy_score)
compute_balanced_accuracy = _average_columns(_compute_column_balanced_accuracy)
compute_f1 = _average_columns(lambda truth, labels: f1_score(truth, labels, zero_division=0))
compute_macro_f1 = _average_columns(lambda truth, labels: f1_score(truth, labels, average="macro", zero_division=0))
compute_mcc = _average_columns(_compute_column_mcc)
compute_qwk = _average_columns(_compute_column_qwk)


def build_confusion_matrix(truth: Truth, labels: Labels, classes: int) -> Array:
    """Return the confusion matrix (classes, classes) of two vectors of codes: rows true, columns predicted."""
    cells = np.bincount(truth.astype(np.int64) * classes + labels, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.float64)


def score_by_confusion(derive: MatrixMetric, truth: Truth, labels: Labels) -> float:
    """Return a label metric by its confusion matrix, many times faster; the mean over columns for multilabel."""
    if truth.ndim == 2:
        columns = zip(truth.T, labels.T, strict=True)
        return float(np.mean([derive(build_confusion_matrix(t, column, 2)) for t, column in columns]))
    classes = max(int(truth.max()), int(labels.max()), 1) + 1
    return float(derive(build_confusion_matrix(truth, labels, classes)))


def derive_accuracy(matrix: Array) -> Array:
    """Return the share of rows on the diagonal."""
    return _divide(_get_diagonal(matrix).sum(-1), matrix.sum((-2, -1)))


def derive_balanced_accuracy(matrix: Array) -> Array:
    """Return the mean recall over the classes that the truth has."""
    true = matrix.sum(-1)
    return _divide(_divide(_get_diagonal(matrix), true).sum(-1), (true > 0).sum(-1).astype(np.float64))


def derive_f1(matrix: Array) -> Array:
    """Return the F1 of class 1 of a two-class matrix."""
    return _derive_class_f1(matrix)[..., 1]


def derive_macro_f1(matrix: Array) -> Array:
    """Return the mean F1 over the classes that truth or labels have."""
    present = (matrix.sum(-1) + matrix.sum(-2)) > 0
    return _divide(_derive_class_f1(matrix).sum(-1), present.sum(-1).astype(np.float64))


def derive_mcc(matrix: Array) -> Array:
    """Return the Matthews correlation for any number of classes (Gorodkin 2004)."""
    total, true, predicted = matrix.sum((-2, -1)), matrix.sum(-1), matrix.sum(-2)
    covariance = _get_diagonal(matrix).sum(-1) * total - (true * predicted).sum(-1)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return _divide(covariance, np.sqrt(spread))


def compute_exact_match(truth: Truth, labels: Labels) -> float:
    """Return the share of rows (rows, labels) whose every label is right."""
    return float((truth == labels).all(axis=1).mean())


def compute_qwk_of_numbers(truth: Truth, labels: Labels, *, grades: Sequence[float]) -> float:
    """Return Cohen's kappa with quadratic weights of the grades' numbers; truth and labels (rows,) are their places."""
    return float(derive_qwk(build_confusion_matrix(truth, labels, len(grades)), grades))


def derive_qwk(matrix: Array, grades: Sequence[float] | None = None) -> Array:
    """Return Cohen's kappa with quadratic weights (Cohen 1968), of the grades' numbers, or for None of their places."""
    values = np.arange(matrix.shape[-1]) if grades is None else np.array(grades[: matrix.shape[-1]])
    distance = (values[:, None] - values) ** 2
    chance = matrix.sum(-1)[..., :, None] * matrix.sum(-2)[..., None, :]
    expected = (distance * chance).sum((-2, -1))
    observed = (distance * matrix).sum((-2, -1)) * matrix.sum((-2, -1))
    return np.where(expected > 0, 1 - _divide(observed, expected), 0.0)


def _derive_class_f1(matrix: Array) -> Array:
    return _divide(2 * _get_diagonal(matrix), matrix.sum(-1) + matrix.sum(-2))


def _get_diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _divide(above: Array, below: Array) -> Array:
    """Return the quotient, 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
