"""Comparisons against slow loops: bootstrap gains, seed noise, decomposition, and the control with seeds."""

import json
import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import tukey_hsd
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from oof import OOFError
from oof.blends.problem import Problem
from oof.comparison.compare import compare_members
from oof.comparison.comparison_file import Comparison, CostPoint, write_comparison
from oof.comparison.diversity import compute_error_correlations, decompose_ambiguity, rank_pairs_by_similarity
from oof.comparison.paired import PredictionScores
from oof.comparison.seed_control import MOST_SETS, average_fits, plan_seed_controls
from oof.comparison.seed_noise import (
    ComparedMember,
    SeedNoise,
    SeedScores,
    estimate_noise_within_encoder,
    estimate_seed_noise,
    group_poolings,
    judge_poolings,
)
from oof.metrics.metric_registry import find_metric
from oof.selection.bootstrap import BootstrapDraws

DRAWS = 40


def problem_of(P: Any, truth: Any, task: str, name: str, component: Any = None) -> Problem:
    return Problem(P, truth, np.arange(len(truth)) % 3, task, find_metric(name, task), component)


def alone(P: Any, *plain_mean: int) -> list[ComparedMember]:
    """Members of one recipe with a seed each."""
    return [ComparedMember(f"m{at}", f"m{at}", "same", at in plain_mean, [one]) for at, one in enumerate(P)]


def drawn_rows(rows: int, component: Any) -> list[Any]:
    """Row numbers of each draw, written out."""
    return [np.repeat(np.arange(rows), counts.astype(int)) for counts in BootstrapDraws(rows, component, DRAWS)]


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "f1"])
def test_gains_and_intervals_are_those_of_a_loop_over_draws_of_whole_components(draw, name):
    truth, P = draw("binary")
    component = np.arange(120) // 4
    problem = problem_of(P, truth, "binary", name, component)
    found = compare_members(problem, alone(P, 1), BootstrapDraws(120, component, DRAWS))
    slow = {"roc_auc": roc_auc_score, "log_loss": log_loss, "f1": lambda t, p: f1_score(t, p >= 0.5)}[name]
    sign = -1 if name == "log_loss" else 1

    def value(at: Any, rows: Any) -> float:
        return sign * slow(truth[rows], np.mean(P[at], axis=0)[rows, 0])

    everything, all_rows = [0, 1, 2], np.arange(120)
    for at in (0, 2):
        one = found.members[at].over_mean_pooling
        gains = [value([at], rows) - value([1], rows) for rows in drawn_rows(120, component)]
        assert one.over == "m1"
        assert one.gain == pytest.approx(value([at], all_rows) - value([1], all_rows))
        assert one.interval == pytest.approx(np.quantile(gains, [0.025, 0.975]))
    for at in everything:
        others = [one for one in everything if one != at]
        gains = [value(everything, rows) - value(others, rows) for rows in drawn_rows(120, component)]
        assert found.adds[at].gain == pytest.approx(value(everything, all_rows) - value(others, all_rows))
        assert found.adds[at].interval == pytest.approx(np.quantile(gains, [0.025, 0.975]))


def test_the_best_is_the_reference_of_the_others_in_either_direction_of_the_metric(draw):
    truth, P = draw("binary", rows=400)
    for name in ("roc_auc", "log_loss"):
        found = compare_members(
            problem_of(P, truth, "binary", name), alone(P), BootstrapDraws(400, None, DRAWS)
        ).members
        assert [one.over_best is None for one in found] == [True, False, False]  # later members are noisier
        assert all(one.over_best.gain < 0 for one in found[1:])
        assert {one.over_mean_pooling for one in found} == {None}


def test_a_member_of_several_seeds_is_compared_by_its_single_fits(draw):
    truth, singles = draw("binary", members=4)
    P = np.stack([singles[:3].mean(0), singles[3]])
    members = [
        ComparedMember("three", "three", "same", True, list(singles[:3])),
        ComparedMember("one", "one", "same", False, [singles[3]]),
    ]
    found = compare_members(problem_of(P, truth, "binary", "log_loss"), members, BootstrapDraws(120, None, DRAWS))
    fits = [log_loss(truth, one[:, 0]) for one in singles]
    assert found.members[0].score == pytest.approx(log_loss(truth, P[0, :, 0]))
    assert found.members[0].fit_score == pytest.approx(np.mean(fits[:3]))
    assert found.members[1].over_mean_pooling.gain == pytest.approx(np.mean(fits[:3]) - fits[3])
    assert found.verdicts[0].gain == pytest.approx(abs(np.mean(fits[:3]) - fits[3]))


