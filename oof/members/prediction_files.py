"""Parquet files of predictions: parts, one for each fit, and the predictions of a blend.

A part has the columns id (text), fold, seed, then one float64 column per output. It is checked when it is written, so
that a diverged fit fails at once, and when it is read, so that a damaged or foreign file never reaches a blend. The
predictions of a blend have id, fold where they are out of fold, and one column per output.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from oof import OOFError
from oof.types import Array, Ids, IntArray

KEYS = ["id", "fold", "seed"]


def write_part(path: Path, ids: Ids, columns: Sequence[str], predictions: Array, fold: int, seed: int) -> None:
    """Write the predictions (rows, columns) of the fit of that fold and seed, for validation rows or test rows.

    Raises OOFError for NaN or infinity, a repeated id, or an output named like one of the key columns.
    """
    clash = [column for column in columns if column in KEYS]
    if clash:
        raise OOFError(f"{path}: an output column cannot be named {clash[0]!r}, that name holds the part's keys")
    frame = pd.DataFrame(np.asarray(predictions, dtype=np.float64), columns=list(columns))
    frame.insert(0, "id", pd.Series(list(ids), dtype="str"))
    frame.insert(1, "fold", np.int64(fold))
    frame.insert(2, "seed", np.int64(seed))
    _check_part(frame, columns, path)
    frame.to_parquet(path, index=False)


def read_part(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table of a part: id, fold, seed and exactly these output columns.

    Raises OOFError for a file that is missing, damaged, or not such a part.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise OOFError(f"{path}: not a readable parquet file; remove the fit's folder and train it again") from error
    if list(frame.columns) != KEYS + list(columns):
        raise OOFError(
            f"{path}: has the columns {', '.join(map(str, frame.columns))}; "
            f"a part of this competition has {', '.join(KEYS + list(columns))}"
        )
    _check_part(frame, columns, path)
    return frame


def write_predictions(
    path: Path, ids: Ids, columns: Sequence[str], predictions: Array, fold: IntArray | None = None
) -> None:
    """Write predictions (rows, columns) with their ids; `fold` (rows,) for out-of-fold ones."""
    frame = pd.DataFrame(predictions, columns=list(columns))
    frame.insert(0, "id", pd.Series(list(ids), dtype="str"))
    if fold is not None:
        frame.insert(1, "fold", fold)
    frame.to_parquet(path, index=False)


def read_predictions(path: Path, columns: Sequence[str]) -> tuple[list[str], Array]:
    """Return ids and predictions (rows, columns). Raises OOFError if the file is missing, damaged or a foreign one."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise OOFError(f"{path} does not exist; blend first") from error
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise OOFError(f"{path} is not a readable parquet file; blend again") from error
    missing = [column for column in ["id", *columns] if column not in frame.columns]
    if missing:
        raise OOFError(f"{path} has no column {missing[0]!r}; blend again")
    return [str(key) for key in frame["id"]], frame[list(columns)].to_numpy(np.float64)


def _check_part(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    for key in ("fold", "seed"):
        if frame[key].dtype != np.int64:
            raise OOFError(f"{path}: the column {key} must hold whole numbers (int64), it is {frame[key].dtype}")
    for column in columns:
        if frame[column].dtype != np.float64:
            raise OOFError(f"{path}: the column {column!r} must be float64, it is {frame[column].dtype}")
        wrong = ~np.isfinite(frame[column].to_numpy())
        if wrong.any():
            raise OOFError(
                f"{path}: the prediction of id {frame['id'][wrong].iloc[0]!r}, column {column!r}, is not finite"
            )
    if not pd.api.types.is_string_dtype(frame["id"]) or frame["id"].isna().any():
        raise OOFError(f"{path}: the column id must be text without gaps")
    repeated = frame["id"].duplicated()
    if repeated.any():
        raise OOFError(f"{path}: id {frame['id'][repeated].iloc[0]!r} appears twice")
