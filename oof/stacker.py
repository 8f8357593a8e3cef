"""A linear model on top of the members (Wolpert 1992), by scikit-learn; only its coefficients are kept.

Binary and each label: logistic regression on the members' logits of that column. Multiclass and ordinal: multinomial
on the members' log probabilities, centred over the classes, the last class left out because it is minus the sum of the
others. Regression: ridge on the members' values of that target, its strength by generalised cross-validation.
Features are standardised for the fit, and the scale is folded into the coefficients.
"""

from typing import Any

import numpy as np
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.preprocessing import StandardScaler

from oof.measures import Array, Truth
from oof.metrics import Metric

CLIP = 1e-6  # a member's certainty counts as a million to one at most
ALPHAS = np.logspace(-2, 5, 15)


def fit(P: Array, truth: Truth, task: str, metric: Metric) -> dict[str, Any]:
    """Coefficients and intercepts of the level-two model; the metric does not matter, its loss is its own."""
    if task in ("multiclass", "ordinal"):
        return _multinomial(P, truth)
    columns = truth.reshape(P.shape[1:])
    one = _ridge if task == "regression" else _logistic
    fitted = [one(_features(P[..., at], task), columns[:, at]) for at in range(P.shape[2])]
    return {
        "link": "identity" if task == "regression" else "logit",
        "coefficients": [coefficients.tolist() for coefficients, _ in fitted],
        "intercepts": [float(intercept) for _, intercept in fitted],
    }


def apply(numbers: dict[str, Any], P: Array) -> Array:
    """Predictions (rows, columns) of the level-two model."""
    coefficients, intercepts = np.array(numbers["coefficients"]), np.array(numbers["intercepts"])
    if numbers["link"] == "softmax":
        return _softmax(coefficients, intercepts, numbers["classes"], P)
    task = "regression" if numbers["link"] == "identity" else "binary"
    linear: Array = (
        np.stack([_features(P[..., at], task) @ c for at, c in enumerate(coefficients)], axis=1) + intercepts
    )
    return linear if task == "regression" else expit(linear)


def _features(P: Array, task: str) -> Array:
    """One column of every member, (rows, members), as the level-two model sees it."""
    seen: Array = P.T if task == "regression" else logit(P.T.clip(CLIP, 1 - CLIP))
    return seen


def _class_features(P: Array) -> Array:
    """Centred log probabilities without the last class, (rows, members x (classes - 1))."""
    logs = np.log(P.clip(CLIP))
    centred: Array = (logs - logs.mean(2, keepdims=True))[..., :-1]
    return centred.transpose(1, 0, 2).reshape(P.shape[1], -1)


def _ridge(X: Array, truth: Array) -> tuple[Array, float]:
    scaler = StandardScaler().fit(X)
    model = RidgeCV(alphas=ALPHAS).fit(scaler.transform(X), truth)
    coefficients: Array = model.coef_ / scaler.scale_
    return coefficients, float(model.intercept_ - coefficients @ scaler.mean_)


def _logistic(X: Array, truth: Truth) -> tuple[Array, float]:
    if len(np.unique(truth)) == 1:  # nothing to learn from: the mean logit
        return np.full(X.shape[1], 1 / X.shape[1]), 0.0
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(solver="newton-cholesky", max_iter=200).fit(scaler.transform(X), truth)
    coefficients: Array = model.coef_[0] / scaler.scale_
    return coefficients, float(model.intercept_[0] - coefficients @ scaler.mean_)


def _multinomial(P: Array, truth: Truth) -> dict[str, Any]:
    """One row of coefficients for each class that the truth has."""
    X = _class_features(P)
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


def _softmax(coefficients: Array, intercepts: Array, classes: list[int], P: Array) -> Array:
    """Probabilities; a class that the fit's truth lacked keeps the members' mean, the others share the rest."""
    predictions: Array = P.mean(0)
    predictions = predictions / predictions.sum(1, keepdims=True)
    rest = predictions[:, classes].sum(1, keepdims=True)
    predictions[:, classes] = rest * softmax(_class_features(P) @ coefficients.T + intercepts, axis=1)
    return predictions
