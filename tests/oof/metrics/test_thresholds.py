"""Labels, and the thresholds that decide them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oof.metrics.metric_registry import METRICS, find_metric
from oof.metrics.thresholds import decide_labels, fit_thresholds, score_at_best_thresholds


def test_labels_have_the_shape_of_the_truth(draw):
    for task in ("binary", "multiclass", "multilabel", "ordinal"):
        truth, P = draw(task)
        labels = decide_labels(task, P[0])
        assert labels.shape == truth.shape
        assert labels.dtype == np.int64
        assert (labels == truth).mean() > 0.5


def test_a_prediction_on_the_threshold_is_positive():
    p = np.array([[0.3], [0.5], [0.7]])
    assert decide_labels("binary", p).tolist() == [0, 1, 1]
    assert decide_labels("binary", p, [0.7]).tolist() == [0, 0, 1]
    assert decide_labels("multilabel", np.hstack([p, p]), [0.3, 0.6]).tolist() == [[1, 0], [1, 0], [1, 1]]


def test_ordinal_rounds_the_expected_grade_unless_cut_points_are_given():
    p = np.array([[0.5, 0.0, 0.5], [0.9, 0.1, 0.0], [0.0, 0.3, 0.7]])  # expected grades 1, .1, 1.7
    assert decide_labels("ordinal", p).tolist() == [1, 0, 2]
    assert decide_labels("ordinal", p, [0.05, 1.8]).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "macro_f1", "mcc"])
@settings(derandomize=True, deadline=None, max_examples=15)
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.8, 1.0])), min_size=2))
def test_the_binary_threshold_is_the_best_of_all(name, rows):
    truth, p = np.array([t for t, _ in rows]), np.array([[p] for _, p in rows])
    entry = find_metric(name, "binary")
    [threshold] = fit_thresholds(entry, "binary", truth, p)
    found = entry.function(truth, decide_labels("binary", p, [threshold]))
    every = [entry.function(truth, decide_labels("binary", p, [cut])) for cut in [*p[:, 0], 2.0]]
    assert found == pytest.approx(max(every))
    assert score_at_best_thresholds(entry, "binary", truth, p) == pytest.approx(found)


def test_a_threshold_separates_adjacent_floats():
    low = 0.4
    p = np.array([[low], [np.nextafter(low, 1)]])
    [threshold] = fit_thresholds(METRICS["f1"], "binary", np.array([0, 1]), p)
    assert decide_labels("binary", p, [threshold]).tolist() == [0, 1]


def test_ties_between_thresholds_go_to_the_one_nearest_one_half():
    truth, p = np.array([0, 1, 0, 1]), np.array([[0.1], [0.2], [0.6], [0.9]])  # .15 and .75 are right three times
    assert fit_thresholds(METRICS["accuracy"], "binary", truth, p) == [pytest.approx(0.75)]


def test_each_label_gets_its_own_threshold(draw):
    truth, P = draw("multilabel")
    skewed = P[0] ** [1, 3, 6]
    thresholds = fit_thresholds(find_metric("f1", "multilabel"), "multilabel", truth, skewed)
    alone = [fit_thresholds(METRICS["f1"], "binary", truth[:, at], skewed[:, [at]])[0] for at in range(3)]
    assert thresholds == alone
    assert thresholds[0] > thresholds[1] > thresholds[2]


def test_a_search_over_few_cuts_comes_near_the_exact_one(draw):
    truth, P = draw("binary", rows=3000)
    entry = METRICS["f1"]
    exact = entry.function(truth, decide_labels("binary", P[0], fit_thresholds(entry, "binary", truth, P[0])))
    assert exact - 0.005 < score_at_best_thresholds(entry, "binary", truth, P[0]) <= exact


def test_cut_points_beat_rounding_on_biased_grades_and_rise(draw):
    truth, P = draw("ordinal", rows=400)
    biased = P[0] * [8, 4, 2, 1]
    biased /= biased.sum(1, keepdims=True)
    cuts = fit_thresholds(METRICS["qwk"], "ordinal", truth, biased)
    assert len(cuts) == 3
    assert cuts == sorted(cuts)
    qwk = METRICS["qwk"].function
    assert qwk(truth, decide_labels("ordinal", biased, cuts)) > qwk(truth, decide_labels("ordinal", biased)) + 0.05


@pytest.mark.parametrize("seed", range(6))
def test_fitted_cut_points_are_never_worse_than_rounding(draw, seed):
    truth, P = draw("ordinal", rows=60, seed=seed)
    qwk = METRICS["qwk"].function
    cuts = fit_thresholds(METRICS["qwk"], "ordinal", truth, P[1])
    assert json.loads(json.dumps(cuts)) == cuts
    assert qwk(truth, decide_labels("ordinal", P[1], cuts)) >= qwk(truth, decide_labels("ordinal", P[1])) - 1e-12


def test_there_is_nothing_to_fit_for_classes_and_for_other_metrics(draw):
    truth, P = draw("multiclass")
    assert fit_thresholds(METRICS["macro_f1"], "multiclass", truth, P[0]) is None
    truth, P = draw("binary")
    assert fit_thresholds(METRICS["roc_auc"], "binary", truth, P[0]) is None


def test_constant_predictions_have_a_threshold(draw):
    truth, P = draw("ordinal")
    flat = np.full_like(P[0], 0.25)
    assert len(fit_thresholds(METRICS["qwk"], "ordinal", truth, flat)) == 3
    truth, P = draw("binary")
    [threshold] = fit_thresholds(METRICS["f1"], "binary", truth, np.full_like(P[0], 0.3))
    assert threshold <= 0.3


def test_never_is_well_above_the_largest_prediction():
    truth, p = np.zeros(4, dtype=int), np.full((4, 1), 0.0004)
    [threshold] = fit_thresholds(METRICS["accuracy"], "binary", truth, p)
    assert threshold == pytest.approx(0.5002)  # a hair more must not turn every row positive
