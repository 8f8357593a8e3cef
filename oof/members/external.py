"""External members: predictions from files, of a teammate or another library, joined by id.

The columns are those that `write_member` writes: id, fold and one per output for the OOF, id and the outputs for the
test rows; other columns are ignored. Without a fold column the member is unverified.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from oof import OOFError
from oof.members.member import Member
from oof.members.rows import WantedRows, check_complete, check_rows
from oof.types import Array, IdArray

SUM_TOLERANCE = 1e-3  # how far the sum of class probabilities may be from one: csv files hold rounded ones


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
    """Return the member in these files; `test_ids` (rows,) are the ids of the test table.

    `read` returns a file's table with unique ids and every cell as text, so that no id is changed by a guess of its
    type. Class probabilities that sum to one within .001 are divided by their sum. Raises OOFError with file, id and
    column for anything missing, unknown, repeated, not finite or out of range.
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
            existing = [name if name.isprintable() else repr(name) for name in table.columns]
            raise OOFError(
                f"{path}: the column {column!r} is missing; needed: {', '.join(columns)}; found: {', '.join(existing)}"
            )


def _read_folds(table: pd.DataFrame, path: Path) -> "pd.Series[int]":
    numbers = pd.to_numeric(table["fold"], errors="coerce")
    wrong = ~((numbers == numbers.round()) & (numbers.abs() < 2**31))
    if wrong.any():
        raise OOFError(f"{path}: the fold of id {table['id'][wrong].iloc[0]!r} is not a whole number")
    return numbers.astype(np.int64)


def _check_test_ids(ids: "pd.Series[str]", expected: "pd.Index[str]", path: Path) -> None:
    repeated = ids.duplicated()
    if repeated.any():
        raise OOFError(f"{path}: id {ids[repeated].iloc[0]!r} is predicted twice; each row needs one prediction")
    positions = expected.get_indexer(pd.Index(ids, dtype=object))
    unknown = positions < 0
    if unknown.any():
        raise OOFError(f"{path}: id {ids[unknown].iloc[0]!r} is no row of the test table")
    missing = np.bincount(positions, minlength=len(expected)) == 0
    if missing.any():
        raise OOFError(f"{path}: no prediction for test id {expected[missing][0]!r}")


def _read_outputs(table: pd.DataFrame, ids: "pd.Index[str]", columns: Sequence[str], task: str, path: Path) -> Array:
    """Return the outputs (rows, columns) of these ids: finite and, except for regression, probabilities."""
    rows = table.set_index("id").loc[ids]
    outputs = np.empty((len(rows), len(columns)))
    for number, column in enumerate(columns):
        output = pd.to_numeric(rows[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = ~np.isfinite(output)
        if wrong.any():
            raise OOFError(f"{path}: the prediction of id {ids[wrong][0]!r}, column {column!r}, is not a finite number")
        wrong = (output < 0) | (output > 1)
        if task != "regression" and wrong.any():
            raise OOFError(f"{path}: the prediction of id {ids[wrong][0]!r}, column {column!r}, is not in [0, 1]")
        outputs[:, number] = output
    if task in ("multiclass", "ordinal"):
        sums = outputs.sum(1, keepdims=True)
        wrong = np.abs(sums[:, 0] - 1) > SUM_TOLERANCE
        if wrong.any():
            raise OOFError(f"{path}: the probabilities of id {ids[wrong][0]!r} sum to {sums[wrong][0, 0]:.6g}, not 1")
        outputs /= sums
    return outputs
