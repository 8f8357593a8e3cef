"""Is a member out of fold? What its OOF knows of the truth, against what its test predictions can know at most.

How much predictions overlap with the truth is linear in the predictions. So the test predictions of an honest member,
from one model or averaged over fold models, overlap with the hidden truth as much as its OOF does with the known one.
But that is bounded: by the probabilities of their own favourites, and by their own spread (Cauchy-Schwarz). And whoever
knows as much of the truth agrees with others who know of it. An OOF beyond the bounds comes from models that saw its
rows. A good score is no reason: perfect predictions reach the bounds.

Do a member's test predictions belong to its OOF? Columns that were swapped, or rows that were shuffled, show.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from oof.members.leak_bounds import (
    Tables,
    compute_confidence_excess,
    compute_observed_correlation,
    compute_required_correlation,
    compute_required_truth_correlation,
    tabulate_confidence,
    tabulate_peer_products,
    tabulate_truth_products,
)
from oof.types import Array, IntArray, Truth

# How far an honest member may pass its bounds, because test rows are other rows; measured by benchmarks/alarm.py.
CONFIDENCE_MARGIN = 1.03
BESIDE_PEERS_MARGIN = 1.25
ALONE_MARGIN = 1.05
PEER_MARGIN = 1.05
LEAST_PEER_CORRELATION = 0.1  # a correlation; lower ones come and go with the rows
ERRORS = 3.0  # standard errors beyond a margin
BLOCKS = 20  # of the jackknife
REASON = "models that saw its rows made the OOF, or weaker ones the test predictions"
RowBlocks = tuple[IntArray, IntArray]  # blocks of the training rows and of the test rows
Value = Callable[[Array, Array], float]  # of a table's column means each
LEAST_OOF_CORRELATION = 0.5  # rank correlation with the others on the OOF rows, below which there is nothing to lose
LEAST_TEST_SHARE = 0.25  # of it must be there on the test rows, but for noise: honest members agree on new rows too
MISMATCH_ERRORS = 3.0  # standard errors of a correlation of nothing


def find_leak(
    oof: Array,
    test: Array,
    truth: Truth,
    task: str,
    *,
    others: Array,
    others_test: Array,
    component: IntArray | None = None,
) -> str | None:
    """Say in one sentence why `oof` (rows, columns) cannot be out of fold, given `test` of the same member; or None.

    `others` (members, rows, columns) and `others_test` (members, test rows, columns) are members known to be honest,
    perhaps none. Where the bounds of most of them are lower on the test rows too, the rows differ, and that is allowed
    for. `component` (rows,) names rows that belong together: they count as one in the standard errors.
    """
    homes = _assign_blocks(len(oof), component), _assign_blocks(len(test), None)
    for bound in (_check_confidence, _check_truth_correlation, _check_peer_correlation):
        if said := bound(oof, test, truth, task, others, others_test, homes):
            return f"{said}; {REASON}"
    return None


def _check_confidence(
    oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array, homes: RowBlocks
) -> str | None:
    if task == "regression":
        return None
    tables = tabulate_confidence(oof, test, truth, task, others, others_test)
    if not _is_beyond_margin(tables, compute_confidence_excess, np.log(CONFIDENCE_MARGIN), homes):
        return None
    gives, most = (table[:, 0].mean() for table in tables)
    return (
        f"its OOF gives the truth a probability of {gives:.2f} on average, its test predictions give only "
        f"{most:.2f} to what they hold most likely"
    )


def _check_truth_correlation(
    oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array, homes: RowBlocks
) -> str | None:
    beside = tabulate_truth_products(oof, test, truth, task, others, others_test)
    alone = tabulate_truth_products(oof, test, truth, task, others[:0], others_test[:0])
    margins = ((beside, BESIDE_PEERS_MARGIN), (alone, ALONE_MARGIN))
    if not all(
        _is_beyond_margin(tables, compute_required_truth_correlation, np.log(margin), homes)
        for tables, margin in margins
    ):
        return None
    correlation = np.exp(compute_required_truth_correlation(*(table.mean(0) for table in alone)))
    return (
        "to know as much as its OOF, its test predictions would have to correlate "
        f"{correlation:.2f} with the truth, where 1 is the most"
    )


def _check_peer_correlation(
    oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array, homes: RowBlocks
) -> str | None:
    def lack(train: Array, test: Array) -> float:
        return compute_required_correlation(train, test) / PEER_MARGIN - compute_observed_correlation(train, test)

    for one in range(len(others)) if len(others) > 1 else ():  # one other alone cannot tell harder rows from a leak
        tables = tabulate_peer_products(oof, test, truth, task, others, others_test, one)
        if _is_beyond_margin(tables, compute_required_correlation, LEAST_PEER_CORRELATION, homes) and _is_beyond_margin(
            tables, lack, 0, homes
        ):
            least, has = (
                value(*(table.mean(0) for table in tables))
                for value in (compute_required_correlation, compute_observed_correlation)
            )
            return (
                "to know as much as its OOF, its test predictions would have to correlate "
                f"{least:.2f} with another member's, and do {has:.2f}"
            )
    return None


def _is_beyond_margin(tables: Tables, value: Value, margin: float, homes: RowBlocks) -> bool:
    """Whether a value is beyond its margin, whatever rows were drawn."""
    size, error = _estimate_value(*tables, value, homes)
    return bool(size - ERRORS * error > margin)


def _estimate_value(train: Array, test: Array, value: Value, homes: RowBlocks) -> tuple[float, float]:
    """A value of column means, and its standard error by the jackknife over blocks of training and test rows."""
    without = zip(_average_without_blocks(train, homes[0]), _average_without_blocks(test, homes[1]), strict=True)
    error = np.std([value(*means) for means in without]) * np.sqrt(BLOCKS - 1)
    return value(train.mean(0), test.mean(0)), float(error)


def _average_without_blocks(table: Array, home: IntArray) -> Array:
    """Column means (blocks, columns) of the rows outside each block."""
    sums = np.stack([np.bincount(home, column, BLOCKS) for column in table.T], 1)
    left = len(table) - np.bincount(home, minlength=BLOCKS)
    means: Array = (sums.sum(0) - sums) / left.clip(1)[:, None]
    return means


def _assign_blocks(rows: int, component: IntArray | None) -> IntArray:
    """The block of each row; the rows of a component share one."""
    codes = np.arange(rows) if component is None else np.unique(component, return_inverse=True)[1]
    homes: IntArray = np.random.default_rng(0).permutation(codes.max() + 1)[codes] % BLOCKS
    return homes


def find_mismatched_columns(
    oof: Array, test: Array, others: Array, others_test: Array, columns: Sequence[str]
) -> str | None:
    """Say in which column a member goes with honest others in its OOF and not in its test predictions; or None.

    `oof` (rows, columns) and `test` (test rows, columns) are the member's, `others` (members, rows, columns) and
    `others_test` those of the others, perhaps none.
    """
    if not len(others):
        return None
    noise = MISMATCH_ERRORS / np.sqrt(len(test))
    for column, name in enumerate(columns):
        seen = _correlate_ranks(oof[:, column], others[:, :, column].mean(0))
        hidden = _correlate_ranks(test[:, column], others_test[:, :, column].mean(0))
        if seen >= LEAST_OOF_CORRELATION and hidden + noise < LEAST_TEST_SHARE * seen:
            return (
                f"in column {name!r} it goes with the run's own members on the OOF rows (rank correlation {seen:.2f}) "
                f"but not on the test rows ({hidden:.2f}); were columns swapped, or rows?"
            )
    return None


def _correlate_ranks(one: Array, other: Array) -> float:
    """Spearman's rank correlation; 0 where one side is constant."""
    ranks = [rankdata(side) - (len(side) + 1) / 2 for side in (one, other)]
    norm = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / norm if norm else 0.0
