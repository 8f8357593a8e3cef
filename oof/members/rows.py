"""Which rows need an OOF prediction, and whether the rows at hand are those: the checks that members share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oof import OOFError
from oof.types import IdArray, Ids, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """The folds file, and its rows that need an OOF prediction; all members of a blend share one.

    `home` is the whole file, folds indexed by id; `at`, `index` and `fold` (rows,) are of those wanted, in its order:
    where they lie in it, what they are called, and their folds.
    """

    home: "pd.Series[int]"
    at: IntArray
    index: "pd.Index[str]"
    fold: IntArray

    @property
    def ids(self) -> IdArray:
        """What the rows are called; no copy."""
        return self.index.to_numpy(dtype=object)


def rows_of(ids: Ids, fold: IntArray, folds: Sequence[int]) -> Rows:
    """The rows of some folds of the folds file (`ids`, `fold`); fold -1 never needs a prediction.

    Raises OOFError for a fold that the file does not have.
    """
    home: pd.Series[int] = pd.Series(np.asarray(fold, dtype=np.int64), index=pd.Index(ids, dtype=object), dtype=int)
    known = np.unique(home[home >= 0]).tolist()
    strange = sorted(set(folds) - set(known))
    if strange or not folds:
        had = ", ".join(map(str, known))
        raise OOFError(f"fold {strange[0] if strange else '(none)'} is not to be had; the folds file has {had}")
    at = np.flatnonzero(home.isin(list(folds)))
    return Rows(home, at, home.index[at], np.asarray(home, dtype=np.int64)[at])


def check_rows(
    who: str, ids: "pd.Series[str]", rows: Rows, fold: "pd.Series[int] | None", seed: "pd.Series[int] | None"
) -> None:
    """Raise OOFError for the first id that the folds file lacks, has in another fold, or that comes twice per seed.

    `fold` is None for a table that does not say it.
    """
    home = pd.Series(rows.home.reindex(pd.Index(ids, dtype=object)).to_numpy(), index=ids.index)
    unknown = home.isna()
    if unknown.any():
        raise OOFError(f"{who}: id {ids[unknown].iloc[0]!r} is no training row of the folds file")
    if fold is not None and (foreign := home != fold).any():
        first = ids.index[foreign][0]
        raise OOFError(
            f"{who}: id {ids.loc[first]!r} is predicted as fold {fold.loc[first]}, the folds file has it in fold "
            f"{int(home.loc[first])}; only an OOF made on these folds can be blended"
        )
    twice = ids.duplicated() if seed is None else pd.DataFrame({"id": ids, "seed": seed}).duplicated()
    if twice.any():
        raise OOFError(f"{who}: id {ids[twice].iloc[0]!r} is predicted twice; one prediction per row is right")


def check_complete(who: str, ids: "pd.Series[str]", rows: Rows) -> None:
    """Raise OOFError naming the first wanted row that is not among the ids."""
    missing = ~rows.index.isin(ids)
    if missing.any():
        first, folds = int(missing.argmax()), ", ".join(map(str, np.unique(rows.fold)))
        raise OOFError(
            f"{who}: no OOF prediction for id {rows.ids[first]!r} of fold {rows.fold[first]} "
            f"({int(missing.sum())} rows in all); every row of folds {folds} needs one"
        )
