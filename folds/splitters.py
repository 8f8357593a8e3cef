"""Splitters: one fold per row, by kind.

A splitter sees the rows that may be validated on and returns their validation fold; train is the complement. All but
`predefined` keep a component in one fold. Shapes: rows are those handed to the splitter; components are numbered
from 0.

Strata: the code per row that a stratified split keeps in proportion.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from scipy.stats import rankdata
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold

from folds import FoldError
from folds.columns import blocks, flags, places

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The rows to split: `truth` (rows,) or (rows, labels or targets), the others (rows,)."""

    task: str
    truth: npt.NDArray[np.generic]
    component: IntArray
    time: IntArray | None = None  # places in time order
    predefined: npt.NDArray[np.generic] | None = None


def split(
    kind: str,
    *,
    count: int,
    seed: int,
    task: str,
    truth: npt.NDArray[np.generic],
    component: IntArray,
    time: npt.NDArray[np.generic] | None = None,
    predefined: npt.NDArray[np.generic] | None = None,
    train_only: npt.NDArray[np.generic] | None = None,
) -> IntArray:
    """Fold of each row (rows,): 0 to count - 1, or -1 for a row that is always train.

    `component` (rows,) comes from `components`, groups included for the group kinds. `time` (rows,) is for kind time,
    `predefined` (rows,) for kind predefined. Rows flagged in `train_only` (rows,) get -1, and so does every row of
    their components: validated on, it would meet its duplicate in training. Raises FoldError if it
    cannot be done.
    """
    if kind not in SPLITTERS:
        raise FoldError(f"folds.kind must be one of {', '.join(SPLITTERS)}. Got {kind} instead")
    only = np.zeros(len(component), dtype=bool) if train_only is None else flags(train_only)
    free = ~np.isin(component, component[only])
    rows = Rows(
        task=task,
        truth=truth[free],
        component=np.unique(component[free], return_inverse=True)[1].astype(np.int64),
        time=None if time is None else places(time)[free],
        predefined=None if predefined is None else np.asarray(predefined)[free],
    )
    distinct = len(np.unique(rows.component))
    if kind != "predefined" and distinct < count:
        raise FoldError(f"folds.count is {count} but only {distinct} rows can be split independently")
    fold = np.full(len(component), -1, dtype=np.int64)
    fold[free] = SPLITTERS[kind](rows, count, seed)
    _refuse_gaps(fold, count if kind != "predefined" else int(fold.max(initial=-1)) + 1)
    return fold


def _refuse_gaps(fold: IntArray, count: int) -> None:
    empty = np.setdiff1d(np.arange(count), fold)
    if count < 2:
        raise FoldError("a split needs at least folds 0 and 1, each with rows to validate on")
    if len(empty):
        raise FoldError(f"fold {empty[0]} of {count} has no rows; use fewer folds or another folds.kind")


def _representatives(rows: Rows) -> tuple[IntArray, IntArray]:
    """First row of each component (components,), and the component that each row follows (rows,)."""
    _, first, follow = np.unique(rows.component, return_index=True, return_inverse=True)
    return first.astype(np.int64), follow.astype(np.int64)


def _as_fold(parts: Iterable[tuple[object, npt.NDArray[np.int64]]], rows: int) -> IntArray:
    fold = np.full(rows, -1, dtype=np.int64)
    for number, (_, valid) in enumerate(parts):
        fold[valid] = number
    return fold


def _stratified(rows: Rows, count: int, seed: int) -> IntArray:
    """Deals the shuffled rows of each class round robin over the folds.

    Counts per class and fold are as even as scikit-learn's StratifiedKFold makes them, but that warns or stops when a
    class is rarer than `count`; dealing spreads its rows over as many folds as it has rows.
    """
    first, follow = _representatives(rows)
    strata = strata_of(rows.task, rows.truth[first])
    order = np.lexsort((np.random.default_rng(seed).permutation(len(first)), strata))
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % count
    return fold[follow]


def _kfold(rows: Rows, count: int, seed: int) -> IntArray:
    first, follow = _representatives(rows)
    parts = KFold(count, shuffle=True, random_state=seed).split(first)
    return _as_fold(parts, len(first))[follow]


