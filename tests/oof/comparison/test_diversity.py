"""Correlations of errors are those of the residuals."""

import numpy as np
import pytest

from oof.comparison.diversity import compute_error_correlations, rank_pairs_by_similarity


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "ordinal", "regression"])
def test_correlations_are_symmetric_and_a_twin_correlates_fully(draw, task):
    truth, P = draw(task)
    found = compute_error_correlations(np.concatenate([P, P[:1]]), truth, task)
    assert found == pytest.approx(found.T)
    assert np.diag(found).tolist() == [1] * 4
    assert found[0, 3] == pytest.approx(1)
    assert found[0, 1] < 0.9


def test_one_column_is_numpys_correlation_of_residuals(draw):
    truth, P = draw("binary")
    assert compute_error_correlations(P, truth, "binary") == pytest.approx(np.corrcoef(truth - P[..., 0]))


def test_no_target_dominates_the_others(draw):
    truth, P = draw("regression")
    scale = np.array([1, 1e6])
    assert compute_error_correlations(P * scale, truth * scale, "regression") == pytest.approx(
        compute_error_correlations(P, truth, "regression")
    )


def test_a_member_without_error_correlates_with_no_other(draw):
    truth, P = draw("regression")
    found = compute_error_correlations(np.stack([truth, P[0]]), truth, "regression")
    assert found.tolist() == [[1, 0], [0, 1]]


def test_pairs_come_by_similarity_each_once():
    correlations = np.array([[1, 0.2, 0.9], [0.2, 1, -0.5], [0.9, -0.5, 1]])
    assert rank_pairs_by_similarity(correlations) == [(0, 2), (0, 1), (1, 2)]
