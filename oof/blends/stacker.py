"""Stackers: a linear model on top of the members (Wolpert 1992); only its coefficients are kept.

`fit_stacker`: binary and each label by logistic regression on the members' logits of that column; multiclass and
ordinal by a multinomial one on the members' log probabilities, centred over the classes, without the last class
because it is minus the sum of the others; regression by ridge on the members' values of that target. `fit_nnls`:
non-negative least squares (Breiman 1996), one weight a member for probabilities, one a member and target for values.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from oof.blends import weights
from oof.blends.linear_models import Blocks, fit_logistic, fit_non_negative, fit_ridge
from oof.blends.problem import Problem
from oof.blends.search import normalise_weights
from oof.types import Array, Numbers, Truth

CLIP = 1e-6  # the highest certainty of a member counts as a million to one


def fit_stacker(problem: Problem) -> Numbers:
    """Return link, coefficients and intercepts of the level-two model; it has its own loss, not the metric."""
    if problem.task in ("multiclass", "ordinal"):
        return _fit_multinomial(problem.take_predictions(), problem.truth)
    truth = problem.truth.reshape(len(problem), -1)
    models = [_fit_column(problem, column, truth[:, column]) for column in range(truth.shape[1])]
    return {
        "link": "identity" if problem.task == "regression" else "logit",
        "coefficients": [coefficients.tolist() for coefficients, _ in models],
        "intercepts": [float(intercept) for _, intercept in models],
    }


def fit_nnls(problem: Problem) -> Numbers:
    """Fit non-negative least squares; of probabilities return {"weights"}, which are divided by their sum."""
    columns = problem.P.shape[2]
    if problem.task == "regression":
        models = [
            fit_non_negative(_make_features(problem, column), problem.truth[:, column], centred=True)
            for column in range(columns)
        ]
        return {
            "link": "identity",
            "coefficients": [coefficients.tolist() for coefficients, _ in models],
            "intercepts": [intercept for _, intercept in models],
        }
    truth = np.eye(columns)[problem.truth] if problem.task in ("multiclass", "ordinal") else problem.truth

    def iterate_entries() -> Iterator[tuple[slice, Array]]:
        for rows, P in problem.iterate_blocks():
            yield slice(rows.start * columns, rows.stop * columns), P.reshape(len(P), -1).T

    coefficients, _ = fit_non_negative(iterate_entries, truth.reshape(-1).astype(np.float64), centred=False)
    if not coefficients.any():
        return weights.fit_equal(problem)
    return {"weights": normalise_weights(coefficients).tolist()}


def apply_stacker(numbers: Numbers, P: Array) -> Array:
    """Return predictions (rows, columns) of the level-two model."""
    if "weights" in numbers:
        return weights.apply_weights(numbers, P)
    coefficients, intercepts = np.array(numbers["coefficients"]), np.array(numbers["intercepts"])
    if numbers["link"] == "softmax":
        return _apply_multinomial(coefficients, intercepts, numbers["classes"], P)
    is_plain = numbers["link"] == "identity"
    linear: Array = np.tile(intercepts, (P.shape[1], 1))
    for by_column, member in zip(coefficients.T, P, strict=True):  # the logits of all members at once would be a copy
        linear += by_column * (member if is_plain else _compute_logits(member))
    return linear if is_plain else expit(linear)


def compute_response(numbers: Numbers, members: int) -> float:
    """Return how much predictions rise, on the model's own scale, where every member rises by one, averaged by column.

    It is about one for a sound model. Far below zero, the model reverses the members.
    """
    coefficients = np.array(numbers["coefficients"])
    if numbers["link"] != "softmax":
        return float(coefficients.sum(1).mean())
    size = coefficients.shape[1] // members + 1  # classes, the last of which has no feature
    per_class = coefficients.reshape(len(coefficients), members, size - 1).sum(1)
    per_class = np.column_stack([per_class, np.zeros(len(per_class))])
    centred = per_class - per_class.mean(1, keepdims=True)  # a class that rises lowers the centred logs of the others
    own = centred[np.arange(len(centred)), numbers["classes"]] - centred[:, numbers["classes"]].mean(0)
    return float(own.mean() / (1 - 1 / size))


def _fit_column(problem: Problem, column: int, truth: Truth) -> tuple[Array, float]:
    features = _make_features(problem, column)
    if problem.task == "regression":
        return fit_ridge(features, truth)
    if len(np.unique(truth)) == 1:  # nothing to learn from: the mean logit
        return np.full(problem.member_count, 1 / problem.member_count), 0.0
    return fit_logistic(features, truth)


def _make_features(problem: Problem, column: int) -> Blocks:
    """Return a function that yields blocks of the features (rows, members) of one column."""

    def iterate_blocks() -> Iterator[tuple[slice, Array]]:
        for rows, P in problem.iterate_column_blocks(column):
            yield rows, (P if problem.task == "regression" else _compute_logits(P)).T

    return iterate_blocks


def _compute_logits(P: Array) -> Array:
    logits: Array = logit(P.clip(CLIP, 1 - CLIP))
    return logits


def _fit_multinomial(P: Array, truth: Truth) -> Numbers:
    """Return a row of coefficients for each class that the truth has."""
    X = _compute_class_features(P)
    classes = np.unique(truth)
    coefficients, intercepts = np.zeros((len(classes), X.shape[1])), np.zeros(len(classes))
    if len(classes) > 1:
        scaler = StandardScaler().fit(X)
        model = LogisticRegression(max_iter=5000).fit(scaler.transform(X), truth)
        rows = slice(-1, None) if len(classes) == 2 else slice(None)  # of two classes only the second has a row
        coefficients[rows] = model.coef_ / scaler.scale_
        intercepts[rows] = model.intercept_ - coefficients[rows] @ scaler.mean_
    return {
        "link": "softmax",
        "classes": classes.tolist(),
        "coefficients": coefficients.tolist(),
        "intercepts": intercepts.tolist(),
    }


def _apply_multinomial(coefficients: Array, intercepts: Array, classes: list[int], P: Array) -> Array:
    """Return probabilities; a class that the fit's truth lacked keeps the members' mean, the others share the rest."""
    predictions: Array = P.mean(0)
    predictions = predictions / predictions.sum(1, keepdims=True)
    rest = predictions[:, classes].sum(1, keepdims=True)
    predictions[:, classes] = rest * softmax(_compute_class_features(P) @ coefficients.T + intercepts, axis=1)
    return predictions


def _compute_class_features(P: Array) -> Array:
    """Return centred log probabilities without the last class, (rows, members x (classes - 1))."""
    logs = np.log(P.clip(CLIP))
    centred: Array = (logs - logs.mean(2, keepdims=True))[..., :-1]
    return centred.transpose(1, 0, 2).reshape(P.shape[1], -1)
