"""Derivatives of the smooth metrics by each prediction, (rows, columns); the tests hold them against differences."""

import numpy as np

from oof.metrics.functions import EPSILON, Array, Truth, unit


def log_loss(truth: Truth, predictions: Array) -> Array:
    """Derivative of `log_loss` by each prediction, (rows, columns)."""
    size = len(predictions)
    if predictions.shape[1] == 1 or truth.ndim == 2:
        hit = truth.reshape(predictions.shape) == 1
        p = predictions.clip(EPSILON, 1 - EPSILON)
        gradient: Array = np.where(hit, -1 / p, 1 / (1 - p)) / predictions.size
        return gradient
    gradient = np.repeat(1 / predictions.sum(1, keepdims=True), predictions.shape[1], axis=1)
    rows = np.arange(size)
    gradient[rows, truth] -= 1 / predictions[rows, truth].clip(EPSILON)
    return gradient / size


def rmse(truth: Truth, predictions: Array) -> Array:
    """Derivative of `rmse` by each prediction; zero where the error is zero."""
    error: Array = predictions - truth
    slope: Array = error / (max(float(np.sqrt((error**2).mean())), EPSILON) * error.size)
    return slope


def mcrmse(truth: Truth, predictions: Array) -> Array:
    """Derivative of `mcrmse` by each prediction; zero where the error is zero."""
    error: Array = predictions - truth
    slope: Array = error / (np.sqrt((error**2).mean(0)).clip(EPSILON) * error.size)
    return slope


def mae(truth: Truth, predictions: Array) -> Array:
    """Subgradient of `mae` by each prediction; zero where the error is zero."""
    slope: Array = np.sign(predictions - truth) / predictions.size
    return slope


def r2(truth: Truth, predictions: Array) -> Array:
    """Derivative of `r2` by each prediction; zero for a constant target."""
    gradient: Array = -2 * (predictions - truth) * unit(truth)[1] ** 2 / truth.shape[1]
    return gradient


def pearson(truth: Truth, predictions: Array) -> Array:
    """Derivative of `pearson` by each prediction; zero for a constant column."""
    a, (b, scale) = unit(truth)[0], unit(predictions)
    gradient: Array = (a - (a * b).sum(0) * b) * scale / truth.shape[1]
    return gradient
