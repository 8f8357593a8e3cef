"""Draws repeat, keep components whole, and give the errors that have closed forms."""

import numpy as np
import pytest

from oof import OOFError
from oof.metrics.metric_registry import METRICS
from oof.metrics.weighted_metrics import weight_metric
from oof.selection.bootstrap import MANY_ROWS, BootstrapDraws, compute_interval, compute_standard_error, score_draws

MAE = METRICS["mae"]


def test_the_same_draws_come_each_time_and_another_seed_gives_others():
    draws = BootstrapDraws(30, None, 5, seed=3)
    first, again = np.array(list(draws)), np.array(list(draws))
    assert (first == again).all()
    assert first.shape == (5, 30)
    assert (first.sum(1) == 30).all()
    assert len(np.unique(first, axis=0)) == 5
    assert (first != np.array(list(BootstrapDraws(30, None, 5, seed=4)))).any()


def test_components_are_drawn_whole_and_as_many_as_there_are():
    component = np.array([7, 7, 7, -1, 2, 2, 40])
    for counts in BootstrapDraws(7, component, 50):
        each = [set(counts[component == one]) for one in (7, -1, 2, 40)]
        assert all(len(one) == 1 for one in each)
        assert sum(one.pop() for one in each) == 4


def test_a_row_is_left_out_as_often_as_chance_has_it():
    out = np.mean([(counts == 0).mean() for counts in BootstrapDraws(200, None, 200)])
    assert out == pytest.approx((1 - 1 / 200) ** 200, abs=0.01)


def test_many_rows_are_drawn_fewer_times():
    assert BootstrapDraws(10, None).repeats == 1000
    assert BootstrapDraws(MANY_ROWS, None).repeats == 1000
    assert BootstrapDraws(MANY_ROWS + 1, None).repeats == 200
    assert BootstrapDraws(MANY_ROWS + 1, None, 7).repeats == 7


def test_error_and_interval_of_a_mean_are_the_textbooks():
    errors = np.abs(np.random.default_rng(0).normal(size=(300, 1)))
    values = BootstrapDraws(300, None, 4000).evaluate([weight_metric(MAE, np.zeros((300, 1)), errors)])[:, 0]
    deviation = errors.std() / np.sqrt(300)
    assert compute_standard_error(values, MAE) == pytest.approx(deviation, rel=0.05)
    low, high = compute_interval(values)
    assert low == pytest.approx(errors.mean() - 1.96 * deviation, abs=0.1 * deviation)
    assert high == pytest.approx(errors.mean() + 1.96 * deviation, abs=0.1 * deviation)
    assert compute_interval(values, level=0.5)[0] == pytest.approx(
        errors.mean() - 0.674 * deviation, abs=0.1 * deviation
    )


def test_the_error_of_a_mean_over_components_is_that_of_a_ratio():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 9, size=150)
    component = np.repeat(np.arange(150), sizes)
    errors = np.abs(rng.normal(size=150))[component][:, None]  # alike within a component
    values = BootstrapDraws(len(errors), component, 3000).evaluate([weight_metric(MAE, np.zeros_like(errors), errors)])[
        :, 0
    ]
    sums = np.bincount(component, errors[:, 0])
    residuals = sums - errors.mean() * sizes
    closed = np.sqrt((residuals**2).sum()) / sizes.sum()
    assert compute_standard_error(values, MAE) == pytest.approx(closed, rel=0.08)
    assert closed > 1.5 * errors.std() / np.sqrt(len(errors))


def test_resampled_is_larger_where_it_is_better(draw):
    truth, P = draw("regression", rows=60)
    for name in ("rmse", "r2"):
        values = score_draws(METRICS[name], truth, [P[0], P[2]], BootstrapDraws(60, None, 30))
        assert values.shape == (30, 2)
        assert (values[:, 0] > values[:, 1]).all()
        counts = next(iter(BootstrapDraws(60, None, 30))).astype(int)
        again = METRICS[name].function(np.repeat(truth, counts, axis=0), np.repeat(P[0], counts, axis=0))
        assert values[0, 0] == pytest.approx(METRICS[name].sign * again)


def test_draws_that_cannot_be_judged_are_left_out():
    truth, p = np.array([1, 0, 0, 0]), np.linspace(0.9, 0.1, 4)[:, None]
    values = score_draws(METRICS["roc_auc"], truth, [p], BootstrapDraws(4, None, 50))[:, 0]
    assert 0 < np.isnan(values).sum() < 50
    assert compute_interval(values) == (1.0, 1.0)
    assert compute_standard_error(values, METRICS["roc_auc"]) == 0
    with pytest.raises(OOFError, match="roc_auc is undefined on resampled rows; too few rows or groups"):
        compute_standard_error(np.array([np.nan, 0.5, np.nan]), METRICS["roc_auc"])


def test_one_group_is_refused_because_its_draws_would_all_be_the_same():
    errors = np.arange(6.0)[:, None]
    with pytest.raises(OOFError, match="all rows are one group, so nothing can be resampled"):
        BootstrapDraws(6, np.full(6, 4), 10).evaluate([weight_metric(MAE, np.zeros((6, 1)), errors)])
    assert np.ptp(BootstrapDraws(6, np.arange(6) // 3, 10).evaluate([weight_metric(MAE, np.zeros((6, 1)), errors)])) > 0
