"""Do a member's test predictions belong to its OOF? Columns that were swapped, or rows that were shuffled, show."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from oof.metrics.functions import Array

LEAST = 0.5  # rank correlation with the others on the OOF rows, below which there is nothing to lose
SHARE = 0.25  # of it must be there on the test rows, but for noise: honest members agree on new rows too
ERRORS = 3.0  # standard errors of a correlation of nothing


def turned(oof: Array, test: Array, others: Array, others_test: Array, columns: Sequence[str]) -> str | None:
    """Say in which column a member goes with honest others in its OOF and not in its test predictions; or None.

    `oof` (rows, columns) and `test` (test rows, columns) are the member's, `others` (members, rows, columns) and
    `others_test` those of the others, perhaps none.
    """
    if not len(others):
        return None
    noise = ERRORS / np.sqrt(len(test))
    for column, name in enumerate(columns):
        seen = _agreement(oof[:, column], others[:, :, column].mean(0))
        hidden = _agreement(test[:, column], others_test[:, :, column].mean(0))
        if seen >= LEAST and hidden + noise < SHARE * seen:
            return (
                f"in column {name!r} it goes with the run's own members on the OOF rows (rank correlation {seen:.2f}) "
                f"but not on the test rows ({hidden:.2f}); were columns swapped, or rows?"
            )
    return None


def _agreement(one: Array, other: Array) -> float:
    """Spearman's rank correlation; 0 where one side is constant."""
    ranks = [rankdata(side) - (len(side) + 1) / 2 for side in (one, other)]
    norm = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / norm if norm else 0.0
