"""A candidate is one blend, in-sample and cross-fitted; a noise check adds a member of noise."""

from dataclasses import replace

import numpy as np
import pytest

from oof.blends.blend_registry import BLENDS, Blend
from oof.blends.calibration import apply_finish
from oof.selection.candidates import make_candidates, run_noise_check
from oof.selection.scores import combine_fits, fit_all, fit_folds, predict_cross_fitted


@pytest.mark.parametrize(("task", "name"), [("binary", "f1"), ("multiclass", "log_loss"), ("regression", "rmse")])
def test_a_candidate_is_the_blend_in_sample_and_cross_fitted(draw, level_one, task, name):
    truth, P = draw(task)
    problem = level_one(truth, P, task, name)
    [candidate] = make_candidates("stacker", BLENDS["stacker"], problem, finish=False)
    cuts = candidate.fitted.thresholds[0] is not None
    fits = fit_all(BLENDS["stacker"], problem), fit_folds(BLENDS["stacker"], problem)
    whole, crossed = (combine_fits(problem, one, finish=False, thresholds=cuts) for one in fits)
    assert candidate.name == "stacker"
    assert (candidate.fitted.predictions == whole.predictions).all()
    assert (candidate.out_of_fold.predictions == crossed.predictions).all()
    assert candidate.out_of_fold.thresholds == crossed.thresholds
    assert candidate.in_sample.pooled == problem.metric.function(truth, whole.decided)
    assert candidate.cross_fitted.pooled == problem.metric.function(truth, crossed.decided)
    assert candidate.interval is candidate.over is candidate.gain is candidate.noise_check is None


def test_labels_are_decided_by_fitted_thresholds_only_where_they_pay(draw, level_one):
    truth, P = draw("binary", rows=400)
    [balanced] = make_candidates("mean", BLENDS["mean"], level_one(truth, P, "binary", "accuracy"), finish=False)
    assert balanced.fitted.thresholds == [None]
    low = level_one(truth, P / 3, "binary", "accuracy")  # no prediction is above a third
    [candidate] = make_candidates("mean", BLENDS["mean"], low, finish=False)
    assert 0 < candidate.fitted.thresholds[0][0] < 0.3
    assert candidate.cross_fitted.pooled > 0.75
    [off] = make_candidates("mean", BLENDS["mean"], low, finish=False, thresholds=False)
    assert off.fitted.thresholds == [None]
    assert off.cross_fitted.pooled < 0.6


@pytest.mark.parametrize("task", ["binary", "ordinal", "regression"])
def test_a_finished_candidate_has_the_weights_of_the_plain_one(draw, level_one, task):
    truth, P = draw(task)
    problem = level_one(truth, P, task, "rmse" if task == "regression" else "log_loss")
    plain, finished = make_candidates("simplex", BLENDS["simplex"], problem, finish=True)
    assert (plain.name, finished.name) == ("simplex", "simplex, finished")
    assert plain.fitted.numbers == finished.fitted.numbers
    assert plain.out_of_fold.numbers == finished.out_of_fold.numbers
    assert plain.fitted.finishes == [None]
    for fold in range(4):
        own = problem.fold == fold
        expected = apply_finish(finished.out_of_fold.finishes[fold], plain.out_of_fold.predictions[own])
        assert finished.out_of_fold.predictions[own] == pytest.approx(expected)
    assert finished.cross_fitted.pooled != plain.cross_fitted.pooled


def test_weights_are_fitted_once_for_both(draw, level_one):
    truth, P = draw("binary")
    fits = []

    def fit(problem):
        fits.append(len(problem))
        return {"weights": [1 / 3] * 3}

    make_candidates("counted", replace(BLENDS["mean"], fit=fit), level_one(truth, P, "binary"), finish=True)
    assert fits == [120, 90, 90, 90, 90]


def test_one_fold_is_not_cross_fitted(draw, level_one):
    truth, P = draw("binary")
    alone = level_one(truth, P, "binary", fold=np.zeros(120, dtype=int))
    [candidate] = make_candidates("mean", BLENDS["mean"], alone, finish=False)
    assert candidate.out_of_fold is None
    assert candidate.cross_fitted is None


def spied(seen):
    """An equal mean that keeps what it is applied to."""

    def apply(numbers, P):
        seen.append(P)
        return P.mean(0)

    return Blend(lambda problem: seen.append(problem) or {}, apply, linear=True)


def test_a_noise_check_adds_the_first_member_in_shuffled_rows(draw, level_one):
    truth, P = draw("multiclass")
    seen = []
    run_noise_check(spied(seen), level_one(truth, P, "multiclass"))
    for P_seen in seen[1::2]:
        assert P_seen.shape == (4, 120, 4)
        assert (P_seen[:3] == P).all()
        assert sorted(map(tuple, P_seen[3])) == sorted(map(tuple, P[0]))
        assert (P_seen[3] == P[0]).all(1).mean() < 0.1
        assert (P_seen == seen[1]).all()  # the same noise for every fold
    assert [problem.member_count for problem in seen[::2]] == [4] * 4


def test_a_noise_check_repeats_and_another_seed_shuffles_otherwise(draw, level_one):
    truth, P = draw("binary")
    problem = level_one(truth, P, "binary")
    found = [run_noise_check(BLENDS["mean"], problem, seed).predictions for seed in (0, 0, 1)]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    assert run_noise_check(BLENDS["mean"], problem).finishes == [None] * 4


def test_a_noise_check_does_not_help_a_blend_that_weighs_well(draw, level_one):
    truth, P = draw("binary", rows=800)
    problem = level_one(truth, P, "binary", "log_loss")
    for method in ("simplex", "stacker", "nnls"):
        without = predict_cross_fitted(BLENDS[method], problem).predictions
        noisy = run_noise_check(BLENDS[method], problem).predictions
        assert problem.metric.function(truth, noisy) > problem.metric.function(truth, without) - 0.003
