"""Geometric and log-odds means equal SciPy and the formulas, and treat a class and its complement alike."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import gmean

from oof.blends.means import apply_geometric_mean, apply_logit_mean, fit_transformed_mean

CODES = ["multiclass", "ordinal"]


@pytest.mark.parametrize("task", CODES)
def test_the_geometric_mean_of_classes_is_scipys_divided_by_its_sum(draw, level_one, task):
    truth, P = draw(task)
    expected = gmean(P, axis=0)
    numbers = fit_transformed_mean(level_one(truth, P, task))
    assert apply_geometric_mean(numbers, P) == pytest.approx(expected / expected.sum(1, keepdims=True))
    odds = expit(logit(P).mean(0))
    assert apply_logit_mean(numbers, P) == pytest.approx(odds / odds.sum(1, keepdims=True))
    assert np.abs(apply_logit_mean(numbers, P) - apply_geometric_mean(numbers, P)).max() > 0.001


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_labels_and_their_complements_are_treated_alike(draw, level_one, task):
    truth, P = draw(task)
    numbers = fit_transformed_mean(level_one(truth, P, task))
    for mean in (apply_geometric_mean, apply_logit_mean):
        assert mean(numbers, P) == pytest.approx(expit(logit(P).mean(0)))
        assert mean(numbers, 1 - P) == pytest.approx(1 - mean(numbers, P))


def test_of_two_classes_both_means_are_those_of_a_binary_column(draw):
    _, P = draw("binary")
    both = np.concatenate([1 - P, P], axis=2)
    for mean in (apply_geometric_mean, apply_logit_mean):
        assert mean({"classes": True}, both)[:, 1:] == pytest.approx(mean({"classes": False}, P))


@pytest.mark.parametrize("mean", [apply_geometric_mean, apply_logit_mean])
def test_the_order_of_classes_does_not_matter(draw, mean):
    _, P = draw("multiclass")
    order = [2, 0, 3, 1]
    assert mean({"classes": True}, P[..., order]) == pytest.approx(mean({"classes": True}, P)[:, order])


@pytest.mark.parametrize("mean", [apply_geometric_mean, apply_logit_mean])
def test_certain_members_that_disagree_give_even_odds(mean):
    against = np.array([[[1.0, 0, 0]], [[0, 1.0, 0]]])
    found = mean({"classes": True}, against)
    assert found[0, 0] == pytest.approx(found[0, 1])
    assert found[0, :2].sum() == pytest.approx(1, abs=0.01)
    assert found.sum() == pytest.approx(1)
    assert mean({"classes": False}, against[..., :1]) == pytest.approx(0.5)
    assert 0 < mean({"classes": False}, against[:1, :, 1:2]).item() < 1e-5


@pytest.mark.parametrize("mean", [apply_geometric_mean, apply_logit_mean])
def test_a_confident_member_has_more_weight_than_in_the_arithmetic_mean(mean):
    P = np.array([[[0.999]], [[0.4]]])
    assert mean({"classes": False}, P).item() > P.mean()