def test_seeds_of_equal_poolings_do_not_make_pooling_matter(draw):
    truth, singles = draw("binary", rows=3000, members=2)
    rng = np.random.default_rng(1)
    fits = (singles[0] + rng.normal(size=(6, 3000, 1)) * 0.1).clip(0.01, 0.99)  # three seeds, and three others of one
    P = np.stack([fits[:3].mean(0), *fits[3:]])
    members = [ComparedMember(f"m{at}", f"m{at}", "same", False, [one]) for at, one in enumerate(P)]
    members[0] = ComparedMember("m0", "m0", "same", False, list(fits[:3]))
    [found] = compare_members(
        problem_of(P, truth, "binary", "log_loss"), members, BootstrapDraws(3000, None, 200)
    ).verdicts
    assert found.finding != "matters"


def test_intervals_of_all_pairs_are_wide_enough_for_their_largest_deviation():
    values = np.random.default_rng(0).normal(size=(500, 4)) * [1, 2, 3, 4]
    judged = PredictionScores(np.array([3.0, 1.0, 2.0, 0.0]), values + np.array([3.0, 1, 2, 0]), 1)
    pairs = judged.compare_pairs([[0], [1], [2], [3]])
    assert [(pair.better, pair.worse) for pair in pairs] == [(0, 2), (0, 1), (0, 3), (2, 1), (2, 3), (1, 3)]
    inside = []
    for draw in judged.values:
        covered = [p.gain.interval[0] <= draw[p.better] - draw[p.worse] <= p.gain.interval[1] for p in pairs]
        inside.append(all(covered))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.003)
    lone = judged.compute_gain([0], [1]).interval
    together = pairs[1].gain.interval
    assert together[1] - together[0] > 1.2 * (lone[1] - lone[0])


def test_equal_predictions_are_not_told_apart(draw):
    truth, P = draw("binary", members=1)
    twins = np.concatenate([P, P])
    found = compare_members(
        problem_of(twins, truth, "binary", "log_loss"), alone(twins), BootstrapDraws(120, None, DRAWS)
    )
    assert found.verdicts[0].gain == 0
    assert found.verdicts[0].finding == "not told apart"


def test_draws_on_which_the_metric_is_undefined_are_left_out_of_intervals(draw):
    truth = np.array([1, 0, 0, 0, 0, 0])
    P = np.random.default_rng(0).uniform(size=(2, 6, 1))
    found = compare_members(problem_of(P, truth, "binary", "roc_auc"), alone(P), BootstrapDraws(6, None, DRAWS))
    assert all(math.isfinite(end) for end in found.verdicts[0].interval)
    few = compare_members(problem_of(P, truth, "binary", "roc_auc"), alone(P), [np.array([0.0, 1, 1, 1, 1, 1])] * 3)
    assert few.verdicts[0].interval is None
    assert few.adds[0].interval is None
    assert few.verdicts[0].finding == "not told apart"


def test_seed_noise_is_the_pooled_deviation_and_its_limit_is_that_of_a_t_test():
    scores = [np.array([[1.0, 2.0, 4.0]]), np.array([[5.0, 5.5]]), np.array([[9.0]])]
    noise = estimate_seed_noise(scores)
    squares = sum((one - 7 / 3) ** 2 for one in (1, 2, 4)) + 2 * 0.25**2
    assert noise == SeedNoise(pytest.approx(math.sqrt(squares / 3)), 3)
    expected = student.ppf(0.975, 3) * noise.deviation * math.sqrt(1 / 3 + 1 / 2)
    assert noise.compute_limit(3, 2) == pytest.approx(expected)
    assert noise.compute_limit(3, math.inf) == pytest.approx(student.ppf(0.975, 3) * noise.deviation / math.sqrt(3))
    assert estimate_seed_noise([np.array([[1.0]])]) is None


def test_the_limit_of_many_variants_is_tukeys():
    groups = np.random.default_rng(0).normal(size=(5, 4))
    noise = estimate_seed_noise(list(groups[:, None]))
    interval = tukey_hsd(*groups).confidence_interval(0.95)
    half = (interval.high[0, 1] - interval.low[0, 1]) / 2
    assert noise.compute_limit(4, 4, compared=5) == pytest.approx(half)
    assert noise.compute_limit(4, 4, compared=2) < half


def test_members_of_one_encoder_count_its_seeds_once_and_what_a_seed_does_to_both_cancels():
    scores = np.array([[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]])
    assert estimate_seed_noise([scores]) == SeedNoise(pytest.approx(1), 2)
    assert estimate_noise_within_encoder(scores) == SeedNoise(pytest.approx(0), 2)
    scores[1, 2] += 0.3  # residuals of a two-way layout, by hand
    differences = scores[1] - scores[0]
    found = estimate_noise_within_encoder(scores)
    assert found.freedom == 2
    assert math.sqrt(2) * found.deviation == pytest.approx(differences.std(ddof=1))
    assert estimate_noise_within_encoder(scores[:1]) is None
    assert estimate_noise_within_encoder(scores[:, :1]) is None


