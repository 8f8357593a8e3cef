"""Means of probabilities that are not arithmetic: on the scale of logs, and on that of log-odds.

Both give a sure member more say than the arithmetic mean does. Nothing is fitted, so there is nothing to overfit.
Classes and their complements are treated alike; of two classes the two means are the same.
"""

from typing import Any

import numpy as np
from scipy.special import expit, logit, softmax

from oof.blends.problem import Problem
from oof.metrics.functions import Array

CLIP = 1e-6  # a member's certainty counts as a million to one at most


def fit(problem: Problem) -> dict[str, Any]:
    """{"classes"}: whether rows of predictions sum to one."""
    return {"classes": problem.task in ("multiclass", "ordinal")}


def geometric(numbers: dict[str, Any], P: Array) -> Array:
    """The geometric mean of each class's probabilities, divided by the sum over the classes (rows, columns)."""
    if not numbers["classes"]:
        return log_odds(numbers, P)
    mean: Array = softmax(sum(np.log(member.clip(CLIP)) for member in P) / len(P), axis=1)
    return mean


def log_odds(numbers: dict[str, Any], P: Array) -> Array:
    """The probability at the mean log-odds; of classes, each against the rest, divided by their sum (rows, columns)."""
    mean: Array = expit(sum(logit(member.clip(CLIP, 1 - CLIP)) for member in P) / len(P))
    return mean / mean.sum(1, keepdims=True) if numbers["classes"] else mean
