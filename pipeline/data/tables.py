"""Tables as text: csv, parquet and jsonl read alike, every cell a string, a missing one the empty string."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.config.messages import CONTROL, join_names, quote, shorten_to_line, suggest_nearest
from pipeline.data.table_readers import READERS
from pipeline.errors import PipelineError


def read_table(path: Path, what: str) -> pd.DataFrame:
    """Read a table; `what` names it in messages. Raises PipelineError if it is missing, unreadable or empty."""
    if not path.is_file():
        raise PipelineError(f"{what} {path} does not exist")
    if path.suffix not in READERS:
        raise PipelineError(f"{what} {path} must be one of {', '.join(READERS)}")
    try:
        frame = READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise PipelineError(f"{what} {path} {_describe_encoding(path.read_bytes())}") from error
    except RecursionError as error:
        raise PipelineError(f"{what} {path} cannot be read: it is nested too deeply") from error
    except (ValueError, OSError, pa.ArrowException) as error:
        raise PipelineError(f"{what} {path} cannot be read: {shorten_to_line(error)}") from error
    if frame.empty:
        raise PipelineError(f"{what} {path} has no rows")
    return frame


def require_columns(frame: pd.DataFrame, columns: list[str], path: Path, what: str) -> None:
    """Raise PipelineError for the first column that the table lacks."""
    for column in columns:
        if column not in frame.columns:
            known = list(frame.columns)
            raise PipelineError(
                f"{what} {path} has no column {quote(column)}{suggest_nearest(column, known)}; "
                f"it has {join_names(known)}"
            )


def read_ids(frame: pd.DataFrame, column: str, path: Path, what: str) -> list[str]:
    """Return the ids of a table. Raises PipelineError for an empty or repeated one, or one with a control character."""
    require_columns(frame, [column], path, what)
    ids = frame[column]
    if (ids == "").any():
        raise PipelineError(f"{what} {path}, row {int((ids == '').to_numpy().argmax()) + 1}: {column} is empty")
    if (broken := ids.str.contains(CONTROL)).any():
        row = int(broken.to_numpy().argmax())
        raise PipelineError(
            f"{what} {path}, row {row + 1}: {column} is {quote(ids.iloc[row])}; an id holds no control character"
        )
    if (repeated := ids.duplicated()).any():
        again = ids[repeated].iloc[0]
        raise PipelineError(
            f"{what} {path} has {int(repeated.sum())} duplicate id(s) in {column}, the first is {quote(again)}"
        )
    return [str(i) for i in ids.astype(object)]


def _describe_encoding(raw: bytes) -> str:
    """Return what is wrong with a file that is not UTF-8, and what to do."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is not UTF-8 text but UTF-16: save it as UTF-8"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return f"is not UTF-8 text (byte {error.start}), line {line}, perhaps Latin-1: save it as UTF-8"
    return "is not UTF-8 text: save it as UTF-8"
