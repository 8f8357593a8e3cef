"""`select_blend` stays at equal weights unless leaving them pays, and says so."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from oof import OOFError
from oof.blends.blend_registry import BLENDS, Blend
from oof.metrics.metric_registry import find_metric
from oof.selection import auto as auto_module
from oof.selection.auto import METHODS_OF_AUTO, select_blend
from oof.selection.bootstrap import BootstrapDraws, compute_interval
from oof.selection.candidates import make_candidates, run_noise_check

FOLD = np.arange(400) % 5


def alike(strength):
    """Truth and members that differ by noise alone."""
    rng = np.random.default_rng(5)
    truth = rng.integers(2, size=400)
    signal = strength * (2 * truth - 1)
    return truth, 1 / (1 + np.exp(-(signal + rng.normal(size=(6, 400)))))[..., None]


def test_members_that_differ_by_noise_alone_keep_equal_weights(level_one):
    truth, P = alike(strength=1.5)
    selection = select_blend("auto", level_one(truth, P, "binary", "roc_auc", FOLD), repeats=200)
    assert selection.selected.method == "mean"
    assert selection.sentence.startswith(
        "equal weights win: no cross-fitted gain in roc_auc exceeds one standard error (sub"
    )


def test_one_garbage_member_is_reason_to_leave_the_mean(draw, level_one):
    truth, P = draw("binary", rows=400)
    rng = np.random.default_rng(0)
    P = np.concatenate([P, rng.uniform(0.01, 0.99, size=(1, 400, 1))])
    selection = select_blend("auto", level_one(truth, P, "binary", "log_loss", FOLD), repeats=200)
    assert selection.selected.method != "mean"
    kept = next(candidate for candidate in selection.candidates if candidate.method == "simplex")
    assert kept.fitted.numbers[0]["weights"][-1] < 0.01
    assert selection.sentence.startswith(f"{selection.selected.method} wins: its cross-fitted gain in log_loss over ")


def test_unequal_members_are_reason_to_weigh(draw, level_one):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(400, 1))
    noise = rng.normal(size=(4, 400, 1)) * np.array([0.4, 0.7, 1.0, 1.6])[:, None, None]
    selection = select_blend("auto", level_one(truth, truth + noise, "regression", "rmse", FOLD), repeats=200)
    assert selection.selected.method in ("shrunk", "simplex", "stacker")
    weights = next(candidate for candidate in selection.candidates if candidate.method == "simplex").fitted.numbers[0][
        "weights"
    ]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "f1"), ("multiclass", "log_loss"), ("ordinal", "qwk"), ("multilabel", "roc_auc")]
)
def test_every_candidate_has_scores_an_interval_and_a_gain(draw, level_one, task, name):
    truth, P = draw(task, rows=400)
    selection = select_blend("auto", level_one(truth, P, task, name, FOLD), repeats=30)
    raw = [candidate for candidate in selection.candidates if not candidate.finished]
    assert [candidate.method for candidate in raw] == list(METHODS_OF_AUTO)
    assert selection.candidates[0].gain is None
    for candidate in selection.candidates[1:]:
        low, high = candidate.interval
        assert low < candidate.cross_fitted.pooled < high
        assert len(candidate.cross_fitted.by_fold) == 5
        assert candidate.gain.standard_error >= 0
        selected = next(one for one in selection.candidates if one.name == candidate.over)
        difference = find_metric(name, task).sign * (candidate.cross_fitted.pooled - selected.cross_fitted.pooled)
        assert candidate.gain.gain == pytest.approx(difference, abs=1e-12)
        left = candidate.gain.gain > candidate.gain.standard_error
        later = [
            one
            for one in selection.candidates
            if selection.candidates.index(one) > selection.candidates.index(candidate)
        ]
        assert all((one.over == candidate.method) == left for one in later[:1])


def test_components_are_what_is_resampled(draw, level_one):
    truth, P = draw("binary", rows=400)
    alone = select_blend("auto", level_one(truth, P, "binary", "log_loss", FOLD), repeats=200)
    grouped = select_blend("auto", level_one(truth, P, "binary", "log_loss", FOLD, np.arange(400) // 40), repeats=200)
    assert alone.candidates[1].gain.gain == grouped.candidates[1].gain.gain
    assert alone.candidates[1].gain.standard_error != grouped.candidates[1].gain.standard_error


def test_with_one_fold_only_the_mean_is_offered_without_a_cross_fitted_score(draw, level_one):
    truth, P = draw("binary", rows=400)
    selection = select_blend("auto", level_one(truth, P, "binary", fold=np.zeros(400, dtype=int)))
    assert [candidate.method for candidate in selection.candidates] == ["mean"]
    assert selection.candidates[0].cross_fitted is None
    assert selection.sentence.startswith("equal weights: with one fold nothing can be cross-fitted")


def test_one_member_has_nothing_to_weigh(draw, level_one):
    truth, P = draw("binary", rows=400, members=1)
    selection = select_blend("auto", level_one(truth, P, "binary", "log_loss", FOLD), finish=False)
    assert selection.selected.method == "mean"
    assert selection.candidates[0].cross_fitted.pooled == selection.candidates[0].in_sample.pooled
    assert selection.sentence == "equal weights: there is one member, so there is nothing to weigh"


def test_a_blend_that_was_asked_for_is_scored_and_compared_with_none(draw, level_one):
    truth, P = draw("binary", rows=400)
    asked = select_blend("hill_climb", level_one(truth, P, "binary", fold=FOLD), finish=False, repeats=50)
    assert asked.selected.method == "hill_climb"
    assert asked.sentence == "hill_climb, as asked: no other blend was tried"
    [candidate] = asked.candidates
    assert candidate.gain is None
    assert candidate.cross_fitted.pooled > candidate.in_sample.pooled  # a loss


def test_a_blend_that_was_asked_for_is_refused_where_it_does_not_fit(draw, level_one):
    truth, P = draw("binary", rows=400)
    with pytest.raises(OOFError, match="blend rank_mean gives no probabilities"):
        select_blend("rank_mean", level_one(truth, P, "binary", fold=FOLD), repeats=50)
    with pytest.raises(OOFError, match="blend simplex cannot be cross-fitted on one fold; with one fold only mean is"):
        select_blend("simplex", level_one(truth, P, "binary", fold=np.zeros(400, dtype=int)))
    assert select_blend("mean", level_one(truth, P, "binary", fold=np.zeros(400, dtype=int))).selected.method == "mean"


def test_each_method_is_announced_before_it_is_tried(draw, level_one):
    truth, P = draw("binary")
    told: list[str] = []
    fold = np.arange(len(truth)) % 3
    selection = select_blend(
        "auto", level_one(truth, P, "binary", fold=fold), finish=False, repeats=5, on_method=told.append
    )
    assert told == [*METHODS_OF_AUTO, "bootstrap"]
    assert [candidate.method for candidate in selection.candidates] == list(METHODS_OF_AUTO)


def all_candidates(problem, finish):
    """Cross-fitted decisions of every candidate, of every candidate finished, and of the noise check of the stacker."""
    tried = [make_candidates(method, BLENDS[method], problem, finish=finish) for method in METHODS_OF_AUTO]
    candidates = [one[0] for one in tried] + [one[1] for one in tried if finish]
    cuts = candidates[4].fitted.thresholds[0] is not None
    noise_check = run_noise_check(BLENDS["stacker"], problem, thresholds=cuts)
    return [candidate.out_of_fold.decided for candidate in candidates] + [noise_check.decided]


def select(values, errors, finish):
    """The rule in words, on the five methods of `auto`; the last candidate is the noise check of the fifth."""
    selected = 0
    for candidate in range(1, 5):
        fooled = candidate == 4 and values[-1] - values[candidate] > errors[-1, candidate]
        if values[candidate] - values[selected] > errors[candidate, selected] and not fooled:
            selected = candidate
    return (
        5 + selected
        if finish and values[5 + selected] - values[selected] > errors[5 + selected, selected]
        else selected
    )


@pytest.mark.parametrize(
    ("task", "name", "grouped"),
    [
        ("binary", "log_loss", False),
        ("binary", "roc_auc", True),
        ("regression", "rmse", True),
        ("ordinal", "qwk", False),
    ],
)
def test_the_corrected_score_is_that_of_a_slow_loop_that_repeats_the_rule(draw, level_one, task, name, grouped):
    truth, P = draw(task, rows=90)
    problem = level_one(truth, P, task, name, component=np.arange(90) // 3 if grouped else None)
    selection, finish = select_blend("auto", problem, repeats=40, seed=7), name in ("log_loss", "rmse")
    decided, entry = all_candidates(problem, finish), problem.metric

    def value(one, counts):
        rows = np.repeat(np.arange(90), counts.astype(int))
        return entry.function(truth[rows], one[rows])

    draws = list(BootstrapDraws(90, problem.component, 40, seed=7))
    drawn = np.array([[entry.sign * value(one, counts) for one in decided] for counts in draws])
    errors = np.std(drawn[:, :, None] - drawn[:, None, :], axis=0, ddof=1)
    whole = [entry.sign * value(one, np.ones(90)) for one in decided]
    selected, lost = decided[select(np.array(whole), errors, finish)], []
    for values, counts in zip(drawn, draws, strict=True):
        out = (counts == 0).astype(int)
        lost.append(value(decided[select(values, errors, finish)], out) - value(selected, out))
    assert selection.corrected_score == pytest.approx(value(selected, np.ones(90)) + np.mean(lost))
    names = [*METHODS_OF_AUTO, *(f"{method}, finished" for method in METHODS_OF_AUTO)]
    assert selection.selected.name == names[select(whole, errors, finish)]
    for at, candidate in enumerate(selection.candidates[:5]):
        assert candidate.interval == pytest.approx(
            sorted(entry.sign * bound for bound in compute_interval(drawn[:, at]))
        )
    assert selection.candidates[4].noise_check.gain == pytest.approx(whole[-1] - whole[4])
    assert selection.candidates[4].noise_check.standard_error == pytest.approx(errors[-1, 4])


def cheat(truth, more):
    """A blend of six members that knows the truth, and makes more of it where there is a seventh."""

    def apply(numbers, P):
        share = 0.1 + more * (len(P) > 6)
        return (1 - share) * P[:6].mean(0) + share * truth[:, None]

    return Blend(lambda problem: {}, apply, linear=False, learns=True)


def test_a_stacker_that_gains_from_its_noise_check_is_refused(level_one, monkeypatch):
    truth, P = alike(strength=0.3)
    problem = level_one(truth, P, "binary", "roc_auc", FOLD)
    monkeypatch.setitem(BLENDS, "stacker", cheat(truth, more=0.2))
    refused = select_blend("auto", problem, repeats=100)
    assert refused.selected.method == "mean"
    candidate = refused.candidates[4]
    assert candidate.gain.gain > candidate.gain.standard_error  # so that the noise check alone keeps it out
    assert candidate.noise_check.gain > candidate.noise_check.standard_error
    said, why = refused.sentence.split("; stacker is refused, ")
    assert why.startswith("because it gains from a member of pure noise")
    assert "simplex" in said
    assert "stacker" not in said  # what exceeds its error is not in the list of what does not
    monkeypatch.setitem(BLENDS, "stacker", cheat(truth, more=0.0))
    assert select_blend("auto", problem, repeats=100).selected.method == "stacker"
    monkeypatch.setitem(BLENDS, "stacker", replace(cheat(truth, more=0.2), learns=False))
    unwatched = select_blend("auto", problem, repeats=100)
    assert unwatched.selected.method == "stacker"
    assert unwatched.candidates[4].noise_check is None


def chance(seed):
    """A blend that says anything; one row may be said differently by another seed alone."""

    def apply(numbers, P):
        return np.random.default_rng(seed).uniform(size=P.shape[1:])

    return Blend(lambda problem: {}, apply, linear=False)


def test_candidates_of_pure_chance_flatter_and_the_corrected_score_does_not(draw, level_one, monkeypatch):
    many = [f"chance_{at}" for at in range(15)]
    monkeypatch.setattr(auto_module, "METHODS_OF_AUTO", many)
    best, corrected = [], []
    for seed in range(12):
        for at, name in enumerate(many):
            monkeypatch.setitem(BLENDS, name, chance(100 * seed + at))
        truth, P = draw("binary", rows=100, seed=seed)
        selection = select_blend("auto", level_one(truth, P, "binary", "roc_auc"), repeats=60)
        best.append(max(candidate.cross_fitted.pooled for candidate in selection.candidates))
        corrected.append(selection.corrected_score)
    assert np.mean(best) > 0.58  # where nothing is known, and one half is the truth
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.025)
    assert np.mean(np.array(best) > corrected) > 0.9


def test_the_interval_covers_what_it_says(level_one):
    """The mean absolute error of normal noise is known."""
    covered = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(80, 1))
        P = (truth + rng.normal(size=(80, 1)))[None]
        low, high = select_blend(
            "mean", level_one(truth, P, "regression", "mae"), finish=False, repeats=150
        ).selected.interval
        covered += low < np.sqrt(2 / np.pi) < high
    assert 0.88 <= covered / 120 <= 0.99


def test_the_interval_of_a_loss_is_low_to_high(draw, level_one):
    truth, P = draw("binary")
    for name in ("log_loss", "roc_auc"):
        low, high = select_blend(
            "mean", level_one(truth, P, "binary", name), finish=False, repeats=50
        ).selected.interval
        assert low < high


def test_a_kind_that_one_fold_alone_has_is_no_reason_to_stop(level_one):
    """Two positive rows in two folds: without both there is nothing to choose weights by."""
    rng = np.random.default_rng(0)
    truth = (np.arange(60) < 2).astype(int)
    P = expit(truth + rng.normal(size=(3, 60)))[..., None]
    fold = np.arange(60) % 3
    for name in ("roc_auc", "average_precision", "f1", "log_loss"):
        selection = select_blend("auto", level_one(truth, P, "binary", name, fold), repeats=40)
        assert np.isfinite(selection.corrected_score)
        assert selection.candidates[2].fitted.numbers[0]["weights"]


def means_of_the_others(truth, fold, rng):
    """Members that know nothing but the mean truth of the rows they were trained on."""
    means = np.array([truth[fold != one].mean() for one in fold])
    return means[None, :, None] + rng.normal(0, 0.01, size=(4, len(truth), 1))


def test_a_stacker_that_reads_the_means_of_folds_is_refused(level_one):
    rng = np.random.default_rng(0)
    fold = np.repeat(np.arange(5), 40)
    truth = rng.normal(size=(200, 1)) + rng.normal(size=5)[fold][:, None]  # folds differ, as those of groups do
    problem = level_one(truth, means_of_the_others(truth[:, 0], fold, rng), "regression", "rmse", fold)
    selection = select_blend("auto", problem, repeats=100)
    stacked = next(candidate for candidate in selection.candidates if candidate.method == "stacker")
    assert stacked.response < -0.5
    assert stacked.gain.gain > stacked.gain.standard_error  # it would have won
    assert selection.selected.method != "stacker"
    assert "; stacker is refused: it falls by " in selection.sentence
    assert "reads the means of folds off the members" in selection.sentence
    asked = select_blend("stacker", problem, repeats=50)
    assert asked.selected.method == "stacker"
    assert "do not trust its score: stacker would be refused by auto: it falls by " in asked.sentence


def test_a_sound_stacker_rises_with_its_members(draw, level_one):
    for task, name in [("binary", "log_loss"), ("multiclass", "log_loss"), ("regression", "rmse")]:
        selection = select_blend("auto", level_one(*draw(task, rows=400), task, name, FOLD), repeats=50)
        stacked = next(candidate for candidate in selection.candidates if candidate.method == "stacker")
        assert 0.5 < stacked.response < 6
        assert "refused" not in selection.sentence


def test_one_group_of_all_rows_is_refused(draw, level_one):
    truth, P = draw("binary")
    with pytest.raises(OOFError, match="all rows are one group, so nothing can be resampled"):
        select_blend("auto", level_one(truth, P, "binary", component=np.zeros(120, dtype=int)), repeats=10)
    selection = select_blend(
        "auto", level_one(truth, P, "binary", component=np.arange(120) % 2), repeats=10
    )  # groups larger than folds
    assert np.isfinite(selection.corrected_score)


@pytest.mark.parametrize(("task", "rows"), [("binary", 4), ("regression", 2), ("regression", 3), ("multiclass", 8)])
def test_a_handful_of_rows_is_blended(draw, level_one, task, rows):
    truth, P = draw(task, rows=rows)
    selection = select_blend(
        "auto", level_one(truth, P, task, fold=np.arange(rows) % 2, name="rmse" if task == "regression" else "log_loss")
    )
    assert np.isfinite(selection.selected.cross_fitted.pooled)


def test_a_grade_that_all_rows_lack_is_blended(draw, level_one):
    truth, P = draw("ordinal", rows=100)
    for lacking in (0, 3):
        kept = truth != lacking
        selection = select_blend("auto", level_one(truth[kept], P[:, kept], "ordinal", "qwk"), repeats=20)
        assert 0.3 < selection.selected.cross_fitted.pooled <= 1
        assert selection.selected.fitted.predictions.shape == (kept.sum(), 4)
