"""Reader of csv files as they come: what one reading alone fits is read and said, everything else is refused.

A file with commas, double quotes and rows as long as the header is read as it is. Otherwise other separators, quotes
and spaces are tried in turn, and the first form is taken that fits every row of the file.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TextIO

import pandas as pd

CHUNK = 20_000  # rows that are Python strings at a time; those before lie in Arrow, in half the memory
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
HINT = "sep="  # the first line of files that Excel is to read
UNCLOSED = "a quoted cell is opened and never closed"
CSV_ERRORS = {
    "unexpected end of data": UNCLOSED,
    "',' expected after '\"'": "a comma must follow a closing quote; a quote inside a quoted cell is written twice",
}

OpenText = Callable[[], AbstractContextManager[TextIO]]


@dataclass(frozen=True)
class Dialect:
    """The form of a csv file.

    With `quotes`, cells may be quoted, and a quote inside is written twice, or `escaped` by a backslash. `skips_spaces`
    after separators; `trailing` is the number of separators that end each row but the header.
    """

    separator: str = ","
    quotes: bool = True
    escaped: bool = False
    skips_spaces: bool = False
    trailing: int = 0

    def describe(self, plain: "Dialect") -> list[str]:
        """Return what differs from the plain form, in words."""
        words = [] if self.separator == plain.separator else [f"separated by {SEPARATORS[self.separator]}"]
        words += [] if self.quotes else ["quotes belong to the texts"]
        words += ['a quote inside a cell is written \\"'] if self.escaped else []
        words += ["spaces after separators are left out"] if self.skips_spaces else []
        return [*words, *(["rows end with a separator"] if self.trailing else [])]


def read_csv(open_text: OpenText, separator: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Return a csv file as a frame of strings, and how it was read where that is not the plain form.

    `open_text` opens it from the start; `separator` is known for a file such as .tsv. Raises ValueError, with the line,
    for what fits no form.
    """
    csv.field_size_limit(2**31 - 1)  # global to the module; the greatest that every platform takes
    first = Dialect(separator or ",")
    error: ValueError | None = None
    is_unclosed = False
    for dialect in chain(_list_likelier(open_text, first), [first], _list_dialects(open_text, first)):
        if is_unclosed and not dialect.quotes and dialect.separator != "\t":
            continue  # the end of the file may be missing, in the middle of a cell of several lines
        try:
            with open_text() as file:
                frame, notes = _read(file, dialect)
        except UnicodeDecodeError:
            raise
        except ValueError as problem:
            error = error or problem
            is_unclosed = is_unclosed or UNCLOSED in str(problem)
            continue
        return frame, dialect.describe(first) + notes
    assert error is not None
    raise error


def _list_likelier(open_text: OpenText, first: Dialect) -> list[Dialect]:
    """Return the form with another separator if the header holds more of it than of commas."""
    if first.separator != ",":
        return []
    with open_text() as file:
        header = next((line for line in file if line.strip()), "")
    if header.lower().startswith(HINT):
        return []
    counts = {sign: header.count(sign) for sign in SEPARATORS}
    best = max(counts, key=lambda sign: counts[sign])
    return [replace(first, separator=best)] if counts[best] > counts[","] > 0 else []


def _list_dialects(open_text: OpenText, first: Dialect) -> Iterator[Dialect]:
    """Yield other forms that the first lines allow, the likeliest first."""
    with open_text() as file:
        lines = [line for line in islice(file, 50) if line.strip()]
    if lines and lines[0].lower().startswith(HINT):
        lines = lines[1:]
    if not lines:
        return
    header = lines[0]
    found = [sign for sign in SEPARATORS if sign in header] if first.separator == "," else [first.separator]
    for separator in found or [first.separator]:
        base = replace(first, separator=separator)
        names = next(csv.reader([header], delimiter=separator))
        is_spaced = len(names) > 1 and all(name.startswith(" ") for name in names[1:])
        forms = [replace(base, skips_spaces=True)] if is_spaced else [base]
        for form in forms:
            yield form
            yield replace(form, trailing=1)
            if any('\\"' in line for line in _read_lines(open_text)):
                yield replace(form, escaped=True)
            yield replace(form, quotes=False)


def _read_lines(open_text: OpenText) -> Iterator[str]:
    with open_text() as file:
        yield from file


def _read(file: Iterable[str], dialect: Dialect) -> tuple[pd.DataFrame, list[str]]:
    rows = _iterate(file, dialect)
    header = next(rows, None)
    if header is None:
        raise ValueError("it is empty")
    if len(header) == 1 and (sign := next((sign for sign in SEPARATORS if sign in header[0]), None)):
        raise ValueError(f"line 1 has {sign!r} and no other separator fits it")
    chunks = [pd.DataFrame(columns=range(len(header)), dtype=str)]
    while chunk := list(islice(rows, CHUNK)):
        columns = dict(zip(range(len(header)), zip(*chunk, strict=True), strict=True))
        chunks.append(pd.DataFrame(columns, dtype=str))
    frame = pd.concat(chunks, ignore_index=True)
    return _name_columns(frame, header)


def _name_columns(frame: pd.DataFrame, header: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the frame with its columns named; of several without a name, empty ones are dropped, others numbered."""
    unnamed = [place for place, name in enumerate(header) if not name.strip()]
    if len(unnamed) < 2:
        frame.columns = header
        return frame, []
    empty = [place for place in unnamed if (frame[place] == "").all()]
    numbered = [f"unnamed {place + 1}" if place in unnamed else name for place, name in enumerate(header)]
    kept = [place for place in range(len(header)) if place not in empty]
    frame = frame[kept]
    frame.columns = [numbered[place] for place in kept]
    notes = [f"{len(empty)} empty columns without a name are left out"] if empty else []
    left = [numbered[place] for place in unnamed if place not in empty]
    return frame, [*notes, *([f"columns without a name are called {', '.join(left)}"] if left else [])]


def _iterate(file: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Yield the rows, header first; a ValueError names the line on which an unreadable row begins."""
    lines = _check_lines(file)
    first = next(lines, "")
    skipped = 1 if first.lower().startswith(HINT) and len(first.strip()) <= len(HINT) + 1 else 0
    reader = csv.reader(
        lines if skipped else chain([first] if first else [], lines),
        delimiter=dialect.separator,
        quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
        doublequote=not dialect.escaped,
        escapechar="\\" if dialect.escaped else None,
        skipinitialspace=dialect.skips_spaces,
        strict=True,
    )
    width, line = 0, 1 + skipped
    try:
        for row in reader:
            wanted = width + dialect.trailing if width else len(row)
            width = width or len(row)
            if row and len(row) != wanted:
                raise ValueError(f"line {line} has {len(row)} field{'s'[: len(row) - 1]}, the header has {width}")
            if row and any(row[width:]):
                raise ValueError(f"line {line} has {len(row)} fields, the header has {width}")
            if dialect.separator == "\t" and dialect.quotes and any(_spans_rows(cell, dialect) for cell in row):
                raise ValueError(f"line {line}: a quote opens a cell of several rows")
            if row:
                yield row[:width]
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise ValueError(f"line {line}: {CSV_ERRORS.get(str(error), error)}") from error


def _spans_rows(cell: str, dialect: Dialect) -> bool:
    """Return True if a quoted cell may hold rows: in files with tabs a quote is often a mere character."""
    return "\n" in cell and dialect.separator in cell


def _check_lines(file: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise ValueError(f"line {number} holds a NUL byte: it is no text, or in another encoding than it says")
        yield line
