"""Flags: a column of yes and no as a mask, whatever the table calls them."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from folds import FoldError

YES = ("true", "1", "1.0", "yes")
NO = ("false", "0", "0.0", "no", "", "nan", "none", "<na>")


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
