"""The linear models of the stackers, fitted in blocks of rows, so that the level-one matrix is never copied.

They are those of scikit-learn (StandardScaler before LogisticRegression, RidgeCV, LinearRegression(positive=True)), and
tests compare their coefficients.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls
from scipy.special import expit

from oof.types import Array, Truth

Blocks = Callable[[], Iterator[tuple[slice, Array]]]  # the slice of rows, and their features (rows, features)
ALPHAS = np.logspace(-2, 5, 15)
MOST_STEPS = 100


@dataclass(frozen=True)
class FeatureScale:
    """Mean and deviation of each feature; the deviation of a constant one is 1."""

    mean: Array
    scale: Array

    def unscale(self, coefficients: Array, intercept: float) -> tuple[Array, float]:
        """Return coefficients and intercept for features that are not scaled."""
        plain: Array = coefficients / self.scale
        return plain, float(intercept - plain @ self.mean)


def fit_logistic(blocks: Blocks, truth: Truth) -> tuple[Array, float]:
    """Return coefficients and intercept of a logistic regression, by Newton's method with a line search.

    The penalty is half the square of the coefficients of the scaled features.
    """
    scale = _measure_scale(blocks, len(truth))
    w = np.zeros(len(scale.mean) + 1)
    loss, gradient, hessian = _evaluate_logistic(blocks, truth, scale, w)
    for _ in range(MOST_STEPS):
        step = cho_solve(cho_factor(hessian), gradient)
        gain = float(step @ gradient)  # twice the gain that the step predicts
        if gain < 1e-10:
            w = w - step
            break
        size = 1.0
        while True:
            trial = w - size * step
            evaluation = _evaluate_logistic(blocks, truth, scale, trial)
            if evaluation[0] <= loss - 1e-4 * size * gain or size < 1e-6:
                break
            size /= 2
        w = trial
        loss, gradient, hessian = evaluation
    return scale.unscale(w[:-1], w[-1])


def fit_ridge(blocks: Blocks, truth: Truth) -> tuple[Array, float]:
    """Return coefficients and intercept of a ridge regression on scaled features.

    Its strength is the one of ALPHAS with the least leave-one-out error (Golub, Heath and Wahba 1979).
    """
    scale = _measure_scale(blocks, len(truth))
    mean = float(truth.mean())
    gram, product = _build_normal_equations(blocks, truth - mean, scale)
    values, vectors = np.linalg.eigh(gram)
    inverse = 1 / (values.clip(0)[:, None] + ALPHAS)  # (features, alphas)
    rotated = inverse * (vectors.T @ product)[:, None]
    errors = np.zeros(len(ALPHAS))
    for rows, features in blocks():
        X = (features - scale.mean) / scale.scale @ vectors
        residual = (truth[rows] - mean)[:, None] - X @ rotated
        errors += ((residual / (1 - 1 / len(truth) - X**2 @ inverse).clip(1e-12)) ** 2).sum(0)
    return scale.unscale(vectors @ rotated[:, int(np.argmin(errors))], mean)


def fit_non_negative(blocks: Blocks, truth: Truth, *, centred: bool) -> tuple[Array, float]:
    """Return coefficients and intercept of non-negative least squares (Breiman 1996); intercept 0 unless `centred`."""
    measured = _measure_scale(blocks, len(truth))
    origin = measured.mean if centred else np.zeros_like(measured.mean)
    mean = float(truth.mean()) if centred else 0.0
    scale = FeatureScale(origin, measured.scale)  # without a scale, members with small values would be lost to rounding
    gram, product = _build_normal_equations(blocks, truth - mean, scale)
    values, vectors = np.linalg.eigh(gram)
    kept = values > values.max() * 1e-12
    if not kept.any():
        return np.zeros_like(origin), mean
    root = np.sqrt(values[kept])
    coefficients, _ = nnls(root[:, None] * vectors[:, kept].T, vectors[:, kept].T @ product / root)
    return scale.unscale(coefficients, mean)


def _measure_scale(blocks: Blocks, rows: int) -> FeatureScale:
    mean = sum(features.sum(0) for _, features in blocks()) / rows
    variance = sum(((features - mean) ** 2).sum(0) for _, features in blocks()) / rows
    scale = np.sqrt(variance)
    return FeatureScale(mean, np.where(scale > 10 * np.finfo(float).eps * np.abs(mean), scale, 1.0))


def _evaluate_logistic(blocks: Blocks, truth: Truth, scale: FeatureScale, w: Array) -> tuple[float, Array, Array]:
    """Return loss, gradient and Hessian at `w`, whose last entry is the intercept and not penalised."""
    penalised = np.append(np.ones(len(w) - 1), 0.0)
    loss = float(w[:-1] @ w[:-1] / 2)
    gradient = w * penalised
    hessian = np.diag(np.append(penalised[:-1], 1e-12))
    for rows, features in blocks():
        X = np.column_stack([(features - scale.mean) / scale.scale, np.ones(len(features))])
        linear = X @ w
        hit = truth[rows]
        p = expit(linear)
        loss += float((np.logaddexp(0, linear) - hit * linear).sum())
        gradient = gradient + X.T @ (p - hit)
        hessian = hessian + (X * (p * (1 - p))[:, None]).T @ X
    return loss, gradient, hessian


def _build_normal_equations(blocks: Blocks, truth: Array, scale: FeatureScale) -> tuple[Array, Array]:
    size = len(scale.mean)
    gram, product = np.zeros((size, size)), np.zeros(size)
    for rows, features in blocks():
        X = (features - scale.mean) / scale.scale
        gram += X.T @ X
        product += X.T @ truth[rows]
    return gram, product
