"""The linear models under the stackers, fitted in blocks of rows, so that no copy of the level-one matrix is made.

They are those of scikit-learn (StandardScaler before LogisticRegression, RidgeCV, LinearRegression(positive=True)),
and the tests hold their coefficients against it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls
from scipy.special import expit

from oof.types import Array, Truth

Blocks = Callable[[], Iterator[tuple[slice, Array]]]  # where a block of rows lies, and its features (rows, features)
ALPHAS = np.logspace(-2, 5, 15)
MOST_STEPS = 100


@dataclass(frozen=True)
class FeatureScale:
    """Mean and deviation of each feature; a constant one is left as it is."""

    mean: Array
    scale: Array

    def unscaled(self, coefficients: Array, intercept: float) -> tuple[Array, float]:
        """Coefficients and intercept for the features themselves."""
        plain: Array = coefficients / self.scale
        return plain, float(intercept - plain @ self.mean)


def fit_logistic(blocks: Blocks, truth: Truth) -> tuple[Array, float]:
    """Coefficients and intercept of a logistic regression on scaled features, with a penalty of half their square."""
    scaled = _measure_scale(blocks, len(truth))
    w = np.zeros(len(scaled.mean) + 1)
    loss, gradient, hessian = _evaluate_logistic(blocks, truth, scaled, w)
    for _ in range(MOST_STEPS):
        step = cho_solve(cho_factor(hessian), gradient)
        gain = float(step @ gradient)  # twice what the step should win
        if gain < 1e-10:
            w = w - step
            break
        size = 1.0
        while True:
            trial = w - size * step
            found = _evaluate_logistic(blocks, truth, scaled, trial)
            if found[0] <= loss - 1e-4 * size * gain or size < 1e-6:
                break
            size /= 2
        w, (loss, gradient, hessian) = trial, found
    return scaled.unscaled(w[:-1], w[-1])


def _evaluate_logistic(blocks: Blocks, truth: Truth, scaled: FeatureScale, w: Array) -> tuple[float, Array, Array]:
    """Loss, gradient and Hessian at `w`, the intercept last and not penalised."""
    penalised = np.append(np.ones(len(w) - 1), 0.0)
    loss, gradient, hessian = float(w[:-1] @ w[:-1] / 2), w * penalised, np.diag(np.append(penalised[:-1], 1e-12))
    for rows, features in blocks():
        X = np.column_stack([(features - scaled.mean) / scaled.scale, np.ones(len(features))])
        linear, hit = X @ w, truth[rows]
        p = expit(linear)
        loss += float((np.logaddexp(0, linear) - hit * linear).sum())
        gradient = gradient + X.T @ (p - hit)
        hessian = hessian + (X * (p * (1 - p))[:, None]).T @ X
    return loss, gradient, hessian


def fit_ridge(blocks: Blocks, truth: Truth) -> tuple[Array, float]:
    """Ridge on scaled features, its strength by the leave-one-out error (Golub, Heath and Wahba 1979)."""
    scaled, mean = _measure_scale(blocks, len(truth)), float(truth.mean())
    gram, product = _build_normal_equations(blocks, truth - mean, scaled)
    values, vectors = np.linalg.eigh(gram)
    inverse = 1 / (values.clip(0)[:, None] + ALPHAS)  # (features, alphas)
    turned = inverse * (vectors.T @ product)[:, None]
    errors = np.zeros(len(ALPHAS))
    for rows, features in blocks():
        X = (features - scaled.mean) / scaled.scale @ vectors
        residual = (truth[rows] - mean)[:, None] - X @ turned
        errors += ((residual / (1 - 1 / len(truth) - X**2 @ inverse).clip(1e-12)) ** 2).sum(0)
    return scaled.unscaled(vectors @ turned[:, int(np.argmin(errors))], mean)


def fit_non_negative(blocks: Blocks, truth: Truth, *, centred: bool) -> tuple[Array, float]:
    """Non-negative least squares (Breiman 1996), with an intercept if `centred`."""
    found = _measure_scale(blocks, len(truth))
    origin = found.mean if centred else np.zeros_like(found.mean)
    mean = float(truth.mean()) if centred else 0.0
    plain = FeatureScale(
        origin, found.scale
    )  # of members that differ in scale the small ones would be lost to rounding
    gram, product = _build_normal_equations(blocks, truth - mean, plain)
    values, vectors = np.linalg.eigh(gram)
    kept = values > values.max() * 1e-12
    if not kept.any():
        return np.zeros_like(origin), mean
    root = np.sqrt(values[kept])
    coefficients, _ = nnls(root[:, None] * vectors[:, kept].T, vectors[:, kept].T @ product / root)
    return plain.unscaled(coefficients, mean)


def _measure_scale(blocks: Blocks, rows: int) -> FeatureScale:
    mean = sum(features.sum(0) for _, features in blocks()) / rows
    variance = sum(((features - mean) ** 2).sum(0) for _, features in blocks()) / rows
    scale = np.sqrt(variance)
    return FeatureScale(mean, np.where(scale > 10 * np.finfo(float).eps * np.abs(mean), scale, 1.0))


def _build_normal_equations(blocks: Blocks, truth: Array, scaled: FeatureScale) -> tuple[Array, Array]:
    size = len(scaled.mean)
    gram, product = np.zeros((size, size)), np.zeros(size)
    for rows, features in blocks():
        X = (features - scaled.mean) / scaled.scale
        gram += X.T @ X
        product += X.T @ truth[rows]
    return gram, product
