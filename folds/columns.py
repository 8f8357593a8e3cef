"""Columns of a table that steer the split: times as ranks and blocks, and flags as a mask."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from folds import FoldError
from folds.types import AnyArray, IntArray, Mask

YES = ("true", "1", "1.0", "yes")
NO = ("false", "0", "0.0", "no", "", "nan", "none", "<na>")


def rank_times(time: AnyArray) -> IntArray:
    """Return the rank of each row (rows,) in time order, from 0; equal times have equal ranks.

    Times are numbers, dates, or text in ISO 8601; raises FoldError that names the first cell that is none of these.
    """
    column = pd.Series(time)
    if pd.api.types.is_datetime64_any_dtype(column):
        moments: pd.Series = column
    else:
        moments = pd.to_numeric(column, errors="coerce")
        if moments.isna().any():
            moments = pd.to_datetime(column.astype(str), errors="coerce", format="ISO8601", utc=True)
    unread = np.flatnonzero(moments.isna())
    if len(unread):
        raise FoldError(f"folds.time must hold numbers or ISO 8601 dates. Got {str(column.iloc[unread[0]])!r} instead")
    return pd.factorize(moments, sort=True)[0].astype(np.int64)


def cut_into_blocks(time: IntArray, count: int) -> IntArray:
    """Return the block of each row (rows,), 0 the earliest; `time` is a rank.

    The `count` blocks are of about equal size, and rows of equal time share a block. Raises FoldError if there are
    fewer distinct times than blocks.
    """
    _, moment, sizes = np.unique(time, return_inverse=True, return_counts=True)
    if len(sizes) < count:
        raise FoldError(f"folds.count is {count} but folds.time has only {len(sizes)} distinct times to cut between")
    earlier = np.concatenate([[0], np.cumsum(sizes)])  # rows before each moment
    starts = [0]
    for block in range(1, count):
        ideal = int(np.argmin(np.abs(earlier - len(time) * block / count)))
        # Every block needs a moment: one crowded moment must not use up its neighbours.
        starts.append(min(max(ideal, starts[-1] + 1), len(sizes) - (count - block)))
    return (np.searchsorted(starts, moment, side="right") - 1).astype(np.int64)


def parse_flags(column: npt.ArrayLike, key: str = "folds.train_only") -> Mask:
    """Return a mask (rows,) of the cells that say yes; a missing one says no. FoldError, naming `key`, for others.

    Python's own truth would take the text "0", "False" and a missing number for yes.
    """
    cells = pd.Series(np.asarray(column, dtype=object), dtype=object).map(str).str.strip().str.casefold()
    is_yes = cells.isin(YES).to_numpy(dtype=bool)
    is_no = cells.isin(NO).to_numpy(dtype=bool)
    wrong = np.flatnonzero(~(is_yes | is_no))
    if len(wrong):
        raise FoldError(f"{key} must hold true or false, 1 or 0. Got {cells.iloc[wrong[0]]!r} instead")
    return is_yes
