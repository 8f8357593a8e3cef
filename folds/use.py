"""Use of a split: which rows a fit of fold k trains on and which it predicts."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def valid_folds(fold: IntArray, kind: str) -> list[int]:
    """The folds that have OOF: all from 0 on, for kind time all from 1 on (nothing is earlier than fold 0)."""
    return [int(k) for k in np.unique(fold) if k >= (1 if kind == "time" else 0)]


def valid_rows(fold: IntArray, k: int) -> Mask:
    """Mask (rows,) of the rows that fold `k` validates on."""
    return np.equal(fold, k)


def train_rows(fold: IntArray, k: int, kind: str) -> Mask:
    """Mask (rows,) of the rows that fold `k` trains on: all others, for kind time the earlier folds and -1."""
    return np.less(fold, k) if kind == "time" else np.not_equal(fold, k)
