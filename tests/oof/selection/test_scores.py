"""Scores say what they are: in-sample, cross-fitted, and gains with their error."""

import numpy as np
import pytest

from oof import OOFError
from oof.blends.blend_registry import BLENDS
from oof.metrics.metric_registry import METRICS, find_metric
from oof.metrics.thresholds import decide_labels
from oof.selection.bootstrap import BootstrapDraws
from oof.selection.scores import compute_paired_gain, compute_score, predict_cross_fitted, predict_in_sample

FOLD = np.arange(120) % 4


def draws(repeats=200, seed=0):
    return BootstrapDraws(120, None, repeats, seed)


def test_the_pooled_score_decides_and_the_folds_stand_beside_it(draw):
    truth, P = draw("binary")
    found = compute_score(METRICS["roc_auc"], truth, P[0], FOLD)
    assert found.pooled == METRICS["roc_auc"].function(truth, P[0])
    each = [METRICS["roc_auc"].function(truth[fold == FOLD], P[0][fold == FOLD]) for fold in range(4)]
    assert found.by_fold == each
    assert found.mean == pytest.approx(np.mean(each))
    assert found.deviation == pytest.approx(np.std(each, ddof=1))


def test_a_fold_without_a_question_is_left_out():
    truth, p = np.array([0, 0, 0, 1, 0, 1]), np.linspace(0.1, 0.6, 6)[:, None]
    found = compute_score(METRICS["roc_auc"], truth, p, np.array([0, 0, 1, 1, 2, 2]))
    assert found.by_fold == [None, 1.0, 1.0]
    assert found.mean == 1.0
    alone = compute_score(METRICS["roc_auc"], truth[2:4], p[2:4], np.array([1, 1]))
    assert alone.deviation is None


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "f1"), ("multilabel", "f1"), ("ordinal", "qwk"), ("multiclass", "mcc")]
)
def test_label_metrics_are_scored_on_labels_by_fold_too(draw, task, name):
    truth, P = draw(task)
    entry = find_metric(name, task)
    labels = decide_labels(task, P[0])
    each = [entry.function(truth[fold == FOLD], labels[fold == FOLD]) for fold in range(4)]
    assert compute_score(entry, truth, labels, FOLD).by_fold == pytest.approx(each)


@pytest.mark.parametrize(
    ("method", "task", "name"),
    [
        (method, task, name)
        for method, rule in BLENDS.items()
        for task, name in [("binary", "f1"), ("binary", "roc_auc"), ("ordinal", "qwk"), ("regression", "rmse")]
        if task in rule.tasks and METRICS[name].needs in rule.needs
    ],
)
def test_cross_fitting_never_looks_at_the_folds_own_truth(draw, level_one, method, task, name):
    rule = BLENDS[method]
    truth, P = draw(task)
    before = predict_cross_fitted(rule, level_one(truth, P, task, name))
    poisoned = truth.copy()
    poisoned[FOLD == 2] = poisoned[FOLD == 2][::-1] if task == "regression" else poisoned.max() - poisoned[FOLD == 2]
    after = predict_cross_fitted(rule, level_one(poisoned, P, task, name))
    own = FOLD == 2
    assert (before.predictions[own] == after.predictions[own]).all()
    assert (before.decided[own] == after.decided[own]).all()
    assert before.thresholds[2] == after.thresholds[2]
    assert before.numbers[2] == after.numbers[2]
    if method in ("simplex", "stacker"):
        assert (before.predictions[~own] != after.predictions[~own]).any()  # the poison is felt where it may be


def test_cross_fitting_never_looks_at_the_folds_own_members(draw, level_one):
    _, P = draw("binary")
    truth = draw("binary")[0]
    before = predict_cross_fitted(BLENDS["rank_mean"], level_one(truth, P, "binary", "roc_auc"))
    moved = P.copy()
    moved[:, FOLD == 2] /= 2
    after = predict_cross_fitted(BLENDS["rank_mean"], level_one(truth, moved, "binary", "roc_auc"))
    assert before.numbers[2] == after.numbers[2]
    assert before.numbers[1] != after.numbers[1]


def test_thresholds_of_a_cross_fitted_score_come_from_the_other_folds(draw, level_one):
    truth, P = draw("binary")
    found = predict_cross_fitted(BLENDS["mean"], level_one(truth, P, "binary", "f1"))
    assert len(set(map(tuple, found.thresholds))) > 1
    for fold in range(4):
        own = fold == FOLD
        assert (found.decided[own] == decide_labels("binary", found.predictions[own], found.thresholds[fold])).all()


def test_in_sample_flatters_and_cross_fitted_does_not(level_one):
    rng = np.random.default_rng(0)
    truth, P = rng.integers(2, size=150), rng.uniform(0.3, 0.7, size=(20, 150, 1))  # nothing to learn
    flattered = predict_in_sample(BLENDS["stacker"], level_one(truth, P, "binary", "roc_auc"))
    honest = predict_cross_fitted(BLENDS["stacker"], level_one(truth, P, "binary", "roc_auc", np.arange(150) % 5))
    assert METRICS["roc_auc"].function(truth, flattered.decided) > 0.65
    assert METRICS["roc_auc"].function(truth, honest.decided) < 0.6


