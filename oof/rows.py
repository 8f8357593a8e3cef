"""Which rows need an OOF prediction, and whether the rows at hand are those: the checks that members share."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from oof import OOFError

Ids = Sequence[str] | npt.NDArray[np.object_]


def folds_by_id(ids: Ids, fold: npt.NDArray[np.int64]) -> "pd.Series[int]":
    """The folds file as a series: fold, indexed by id."""
    folds: pd.Series[int] = pd.Series(np.asarray(fold, dtype=np.int64), index=pd.Index(ids, dtype=object), dtype=int)
    return folds


def wanted_rows(folds: "pd.Series[int]", folds_wanted: Sequence[int]) -> "pd.Series[int]":
    """The rows of the folds file (fold, indexed by id) that need an OOF prediction; fold -1 never does."""
    strange = sorted(set(folds_wanted) - set(folds[folds >= 0]))
    if strange or not folds_wanted:
        known = ", ".join(map(str, sorted(set(folds[folds >= 0]))))
        raise OOFError(f"fold {strange[0] if strange else '(none)'} is not to be had; the folds file has {known}")
    return folds[folds.isin(list(folds_wanted))]


def check_rows(
    who: str, ids: "pd.Series[str]", folds: "pd.Series[int]", fold: "pd.Series[int]", seed: "pd.Series[int] | None"
) -> None:
    """Raise OOFError for the first id that the folds file lacks, has in another fold, or that comes twice per seed."""
    home = pd.Series(folds.reindex(pd.Index(ids, dtype=object)).to_numpy(), index=ids.index)
    unknown = home.isna()
    if unknown.any():
        raise OOFError(f"{who}: id {ids[unknown].iloc[0]!r} is no training row of the folds file")
    foreign = home != fold
    if foreign.any():
        first = ids.index[foreign][0]
        raise OOFError(
            f"{who}: id {ids.loc[first]!r} is predicted as fold {fold.loc[first]}, the folds file has it in fold "
            f"{int(home.loc[first])}; only an OOF made on these folds can be blended"
        )
    twice = ids.duplicated() if seed is None else pd.DataFrame({"id": ids, "seed": seed}).duplicated()
    if twice.any():
        raise OOFError(f"{who}: id {ids[twice].iloc[0]!r} is predicted twice; one prediction per row is right")


def check_complete(who: str, ids: "pd.Series[str]", wanted: "pd.Series[int]") -> None:
    """Raise OOFError naming the first wanted row that is not among the ids."""
    missing = ~wanted.index.isin(ids)
    if missing.any():
        first = wanted.index[missing][0]
        raise OOFError(
            f"{who}: no OOF prediction for id {first!r} of fold {wanted[first]} ({int(missing.sum())} rows in all); "
            f"every row of folds {', '.join(map(str, sorted(set(wanted))))} needs one"
        )
