"""Splitters: one function for each kind of split; each gives the fold of every row.

A splitter sees the rows that may be validated on and returns their validation fold; the training part is the
complement. All splitters but `predefined` keep a component in one fold. Stratified ones keep the share of each stratum
(a class, a grade, or a bin of the targets) equal in all folds. In shapes, rows are those that the splitter sees, and
components are numbered from 0.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.model_selection import KFold, StratifiedGroupKFold

from folds import FoldError
from folds.columns import cut_into_blocks, parse_flags, rank_times
from folds.types import AnyArray, FloatArray, IntArray

FEW_ROWS = 3  # of a component, which may be dealt as a single row is


@dataclass(frozen=True)
class RowsToSplit:
    """The rows to split: `truth` (rows,) or (rows, labels or targets), the others (rows,)."""

    task: str
    truth: AnyArray
    component: IntArray
    time: IntArray | None = None  # ranks
    predefined: AnyArray | None = None


def split_rows(
    kind: str,
    *,
    count: int,
    seed: int,
    task: str,
    truth: AnyArray,
    component: IntArray,
    time: AnyArray | None = None,
    predefined: AnyArray | None = None,
    train_only: AnyArray | None = None,
) -> IntArray:
    """Return the fold of each row (rows,): 0 to count - 1, or -1 for a row that is always training.

    `component` (rows,) comes from `find_components`, groups included for the group kinds. `time` (rows,) is for kind
    time, `predefined` (rows,) for kind predefined. Rows flagged in `train_only` (rows,) get -1, and so does every row
    of their components: validated on, it would have its duplicate among the training rows. Raises FoldError if the
    split cannot be made.
    """
    if kind not in SPLITTERS:
        raise FoldError(f"folds.kind must be one of {', '.join(SPLITTERS)}. Got {kind} instead")
    kind = OF_LABELS.get(kind, kind) if task == "multilabel" else kind
    flagged = np.zeros(len(component), dtype=bool) if train_only is None else parse_flags(train_only)
    free = ~np.isin(component, component[flagged])
    rows = RowsToSplit(
        task=task,
        truth=truth[free],
        component=np.unique(component[free], return_inverse=True)[1].astype(np.int64),
        time=None if time is None else rank_times(time)[free],
        predefined=None if predefined is None else np.asarray(predefined)[free],
    )
    distinct = len(np.unique(rows.component))
    if kind != "predefined" and distinct < count:
        raise FoldError(f"folds.count is {count} but only {distinct} rows can be split independently")
    fold = np.full(len(component), -1, dtype=np.int64)
    fold[free] = SPLITTERS[kind](rows, count, seed)
    if kind == "predefined":
        _refuse_single_fold(fold)
    else:
        _refuse_gaps(fold, count)
    return fold


def assign_strata(task: str, truth: AnyArray) -> IntArray:
    """Return the stratum of each row (rows,): its class or grade, for regression the bin of its targets.

    Raises FoldError for a multilabel task, whose rows have no single stratum.
    """
    if task == "multilabel":
        raise FoldError(
            "a multilabel task has no one class a row to stratify by; use folds.kind multilabel, or multilabel_group"
        )
    return _cut_into_bins(truth.astype(float)) if task == "regression" else truth.astype(np.int64)


def _split_stratified(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    """Deal the shuffled rows of each class to the folds in turn.

    Counts by class and fold are as even as those of scikit-learn's StratifiedKFold, which warns or stops when a class
    is rarer than `count`; dealing spreads the rows of such a class over as many folds as it has rows. A component of
    several rows is dealt before the single rows of its class, to the fold with the fewest rows of the class.
    """
    first, follow = _find_representatives(rows)
    strata = assign_strata(rows.task, rows.truth[first])
    shuffled = np.random.default_rng(seed).permutation(len(first))
    sizes = np.bincount(follow)
    if sizes.max() > FEW_ROWS:
        return _deal_components(strata, sizes, shuffled, count)[follow]
    order = np.lexsort((shuffled, strata))
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % count
    return fold[follow]


def _deal_components(strata: IntArray, sizes: IntArray, shuffled: IntArray, count: int) -> IntArray:
    """Return the fold of each component: by class, the largest first, to the fold that has the fewest rows of it."""
    fold = np.empty(len(strata), dtype=np.int64)
    total = np.zeros(count, dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        members = members[np.lexsort((shuffled[members], -sizes[members]))]
        lightest = [(0, int(total[k]), k) for k in range(count)]  # rows of this class, rows in all, fold
        heapq.heapify(lightest)
        for member in members:
            own, others, k = heapq.heappop(lightest)
            fold[member] = k
            heapq.heappush(lightest, (own + int(sizes[member]), others + int(sizes[member]), k))
        for _, others, k in lightest:
            total[k] = others
    return fold


def _split_randomly(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    first, follow = _find_representatives(rows)
    if np.bincount(follow).max() > FEW_ROWS:
        return _split_by_group(rows, count, seed)
    parts = KFold(count, shuffle=True, random_state=seed).split(first)
    return _number_parts(parts, len(first))[follow]


def _split_by_group(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    """Deal whole components, the largest first, to the fold with the fewest rows; the seed orders equal ones."""
    sizes = np.bincount(rows.component)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    return _deal_components(np.zeros_like(sizes), sizes, shuffled, count)[rows.component]


def _split_stratified_by_group(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    # Groups that are alike are dealt in the order of their numbers, so new numbers shuffle them. With shuffle=True,
    # scikit-learn below 1.8 mixes up which classes belong to which group, and stratifies nothing.
    groups = np.random.default_rng(seed).permutation(rows.component.max() + 1)[rows.component]
    strata = _merge_rare_strata(assign_strata(rows.task, rows.truth), count)
    parts = StratifiedGroupKFold(count).split(strata, strata, groups)
    return _number_parts(parts, len(rows.component))


def _split_multilabel(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    """Split by iterative stratification (Sechidis et al., 2011, On the Stratification of Multi-Label Data)."""
    if rows.task != "multilabel":
        raise FoldError(f"folds.kind multilabel splits multilabel tasks; use stratified for task {rows.task}")
    try:
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
    except ImportError as error:
        raise FoldError("folds.kind multilabel needs a package: pip install iterative-stratification") from error
    first, follow = _find_representatives(rows)
    labels = rows.truth[first].astype(bool)  # (components, labels)
    # The library takes a single column for a binary target and refuses it; its complement changes no stratum.
    labels = np.hstack([labels, ~labels]) if labels.shape[1] == 1 else labels
    parts = MultilabelStratifiedKFold(count, shuffle=True, random_state=seed).split(first, labels)
    return _number_parts(parts, len(first))[follow]


def _split_multilabel_by_group(rows: RowsToSplit, count: int, seed: int) -> IntArray:
    """Deal whole components so that each fold has its share of every label and of the rows.

    The iterative stratification of Sechidis et al. (2011), with components in place of rows: the rarest label that is
    left is dealt first, its largest components to the fold that lacks most of it.
    """
    if rows.task != "multilabel":
        raise FoldError(
            f"folds.kind multilabel_group splits multilabel tasks; use stratified_group for task {rows.task}"
        )
    sizes = np.bincount(rows.component)
    labels = np.zeros((len(sizes), rows.truth.shape[1]))  # rows with each label by component
    np.add.at(labels, rows.component, rows.truth.astype(bool))
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    wanted = np.tile(labels.sum(axis=0) / count, (count, 1))  # (folds, labels)
    room = np.full(count, sizes.sum() / count)
    fold = np.full(len(sizes), -1, dtype=np.int64)
    while (fold < 0).any():
        open_labels = labels[fold < 0].sum(axis=0)
        left = np.flatnonzero(open_labels)
        label = left[np.argmin(open_labels[left])] if len(left) else None
        amounts = sizes if label is None else labels[:, label]
        members = np.flatnonzero((fold < 0) & (amounts > 0))
        for member in members[np.lexsort((shuffled[members], -amounts[members]))]:
            lack = room if label is None else wanted[:, label]
            best = np.flatnonzero(lack == lack.max())
            fold[member] = k = best[np.argmax(room[best])]
            wanted[k] -= labels[member]
            room[k] -= sizes[member]
    return fold[rows.component]


def _read_predefined(rows: RowsToSplit, _count: int, _seed: int) -> IntArray:
    """Return the folds of the column: integers from -1 on."""
    if rows.predefined is None:
        raise FoldError("folds.column must name the column of fold numbers when folds.kind is predefined")
    number = pd.to_numeric(pd.Series(rows.predefined), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = np.flatnonzero(~((number >= -1) & (number == np.floor(number)) & np.isfinite(number)))
    if len(wrong):
        raise FoldError(f"folds.column must hold integers from -1 on. Got {str(rows.predefined[wrong[0]])!r} instead")
    return number.astype(np.int64)


def _split_by_time(rows: RowsToSplit, count: int, _seed: int) -> IntArray:
    """Cut the rows into blocks in time order; a component is in the block of its latest row.

    So no block is predicted from later rows.
    """
    if rows.time is None:
        raise FoldError("folds.time must name a column when folds.kind is time")
    order = np.lexsort((rows.time, rows.component))
    last = np.append(np.flatnonzero(np.diff(rows.component[order])), len(order) - 1)
    latest = rows.time[order][last]  # (components,)
    return cut_into_blocks(latest[rows.component], count)


SPLITTERS: dict[str, Callable[[RowsToSplit, int, int], IntArray]] = {
    "stratified": _split_stratified,
    "kfold": _split_randomly,
    "group": _split_by_group,
    "stratified_group": _split_stratified_by_group,
    "multilabel": _split_multilabel,
    "multilabel_group": _split_multilabel_by_group,
    "predefined": _read_predefined,
    "time": _split_by_time,
}


# What stratifying means where a row has several labels.
OF_LABELS = {"stratified": "multilabel", "stratified_group": "multilabel_group"}


def _refuse_single_fold(fold: IntArray) -> None:
    if len(np.unique(fold[fold >= 0])) < 2:
        raise FoldError("a split needs at least two folds, each with rows to validate on")


def _refuse_gaps(fold: IntArray, count: int) -> None:
    empty = np.setdiff1d(np.arange(count), fold)
    if count < 2:
        raise FoldError("a split needs at least folds 0 and 1, each with rows to validate on")
    if len(empty):
        raise FoldError(f"fold {empty[0]} of {count} has no rows; use fewer folds or another folds.kind")


def _find_representatives(rows: RowsToSplit) -> tuple[IntArray, IntArray]:
    """Return the first row of each component (components,), and the component that each row follows (rows,)."""
    _, first, follow = np.unique(rows.component, return_index=True, return_inverse=True)
    return first.astype(np.int64), follow.astype(np.int64)


def _number_parts(parts: Iterable[tuple[object, IntArray]], rows: int) -> IntArray:
    """Return the number of the part whose validation rows hold each row (rows,)."""
    fold = np.full(rows, -1, dtype=np.int64)
    for number, (_, valid) in enumerate(parts):
        fold[valid] = number
    return fold


def _cut_into_bins(targets: FloatArray) -> IntArray:
    """Return the quantile bin of each row of `targets` (rows, targets); equal values share a bin.

    There are as many bins as Sturges' rule gives. Several targets are reduced to the mean of their ranks: a split can
    keep one order in proportion, and ranks keep a target with large numbers from deciding alone.
    """
    rows = len(targets)
    rank = rankdata(rankdata(targets, axis=0).mean(axis=1))  # (rows,), in 1..rows
    bins = int(np.log2(rows)) + 1
    return np.floor((rank - 0.5) / rows * bins).astype(np.int64)


def _merge_rare_strata(strata: IntArray, count: int) -> IntArray:
    """Return the strata with the rarest merged until each has `count` rows: scikit-learn warns or stops below that."""
    merged = strata.copy()
    while True:
        codes, sizes = np.unique(merged, return_counts=True)
        if len(codes) == 1 or sizes.min() >= count:
            return merged
        rarest, next_rarest = codes[np.argsort(sizes, kind="stable")[:2]]
        merged[merged == rarest] = next_rarest
