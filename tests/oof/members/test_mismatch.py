"""A member whose test predictions do not belong to its OOF is found; an honest one under a shift is not reported."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from oof.members.leak_check import _correlate_ranks, find_mismatched_columns

COLUMNS = ["a", "b"]


def drawn(rng: np.random.Generator, rows: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A member (rows, columns) and two others (members, rows, columns) that know of the same thing."""
    known = rng.normal(size=(rows, 2))
    member, *others = (known + noise * rng.normal(size=known.shape) for _ in range(3))
    return member, np.stack(others)


@pytest.mark.parametrize("tests", [60, 1000])
@pytest.mark.parametrize(
    ("spoil", "least"),
    [
        (lambda test, rng: -test, 60),
        (lambda test, rng: test[:, ::-1], 1000),
        (lambda test, rng: rng.permutation(test), 1000),
    ],
    ids=["turned over", "columns swapped", "rows shuffled"],
)
def test_test_predictions_that_do_not_belong_to_the_oof_are_found(spoil, least: int, tests: int) -> None:
    rng = np.random.default_rng(0)
    (oof, others), (test, others_test) = drawn(rng, 500, 0.5), drawn(rng, tests, 0.5)
    assert find_mismatched_columns(oof, test, others, others_test, COLUMNS) is None
    if tests >= least:
        assert "column 'a' correlates with the run's own members" in str(
            find_mismatched_columns(oof, spoil(test, rng), others, others_test, COLUMNS)
        )


def test_honest_members_pass_though_the_test_rows_are_harder() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        (oof, others), (test, others_test) = drawn(rng, 300, 0.5), drawn(rng, 60, 1.0)
        assert find_mismatched_columns(oof, test, others, others_test, COLUMNS) is None


def test_without_peers_or_with_constants_nothing_is_reported() -> None:
    rng = np.random.default_rng(0)
    (oof, others), (test, others_test) = drawn(rng, 50, 0.5), drawn(rng, 50, 0.5)
    assert find_mismatched_columns(oof, -test, others[:0], others_test[:0], COLUMNS) is None
    assert find_mismatched_columns(np.zeros_like(oof), -test, others, others_test, COLUMNS) is None


def test_the_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, 100).astype(float), rng.normal(size=100)
    assert _correlate_ranks(one, other) == pytest.approx(spearmanr(one, other).statistic)
