"""A rung is one blend tried in each way, and a canary is a member of noise beside the others."""

from dataclasses import replace

import numpy as np
import pytest

from oof.blends.blend_registry import BLENDS, Blend
from oof.blends.calibration import apply_finish
from oof.selection.candidates import try_blend, try_canary
from oof.selection.scores import blended, cross_fitted, fit_all, fit_folds


@pytest.mark.parametrize(("task", "name"), [("binary", "f1"), ("multiclass", "log_loss"), ("regression", "rmse")])
def test_a_rung_is_the_blend_in_sample_and_cross_fitted(draw, level_one, task, name):
    truth, P = draw(task)
    problem = level_one(truth, P, task, name)
    [rung] = try_blend("stacker", BLENDS["stacker"], problem, finish=False)
    cuts = rung.fitted.thresholds[0] is not None
    fits = fit_all(BLENDS["stacker"], problem), fit_folds(BLENDS["stacker"], problem)
    whole, crossed = (blended(problem, one, finish=False, thresholds=cuts) for one in fits)
    assert rung.name == "stacker"
    assert (rung.fitted.predictions == whole.predictions).all()
    assert (rung.crossed.predictions == crossed.predictions).all()
    assert rung.crossed.thresholds == crossed.thresholds
    assert rung.in_sample.pooled == problem.metric.function(truth, whole.decided)
    assert rung.cross_fitted.pooled == problem.metric.function(truth, crossed.decided)
    assert rung.interval is rung.over is rung.gain is rung.canary is None


def test_labels_are_decided_by_fitted_thresholds_only_where_they_pay(draw, level_one):
    truth, P = draw("binary", rows=400)
    [balanced] = try_blend("mean", BLENDS["mean"], level_one(truth, P, "binary", "accuracy"), finish=False)
    assert balanced.fitted.thresholds == [None]
    shy = level_one(truth, P / 3, "binary", "accuracy")  # nobody says more than a third
    [rung] = try_blend("mean", BLENDS["mean"], shy, finish=False)
    assert 0 < rung.fitted.thresholds[0][0] < 0.3
    assert rung.cross_fitted.pooled > 0.75
    [off] = try_blend("mean", BLENDS["mean"], shy, finish=False, thresholds=False)
    assert off.fitted.thresholds == [None]
    assert off.cross_fitted.pooled < 0.6


@pytest.mark.parametrize("task", ["binary", "ordinal", "regression"])
def test_a_finished_rung_has_the_weights_of_the_plain_one(draw, level_one, task):
    truth, P = draw(task)
    problem = level_one(truth, P, task, "rmse" if task == "regression" else "log_loss")
    plain, finished = try_blend("simplex", BLENDS["simplex"], problem, finish=True)
    assert (plain.name, finished.name) == ("simplex", "simplex, finished")
    assert plain.fitted.numbers == finished.fitted.numbers
    assert plain.crossed.numbers == finished.crossed.numbers
    assert plain.fitted.finishes == [None]
    for fold in range(4):
        own = problem.fold == fold
        expected = apply_finish(finished.crossed.finishes[fold], plain.crossed.predictions[own])
        assert finished.crossed.predictions[own] == pytest.approx(expected)
    assert finished.cross_fitted.pooled != plain.cross_fitted.pooled


def test_weights_are_fitted_once_for_both(draw, level_one):
    truth, P = draw("binary")
    fits = []

    def fit(problem):
        fits.append(len(problem))
        return {"weights": [1 / 3] * 3}

    try_blend("counted", replace(BLENDS["mean"], fit=fit), level_one(truth, P, "binary"), finish=True)
    assert fits == [120, 90, 90, 90, 90]


def test_one_fold_is_not_cross_fitted(draw, level_one):
    truth, P = draw("binary")
    alone = level_one(truth, P, "binary", fold=np.zeros(120, dtype=int))
    [rung] = try_blend("mean", BLENDS["mean"], alone, finish=False)
    assert rung.crossed is None
    assert rung.cross_fitted is None


def spied(seen):
    """An equal mean that keeps what it is applied to."""

    def apply(numbers, P):
        seen.append(P)
        return P.mean(0)

    return Blend(lambda problem: seen.append(problem) or {}, apply, linear=True)


def test_a_canary_is_the_first_member_dealt_to_other_rows(draw, level_one):
    truth, P = draw("multiclass")
    seen = []
    try_canary(spied(seen), level_one(truth, P, "multiclass"))
    for P_seen in seen[1::2]:
        assert P_seen.shape == (4, 120, 4)
        assert (P_seen[:3] == P).all()
        assert sorted(map(tuple, P_seen[3])) == sorted(map(tuple, P[0]))
        assert (P_seen[3] == P[0]).all(1).mean() < 0.1
        assert (P_seen == seen[1]).all()  # the same noise for every fold
    assert [problem.members for problem in seen[::2]] == [4] * 4


def test_a_canary_repeats_and_its_seed_deals_anew(draw, level_one):
    truth, P = draw("binary")
    problem = level_one(truth, P, "binary")
    found = [try_canary(BLENDS["mean"], problem, seed).predictions for seed in (0, 0, 1)]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    assert try_canary(BLENDS["mean"], problem).finishes == [None] * 4


def test_a_canary_does_not_help_who_weighs_well(draw, level_one):
    truth, P = draw("binary", rows=800)
    problem = level_one(truth, P, "binary", "log_loss")
    for method in ("simplex", "stacker", "nnls"):
        without = cross_fitted(BLENDS[method], problem).predictions
        noisy = try_canary(BLENDS[method], problem).predictions
        assert problem.metric.function(truth, noisy) > problem.metric.function(truth, without) - 0.003
