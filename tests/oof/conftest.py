"""Small drawn competitions: a truth and members that see it through noise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from oof.blends.problem import Problem
from oof.metrics.metric_registry import find_metric

Draw = Callable[..., tuple[Any, Any]]
LevelOne = Callable[..., Problem]


@pytest.fixture
def level_one() -> LevelOne:
    """level_one(truth, P, task, name) -> a problem; its folds are 0, 1, 2, 3, 0, ... unless they are given."""

    def made(truth: Any, P: Any, task: str, name: str = "log_loss", fold: Any = None, component: Any = None) -> Problem:
        folds = np.arange(len(truth)) % 4 if fold is None else fold
        return Problem(P, truth, folds, task, find_metric(name, task), component)

    return made


@pytest.fixture
def draw() -> Draw:
    """draw(task, rows, members, seed) -> truth, P (members, rows, columns); later members are noisier."""

    def drawn(task: str, rows: int = 120, members: int = 3, seed: int = 0) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed)
        columns = {"binary": 1, "multiclass": 4, "ordinal": 4, "multilabel": 3, "regression": 2}[task]
        noise = rng.normal(size=(members, rows, columns)) * np.linspace(0.8, 1.6, members)[:, None, None]
        if task == "regression":
            truth = rng.normal(size=(rows, columns)) * [1, 50]
            return truth, truth + noise * [1, 50]
        if task in ("multiclass", "ordinal"):
            codes = np.concatenate([np.arange(columns), rng.integers(columns, size=rows - columns)])
            return codes, softmax(2 * np.eye(columns)[codes] + noise, axis=2)
        labels = np.concatenate([[[0] * columns, [1] * columns], rng.integers(2, size=(rows - 2, columns))])
        P = expit(2 * labels - 1 + noise)
        return (labels[:, 0] if task == "binary" else labels), P

    return drawn
