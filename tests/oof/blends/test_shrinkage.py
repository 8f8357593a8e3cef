"""Weights are shrunk to equal ones by the cross-fitted strength; each column has simplex weights of its own."""

import numpy as np
import pytest
from scipy.special import expit

from oof.blends.blend_registry import find_blend
from oof.blends.problem import Problem
from oof.blends.search import make_objective
from oof.blends.weights import STRENGTHS, apply_column_weights, fit_column_simplex, fit_shrunk, fit_simplex
from oof.metrics.metric_registry import METRICS, find_metric
from oof.selection.scores import predict_cross_fitted


def alike(level_one, seed, members=6, rows=200):
    """Members that differ by noise alone."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(rows, 1))
    return level_one(truth, truth + rng.normal(size=(members, rows, 1)), "regression", "rmse")


def test_members_that_differ_by_noise_alone_are_shrunk_to_equal_weights(level_one):
    strengths = [fit_shrunk(alike(level_one, seed))["strength"] for seed in range(12)]
    assert np.median(strengths) >= 0.7
    assert np.mean(strengths) > 0.6


def test_one_good_member_among_garbage_keeps_its_weight(level_one):
    """Garbage off the scale: on it, it would be of use, as shrinkage of the good one."""
    for seed in range(4):
        problem = alike(level_one, seed)
        problem.P[1:] = np.random.default_rng(seed).normal(size=problem.P[1:].shape) * 3 + 20
        found = fit_shrunk(problem)
        assert found["strength"] <= 0.05
        assert found["weights"][0] > 0.85


@pytest.mark.parametrize(("task", "name"), [("binary", "roc_auc"), ("ordinal", "qwk"), ("regression", "rmse")])
def test_the_strength_is_the_best_of_a_slow_cross_fitted_loop(draw, level_one, task, name):
    truth, P = draw(task, rows=80)
    problem = level_one(truth, P, task, name)
    fold, value = problem.fold, make_objective(problem)
    weights = []
    for one in range(4):
        rest = fold != one
        alone = Problem(P[:, rest].copy(), truth[rest], fold[rest], task, problem.metric)
        weights.append(np.array(fit_simplex(alone)["weights"]))
    values = []
    for strength in STRENGTHS:
        mixed = [(strength / 3 + (1 - strength) * weights[one]) @ P[:, row] for row, one in enumerate(fold)]
        values.append(value(np.array(mixed)))
    found = fit_shrunk(problem)
    assert values[int(np.argmin(np.abs(STRENGTHS - found["strength"])))] == pytest.approx(max(values), abs=1e-9)
    own = found["strength"] / 3 + (1 - found["strength"]) * np.array(fit_simplex(problem)["weights"])
    assert found["weights"] == pytest.approx(own)


def test_the_strength_looks_at_its_own_rows_alone(draw, level_one):
    truth, P = draw("binary", rows=100)
    rule = find_blend("shrunk", "binary", METRICS["roc_auc"])
    before = predict_cross_fitted(rule, level_one(truth, P, "binary", "roc_auc"))
    own = np.arange(100) % 4 == 2
    spoilt, other = P.copy(), truth.copy()
    spoilt[:, own], other[own] = 1 - P[:, own] / 2, 1 - truth[own]
    after = predict_cross_fitted(rule, level_one(other, spoilt, "binary", "roc_auc"))
    assert before.numbers[2] == after.numbers[2]
    assert before.numbers != after.numbers


def test_where_nothing_can_be_cross_fitted_weights_are_equal(draw, level_one):
    truth, P = draw("binary", rows=60)
    equal = {"weights": [1 / 3] * 3, "strength": 1.0}
    assert fit_shrunk(level_one(truth, P, "binary", fold=np.zeros(60, dtype=int))) == equal
    assert fit_shrunk(level_one(truth, P[:1], "binary")) == {"weights": [1.0], "strength": 1.0}
    # all positive rows lie in one fold, so without it no weights can be judged
    truth = (np.arange(60) < 4).astype(int)
    fold = np.where(truth == 1, 1, np.arange(60) % 4)
    for name in ("roc_auc", "average_precision", "log_loss"):
        assert fit_shrunk(level_one(truth, P, "binary", name, fold)) == equal


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_equal_members_are_as_strong_a_reason_for_equal_weights_as_any(draw, level_one, name):
    truth, P = draw("binary")
    found = fit_shrunk(level_one(truth, P[[0, 0, 0]], "binary", name))
    assert found["strength"] == 1


@pytest.mark.parametrize(
    ("task", "name"),
    [("multilabel", "roc_auc"), ("multilabel", "log_loss"), ("multilabel", "macro_f1"), ("regression", "mcrmse")],
)
def test_each_column_has_the_simplex_of_its_own(draw, level_one, task, name):
    truth, P = draw(task, rows=80)
    problem = level_one(truth, P, task, name)
    single = "binary" if task == "multilabel" else task
    entry = find_metric("f1" if name == "macro_f1" else name, single)
    weights = []
    for at in range(P.shape[2]):
        own = truth[:, at] if task == "multilabel" else truth[:, [at]]
        weights.append(fit_simplex(Problem(P[..., [at]], own, problem.fold, single, entry))["weights"])
    found = fit_column_simplex(problem)
    assert found["weights"] == [pytest.approx(one) for one in weights]
    mixed = apply_column_weights(found, P)
    for at, one in enumerate(weights):
        assert mixed[:, at] == pytest.approx(np.array(one) @ P[..., at])


@pytest.mark.parametrize(("name", "judge"), [("log_loss", "log_loss"), ("roc_auc", "roc_auc"), ("f1", "log_loss")])
def test_each_class_stands_against_the_rest(draw, level_one, name, judge):
    truth, P = draw("multiclass", rows=80)
    problem = level_one(truth, P, "multiclass", name)
    found = fit_column_simplex(problem)
    for at in range(4):
        alone = Problem(P[..., [at]], (truth == at).astype(int), problem.fold, "binary", METRICS[judge])
        assert found["weights"][at] == pytest.approx(fit_simplex(alone)["weights"])
    mixed = np.stack([np.array(one) @ P[..., at] for at, one in enumerate(found["weights"])], axis=1)
    assert apply_column_weights(found, P) == pytest.approx(mixed / mixed.sum(1, keepdims=True))


def test_a_constant_column_gets_equal_weights(level_one):
    rng = np.random.default_rng(0)
    truth = (rng.uniform(size=(80, 28)) < 0.2).astype(int)
    truth[:, 5], truth[:, 9] = 0, 1
    P = expit(3 * truth - 2 + rng.normal(size=(3, 80, 28)) * np.array([0.5, 1, 3])[:, None, None])
    for name in ("roc_auc", "average_precision", "log_loss"):
        found = fit_column_simplex(level_one(truth, P, "multilabel", name))["weights"]
        assert found[5] == found[9] == [1 / 3] * 3
        assert len(found) == 28
        assert found[0] != [1 / 3] * 3
    values = rng.normal(size=(40, 2))
    values[:, 0] = 3
    flat = fit_column_simplex(level_one(values, values + rng.normal(size=(2, 40, 2)), "regression", "rmse"))["weights"]
    assert flat[0] == [0.5, 0.5]


def test_members_certain_of_different_classes_fall_back_on_their_mean():
    numbers = {"weights": [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], "classes": True}
    P = np.array([[[0.0, 1, 0], [0.2, 0.3, 0.5]], [[1.0, 0, 0], [0.1, 0.4, 0.5]]])
    found = apply_column_weights(numbers, P)
    assert found[0].tolist() == [0.5, 0.5, 0]
    assert found[1] == pytest.approx(np.array([0.2, 0.4, 0.5]) / 1.1)
