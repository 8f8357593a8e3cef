"""Strata: the code per row that a stratified split keeps in proportion."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from folds import FoldError

IntArray = npt.NDArray[np.int64]


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
