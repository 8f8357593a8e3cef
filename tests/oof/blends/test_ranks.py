"""Ranks are fitted on the OOF and applied to one row at a time."""

import numpy as np
import pytest
from scipy.stats import rankdata

from oof.blends.means import POINTS, apply_ranks, fit_ranks
from oof.blends.problem import Problem
from oof.metrics.metric_registry import METRICS


def ranks(P):
    rows = P.shape[1]
    return fit_ranks(Problem(P, np.zeros(rows), np.zeros(rows, dtype=int), "binary", METRICS["roc_auc"]))


def test_ranks_are_the_empirical_distribution_ties_half():
    column = np.array([0.2, 0.9, 0.2, 0.5])
    P = column[None, :, None]
    assert apply_ranks(ranks(P), P)[:, 0] == pytest.approx((rankdata(column) - 0.5) / 4)


def test_a_hidden_row_is_ranked_among_the_oof():
    numbers = ranks(np.linspace(0, 1, 101)[None, :, None])
    hidden = np.array([0.255, -3.0, 7.0])[None, :, None]
    assert apply_ranks(numbers, hidden)[:, 0] == pytest.approx([0.257, 0.5 / 101, 100.5 / 101], abs=1e-3)


def test_a_long_column_is_thinned_and_keeps_its_order():
    column = np.random.default_rng(0).beta(0.3, 2, size=20_000)
    P = column[None, :, None]
    numbers = ranks(P)
    assert len(numbers["tables"][0][0]["values"]) <= POINTS
    found = apply_ranks(numbers, P)[:, 0]
    assert (np.diff(found[np.argsort(column)]) > 0).all()
    assert np.abs(found - (rankdata(column) - 0.5) / len(column)).max() < 1e-3


def test_the_scale_of_a_member_does_not_matter(draw):
    _, P = draw("binary")
    bent = np.stack([P[0], P[1] ** 5, P[2]])
    assert apply_ranks(ranks(bent), bent) == pytest.approx(apply_ranks(ranks(P), P))


def test_a_constant_member_ranks_everything_in_the_middle():
    P = np.full((1, 5, 1), 0.3)
    assert apply_ranks(ranks(P), P)[:, 0].tolist() == [0.5] * 5
