"""Time: a column that can be sorted, and the blocks that its order is cut into.

Flags: a column of yes and no as a mask, whatever the table calls them.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from folds import FoldError

IntArray = npt.NDArray[np.int64]
YES = ("true", "1", "1.0", "yes")
NO = ("false", "0", "0.0", "no", "", "nan", "none", "<na>")


def places(time: npt.NDArray[np.generic]) -> IntArray:
    """Place of each row (rows,) in time order, equal times alike.

    Times are numbers, dates, or text in ISO 8601; FoldError names the first cell that is none of these.
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


def blocks(time: IntArray, count: int) -> IntArray:
    """Block of each row (rows,), 0 the earliest: `count` blocks of about equal size that never part equal times."""
    _, moment, sizes = np.unique(time, return_inverse=True, return_counts=True)
    if len(sizes) < count:
        raise FoldError(f"folds.count is {count} but folds.time has only {len(sizes)} distinct times to cut between")
    before = np.concatenate([[0], np.cumsum(sizes)])  # rows earlier than each moment
    cuts = [0]
    for block in range(1, count):
        ideal = int(np.argmin(np.abs(before - len(time) * block / count)))
        # Every block needs a moment: one crowded moment must not swallow its neighbours.
        cuts.append(min(max(ideal, cuts[-1] + 1), len(sizes) - (count - block)))
    return (np.searchsorted(cuts, moment, side="right") - 1).astype(np.int64)


def flags(column: npt.ArrayLike, key: str = "folds.train_only") -> npt.NDArray[np.bool_]:
    """Mask (rows,) of the cells that say yes; a missing one says no. FoldError, naming `key`, for any other cell.

    Python's own truth would take the text "0", "False" and a missing number for yes.
    """
    cells = pd.Series(np.asarray(column, dtype=object), dtype=object).map(str).str.strip().str.casefold()
    yes = cells.isin(YES).to_numpy(dtype=bool)
    wrong = np.flatnonzero(~(yes | cells.isin(NO).to_numpy(dtype=bool)))
    if len(wrong):
        raise FoldError(f"{key} must hold true or false, 1 or 0. Got {cells.iloc[wrong[0]]!r} instead")
    return yes
