"""Tables as text: csv, parquet and jsonl read alike, every cell a string, a missing one the empty string.

Nothing is guessed: "NA" is a text, "007" keeps its zeros, an integer column with gaps stays integers.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.problems import nearest


def read_table(path: Path, what: str) -> pd.DataFrame:
    """Read a table; `what` names it in messages. Raises PipelineError if it is missing, unreadable or empty."""
    if not path.is_file():
        raise PipelineError(f"{what} {path} does not exist")
    if path.suffix not in READERS:
        raise PipelineError(f"{what} {path} must be one of {', '.join(READERS)}")
    try:
        frame = READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise PipelineError(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except (ValueError, OSError) as error:
        raise PipelineError(f"{what} {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if frame.columns.duplicated().any():
        raise PipelineError(f"{what} {path} has the column {frame.columns[frame.columns.duplicated()][0]!r} twice")
    if frame.empty:
        raise PipelineError(f"{what} {path} has no rows")
    return frame


def need_columns(frame: pd.DataFrame, columns: list[str], path: Path, what: str) -> None:
    """Raise PipelineError for the first column that the table lacks."""
    for column in columns:
        if column not in frame.columns:
            known = [str(c) for c in frame.columns]
            raise PipelineError(
                f"{what} {path} has no column {column!r}{nearest(column, known)}; it has {', '.join(known)}"
            )


def row_ids(frame: pd.DataFrame, column: str, path: Path, what: str) -> list[str]:
    """The ids of a table; raises PipelineError for an empty or a repeated one."""
    need_columns(frame, [column], path, what)
    ids = frame[column]
    if (ids == "").any():
        raise PipelineError(f"{what} {path}, row {int((ids == '').to_numpy().argmax()) + 1}: {column} is empty")
    if (repeated := ids.duplicated()).any():
        again = ids[repeated].iloc[0]
        raise PipelineError(
            f"{what} {path} has {int(repeated.sum())} duplicate id(s) in {column}, the first is {again!r}"
        )
    return [str(i) for i in ids]


def _read_csv(path: Path) -> pd.DataFrame:
    # with its header read as one, pandas would rename a repeated column and take a long row for an indexed one
    cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return cells.iloc[1:].set_axis(cells.iloc[0].to_list(), axis=1).reset_index(drop=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    return _as_text(pd.read_parquet(path, dtype_backend="numpy_nullable"))


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                rows.append(_json_row(line, number))
    return _as_text(pd.DataFrame(rows, dtype=object))


def _json_row(line: str, number: int) -> dict[str, str]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error.msg}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no JSON object")
    return {str(key): _cell(value) for key, value in row.items()}


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({str(c): [_cell(v) for v in frame[c]] for c in frame.columns}, dtype=str)


def _cell(value: object) -> str:
    if (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and value != value)
    ):
        return ""
    return value if isinstance(value, str) else str(value)


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
