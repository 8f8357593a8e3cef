"""Texts of a table as a model reads them: one string a row, or two for a pair of columns."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.settings import SEPARATOR
from pipeline.data.tables import require_columns
from pipeline.errors import PipelineError

SEPARATOR_NAME = "sep"  # of models.settings.SEPARATOR in a template
BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
JOIN = " | "  # between three columns or more; a template says it otherwise
BLOCK = 10_000  # rows that are Python's strings at a time


def list_text_columns(text: str | list[str]) -> list[str]:
    """Return the columns that a `text` setting reads. Raises PipelineError for an invalid template."""
    if isinstance(text, list):
        return text
    if "{" not in text:
        return [text]
    names = list(dict.fromkeys(name for _, name in parse_template(text) if name not in (None, SEPARATOR_NAME)))
    if not names:
        raise PipelineError(
            f"competition.text must name columns in braces, like '{{title}} {{sep}} {{body}}', got {text!r}"
        )
    return [name for name in names if name is not None]


def parse_template(text: str) -> list[tuple[str, str | None]]:
    """Return the parts of a template: literal text and the column after it, None at the end.

    A name is all that stands between braces, so that every column can be named; `{{` and `}}` are braces. Raises
    PipelineError for a brace that is not closed, or was not opened.
    """
    parts: list[tuple[str, str | None]] = []
    literal, end = "", 0
    for match in BRACES.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
        elif len(match[0]) == 1:
            what = "opened and never closed" if match[0] == "{" else "closed and was not opened"
            raise PipelineError(f"competition.text is no valid template: a brace is {what} in {text!r}")
        elif not match[1]:
            raise PipelineError(f"competition.text must name columns in braces, like '{{title}}', got {text!r}")
        else:
            parts.append((literal, match[1]))
            literal = ""
    return [*parts, (literal + text[end:], None)]


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


def uses_separator(text: str | list[str]) -> bool:
    """Return True if a template holds the tokenizer's separator."""
    if isinstance(text, list) or "{" not in text:
        return False
    return any(SEPARATOR in literal or name == SEPARATOR_NAME for literal, name in parse_template(text))


def _render(frame: pd.DataFrame, text: str | list[str]) -> list[tuple[str, ...]]:
    if isinstance(text, str) and "{" in text:
        parts = parse_template(text)
        columns = {name: frame[name].tolist() for name in list_text_columns(text)}
        separators = [SEPARATOR] * len(frame)
        cells = [separators if name == SEPARATOR_NAME else columns[name] for _, name in parts if name is not None]
        literals = [literal for literal, _ in parts]
        if not len(frame):
            return []
        return [
            ("".join(piece for pair in zip(literals, [*row, ""], strict=True) for piece in pair),)
            for row in zip(*cells, strict=True)
        ]
    values = [frame[column].tolist() for column in list_text_columns(text)]
    if len(values) > 2:
        return [(JOIN.join(row),) for row in zip(*values, strict=True)]
    return list(zip(*values, strict=True))


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
