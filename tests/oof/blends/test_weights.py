"""The searches find what a slower or exact one finds."""

from itertools import combinations

import numpy as np
import pytest

from benchmarks.blend import synthetic
from oof import OOFError
from oof.blends import search, weights
from oof.blends.problem import Problem, combine
from oof.blends.search import make_objective, reduce_to_true_class
from oof.blends.weights import fit_hill_climb, fit_simplex, fit_subset
from oof.metrics.metric_registry import METRICS, Metric, find_metric


def problem(P, truth, task, entry):
    return Problem(P, truth, np.arange(len(truth)) % 4, task, entry)


def test_simplex_finds_the_minimum_of_the_log_loss(draw):
    truth, P = draw("multiclass", rows=60, members=3)
    value = make_objective(problem(P, truth, "multiclass", METRICS["log_loss"]))
    found = np.array(fit_simplex(problem(P, truth, "multiclass", METRICS["log_loss"]))["weights"])
    steps = np.linspace(0, 1, 51)
    grid = max(value(combine(np.array([a, b, 1 - a - b]), P)) for a in steps for b in steps if a + b <= 1)
    assert value(combine(found, P)) >= grid


def test_simplex_gives_garbage_no_weight(draw):
    for task, name in [("binary", "log_loss"), ("binary", "roc_auc"), ("regression", "rmse"), ("ordinal", "qwk")]:
        truth, P = draw(task, rows=300)
        shift = 10 * truth.std(0) if task == "regression" else 0  # unshifted it would be of use, as shrinkage
        garbage = np.concatenate([P, P[:1, ::-1] + shift])
        assert fit_simplex(problem(garbage, truth, task, find_metric(name, task)))["weights"][-1] < 0.03


@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_simplex_on_a_rough_metric_is_no_worse_than_any_other_choice(draw, name):
    truth, P = draw("binary", members=4)
    value = make_objective(problem(P, truth, "binary", METRICS[name]))
    chosen = {
        rule: value(combine(np.array(rule(problem(P, truth, "binary", METRICS[name]))["weights"]), P))
        for rule in (fit_simplex, fit_hill_climb)
    }
    smooth = np.array(fit_simplex(problem(P, truth, "binary", METRICS["log_loss"]))["weights"])
    assert chosen[fit_simplex] >= max(chosen[fit_hill_climb], value(combine(smooth, P)), value(P.mean(0)))


RANKS = [("binary", "roc_auc"), ("binary", "average_precision"), ("multilabel", "roc_auc"), ("regression", "spearman")]


@pytest.mark.parametrize(("task", "name"), RANKS)
def test_weights_for_ranks_lie_near_the_top_and_are_never_below_equal_ones(draw, task, name):
    truth, P = draw(task, rows=400, members=6)
    given = problem(P, truth, task, METRICS[name])
    equal, found, top = (
        make_objective(given)(given.combine_members(np.array(its)))
        for its in (np.full(6, 1 / 6), fit_simplex(given)["weights"], fit_hill_climb(given)["weights"])
    )
    assert equal <= found
    assert found >= equal + 0.7 * (top - equal)


def test_weights_for_ranks_do_better_on_other_rows_than_those_at_the_top(monkeypatch):
    gains = []
    for seed in range(8):
        chosen, held = (synthetic(2000, 12, seed, held_out=other) for other in (False, True))
        values = []
        for rows in (search.SAMPLE_ROWS, 0):
            monkeypatch.setattr(weights, "SAMPLE_ROWS", rows)
            its = fit_simplex(problem(chosen[1][..., None], chosen[0], "binary", METRICS["roc_auc"]))["weights"]
            values.append(METRICS["roc_auc"].function(held[0], combine(np.array(its), held[1][..., None])))
        gains.append(values[0] - values[1])
    assert np.mean(gains) > np.std(gains) / len(gains) ** 0.5


def test_very_few_rows_have_weights_for_ranks_or_a_sentence(draw):
    truth, P = draw("binary", rows=8)
    given = problem(P, truth, "binary", METRICS["roc_auc"])
    for rows in (4, 5):
        assert sum(fit_simplex(given.select_rows(np.arange(8) < rows))["weights"]) == pytest.approx(1)
    with pytest.raises(OOFError, match="roc_auc needs rows of both kinds"):
        fit_simplex(given.select_rows(np.arange(8) < 1))


