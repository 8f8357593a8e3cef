"""Readers of untrusted tables: csv, jsonl and parquet to frames of strings.

Nothing is guessed ("NA" is a text, "007" keeps its zeros) and nothing is repaired; what cannot be read raises
ValueError, OSError or Arrow's own:

- csv is UTF-8, commas, double quotes. A row has as many fields as the header. An empty line is no row; where a table
  has one column, an empty cell is written `""`.
- jsonl has an object on each line; keys that a row lacks are missing cells, numbers stay as they are written.
- A list or an object in a cell is its JSON text.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

from pipeline.config.messages import SURROGATE, quote, shorten_to_line

CHUNK = 20_000  # rows that are Python strings at a time; those before lie in Arrow, in half the memory
MOST_COLUMNS = 10_000  # of a jsonl file: objects by id, instead of by column, would fill rows x rows cells
INDEX = "__index_level_"  # how pandas calls an unnamed index that it keeps in a parquet file


def _refuse_duplicates(columns: Sequence[str]) -> None:
    if twice := [column for column, times in Counter(columns).items() if times > 1]:
        raise ValueError(f"it has the column {quote(twice[0])} twice")


def _read_csv(path: Path) -> pd.DataFrame:
    csv.field_size_limit(2**31 - 1)  # global to the module; the greatest that every platform takes
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _iterate_csv(file)
        header = next(rows, None)
        if header is None:
            raise ValueError("it is empty")
        if len(header) == 1 and (sign := next((s for s in ";\t" if s in header[0]), None)):
            raise ValueError(f"line 1 has {sign!r} where commas are needed: save it separated by commas")
        _refuse_duplicates(header)
        chunks = [pd.DataFrame(columns=header, dtype=str)]
        while chunk := list(islice(rows, CHUNK)):
            chunks.append(pd.DataFrame(dict(zip(header, zip(*chunk, strict=True), strict=True)), dtype=str))
    return pd.concat(chunks, ignore_index=True)


def _iterate_csv(file: Iterable[str]) -> Iterator[list[str]]:
    """Yield the rows, header first; a ValueError names the line on which an unreadable row begins."""
    reader = csv.reader(_check_lines(file), strict=True)
    width, line = 0, 1
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                raise ValueError(f"line {line} has {len(row)} field{'s'[: len(row) - 1]}, the header has {width}")
            if row:
                yield row
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {CSV_ERRORS.get(str(error), error)}") from error


CSV_ERRORS = {
    "unexpected end of data": "a quoted cell is opened and never closed",
    "',' expected after '\"'": "a comma must follow a closing quote; a quote inside a quoted cell is written twice",
}


def _check_lines(file: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if "\0" in line:
            raise ValueError(f"line {number} holds a NUL byte; if the file is UTF-16, save it as UTF-8")
        yield line


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    rows.append(_parse_json_row(line))
                except RecursionError as error:
                    raise ValueError(f"line {number}: it is nested too deeply") from error
                except ValueError as error:
                    raise ValueError(f"line {number}: {getattr(error, 'msg', error)}") from error
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"it has {len(columns):,} keys; every line holds a row, with the columns as keys")
    # one column at a time, so that a copy of a single one is in memory
    return pd.DataFrame({name: pd.Series([row.get(name, "") for row in rows], dtype=str) for name in columns})


def _parse_json_row(line: str) -> dict[str, str]:
    row = json.loads(
        line, object_pairs_hook=_refuse_duplicate_keys, parse_int=str, parse_float=str, parse_constant=_parse_constant
    )
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object")
    if "\\ud" in line.lower() and SURROGATE.search(json.dumps(row, ensure_ascii=False)):
        raise ValueError("a \\u escape gives half a character")
    if any(isinstance(value, dict | list) for value in row.values()):
        row = {**row, **{key: value for key, value in json.loads(line).items() if isinstance(value, dict | list)}}
    return {sys.intern(key): _format_cell(value) for key, value in row.items()}  # one copy of each key for all rows


def _refuse_duplicate_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    _refuse_duplicates([key for key, _ in pairs])
    return dict(pairs)


def _parse_constant(name: str) -> str:
    return "" if name == "NaN" else name


def _format_cell(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.decode()
    return "" if value is None else str(value)


def _read_parquet(path: Path) -> pd.DataFrame:
    with ParquetFile(path) as file:
        table = file.read()
    names = [name for name in table.column_names if not name.startswith(INDEX)]
    _refuse_duplicates(names)
    columns = {}
    for name in names:
        try:
            columns[name] = pd.Series(pd.array(_convert_to_strings(table[name]), dtype=str))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise ValueError(f"column {quote(name)} holds what is no text: {shorten_to_line(error)}") from error
    return pd.DataFrame(columns)


def _convert_to_strings(column: Any) -> Any:
    """Return an Arrow column as strings."""
    column.validate(full=True)  # parquet does not promise that strings are UTF-8
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        return _format_floats(column)
    kinds = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    if not any(is_kind(column.type) for is_kind in kinds):
        column = pa.array([_format_cell(value) for value in column.to_pylist()], pa.large_string())
    return pc.fill_null(column.cast(pa.large_string()), "")


def _format_floats(column: Any) -> Any:
    """Return floats as Python writes them (2.0 and not 2): the shortest text that gives the same float back."""
    column = column.cast(pa.float64()) if pa.types.is_float16(column.type) else column
    text = pc.replace_substring_regex(column.cast(pa.large_string()), r"^(-?[0-9]+)$", r"\1.0")
    return pc.fill_null(pc.if_else(pc.is_nan(column), "", text), "")


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
