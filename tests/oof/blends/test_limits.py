"""A blend keeps to its limits, and chooses its members again without each fold."""

import json

import numpy as np
import pytest

from oof import OOFError
from oof.blends.blend_registry import BLENDS
from oof.blends.limits import Costs, Limits, choose_members, compute_cost_front, get_used_members, limit_blend
from oof.blends.search import make_objective
from oof.metrics.metric_registry import METRICS, find_metric
from oof.metrics.thresholds import decide_labels
from oof.selection.auto import select_blend
from oof.selection.scores import predict_cross_fitted, predict_in_sample

GROUPS = np.array([0, 0, 1, 2, 2, 3])
COSTS = Costs(GROUPS, np.array([4.0, 1.0, 2.0, 0.5]))  # seconds of each group


def slow_choice(problem, members, seconds):
    """Greedy selection of an equal mean, the best prefix of it."""
    value, chosen, path = make_objective(problem), [], []
    if (members or 6) >= 6 and (seconds is None or seconds >= 7.5):
        return [0, 1, 2, 3, 4, 5]  # limits that do not bind choose nothing
    while True:
        found = {}
        for at in range(problem.member_count):
            trial = [*chosen, at]
            cost = sum(COSTS.seconds[group] for group in {GROUPS[one] for one in trial})
            if at not in chosen and len(trial) <= (members or 99) and (seconds is None or cost <= seconds):
                found[at] = value(problem.P[trial].mean(0))
        if not found:
            return sorted(chosen[: int(np.argmax(path)) + 1])
        chosen.append(max(found, key=found.get))
        path.append(found[chosen[-1]])


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "log_loss"), ("multiclass", "log_loss"), ("ordinal", "qwk"), ("regression", "rmse")]
)
@pytest.mark.parametrize(
    ("members", "seconds"), [(1, None), (2, None), (None, 0.5), (None, 3.0), (3, 5.0), (None, None), (6, 100.0)]
)
def test_the_choice_is_that_of_a_slow_loop_within_its_limits(draw, level_one, task, name, members, seconds):
    for seed in range(3):
        truth, P = draw(task, members=6, rows=60, seed=seed)
        problem = level_one(truth, P, task, name)
        chosen = choose_members(problem, Limits(members, seconds, COSTS))
        assert chosen == slow_choice(problem, members, seconds)
        assert 0 < len(chosen) <= (members or 6)
        assert COSTS.compute_seconds(chosen) <= (seconds or 100)


def test_members_that_are_predicted_together_cost_once():
    assert COSTS.compute_seconds([0]) == COSTS.compute_seconds([1]) == COSTS.compute_seconds([0, 1]) == 4
    assert COSTS.compute_seconds([0, 1, 2, 3, 4, 5]) == 7.5
    assert COSTS.compute_seconds([3, 4, 5]) == 2.5
    assert COSTS.compute_seconds([]) == 0
    assert COSTS.compute_seconds([6]) == 0  # pure noise, as a check
    assert COSTS.compute_seconds([2, 6]) == 1


def test_the_second_of_a_group_is_free(level_one):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 1))
    P = truth + rng.normal(size=(6, 200, 1)) * np.array([0.5, 0.5, 1, 1, 1, 1])[:, None, None]
    problem = level_one(truth, P, "regression", "rmse")
    assert choose_members(problem, Limits(None, 4.0, COSTS)) == [0, 1]
    assert not {0, 1} & set(choose_members(problem, Limits(None, 3.9, COSTS)))
    allowed = Limits(None, 4.5, COSTS).find_allowed(np.array([1, 0, 0, 0, 0, 0, 0.0]))
    assert allowed.tolist() == [False, True, False, False, False, True, True]


def test_no_member_within_the_limits_is_an_error_that_names_the_fastest(draw, level_one):
    truth, P = draw("binary", members=6)
    problem = level_one(truth, P, "binary")
    with pytest.raises(
        OOFError, match=r"no member is within blend\.max_seconds 0\.25: the fastest takes 0\.5 seconds$"
    ):
        choose_members(problem, Limits(2, 0.25, COSTS))
    with pytest.raises(OOFError, match=r"no member is within blend\.max_seconds 0\.25"):
        select_blend("auto", problem, limits=Limits(None, 0.25, COSTS), repeats=5)


