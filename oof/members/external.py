"""A member from files: a teammate's predictions, or another library's, joined by id.

The columns are what `write_member` writes: id, fold and one per output for the OOF, id and the outputs for the test
rows; other columns are ignored. Without a fold column the member is unverified. Whoever calls reads the files.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from oof import OOFError
from oof.members.member import Member
from oof.members.rows import WantedRows, check_complete, check_rows
from oof.types import Array, IdArray

SUM_TOLERANCE = 1e-3  # how far class probabilities rounded in a csv may be from a sum of one


def read_external_member(
    name: str,
    oof_path: Path,
    test_path: Path | None,
    *,
    read: Callable[[Path], pd.DataFrame],
    wanted: WantedRows,
    columns: Sequence[str],
    task: str,
    test_ids: IdArray,
) -> Member:
    """Make a member of its files; `test_ids` (rows,) are the test table's.

    `read` gives a file's table with every cell as text, so that no id and no gap is reinterpreted, and ids that differ.
    Class probabilities that sum to one within .001 are divided by their sum (rounding); others are refused. Raises
    OOFError naming file, id and column for anything missing, misaligned, doubled, not finite or out of range.
    """
    table = read(oof_path)
    _check_columns(table, ["id", *columns], oof_path)
    verified = "fold" in table
    check_rows(str(oof_path), table["id"], wanted, _read_folds(table, oof_path) if verified else None, None)
    check_complete(str(oof_path), table["id"], wanted)
    oof = _read_outputs(table, wanted.index, columns, task, oof_path)
    test = None
    if test_path is not None:
        expected = pd.Index(test_ids, dtype=object)
        table = read(test_path)
        _check_columns(table, ["id", *columns], test_path)
        _check_test_ids(table["id"], expected, test_path)
        test = _read_outputs(table, expected, columns, task, test_path)[None]
    return Member(
        name=name,
        columns=tuple(columns),
        ids=wanted.ids,
        fold=wanted.fold,
        oof=oof,
        test_ids=test_ids if test is not None else test_ids[:0],
        test=test,
        verified=verified,
    )


def _check_columns(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in table:
            found = [name if name.isprintable() else repr(name) for name in table.columns]
            raise OOFError(
                f"{path}: the column {column!r} is missing; needed are {', '.join(columns)}, found {', '.join(found)}"
            )


def _read_folds(table: pd.DataFrame, path: Path) -> "pd.Series[int]":
    numbers = pd.to_numeric(table["fold"], errors="coerce")
    bad = ~((numbers == numbers.round()) & (numbers.abs() < 2**31))
    if bad.any():
        raise OOFError(f"{path}: the fold of id {table['id'][bad].iloc[0]!r} is not a whole number")
    return numbers.astype(np.int64)


def _check_test_ids(found: "pd.Series[str]", expected: "pd.Index[str]", path: Path) -> None:
    twice = found.duplicated()
    if twice.any():
        raise OOFError(f"{path}: id {found[twice].iloc[0]!r} is predicted twice; one prediction per row is right")
    at = expected.get_indexer(pd.Index(found, dtype=object))
    strange = at < 0
    if strange.any():
        raise OOFError(f"{path}: id {found[strange].iloc[0]!r} is no row of the test table")
    missing = np.bincount(at, minlength=len(expected)) == 0
    if missing.any():
        raise OOFError(f"{path}: no prediction for test id {expected[missing][0]!r}")


def _read_outputs(table: pd.DataFrame, ids: "pd.Index[str]", columns: Sequence[str], task: str, path: Path) -> Array:
    """The outputs of these ids, (rows, columns), finite and, except for regression, probabilities."""
    rows = table.set_index("id").loc[ids]
    numbers = np.empty((len(rows), len(columns)))
    for at, column in enumerate(columns):
        numbers[:, at] = pd.to_numeric(rows[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(numbers[:, at])
        if bad.any():
            raise OOFError(f"{path}: the prediction of id {ids[bad][0]!r}, column {column!r}, is not a finite number")
        bad = (numbers[:, at] < 0) | (numbers[:, at] > 1)
        if task != "regression" and bad.any():
            raise OOFError(f"{path}: the prediction of id {ids[bad][0]!r}, column {column!r}, is not in [0, 1]")
    if task in ("multiclass", "ordinal"):
        sums = numbers.sum(1, keepdims=True)
        bad = np.abs(sums[:, 0] - 1) > SUM_TOLERANCE
        if bad.any():
            raise OOFError(f"{path}: the probabilities of id {ids[bad][0]!r} sum to {sums[bad][0, 0]:.6g}, not to 1")
        numbers /= sums
    return numbers
