"""`auto` stays at equal weights unless leaving them pays, and says so."""

import numpy as np
import pytest

from oof import OOFError
from oof.ladder import RUNGS, auto, single
from oof.metrics import metric

FOLD = np.arange(400) % 5


def test_members_that_differ_by_noise_alone_keep_equal_weights(level_one):
    rng = np.random.default_rng(5)
    truth = rng.integers(2, size=400)
    signal = 1.5 * (2 * truth - 1)
    P = 1 / (1 + np.exp(-(signal + rng.normal(size=(6, 400)))))[..., None]
    climb = auto(level_one(truth, P, "binary", "roc_auc", FOLD), repeats=200)
    assert climb.held.method == "mean"
    assert climb.sentence.startswith(
        "equal weights win: no cross-fitted gain in roc_auc exceeds one standard error (sub"
    )


def test_one_garbage_member_is_reason_to_leave_the_mean(draw, level_one):
    truth, P = draw("binary", rows=400)
    rng = np.random.default_rng(0)
    P = np.concatenate([P, rng.uniform(0.01, 0.99, size=(1, 400, 1))])
    climb = auto(level_one(truth, P, "binary", "log_loss", FOLD), repeats=200)
    assert climb.held.method != "mean"
    kept = next(rung for rung in climb.rungs if rung.method == "simplex")
    assert kept.fitted.numbers[0]["weights"][-1] < 0.01
    assert climb.sentence.startswith(f"{climb.held.method} wins: its cross-fitted gain in log_loss over ")


def test_unequal_members_are_reason_to_weigh(draw, level_one):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(400, 1))
    noise = rng.normal(size=(4, 400, 1)) * np.array([0.4, 0.7, 1.0, 1.6])[:, None, None]
    climb = auto(level_one(truth, truth + noise, "regression", "rmse", FOLD), repeats=200)
    assert climb.held.method in ("shrunk", "simplex", "stacker")
    weights = next(rung for rung in climb.rungs if rung.method == "simplex").fitted.numbers[0]["weights"]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "f1"), ("multiclass", "log_loss"), ("ordinal", "qwk"), ("multilabel", "roc_auc")]
)
def test_every_rung_says_what_it_is_worth(draw, level_one, task, name):
    truth, P = draw(task, rows=400)
    climb = auto(level_one(truth, P, task, name, FOLD), repeats=30)
    raw = [rung for rung in climb.rungs if not rung.finished]
    assert [rung.method for rung in raw] == list(RUNGS)
    assert climb.rungs[0].gain is None
    for rung in climb.rungs[1:]:
        low, high = rung.interval
        assert low < rung.cross_fitted.pooled < high
        assert len(rung.cross_fitted.by_fold) == 5
        assert rung.gain.standard_error >= 0
        held = next(one for one in climb.rungs if one.name == rung.over)
        difference = metric(name, task).sign * (rung.cross_fitted.pooled - held.cross_fitted.pooled)
        assert rung.gain.gain == pytest.approx(difference, abs=1e-12)
        left = rung.gain.gain > rung.gain.standard_error
        later = [one for one in climb.rungs if climb.rungs.index(one) > climb.rungs.index(rung)]
        assert all((one.over == rung.method) == left for one in later[:1])


def test_components_are_what_is_resampled(draw, level_one):
    truth, P = draw("binary", rows=400)
    alone = auto(level_one(truth, P, "binary", "log_loss", FOLD), repeats=200)
    grouped = auto(level_one(truth, P, "binary", "log_loss", FOLD, np.arange(400) // 40), repeats=200)
    assert alone.rungs[1].gain.gain == grouped.rungs[1].gain.gain
    assert alone.rungs[1].gain.standard_error != grouped.rungs[1].gain.standard_error


def test_with_one_fold_only_the_mean_is_offered_without_a_cross_fitted_score(draw, level_one):
    truth, P = draw("binary", rows=400)
    climb = auto(level_one(truth, P, "binary", fold=np.zeros(400, dtype=int)))
    assert [rung.method for rung in climb.rungs] == ["mean"]
    assert climb.rungs[0].cross_fitted is None
    assert climb.sentence.startswith("equal weights: with one fold nothing can be cross-fitted")


def test_one_member_has_nothing_to_weigh(draw, level_one):
    truth, P = draw("binary", rows=400, members=1)
    climb = auto(level_one(truth, P, "binary", "log_loss", FOLD), finish=False)
    assert climb.held.method == "mean"
    assert climb.rungs[0].cross_fitted.pooled == climb.rungs[0].in_sample.pooled
    assert climb.sentence == "equal weights: there is one member, so there is nothing to weigh"


def test_a_blend_that_was_asked_for_is_scored_and_compared_with_none(draw, level_one):
    truth, P = draw("binary", rows=400)
    asked = single("hill_climb", level_one(truth, P, "binary", fold=FOLD), finish=False, repeats=50)
    assert asked.held.method == "hill_climb"
    assert asked.sentence == "hill_climb, as asked: no other blend was tried"
    [rung] = asked.rungs
    assert rung.gain is None
    assert rung.cross_fitted.pooled > rung.in_sample.pooled  # a loss


def test_a_blend_that_was_asked_for_is_refused_where_it_does_not_fit(draw, level_one):
    truth, P = draw("binary", rows=400)
    with pytest.raises(OOFError, match="blend rank_mean gives no probabilities"):
        single("rank_mean", level_one(truth, P, "binary", fold=FOLD), repeats=50)
    with pytest.raises(OOFError, match="blend simplex cannot be cross-fitted on one fold; with one fold only mean is"):
        single("simplex", level_one(truth, P, "binary", fold=np.zeros(400, dtype=int)))
    assert single("mean", level_one(truth, P, "binary", fold=np.zeros(400, dtype=int))).held.method == "mean"


def test_each_rung_is_announced_before_it_is_tried(draw, level_one):
    truth, P = draw("binary")
    told: list[str] = []
    fold = np.arange(len(truth)) % 3
    climb = auto(level_one(truth, P, "binary", fold=fold), finish=False, repeats=5, on_rung=told.append)
    assert told == [*RUNGS, "bootstrap"]
    assert [rung.method for rung in climb.rungs] == list(RUNGS)