def test_the_choice_is_repeated_without_each_fold(level_one):
    """Member f fails on fold f, so that without this fold it is the best."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(120, 1))
    P = truth + 0.3 * rng.normal(size=(4, 120, 1))
    for fold in range(4):
        P[fold, np.arange(120) % 4 == fold] += 9
    problem = level_one(truth, P, "regression", "rmse")
    limits = Limits(1, None, Costs(np.arange(4), np.ones(4)))
    found = predict_cross_fitted(limit_blend(BLENDS["mean"], limits), problem)
    assert [numbers["chosen"] for numbers in found.numbers] == [[0], [1], [2], [3]]
    assert find_metric("rmse", "regression").function(truth, found.predictions) > 8


def test_a_folds_choice_never_looks_at_its_own_rows(draw, level_one):
    truth, P = draw("binary", members=6)
    rule = limit_blend(BLENDS["simplex"], Limits(2, 5.0, COSTS))
    before = predict_cross_fitted(rule, level_one(truth, P, "binary", "roc_auc"))
    own, spoilt, other = np.arange(120) % 4 == 2, P.copy(), truth.copy()
    spoilt[:, own], other[own] = P[:, own] ** 3, 1 - truth[own]
    after = predict_cross_fitted(rule, level_one(other, spoilt, "binary", "roc_auc"))
    assert before.numbers[2] == after.numbers[2]
    assert before.numbers[1] != after.numbers[1]


@pytest.mark.parametrize("method", list(BLENDS))
def test_every_blend_of_chosen_members_is_the_blend_of_these_alone(draw, level_one, method):
    task = "binary" if method != "column_simplex" else "multilabel"
    truth, P = draw(task, members=6, rows=60)
    problem = level_one(truth, P, task, "roc_auc")
    rule = limit_blend(BLENDS[method], Limits(2, None, COSTS))
    numbers = rule.fit(problem)
    chosen, own = get_used_members(numbers, 6)
    assert len(chosen) <= 2
    assert own == BLENDS[method].fit(level_one(truth, P[chosen], task, "roc_auc"))
    P[np.delete(np.arange(6), chosen)] = np.nan
    assert (rule.apply(numbers, P) == BLENDS[method].apply(own, P[chosen])).all()
    assert json.loads(json.dumps(numbers)) == numbers
    assert (rule.linear, rule.learns) == (BLENDS[method].linear, BLENDS[method].learns)


def test_a_blend_without_limits_uses_all(draw, level_one):
    truth, P = draw("binary")
    numbers = BLENDS["mean"].fit(level_one(truth, P, "binary"))
    assert get_used_members(numbers, 3) == ([0, 1, 2], numbers)


@pytest.mark.parametrize("limits", [Limits(2, None, COSTS), Limits(None, 1.5, COSTS)])
def test_every_candidate_keeps_to_the_limits(draw, level_one, limits):
    truth, P = draw("binary", members=6)
    for climb in (
        select_blend("auto", level_one(truth, P, "binary"), limits=limits, repeats=10),
        select_blend("nnls", level_one(truth, P, "binary"), limits=limits, repeats=10),
    ):
        for rung in climb.candidates:
            for numbers in [*rung.fitted.numbers, *rung.out_of_fold.numbers]:
                chosen = get_used_members(numbers, 6)[0]
                assert limits.members is None or len(chosen) <= limits.members
                assert limits.seconds is None or COSTS.compute_seconds(chosen) <= limits.seconds


def slow_path(truth, P, value):
    path = []
    while len(path) < len(P):
        left = [at for at in range(len(P)) if at not in path]
        path.append(max(left, key=lambda at: value(P[[*path, at]].mean(0))))
    return path


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "roc_auc"), ("binary", "f1"), ("multiclass", "log_loss"), ("regression", "rmse")]
)
def test_the_cost_front_is_that_of_a_slow_loop(draw, level_one, task, name):
    truth, P = draw(task, members=6, rows=80)
    problem = level_one(truth, P, task, name)
    points = compute_cost_front(problem, COSTS)
    whole = slow_path(truth, P, make_objective(problem))
    for count, point in enumerate(points, start=1):
        assert point.members == whole[:count]
        assert point.seconds == COSTS.compute_seconds(whole[:count])
        predictions = np.empty(P.shape[1:])
        for fold in range(4):
            own = problem.fold == fold
            rest = level_one(truth[~own], P[:, ~own], task, name)
            path = slow_path(truth[~own], P[:, ~own], make_objective(rest))
            predictions[own] = P[:, own][path[:count]].mean(0)
        decided = decide_labels(task, predictions) if METRICS[name].needs == "labels" else predictions
        assert point.score == pytest.approx(problem.metric.function(truth, decided))
    assert len(points) == 6
    flat = predict_in_sample(BLENDS["mean"], problem).predictions
    decided = decide_labels(task, flat) if METRICS[name].needs == "labels" else flat
    assert points[-1].score == pytest.approx(problem.metric.function(truth, decided))
