"""Rows that need an OOF prediction, and the checks of ids and folds that all members share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oof import OOFError
from oof.types import IdArray, Ids, IntArray


@dataclass(frozen=True, eq=False)
class WantedRows:
    """The folds file and its rows that need an OOF prediction; all members of a blend share one.

    `all_folds` holds the fold of every row of the file, indexed by id. `positions`, `index` and `fold` (rows,) describe
    the wanted rows in the file's order: their place in it, their ids and their folds.
    """

    all_folds: "pd.Series[int]"
    positions: IntArray
    index: "pd.Index[str]"
    fold: IntArray

    @property
    def ids(self) -> IdArray:
        """Ids of the wanted rows, (rows,); no copy."""
        return self.index.to_numpy(dtype=object)


def select_rows(ids: Ids, fold: IntArray, folds: Sequence[int]) -> WantedRows:
    """Return the rows of some `folds` of the folds file (`ids`, `fold`); fold -1 never needs a prediction.

    Raises OOFError for a fold that the file does not have.
    """
    all_folds: pd.Series[int] = pd.Series(
        np.asarray(fold, dtype=np.int64), index=pd.Index(ids, dtype=object), dtype=int
    )
    available = np.unique(all_folds[all_folds >= 0]).tolist()
    unknown = sorted(set(folds) - set(available))
    if unknown or not folds:
        first = unknown[0] if unknown else "(none)"
        raise OOFError(f"unknown fold {first}; available in the folds file: {', '.join(map(str, available))}")
    positions = np.flatnonzero(all_folds.isin(list(folds)))
    return WantedRows(all_folds, positions, all_folds.index[positions], np.asarray(all_folds, np.int64)[positions])


def check_rows(
    source: str,
    ids: "pd.Series[str]",
    rows: WantedRows,
    fold: "pd.Series[int] | None",
    seed: "pd.Series[int] | None",
) -> None:
    """Raise OOFError for the first id that is unknown, in another fold than predicted, or predicted twice by a seed.

    `source` names the member or file in the message. `fold` is None for a table without a fold column.
    """
    right_fold = pd.Series(rows.all_folds.reindex(pd.Index(ids, dtype=object)).to_numpy(), index=ids.index)
    unknown = right_fold.isna()
    if unknown.any():
        raise OOFError(f"{source}: id {ids[unknown].iloc[0]!r} is no training row of the folds file")
    if fold is not None and (foreign := right_fold != fold).any():
        first = ids.index[foreign][0]
        raise OOFError(
            f"{source}: id {ids.loc[first]!r} is predicted as fold {fold.loc[first]}, the folds file has it in fold "
            f"{int(right_fold.loc[first])}; only an OOF made on these folds can be blended"
        )
    keys = ids if seed is None else pd.DataFrame({"id": ids, "seed": seed})
    repeated = keys.duplicated()
    if repeated.any():
        raise OOFError(f"{source}: id {ids[repeated].iloc[0]!r} is predicted twice; each row needs one prediction")


def check_complete(source: str, ids: "pd.Series[str]", rows: WantedRows) -> None:
    """Raise OOFError that names the first wanted row without a prediction among `ids`."""
    missing = ~rows.index.isin(ids)
    if missing.any():
        first = int(missing.argmax())
        folds = ", ".join(map(str, np.unique(rows.fold)))
        raise OOFError(
            f"{source}: no OOF prediction for id {rows.ids[first]!r} of fold {rows.fold[first]} "
            f"({int(missing.sum())} rows in all); every row of folds {folds} needs one"
        )