def test_where_all_weights_are_as_good_they_are_equal(draw):
    truth, P = draw("binary", rows=60)
    sure = np.clip(truth[:, None] + 0.1 * P, 0, 1)
    assert fit_simplex(problem(sure, truth, "binary", METRICS["roc_auc"]))["weights"] == [1 / 3] * 3


@pytest.mark.parametrize("name", ["log_loss", "roc_auc"])
def test_subset_is_the_best_of_all_subsets(draw, name):
    truth, P = draw("binary", members=5)
    value = make_objective(problem(P, truth, "binary", METRICS[name]))
    every = [value(P[list(some)].mean(0)) for count in range(1, 6) for some in combinations(range(5), count)]
    found = np.array(fit_subset(problem(P, truth, "binary", METRICS[name]))["weights"])
    assert value(combine(found, P)) == pytest.approx(max(every), abs=1e-12)
    assert len(set(found[found > 0])) == 1


def test_many_members_are_selected_forward_and_the_mean_of_all_stays_a_candidate(draw, monkeypatch):
    truth, P = draw("binary", members=12, rows=200)
    P[6:] = P[6:, ::-1]  # half are garbage
    value = make_objective(problem(P, truth, "binary", METRICS["log_loss"]))
    found = np.array(fit_subset(problem(P, truth, "binary", METRICS["log_loss"]))["weights"])
    assert found[6:].sum() == 0
    assert value(combine(found, P)) > value(P.mean(0))
    # a path that stops at the first member does not hide the mean of all
    monkeypatch.setattr(weights, "select_greedily", lambda P, *_, **__: np.eye(len(P))[0])
    good = P[:6].repeat(2, axis=0)
    assert fit_subset(problem(good, truth, "binary", METRICS["roc_auc"]))["weights"] == [1 / 12] * 12


def test_ties_between_subsets_go_to_the_smaller(draw):
    truth, P = draw("binary")
    assert fit_subset(problem(np.stack([P[0]] * 3), truth, "binary", METRICS["log_loss"]))["weights"] == [1, 0, 0]


def test_hill_climbing_is_caruanas_path_in_a_slow_loop(draw):
    truth, P = draw("binary", members=4)
    value = make_objective(problem(P, truth, "binary", METRICS["log_loss"]))
    bag, path = [], []
    while len(path) <= np.argmax(path or [0]) + search.PATIENCE:
        found = [value(P[[*bag, at]].mean(0)) for at in range(4)]
        bag.append(int(np.argmax(found)))
        path.append(max(found))
    best = bag[: int(np.argmax(path)) + 1]
    climbed = fit_hill_climb(problem(P, truth, "binary", METRICS["log_loss"]))["weights"]
    assert climbed == pytest.approx(np.bincount(best, minlength=4) / len(best))


def test_selection_breaks_ties_in_favour_of_members_already_selected():
    worth = {(0, 1, 0): 1, (0, 1 / 2, 1 / 2): 2, (1 / 3, 1 / 3, 1 / 3): 3, (0, 2 / 3, 1 / 3): 3}
    three = problem(np.eye(3)[..., None], np.arange(3), "binary", METRICS["log_loss"])
    found = search.select_greedily(three, lambda mean: worth.get(tuple(mean[:, 0]), 0), 3, search.allow_all)
    assert found.tolist() == [0, 2, 1]


def test_forward_selection_takes_a_member_once(draw):
    truth, P = draw("binary", members=12, rows=200)
    P = P**3 / (P**3 + (1 - P) ** 3)  # overconfident, so that a mean helps
    value = make_objective(problem(P, truth, "binary", METRICS["log_loss"]))
    chosen, path = [], []
    while len(chosen) < 12:
        left = [at for at in range(12) if at not in chosen]
        found = [value(P[[*chosen, at]].mean(0)) for at in left]
        chosen.append(left[int(np.argmax(found))])
        path.append(max(found))
    best = chosen[: int(np.argmax(path)) + 1]
    assert 2 < len(best) < 12
    weights = np.array(fit_subset(problem(P, truth, "binary", METRICS["log_loss"]))["weights"])
    assert weights == pytest.approx(np.isin(np.arange(12), best) / len(best))


