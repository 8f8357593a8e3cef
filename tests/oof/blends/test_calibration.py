"""A finish corrects the errors that members have in common, and nothing else."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from oof.blends.blend_registry import BLENDS
from oof.blends.calibration import HIGHEST_TEMPERATURE, apply_finish, fit_finish, has_finish
from oof.metrics.functions import compute_log_loss
from oof.metrics.metric_registry import METRICS, find_metric
from oof.selection.scores import combine_fits, fit_all, fit_folds

LOSS = METRICS["log_loss"]
PROBABILITIES = ["binary", "multiclass", "multilabel", "ordinal"]


def calibrated(task, rows=6000, seed=0):
    """Truth drawn from the predictions themselves."""
    rng = np.random.default_rng(seed)
    if task in ("multiclass", "ordinal"):
        P = softmax(rng.normal(size=(rows, 4)) * 1.5, axis=1)
        return (P.cumsum(1) < rng.uniform(size=(rows, 1))).sum(1), P
    P = expit(rng.normal(size=(rows, 3 if task == "multilabel" else 1)) * 1.5)
    truth = (rng.uniform(size=P.shape) < P).astype(int)
    return (truth if task == "multilabel" else truth[:, 0]), P


def heated(task, P, temperature):
    if task in ("multiclass", "ordinal"):
        return softmax(np.log(P) / temperature, axis=1)
    return expit(logit(P) / temperature)


@pytest.mark.parametrize("task", PROBABILITIES)
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.0])
def test_a_known_temperature_is_undone(task, temperature):
    truth, P = calibrated(task)
    sharpened = heated(task, P, 1 / temperature)
    finish = fit_finish(LOSS, task, truth, sharpened)
    assert finish["temperature"] == pytest.approx(temperature, rel=0.06)
    assert apply_finish({**finish, "temperature": temperature}, sharpened) == pytest.approx(P, abs=1e-4)


@pytest.mark.parametrize("task", PROBABILITIES)
def test_the_temperature_is_the_best_of_a_slow_grid(draw, task):
    truth, P = draw(task, rows=200)
    found = fit_finish(LOSS, task, truth, P[0])["temperature"]
    grid = np.linspace(0.3, 3, 541)
    best = grid[int(np.argmin([compute_log_loss(truth, heated(task, P[0], one)) for one in grid]))]
    assert found == pytest.approx(best, rel=0.08)  # one row's worth of labels counts as mistaken
    assert compute_log_loss(
        truth, apply_finish({"temperature": found, "classes": task in ("multiclass", "ordinal")}, P[0])
    ) < (compute_log_loss(truth, P[0]) + 1e-3)


@pytest.mark.parametrize("task", PROBABILITIES)
def test_certain_predictions_stay_probabilities(draw, task):
    truth, P = draw(task)
    sure = np.eye(4)[P[0].argmax(1)] if task in ("multiclass", "ordinal") else P[0].round()
    right = np.eye(4)[truth] if task in ("multiclass", "ordinal") else truth.reshape(P[0].shape).astype(float)
    for some in (sure, right, 1 - right if task in ("binary", "multilabel") else sure):
        for rows in (slice(None), slice(0, 1)):
            finish = fit_finish(LOSS, task, truth[rows], some[rows])
            assert 1 / HIGHEST_TEMPERATURE <= finish["temperature"] <= HIGHEST_TEMPERATURE
            found = apply_finish(finish, some)
            assert np.isfinite(found).all()
            assert found.min() >= 0
            assert found.max() <= 1


def test_predictions_that_are_always_wrong_get_the_highest_temperature(draw):
    truth, P = draw("binary", rows=400)
    finish = fit_finish(LOSS, "binary", truth, 1 - P[0])
    assert finish["temperature"] == pytest.approx(HIGHEST_TEMPERATURE, rel=0.01)


def test_order_and_labels_keep_after_a_temperature(draw):
    truth, P = draw("multiclass")
    found = apply_finish(fit_finish(LOSS, "multiclass", truth, P[2]), P[2])
    assert (found.argmax(1) == P[2].argmax(1)).all()
    assert found.sum(1) == pytest.approx(1)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2"])
def test_values_are_kept_within_the_range_of_each_target(draw, name):
    truth, P = draw("regression")
    finish = fit_finish(METRICS[name], "regression", truth, P[0])
    assert finish == {"low": truth.min(0).tolist(), "high": truth.max(0).tolist()}
    found = apply_finish(finish, P[0] * 3)
    for at in range(2):
        slow = [min(max(one, truth[:, at].min()), truth[:, at].max()) for one in P[0][:, at] * 3]
        assert found[:, at].tolist() == slow
    inside = (truth + truth[::-1]) / 2
    assert (apply_finish(finish, inside) == inside).all()


@pytest.mark.parametrize(
    ("task", "name"), [(task, "log_loss") for task in PROBABILITIES] + [("regression", "rmse"), ("multiclass", "mcc")]
)
def test_a_finish_survives_json_and_leaves_its_input_alone(draw, task, name):
    truth, (P, *_) = draw(task)
    before = P.copy()
    finish = fit_finish(find_metric(name, task), task, truth, P)
    again = json.loads(json.dumps(finish, allow_nan=False))
    assert again == finish
    assert (apply_finish(again, P) == apply_finish(finish, P)).all()
    assert apply_finish(None, P) is P
    assert (before == P).all()


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "log_loss"), ("ordinal", "log_loss"), ("regression", "rmse"), ("multiclass", "mcc")]
)
def test_a_folds_finish_never_looks_at_its_own_rows(draw, level_one, task, name):
    truth, P = draw(task)
    own = np.arange(len(truth)) % 4 == 2

    def finished(truth, P):
        problem = level_one(truth, P, task, name)
        return combine_fits(problem, fit_folds(BLENDS["mean"], problem), finish=True)

    before = finished(truth, P)
    spoilt, other = P.copy(), truth.copy()
    spoilt[:, own] = P[:, own][..., ::-1] ** 2 if task != "binary" else 1 - P[:, own]
    other[own] = truth[own][::-1] * 1000 if task == "regression" else truth.max() - truth[own]
    if task in ("multiclass", "ordinal"):
        spoilt[:, own] /= spoilt[:, own].sum(2, keepdims=True)
    assert before.finishes[2] == finished(other, spoilt).finishes[2]
    assert before.finishes[1] != finished(other, spoilt).finishes[1]
    assert (before.predictions[own] == finished(other, P).predictions[own]).all()
    expected = fit_finish(find_metric(name, task), task, truth[~own], P.mean(0)[~own])
    flat = [np.ravel(list(one.values())).astype(float) for one in (before.finishes[2], expected)]
    assert flat[0] == pytest.approx(flat[1], rel=1e-6)


def test_a_finish_of_all_rows_is_fitted_on_all_of_them(draw, level_one):
    truth, P = draw("binary")
    problem = level_one(truth, P, "binary")
    found = combine_fits(problem, fit_all(BLENDS["mean"], problem), finish=True)
    assert found.finishes[0]["temperature"] == pytest.approx(
        fit_finish(LOSS, "binary", truth, P.mean(0))["temperature"], rel=1e-6
    )
    assert found.predictions == pytest.approx(apply_finish(found.finishes[0], P.mean(0)))


def test_order_has_no_finish():
    for name in ("roc_auc", "average_precision"):
        assert not has_finish(METRICS[name], "binary")
    assert not has_finish(METRICS["spearman"], "regression")
    for task in PROBABILITIES:
        assert has_finish(LOSS, task)
    assert has_finish(METRICS["mae"], "regression")
    assert not has_finish(METRICS["f1"], "binary")
