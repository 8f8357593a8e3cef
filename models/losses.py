"""The loss of each task, and the predictions from the outputs of a head.

A head returns `width` numbers per row. `compute` compares them with the targets, row by row; `predict` turns them into
probabilities or values. Targets have the shape of `truth` everywhere in Poolblend: (rows,) for one answer per row,
(rows, columns) for several.

Ordinal grades use continuation ratios (Fienberg 1980; CORN, Shi, Cao and Raschka 2021): number k is the logit of
"above grade k, given at least k". The product gives K probabilities that sum to one, and the loss is their
likelihood, so no cutpoints have to be kept in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models import ModelError


@dataclass(frozen=True)
class Loss:
    """`width(columns)` outputs per row; `compute(outputs, targets, smoothing, positive)` -> (rows,) losses."""

    width: Callable[[int], int]
    compute: Callable[[Tensor, Tensor, float, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]


def _compute_logistic(outputs: Tensor, targets: Tensor, smoothing: float, positive: Tensor) -> Tensor:
    soft = targets.reshape(outputs.shape).to(outputs.dtype) * (1 - smoothing) + 0.5 * smoothing
    return F.binary_cross_entropy_with_logits(outputs, soft, pos_weight=positive, reduction="none").mean(1)


def _compute_softmax(outputs: Tensor, targets: Tensor, smoothing: float, positive: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, label_smoothing=smoothing, reduction="none")


def _compute_squares(outputs: Tensor, targets: Tensor, smoothing: float, positive: Tensor) -> Tensor:
    return (outputs - targets).square().mean(1)


def _compute_continuation(outputs: Tensor, targets: Tensor, smoothing: float, positive: Tensor) -> Tensor:
    grades = torch.arange(outputs.shape[1], device=outputs.device)
    asked = grades <= targets[:, None]  # only rows that reached grade k answer "above k?"
    above = (grades < targets[:, None]).to(outputs.dtype) * (1 - smoothing) + 0.5 * smoothing
    return (F.binary_cross_entropy_with_logits(outputs, above, reduction="none") * asked).sum(1)


def _predict_grades(outputs: Tensor) -> Tensor:
    return compute_grade_probabilities(outputs.sigmoid())


def compute_grade_probabilities(above: Tensor) -> Tensor:
    """Turn (rows, K - 1) conditional probabilities of rising above each grade into (rows, K) of the grades."""
    one = torch.ones_like(above[:, :1])
    reached = torch.cat([one, above.cumprod(1)], 1)  # P(grade >= k)
    return reached * torch.cat([1 - above, one], 1)


LOSSES: dict[str, Loss] = {
    "binary": Loss(lambda columns: columns, _compute_logistic, torch.sigmoid),
    "multilabel": Loss(lambda columns: columns, _compute_logistic, torch.sigmoid),
    "multiclass": Loss(lambda columns: columns, _compute_softmax, lambda outputs: outputs.softmax(1)),
    "ordinal": Loss(lambda columns: columns - 1, _compute_continuation, _predict_grades),
    "regression": Loss(lambda columns: columns, _compute_squares, lambda outputs: outputs),
}


def compute_row_weights(
    setting: str | Mapping[str, float] | None,
    task: str,
    truth: np.ndarray,
    given: np.ndarray,
    columns: list[str],
    classes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weights in the loss of the training rows of one fold: the `given` ones times those of their classes.

    Returns (rows,) weights, mean one, and (columns,) weights of the positive answer in each column. `class_weights`
    "balanced" gives each class, and the two answers of each label, the same total of row weights. Raises ModelError for
    a regression or an unknown class.
    """
    given = given.astype(np.float64) / given.mean()
    positive = np.ones(len(columns))
    if setting is None:
        return given, positive
    if task == "regression":
        raise ModelError("class_weights has no meaning for a regression; use competition.weight for weights of rows")
    names = columns if task == "multilabel" else classes
    if not isinstance(setting, str) and (unknown := set(setting) - set(names)):
        raise ModelError(f"class_weights names {sorted(unknown)[0]!r}; the classes are {', '.join(names)}")
    if not isinstance(setting, str):
        factors = np.array([setting.get(name, 1.0) for name in names], float)
    if task == "multilabel":
        if isinstance(setting, str):
            yes = given @ truth
            no = given @ (1 - truth)
            factors = np.where((yes == 0) | (no == 0), 1.0, no / np.where(yes == 0, 1.0, yes))
        return given, factors
    if isinstance(setting, str):
        totals = np.bincount(truth, given, minlength=len(names))
        factors = 1 / np.where(totals == 0, 1.0, totals)
    rows = given * factors[truth]
    return rows / rows.mean(), positive