def test_a_score_that_is_not_finite_is_never_selected(draw):
    truth, P = draw("regression")
    broken = np.concatenate([P, np.full_like(P[:1], np.nan)])
    assert fit_hill_climb(problem(broken, truth, "regression", METRICS["spearman"]))["weights"][-1] == 0
    with pytest.raises(OOFError, match="no member has a finite mae"):
        fit_hill_climb(problem(broken[-1:], truth, "regression", METRICS["mae"]))

    # a metric may be undefined on the best-looking predictions
    def holed(truth, predictions):
        return np.nan if (predictions == P[0]).all() else METRICS["mae"].function(truth, predictions)

    hole = Metric("holed", holed, False, "values", frozenset({"regression"}))
    two = P[:1].repeat(2, axis=0) * [[[1.0]], [[1.5]]]
    first = fit_hill_climb(problem(two, truth, "regression", hole))["weights"]
    assert first[1] > 0


def test_the_scale_of_a_target_does_not_move_the_weights(draw):
    truth, P = draw("regression")
    for factor in (1e-6, 1e6):
        scaled = fit_simplex(problem(P * factor, truth * factor, "regression", METRICS["rmse"]))["weights"]
        assert scaled == pytest.approx(
            fit_simplex(problem(P, truth, "regression", METRICS["rmse"]))["weights"], abs=1e-4
        )


def test_the_log_loss_of_classes_is_reduced_to_one_column_without_changing_it(draw):
    truth, P = draw("ordinal")
    whole = problem(P, truth, "ordinal", METRICS["log_loss"])
    mix = np.array([0.2, 0.3, 0.5])
    for some in (whole, whole.select_rows(np.arange(len(truth)) % 3 > 0)):
        small = reduce_to_true_class(some)
        assert small.P.shape == (3, len(some), 1)
        assert make_objective(small)(small.combine_members(mix)) == pytest.approx(
            make_objective(some)(some.combine_members(mix))
        )
    assert make_objective(reduce_to_true_class(whole))(combine(mix, reduce_to_true_class(whole).P)) == pytest.approx(
        make_objective(problem(P, truth, "ordinal", METRICS["log_loss"]))(combine(mix, P))
    )


def test_weights_of_a_metric_are_no_worse_than_those_the_search_starts_from(draw):
    for task, name in [("multilabel", "macro_f1"), ("ordinal", "qwk")]:
        truth, P = draw(task, rows=80, members=4)
        entry = find_metric(name, task)
        whole = problem(P, truth, task, entry)
        value, loss = make_objective(whole), METRICS["r2" if task == "regression" else "log_loss"]
        near = np.array(fit_simplex(problem(P, truth, task, loss))["weights"])
        assert value(whole.combine_members(np.array(fit_simplex(whole)["weights"]))) >= max(
            value(P.mean(0)), value(whole.combine_members(near))
        )


def test_a_weighted_mean_never_leaves_the_members():
    weights_of_tenths = {"weights": [0.1] * 3 + [0.7]}
    for edge in (0.0, 0.1, 1.0, 1e300):
        assert (weights.apply_weights(weights_of_tenths, np.full((4, 2, 1), edge)) == edge).all()


def test_very_many_rows_are_sampled_for_greedy_paths(draw, monkeypatch):
    truth, P = draw("binary", members=12, rows=400)
    P[6:] = P[6:, ::-1]  # half are garbage
    whole = problem(P, truth, "binary", METRICS["log_loss"])
    assert search.sample_rows(whole) is whole
    monkeypatch.setattr(search, "SAMPLE_ROWS", 150)
    assert len(search.sample_rows(whole)) == 150
    assert (search.sample_rows(whole).positions == search.sample_rows(whole).positions).all()
    view = whole.select_rows(np.arange(400) % 4 > 0)
    assert np.isin(search.sample_rows(view).positions, view.positions).all()
    for chosen in (fit_subset(whole), fit_hill_climb(whole)):
        assert sum(chosen["weights"][6:]) < 0.1