def test_limits_know_which_members_share_an_encoder_and_which_have_no_seed():
    fit = np.zeros((2, 1))
    members = [
        ComparedMember("a", "a", "r", singles=[fit, fit]),
        ComparedMember("b.x", "b", "s", singles=[fit, fit]),
        ComparedMember("b.y", "b", "s", singles=[fit, fit]),
        ComparedMember("tfidf", "tfidf"),
        ComparedMember("theirs", None),
        ComparedMember("other", "other"),
    ]
    seeds = SeedScores(members, [[1.0, 2.0], [1.0, 3.0], [1.1, 3.2], [], [], []])
    assert seeds.noise.freedom == 2
    assert seeds.compute_limit(0, 1) == pytest.approx(seeds.noise.compute_limit(2, 2))
    assert seeds.compute_limit(1, 2) == pytest.approx(
        estimate_noise_within_encoder(np.array([[1.0, 3.0], [1.1, 3.2]])).compute_limit(2, 2)
    )
    assert seeds.compute_limit(0, 3) == pytest.approx(seeds.noise.compute_limit(2, math.inf))
    assert seeds.compute_limit(0, 4) is None
    assert seeds.compute_limit(3, 5) is None


@pytest.mark.parametrize(
    ("gap", "spread", "seeds", "finding"),
    [
        (1.0, 0.01, 2, "matters"),
        (1.0, 0.5, 2, "within seed noise"),
        (1.0, 0.01, 1, "no seed yardstick"),
        (0.01, 0.001, 2, "not told apart"),
    ],
)
def test_the_verdict_asks_other_rows_and_other_seeds(gap, spread, seeds, finding):
    fit = np.zeros((2, 1))
    members = [ComparedMember(name, name, "r", singles=[fit] * seeds) for name in ("a", "b")]
    scores = [[0.0, spread][:seeds], [gap, gap + spread][:seeds]]
    fits = [list(range(seeds)), list(range(seeds, 2 * seeds))]
    flat = np.concatenate(scores)
    judged = PredictionScores(flat, flat + np.random.default_rng(0).normal(size=(200, len(flat))) * 0.1, 1)
    found = judge_poolings([0, 1], judged, fits, SeedScores(members, scores))
    assert (found.better, found.worse, found.finding) == ("b", "a", finding)
    assert found.gain == pytest.approx(gap)


def test_of_pairs_that_say_as_much_the_verdict_tells_the_widest_by_the_limit_of_all():
    fit = np.zeros((2, 1))
    members = [ComparedMember(name, name, "r", singles=[fit, fit]) for name in ("x", "a", "b", "c")]
    scores = [[9.0, 9.0], [0.0, 0.01], [1.0, 1.01], [3.0, 3.01]]
    flat = np.concatenate(scores)
    judged = PredictionScores(flat, flat + np.random.default_rng(0).normal(size=(200, len(flat))) * 0.01, 1)
    seeds = SeedScores(members, scores)
    found = judge_poolings([1, 2, 3], judged, [[0, 1], [2, 3], [4, 5], [6, 7]], seeds)
    assert (found.poolings, found.better, found.worse) == (["a", "b", "c"], "c", "a")
    assert found.seed_limit == pytest.approx(seeds.noise.compute_limit(2, 2, compared=3))


def test_poolings_are_grouped_by_recipe_and_a_lone_one_is_no_group():
    members = [
        ComparedMember(name, name, recipe) for name, recipe in zip("abcde", ["r", None, "s", "r", "t"], strict=True)
    ]
    assert group_poolings(members) == [[0, 3]]


def test_the_ensembles_squared_error_is_the_members_less_their_variance(draw):
    truth, P = draw("regression")
    found = decompose_ambiguity(problem_of(P, truth, "regression", "mae"))
    assert found.loss == "squared_error"
    assert found.ambiguity == pytest.approx(((P - P.mean(0)) ** 2).mean())
    assert found.members == pytest.approx(((P - truth) ** 2).mean())
    assert found.ensemble == pytest.approx(((P.mean(0) - truth) ** 2).mean())


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "ordinal"])
def test_the_gap_of_log_losses_is_never_negative(draw, task):
    truth, P = draw(task)
    found = decompose_ambiguity(problem_of(P, truth, task, "accuracy"))
    columns = P.shape[2]
    if task == "multilabel":
        losses = [np.mean([log_loss(truth[:, c], one[:, c]) for c in range(columns)]) for one in [*P, P.mean(0)]]
    else:
        losses = [log_loss(truth, one if columns > 1 else one[:, 0]) for one in [*P, P.mean(0)]]
    assert found.loss == "log_loss"
    assert found.members == pytest.approx(np.mean(losses[:-1]))
    assert found.ensemble == pytest.approx(losses[-1])
    assert found.ambiguity == pytest.approx(np.mean(losses[:-1]) - losses[-1])
    assert found.ambiguity > 0