def _group(rows: Rows, count: int, seed: int) -> IntArray:
    parts = GroupKFold(count, shuffle=True, random_state=seed).split(rows.component, groups=rows.component)
    return _as_fold(parts, len(rows.component))


def _stratified_group(rows: Rows, count: int, seed: int) -> IntArray:
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    strata = at_least(strata_of(rows.task, rows.truth), count)
    parts = splitter.split(strata, strata, rows.component)
    return _as_fold(parts, len(rows.component))


def _multilabel(rows: Rows, count: int, seed: int) -> IntArray:
    """Iterative stratification (Sechidis et al., 2011, On the Stratification of Multi-Label Data)."""
    if rows.task != "multilabel":
        raise FoldError(f"folds.kind multilabel splits multilabel tasks; use stratified for task {rows.task}")
    first, follow = _representatives(rows)
    labels = rows.truth[first].astype(bool)  # (components, labels)
    # The library takes a single column for a binary target and refuses it; its complement changes no stratum.
    labels = np.hstack([labels, ~labels]) if labels.shape[1] == 1 else labels
    parts = MultilabelStratifiedKFold(count, shuffle=True, random_state=seed).split(first, labels)
    return _as_fold(parts, len(first))[follow]


def _predefined(rows: Rows, _count: int, _seed: int) -> IntArray:
    """The folds as given: integers from -1 on."""
    if rows.predefined is None:
        raise FoldError("folds.column must name the column of fold numbers when folds.kind is predefined")
    number = pd.to_numeric(pd.Series(rows.predefined), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = np.flatnonzero(~((number >= -1) & (number == np.floor(number)) & np.isfinite(number)))
    if len(wrong):
        raise FoldError(f"folds.column must hold integers from -1 on. Got {str(rows.predefined[wrong[0]])!r} instead")
    return number.astype(np.int64)


def _time(rows: Rows, count: int, _seed: int) -> IntArray:
    """Blocks in time order. A component stands where its latest row does, so no block is predicted from later rows."""
    if rows.time is None:
        raise FoldError("folds.time must name a column when folds.kind is time")
    order = np.lexsort((rows.time, rows.component))
    last = np.append(np.flatnonzero(np.diff(rows.component[order])), len(order) - 1)
    latest = rows.time[order][last]  # (components,)
    return blocks(latest[rows.component], count)


SPLITTERS: dict[str, Callable[[Rows, int, int], IntArray]] = {
    "stratified": _stratified,
    "kfold": _kfold,
    "group": _group,
    "stratified_group": _stratified_group,
    "multilabel": _multilabel,
    "predefined": _predefined,
    "time": _time,
}


def strata_of(task: str, truth: npt.NDArray[np.generic]) -> IntArray:
    """Stratum of each row (rows,): the class or grade, for regression the bin of the targets.

    Raises FoldError for a multilabel task, whose rows have no single stratum.
    """
    if task == "multilabel":
        raise FoldError(
            "a multilabel task has no one class a row to stratify by; use folds.kind multilabel, kfold or group"
        )
    return _bins(truth.astype(float)) if task == "regression" else truth.astype(np.int64)


def _bins(targets: npt.NDArray[np.float64]) -> IntArray:
    """Quantile bins of `targets` (rows, targets), as many as Sturges' rule gives; equal values share a bin.

    Several targets are reduced to the mean of their ranks: a split can hold one order in proportion, and ranks
    keep a target with large numbers from deciding alone.
    """
    rows = len(targets)
    height = rankdata(rankdata(targets, axis=0).mean(axis=1))  # (rows,), in 1..rows
    bins = int(np.log2(rows)) + 1
    return np.floor((height - 0.5) / rows * bins).astype(np.int64)


def at_least(strata: IntArray, count: int) -> IntArray:
    """The strata with the rarest merged until each has `count` rows: scikit-learn warns or stops below that."""
    merged = strata.copy()
    while True:
        codes, sizes = np.unique(merged, return_counts=True)
        if len(codes) == 1 or sizes.min() >= count:
            return merged
        rarest, next_rarest = codes[np.argsort(sizes, kind="stable")[:2]]
        merged[merged == rarest] = next_rarest
