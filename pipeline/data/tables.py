"""Tables as text: csv, parquet and jsonl read alike, every cell a string, a missing one the empty string."""

import zlib
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.config.messages import CONTROL, join_names, quote, shorten_to_line, suggest_nearest
from pipeline.data.table_readers import FORMATS, list_suffixes, read_file
from pipeline.errors import PipelineError

NAMED = ("training table", "test table")  # whose rows may be several of an id


def read_table(path: Path, what: str, notes: list[str] | None = None) -> pd.DataFrame:
    """Read a table; `what` names it in messages. How it was read, where that was not plain, goes to `notes`.

    Raises PipelineError if it is missing, unreadable or empty.
    """
    if not path.is_file():
        raise PipelineError(f"{what} {path} does not exist")
    if not list_suffixes(path)[0] and path.suffix.lower() != ".zip":
        raise PipelineError(f"{what} {path} must be one of {', '.join(FORMATS)}, or one of them packed as .gz or .zip")
    try:
        frame, found = read_file(path)
    except RecursionError as error:
        raise PipelineError(f"{what} {path} cannot be read: it is nested too deeply") from error
    except (ValueError, OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise PipelineError(f"{what} {path} cannot be read: {shorten_to_line(error)}") from error
    if frame.empty:
        raise PipelineError(f"{what} {path} has no rows")
    if found and notes is not None:
        notes.append(f"{path.name} was read so: {'; '.join(found)}")
    return frame


def number_repeated_ids(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table with ids that name each row: `7`, and `7 #2` for the second row of 7."""
    ids = frame[column]
    place = ids.groupby(ids).cumcount() + 1
    numbered = ids.where(place == 1, ids + " #" + place.astype(str))
    taken = numbered.duplicated(keep=False) & (place > 1)
    return frame.assign(**{column: numbered.where(~taken, numbered + " of " + ids)})


def join_labels(frame: pd.DataFrame, labels: pd.DataFrame, path: Path, id: str | None = None) -> pd.DataFrame:
    """Return a training table with the columns of a table of labels, joined by id; None is the column of both.

    Raises PipelineError for a row without labels.
    """
    shared = [str(column) for column in frame.columns if column in labels.columns]
    key = id or (shared[0] if shared else "")
    if key not in shared:
        raise PipelineError(
            f"table of labels {path} has no id column {quote(key)}; it has {join_names(list(labels.columns))}"
        )
    read_ids(labels, key, path, "table of labels")
    lacking = ~frame[key].isin(labels[key])
    if lacking.any():
        raise PipelineError(f"table of labels {path} has no row for id {quote(frame[key][lacking].iloc[0])}")
    new = [column for column in labels.columns if column == key or column not in frame.columns]
    return frame.merge(labels[new], on=key, how="left", validate="many_to_one")


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
        advice = "; competition.repeated_ids: average takes the mean of their predictions" if what in NAMED else ""
        raise PipelineError(
            f"{what} {path} has {int(repeated.sum())} duplicate id(s) in {column}, the first is {quote(again)}{advice}"
        )
    return [str(i) for i in ids.astype(object)]
