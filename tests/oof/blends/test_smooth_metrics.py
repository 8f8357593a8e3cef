"""A smooth form is close to the metric, its gradient is its derivative, and optimising it improves the metric."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

import oof.blends.smooth_metrics
from oof.blends.problem import Problem
from oof.blends.search import optimise_by_sqp
from oof.blends.smooth_metrics import smooth_metric
from oof.metrics.metric_registry import METRICS, find_metric
from oof.metrics.thresholds import score_at_best_thresholds

ROUGH = [
    ("binary", "roc_auc"),
    ("binary", "average_precision"),
    ("binary", "f1"),
    ("binary", "mcc"),
    ("binary", "accuracy"),
    ("binary", "balanced_accuracy"),
    ("multilabel", "roc_auc"),
    ("multilabel", "average_precision"),
    ("multilabel", "macro_f1"),
    ("regression", "spearman"),
]
CELLS = [*ROUGH, ("ordinal", "qwk")]
CELLS += [(task, name) for name, entry in METRICS.items() if entry.gradient for task in sorted(entry.tasks)]
cells = pytest.mark.parametrize(("task", "name"), CELLS)


@cells
def test_the_slope_added_up_along_a_path_is_the_difference(draw, level_one, monkeypatch, task, name):
    """A path long enough to cross knots: the value is made of pieces, each with its own slope."""
    monkeypatch.setattr(oof.blends.smooth_metrics, "KNOTS", 32)  # few rows would have a knot each
    monkeypatch.setattr(oof.blends.smooth_metrics, "SHARPNESS", 50.0)  # so that many thresholds take part
    truth, P = draw(task, rows=150)
    problem = level_one(truth, P, task, name)
    slope = smooth_metric(problem)
    start, end = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.2, 0.5])
    steps = (np.arange(200) + 0.5) / 200
    total = 0.0
    for step in steps:
        total += (
            float(
                problem.compute_weight_gradient(slope(problem.combine_members(start + step * (end - start)))[1])
                @ (end - start)
            )
            / 200
        )
    difference = slope(problem.combine_members(end))[0] - slope(problem.combine_members(start))[0]
    assert abs(difference) > 1e-4
    assert total == pytest.approx(difference, rel=0.02, abs=1e-4)


@pytest.mark.parametrize(("task", "name"), ROUGH)
def test_a_smoothed_value_is_close_to_the_metric(draw, level_one, task, name):
    truth, P = draw(task, rows=2000)
    problem = level_one(truth, P, task, name)
    for weights in np.eye(3):
        mixed, entry = problem.combine_members(weights), problem.metric
        exact = score_at_best_thresholds(entry, task, truth, mixed) if entry.confusion else entry.function(truth, mixed)
        assert smooth_metric(problem)(mixed)[0] == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("name", ["roc_auc", "spearman"])
def test_with_a_knot_at_each_row_the_smoothed_value_is_exact(draw, level_one, name):
    task = "regression" if name == "spearman" else "binary"
    truth, P = draw(task, rows=100)
    columns = np.array_split(P, P.shape[2], axis=2)
    for at, column in enumerate(columns):
        own = truth[:, at : at + 1] if task == "regression" else truth
        problem = level_one(own, column[:1], task, name)  # one member, so that the knots are its quantiles
        found = smooth_metric(problem)(problem.get_member(0))[0]
        assert found == pytest.approx(METRICS[name].function(own, problem.get_member(0)), abs=1e-3)


def test_the_concordance_of_whole_grades_is_quadratic_kappa(level_one):
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=300)
    grades = (truth + rng.integers(-1, 2, size=300)).clip(0, 3)
    P = np.eye(4)[grades][None]
    problem = level_one(truth, P, "ordinal", "qwk")
    assert smooth_metric(problem)(P[0])[0] == pytest.approx(find_metric("qwk", "ordinal").function(truth, grades))


def miscalibrated(task, rows=5000):
    """Members that rank well and are wrong in size, beside one that is right in size and ranks badly."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=rows)
    seen = signal + rng.normal(size=(3, rows)) * np.array([0.5, 0.7, 2.0])[:, None]
    if task == "regression":
        truth = np.exp(signal * 1.5)[:, None]
        return truth, (np.stack([30 + 5 * seen[0], -20 + 3 * seen[1], np.exp(seen[2] / 3) + 2]))[..., None]
    truth = (rng.uniform(size=rows) < expit(2 * signal - 3)).astype(int)
    return truth, np.stack([expit(2 * seen[0] + 2), expit(seen[1] + 1), expit(seen[2] / 2 - 2.5)])[..., None]


@pytest.mark.parametrize(
    ("task", "name", "loss"),
    [
        ("binary", "roc_auc", "log_loss"),
        ("binary", "average_precision", "log_loss"),
        ("binary", "f1", "log_loss"),
        ("regression", "spearman", "r2"),
    ],
)
def test_optimising_the_smoothed_metric_beats_the_weights_of_a_loss(level_one, task, name, loss):
    truth, P = miscalibrated(task)
    problem = level_one(truth, P, task, name)

    def value(one):
        mixed = problem.combine_members(optimise_by_sqp(one, smooth_metric(one), np.full(3, 1 / 3), 1e-9))
        entry = problem.metric
        return score_at_best_thresholds(entry, task, truth, mixed) if entry.confusion else entry.function(truth, mixed)

    assert value(problem) > value(replace(problem, metric=METRICS[loss])) + 0.002


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "roc_auc"])
def test_a_metric_without_a_smooth_form_gives_none(draw, level_one, name):
    truth, P = draw("multiclass")
    assert smooth_metric(level_one(truth, P, "multiclass", name)) is None


@pytest.mark.parametrize(("task", "name"), ROUGH)
def test_rows_outside_a_view_are_not_used(draw, level_one, task, name):
    truth, P = draw(task, rows=90)
    kept = np.arange(90) % 3 > 0
    P[:, ~kept] *= 0.1 if task != "regression" else 1e4
    view = level_one(truth, P, task, name).select_rows(kept)
    copy = Problem(P[:, kept], truth[kept], view.fold, task, view.metric)
    mixed = copy.combine_members(np.array([0.2, 0.5, 0.3]))
    found, expected = smooth_metric(view)(mixed), smooth_metric(copy)(mixed)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert found[1] == pytest.approx(expected[1], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("task", "name"), ROUGH)
def test_constant_columns_have_no_slope(draw, level_one, task, name):
    truth, P = draw(task, rows=60)
    column = truth if truth.ndim == 1 else truth[:, 0]
    column[...] = column[0]
    value, gradient = smooth_metric(level_one(truth, P, task, name))(P[0])
    assert np.isfinite(value)
    assert not gradient[:, 0].any()
    assert gradient[:, 1:].any() == (P.shape[2] > 1)


@pytest.mark.parametrize(("task", "name"), [*ROUGH, ("ordinal", "qwk")])
def test_constant_and_certain_members_are_finite(draw, level_one, task, name):
    truth, P = draw(task, rows=60)
    constant = np.broadcast_to(P[0].mean(0), P.shape)
    sure = P.round() if task != "ordinal" else np.eye(4)[P.argmax(2)]
    for some in (constant, sure):
        value, gradient = smooth_metric(level_one(truth, some, task, name))(some[0])
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