def test_a_control_has_as_many_fits_on_either_side():
    found = plan_seed_controls({0: 3, 4: 1, 7: 2, 8: 1})
    assert [(one.member, one.size) for one in found] == [(0, 3), (7, 2)]
    assert found[0].seeds == [((0, 0), (0, 1), (0, 2))]
    for one in found:
        assert len(one.mixes) == len(set(one.mixes)) == MOST_SETS
        assert all(len({member for member, _ in mix}) == one.size for mix in one.mixes)
    sets = [frozenset(member for member, _ in mix) for mix in found[0].mixes]
    assert set(sets[:4]) == set(map(frozenset, combinations([0, 4, 7, 8], 3)))  # each once before any twice
    many = plan_seed_controls({0: 2} | dict.fromkeys(range(1, 10), 1))[0].mixes
    assert 0 < sum(mix[0][0] == 0 for mix in many) < MOST_SETS  # not the first sets of all
    assert plan_seed_controls({0: 5}) == []
    assert plan_seed_controls({0: 1, 1: 1}) == []


def test_a_control_judges_equal_means_of_fits(draw):
    truth, singles = draw("multiclass", members=5)
    by_member = [list(singles[:2]), [singles[2]], [singles[3]]]
    P = np.stack([*(np.mean(one, axis=0) for one in by_member), singles[4]])
    members = [ComparedMember(f"m{at}", f"m{at}", "r", False, own) for at, own in enumerate(by_member)]
    members.append(ComparedMember("other", "other", "another", False, [singles[4]]))
    [found] = compare_members(
        problem_of(P, truth, "multiclass", "log_loss"), members, BootstrapDraws(120, None, DRAWS)
    ).control
    mixes = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]

    def gain(rows: Any) -> float:
        seeds = log_loss(truth[rows], singles[[0, 1]].mean(0)[rows], labels=range(4))
        return seeds - np.mean([log_loss(truth[rows], singles[list(m)].mean(0)[rows], labels=range(4)) for m in mixes])

    assert (found.name, found.size, found.choices) == ("m0", 2, (1, 5))
    assert found.gain == pytest.approx(gain(np.arange(120)))
    gains = [gain(rows) for rows in drawn_rows(120, None)]
    assert found.interval == pytest.approx(np.quantile(gains, [0.025, 0.975]))
    assert average_fits(((0, 0), (2, 0)), by_member) == pytest.approx(singles[[0, 3]].mean(0))


def test_poolings_of_one_encoder_are_no_control(draw):
    truth, singles = draw("binary", members=4)
    P = np.stack([singles[:2].mean(0), singles[2:].mean(0)])
    members = [ComparedMember(f"e.{at}", "e", "r", False, list(singles[2 * at : 2 * at + 2])) for at in range(2)]
    found = compare_members(problem_of(P, truth, "binary", "log_loss"), members, BootstrapDraws(120, None, DRAWS))
    assert found.control == []
    assert len(found.verdicts) == 1


def test_pairs_come_by_similarity_and_the_file_holds_what_was_found(draw, tmp_path: Path):
    truth, P = draw("binary")
    problem = problem_of(P, truth, "binary", "roc_auc")
    found = compare_members(problem, alone(P, 0), BootstrapDraws(120, None, DRAWS))
    assert np.array(found.error_correlations) == pytest.approx(compute_error_correlations(P, truth, "binary"))
    order = rank_pairs_by_similarity(np.array(found.error_correlations))
    values = [found.error_correlations[a][b] for a, b in order]
    assert len(order) == 3
    assert values == sorted(values, reverse=True)
    found = replace(found, folds=[0], front=[CostPoint(["m0"], 0.5, None, 1.0)])
    write_comparison(tmp_path / "compare.json", {**found.to_json(), "files": {}})
    written = json.loads((tmp_path / "compare.json").read_text())
    assert written == json.loads(json.dumps({**found.to_json(), "files": {}}))
    assert Comparison.from_json(written) == found
    del written["adds"]
    with pytest.raises(OOFError, match="no comparison that this version wrote"):
        Comparison.from_json(written)


def test_a_single_member_has_nothing_to_be_compared_with(draw):
    truth, P = draw("ordinal", members=1)
    found = compare_members(problem_of(P, truth, "ordinal", "qwk"), alone(P), BootstrapDraws(120, None, DRAWS))
    assert (found.verdicts, found.adds, found.control) == ([], [], [])
    assert found.members[0].over_best is None
