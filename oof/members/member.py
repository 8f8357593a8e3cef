"""A member: one set of prediction columns that is offered to the blend.

Derived from the parts of its fits, never the only copy. Every wanted row has exactly one OOF prediction, the mean over
the seeds, and it was made for the fold that the folds file gives that row. Test predictions stay one slice per fold
model, because what is not linear must be applied to each model before the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from oof import OOFError
from oof.members.rows import Rows, check_complete, check_rows

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Member:
    """Predictions of one member; rows in the order of the folds file, only those of the wanted folds.

    `oof` is (rows, columns), `test` (fits, test rows, columns) or None, one slice per fold model; an extra has one.
    `verified` is False where a teammate's file does not say which folds its OOF comes from.
    """

    name: str
    columns: tuple[str, ...]
    ids: npt.NDArray[np.object_]
    fold: npt.NDArray[np.int64]
    oof: Array
    test_ids: npt.NDArray[np.object_]
    test: Array | None
    verified: bool = True


def member_from_parts(
    name: str,
    parts: Sequence[pd.DataFrame],
    test_parts: Sequence[pd.DataFrame],
    wanted: Rows,
    columns: Sequence[str],
) -> Member:
    """Join the parts of a member's fits.

    Parts of other folds are left aside. Raises OOFError, naming the first id, for a gap in a wanted fold (for each
    seed), an id twice, an id or a fold that the folds file does not have there.
    """
    folds = np.unique(wanted.fold).tolist()
    if not parts:
        raise OOFError(f"member {name}: no fit is finished; train it first")
    rows = pd.concat(list(parts), ignore_index=True)
    rows = rows[rows["fold"].isin(folds)]
    check_rows(f"member {name}", rows["id"], wanted, rows["fold"], rows["seed"])
    for seed, of_seed in rows.groupby("seed"):
        check_complete(f"member {name}, seed {seed}", of_seed["id"], wanted)
    if rows.empty:
        check_complete(f"member {name}", rows["id"], wanted)
    means = rows.groupby("id", sort=False)[list(columns)].mean().loc[wanted.index]
    test_ids, test = _test(name, test_parts, folds, rows["seed"].unique().tolist(), list(columns))
    return Member(
        name=name,
        columns=tuple(columns),
        ids=wanted.ids,
        fold=wanted.fold,
        oof=means.to_numpy(np.float64),
        test_ids=test_ids,
        test=test,
    )


def write_member(path_oof: Path, path_test: Path, member: Member) -> None:
    """Write id, fold, columns of the OOF and id, columns of the test mean over fold models, both parquet.

    The test file is left out for a member without test predictions.
    """
    frame = pd.DataFrame(member.oof, columns=list(member.columns))
    frame.insert(0, "id", pd.Series(member.ids, dtype="str"))
    frame.insert(1, "fold", member.fold)
    frame.to_parquet(path_oof, index=False)
    if member.test is not None:
        frame = pd.DataFrame(member.test.mean(0), columns=list(member.columns))
        frame.insert(0, "id", pd.Series(member.test_ids, dtype="str"))
        frame.to_parquet(path_test, index=False)


def _test(
    name: str, parts: Sequence[pd.DataFrame], folds: Sequence[int], seeds: Sequence[int], columns: list[str]
) -> tuple[npt.NDArray[np.object_], Array | None]:
    """Test predictions (folds, rows, columns), the mean over seeds in each fold, rows as in the first part."""
    if not parts:
        return np.empty(0, dtype=object), None
    found = {(int(part["seed"].iloc[0]), int(part["fold"].iloc[0])): part.set_index("id")[columns] for part in parts}
    first = next(iter(found.values())).index
    slices = []
    for fold in sorted(folds):
        for seed in sorted(seeds):
            part = found.get((seed, fold))
            if part is None:
                raise OOFError(f"member {name}: no test predictions of fold {fold}, seed {seed}")
            strange = part.index.symmetric_difference(first)
            if len(strange):
                raise OOFError(f"member {name}: test id {strange[0]!r} is not in the test predictions of every fit")
            slices.append(part.loc[first].to_numpy(np.float64))
    shape = (len(folds), len(seeds), len(first), len(columns))
    return first.to_numpy(dtype=object), np.stack(slices).reshape(shape).mean(1)