def test_one_fold_cannot_be_cross_fitted(draw, level_one):
    truth, P = draw("binary")
    with pytest.raises(OOFError, match="at least two folds, there is only fold 3"):
        predict_cross_fitted(BLENDS["mean"], level_one(truth, P, "binary", fold=np.full(120, 3)))


def test_the_error_of_a_gain_is_that_of_a_mean_of_differences(draw):
    truth, P = draw("binary")
    found = compute_paired_gain(METRICS["log_loss"], truth, P[0], P[2], draws(repeats=2000))

    def losses(p):
        return -np.log(np.where(truth == 1, p[:, 0], 1 - p[:, 0]))

    differences = losses(P[2]) - losses(P[0])
    assert found.gain == pytest.approx(differences.mean())
    assert found.standard_error == pytest.approx(differences.std() / np.sqrt(120), rel=0.06)


def test_whole_components_are_drawn(draw):
    truth, P = draw("binary", rows=60)
    copies = [np.repeat(array, 4, axis=0) for array in (truth, P[0], P[2])]
    together = compute_paired_gain(
        METRICS["log_loss"], *copies, BootstrapDraws(240, np.repeat(np.arange(60), 4) * 7, 800)
    )
    apart = compute_paired_gain(METRICS["log_loss"], *copies, BootstrapDraws(240, None, 800))
    original = compute_paired_gain(METRICS["log_loss"], truth, P[0], P[2], BootstrapDraws(60, None, 800))
    assert together.standard_error == pytest.approx(original.standard_error, rel=0.1)
    assert apart.standard_error == pytest.approx(original.standard_error / 2, rel=0.1)


def test_components_of_unequal_size_are_drawn_whole():
    component = np.array([5, 5, 5, 1, 9, 9])
    seen = []

    def spy(truth, predictions):
        seen.append(truth.astype(int).tolist())
        return 0.0

    entry = find_metric("mae", "regression")
    spied = type(entry)("spy", spy, True, "values", entry.tasks)
    rows = np.arange(6.0)[:, None]
    compute_paired_gain(spied, rows[:, 0], rows, rows, BootstrapDraws(6, component, 30))
    whole = {1: (3,), 5: (0, 1, 2), 9: (4, 5)}
    for draw_ in seen[:-2]:
        pieces = [draw_.count(rows[0]) for rows in whole.values()]
        assert sum(pieces) == 3
        assert all(draw_.count(row) == draw_.count(rows[0]) for rows in whole.values() for row in rows)


def test_a_better_loss_is_a_positive_gain_and_the_seed_repeats(draw):
    truth, P = draw("binary")
    found = compute_paired_gain(METRICS["log_loss"], truth, P[0], P[2], draws(seed=4))
    assert found.gain > 0
    assert found == compute_paired_gain(METRICS["log_loss"], truth, P[0], P[2], draws(seed=4))
    assert (
        found.standard_error
        != compute_paired_gain(METRICS["log_loss"], truth, P[0], P[2], draws(seed=5)).standard_error
    )
    labels = decide_labels("binary", P[0]), decide_labels("binary", P[2])
    assert compute_paired_gain(METRICS["accuracy"], truth, *labels, draws()).gain > 0


@pytest.mark.parametrize(("task", "name"), [("binary", "roc_auc"), ("ordinal", "qwk"), ("regression", "rmse")])
def test_cross_fitting_of_a_view_is_that_of_a_copy(draw, level_one, task, name):
    truth, P = draw(task)
    kept = np.arange(120) % 7 > 1
    view = level_one(truth, P, task, name).select_rows(kept)
    copy = level_one(truth[kept], P[:, kept].copy(), task, name, FOLD[kept])
    for method in ("simplex", "stacker"):
        found, expected = predict_cross_fitted(BLENDS[method], view), predict_cross_fitted(BLENDS[method], copy)
        assert found.predictions == pytest.approx(expected.predictions, rel=1e-6, abs=1e-6)
        assert predict_in_sample(BLENDS[method], view).predictions == pytest.approx(
            predict_in_sample(BLENDS[method], copy).predictions, rel=1e-6, abs=1e-6
        )


def test_a_fold_of_one_row_has_the_score_that_the_metric_gives_it():
    truth, p = np.array([[1.0], [2.0], [4.0]]), np.array([[1.5], [2.0], [3.0]])
    fold = np.array([0, 1, 1])
    for name in ("rmse", "r2", "spearman", "pearson", "mae"):
        expected = METRICS[name].function(truth[:1], p[:1])
        assert compute_score(METRICS[name], truth, p, fold).by_fold[0] == pytest.approx(expected)


def test_a_metric_that_no_draw_can_answer_is_refused():
    truth, p = np.zeros(10, dtype=int), np.linspace(0, 1, 10)[:, None]
    with pytest.raises(OOFError, match="roc_auc is undefined on resampled rows"):
        compute_paired_gain(METRICS["roc_auc"], truth, p, p, BootstrapDraws(10, None))
