"""Texts of a table as a model reads them: one string a row, or two for a pair of columns."""

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.tables import require_columns
from pipeline.errors import PipelineError

JOIN = " | "  # between three columns or more; a template says it otherwise
BLOCK = 10_000  # rows that are Python's strings at a time


def list_text_columns(text: str | list[str]) -> list[str]:
    """Return the columns that a `text` setting reads. Raises PipelineError for an invalid template."""
    if isinstance(text, list):
        return text
    if "{" not in text:
        return [text]
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise PipelineError(f"competition.text is no valid template: {error}") from error
    for _, field, form, conversion in parts:
        # only plain names: a format field could otherwise reach into objects, or mean a place
        plain = field is None or (field and not field.isdigit() and not any(sign in field for sign in ".[]"))
        if not plain or form or conversion:
            raise _refuse_template(text)
    names = list(dict.fromkeys(field for _, field, _, _ in parts if field is not None))
    if not names:
        raise _refuse_template(text)
    return names


class Texts(Sequence[tuple[str, ...]]):
    """The text of each row: a tuple of one string, or of two for a pair of columns.

    Texts stay in the columns of their table, which take a fraction of the memory of Python strings, and are built on
    access. Raises PipelineError for a column that the table lacks; `what` names it in messages.
    """

    def __init__(self, frame: pd.DataFrame, text: str | list[str], path: Path, what: str) -> None:
        columns = list_text_columns(text)
        require_columns(frame, columns, path, what)
        self._frame, self._text = frame[list(dict.fromkeys(columns))], text  # a column may be named twice

    def __len__(self) -> int:
        return len(self._frame)

    @overload
    def __getitem__(self, place: int) -> tuple[str, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> list[tuple[str, ...]]: ...

    def __getitem__(self, place: int | slice) -> tuple[str, ...] | list[tuple[str, ...]]:
        if isinstance(place, slice):
            return _render(self._frame.iloc[place], self._text)
        return _render(self._frame.iloc[[place]], self._text)[0]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for start in range(0, len(self), BLOCK):
            yield from self[start : start + BLOCK]

    def take(self, rows: npt.NDArray[np.int64]) -> list[tuple[str, ...]]:
        """Return the texts of some rows."""
        return _render(self._frame.iloc[rows], self._text)


def _render(frame: pd.DataFrame, text: str | list[str]) -> list[tuple[str, ...]]:
    if isinstance(text, str) and "{" in text:
        rows = frame.to_dict("records")
        return [(text.format_map({str(k): v for k, v in row.items()}),) for row in rows]
    values = [frame[column].tolist() for column in list_text_columns(text)]
    if len(values) > 2:
        return [(JOIN.join(row),) for row in zip(*values, strict=True)]
    return list(zip(*values, strict=True))


def _refuse_template(text: str) -> PipelineError:
    return PipelineError(f"competition.text must name columns in braces, like '{{title}} [SEP] {{body}}', got {text!r}")


def find_text_warnings(frame: pd.DataFrame, text: str | list[str], path: Path) -> list[str]:
    """Return sentences on text columns that look wrong: numbers, or empty."""
    found = []
    for column in list_text_columns(text):
        filled = frame[column][frame[column].str.strip() != ""]
        if empty := len(frame) - len(filled):
            found.append(f"{path.name}: {empty} of {len(frame)} rows have an empty {column}")
        if len(filled) and pd.to_numeric(filled, errors="coerce").notna().mean() > 0.9:
            found.append(f"{path.name}: text column {column} holds numbers; is it the right column?")
    return found
