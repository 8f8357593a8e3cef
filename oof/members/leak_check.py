"""Checks of predictions from unknown sources: that the OOF is out of fold, and that the test predictions belong to it.

The overlap of predictions with the truth is linear in the predictions. So the test predictions of an honest member,
from one model or averaged over fold models, overlap with the hidden truth as much as its OOF does with the known one.
But that is bounded: by the highest probabilities, and by the spread of the predictions (Cauchy-Schwarz). And a member
that predicts the truth well correlates with other members that do. An OOF beyond these bounds comes from models that
saw its rows. A good score alone raises no alarm: perfect predictions reach the bounds and do not pass them.

Columns that were swapped, or rows that were shuffled, show as a correlation with peers that the test rows lack.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from oof.members.leak_bounds import (
    MemberAndPeers,
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
LEAST_PEER_CORRELATION = 0.1  # lower ones depend too much on the rows
STANDARD_ERRORS = 3.0  # beyond a margin
BLOCKS = 20  # of the jackknife
REASON = "models that saw its rows made the OOF, or weaker ones the test predictions"

LEAST_OOF_CORRELATION = 0.5  # rank correlation with peers on the OOF rows, below which a mismatch cannot be seen
LEAST_TEST_SHARE = 0.25  # of it must be there on the test rows: honest members agree on new rows too
MISMATCH_ERRORS = 3.0  # standard errors of the correlation of independent values

RowBlocks = tuple[IntArray, IntArray]  # the block of each training row and of each test row
TableValue = Callable[[Array, Array], float]  # of the column means of two tables


def find_leak(
    oof: Array,
    test: Array,
    truth: Truth,
    task: str,
    *,
    peers: Array,
    peers_test: Array,
    component: IntArray | None = None,
) -> str | None:
    """Return a sentence that says why `oof` cannot be out of fold, given `test` of the same member; or None.

    `oof` is (rows, columns), `test` (test rows, columns). `peers` (members, rows, columns) and `peers_test` (members,
    test rows, columns) are honest members, perhaps none. Where the bounds of most of them are lower on the test rows,
    the rows differ, and the limit is raised. `component` (rows,) marks rows that belong together: they count as one in
    the standard errors.
    """
    member = MemberAndPeers(oof, test, truth, task, peers, peers_test)
    blocks = _assign_blocks(len(oof), component), _assign_blocks(len(test), None)
    for check in (_check_confidence, _check_truth_correlation, _check_peer_correlation):
        evidence = check(member, blocks)
        if evidence:
            return f"{evidence}; {REASON}"
    return None


def find_mismatched_columns(
    oof: Array, test: Array, peers: Array, peers_test: Array, columns: Sequence[str]
) -> str | None:
    """Return a sentence that names a column which correlates with the peers in the OOF alone; or None.

    `oof` (rows, columns) and `test` (test rows, columns) are the member's, `peers` (members, rows, columns) and
    `peers_test` those of honest members, perhaps none.
    """
    if not len(peers):
        return None
    noise = MISMATCH_ERRORS / np.sqrt(len(test))
    for column, name in enumerate(columns):
        on_oof = _correlate_ranks(oof[:, column], peers[:, :, column].mean(0))
        on_test = _correlate_ranks(test[:, column], peers_test[:, :, column].mean(0))
        if on_oof >= LEAST_OOF_CORRELATION and on_test + noise < LEAST_TEST_SHARE * on_oof:
            return (
                f"column {name!r} correlates with the run's own members on the OOF rows (rank correlation "
                f"{on_oof:.2f}) but not on the test rows ({on_test:.2f}); were columns or rows swapped?"
            )
    return None


def _check_confidence(member: MemberAndPeers, blocks: RowBlocks) -> str | None:
    if member.task == "regression":
        return None
    tables = tabulate_confidence(member)
    if not _is_beyond_margin(tables, compute_confidence_excess, np.log(CONFIDENCE_MARGIN), blocks):
        return None
    of_truth, highest = (table[:, 0].mean() for table in tables)
    return (
        f"its OOF gives the truth a probability of {of_truth:.2f} on average, its test predictions give only "
        f"{highest:.2f} to their most probable outcome"
    )


def _check_truth_correlation(member: MemberAndPeers, blocks: RowBlocks) -> str | None:
    beside_peers = tabulate_truth_products(member)
    alone = tabulate_truth_products(member.drop_peers())
    for tables, margin in ((beside_peers, BESIDE_PEERS_MARGIN), (alone, ALONE_MARGIN)):
        if not _is_beyond_margin(tables, compute_required_truth_correlation, np.log(margin), blocks):
            return None
    required = np.exp(compute_required_truth_correlation(*(table.mean(0) for table in alone)))
    return (
        "to predict the truth as well as its OOF, its test predictions would need a correlation of "
        f"{required:.2f} with the truth, where 1 is the highest possible"
    )


def _check_peer_correlation(member: MemberAndPeers, blocks: RowBlocks) -> str | None:
    def compute_lack(train: Array, test: Array) -> float:
        required = compute_required_correlation(train, test)
        return required / PEER_MARGIN - compute_observed_correlation(train, test)

    if len(member.peers) < 2:  # a single peer cannot tell harder rows from a leak
        return None
    for number in range(len(member.peers)):
        tables = tabulate_peer_products(member, number)
        is_related = _is_beyond_margin(tables, compute_required_correlation, LEAST_PEER_CORRELATION, blocks)
        if is_related and _is_beyond_margin(tables, compute_lack, 0, blocks):
            means = [table.mean(0) for table in tables]
            return (
                "to predict the truth as well as its OOF, its test predictions would need a correlation of "
                f"{compute_required_correlation(*means):.2f} with another member's, and have "
                f"{compute_observed_correlation(*means):.2f}"
            )
    return None


def _is_beyond_margin(tables: Tables, compute_value: TableValue, margin: float, blocks: RowBlocks) -> bool:
    """Return True if a value is beyond its margin by more than STANDARD_ERRORS."""
    value, error = _estimate_value(*tables, compute_value, blocks)
    return bool(value - STANDARD_ERRORS * error > margin)


def _estimate_value(train: Array, test: Array, compute_value: TableValue, blocks: RowBlocks) -> tuple[float, float]:
    """Return a value of column means, and its standard error by the jackknife over blocks of rows of both tables."""
    means = zip(_average_without_blocks(train, blocks[0]), _average_without_blocks(test, blocks[1]), strict=True)
    error = np.std([compute_value(*pair) for pair in means]) * np.sqrt(BLOCKS - 1)
    return compute_value(train.mean(0), test.mean(0)), float(error)


def _average_without_blocks(table: Array, block: IntArray) -> Array:
    """Return column means (blocks, columns) of the rows outside each block."""
    sums = np.stack([np.bincount(block, column, BLOCKS) for column in table.T], 1)
    left = len(table) - np.bincount(block, minlength=BLOCKS)
    means: Array = (sums.sum(0) - sums) / left.clip(1)[:, None]
    return means


def _assign_blocks(rows: int, component: IntArray | None) -> IntArray:
    """Return the block of each row (rows,); the rows of a component share one."""
    codes = np.arange(rows) if component is None else np.unique(component, return_inverse=True)[1]
    blocks: IntArray = np.random.default_rng(0).permutation(codes.max() + 1)[codes] % BLOCKS
    return blocks


def _correlate_ranks(a: Array, b: Array) -> float:
    """Return Spearman's rank correlation; 0 where one side is constant."""
    ranks = [rankdata(side) - (len(side) + 1) / 2 for side in (a, b)]
    norm = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / norm if norm else 0.0
