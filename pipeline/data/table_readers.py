"""Readers of untrusted tables: csv, jsonl and parquet to frames of strings.

No cell is guessed ("NA" is a text, "007" keeps its zeros) and nothing is repaired; what cannot be read raises
ValueError, OSError or Arrow's own. Each reader returns the table and sentences on how it was read:

- csv has commas and double quotes, or another form that fits every row (`csv_reader`). A row has as many fields as the
  header. An empty line is no row; where a table has one column, an empty cell is written `""`.
- Text is UTF-8, UTF-16 with its mark, or else cp1252 where the bytes are those of a Western European text.
- A file may be packed, as .gz or as .zip with one table in it.
- jsonl has an object on each line; keys that a row lacks are missing cells, numbers stay as they are written.
- A list or an object in a cell is its JSON text.
"""

import gzip
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

from pipeline.config.messages import SURROGATE, quote, shorten_to_line
from pipeline.data.csv_reader import OpenText, read_csv

MOST_COLUMNS = 10_000  # of a jsonl file: objects by id, instead of by column, would fill rows x rows cells
INDEX = "__index_level_"  # how pandas calls an unnamed index that it keeps in a parquet file


def _refuse_duplicates(columns: Sequence[str]) -> None:
    if twice := [column for column, times in Counter(columns).items() if times > 1]:
        raise ValueError(f"it has the column {quote(twice[0])} twice")


def _read_jsonl(open_text: OpenText) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    with open_text() as file:
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


FORMATS = (".csv", ".tsv", ".parquet", ".jsonl")
PACKED = (".gz", ".zip")
UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
WESTERN = re.compile(rb"[\x80-\xff]{4,}|[\x81\x8d\x8f\x90\x9d]")  # what a text in cp1252 has not
MOST_FOREIGN = 0.2  # of the bytes of a Western European text are not ASCII


def list_suffixes(path: Path) -> tuple[str, str]:
    """Return the format and the packing in a file's name, in lower case; "" for what it has not."""
    suffix = path.suffix.lower()
    packing = suffix if suffix in PACKED else ""
    inner = Path(path.stem).suffix.lower() if packing else suffix
    return inner if inner in FORMATS else "", packing


def read_file(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a table by its suffixes; return it and sentences on how it was read where that was not plain."""
    format, packing = list_suffixes(path)
    if packing == ".zip":
        member = _find_member(path)
        format = format or list_suffixes(Path(member))[0]
    if format == ".parquet":
        if packing:
            raise ValueError("a packed parquet file is not read: unpack it")
        frame, notes = _read_parquet(path), list[str]()
    else:
        frame, notes = _read_text(partial(_open_bytes, path), format)
    _refuse_duplicates(list(frame.columns))
    return frame, notes


def _read_text(open_bytes: Callable[[], Any], format: str) -> tuple[pd.DataFrame, list[str]]:
    """Read a csv or jsonl file in UTF-8, or else in the encoding that its bytes show."""
    with open_bytes() as file:
        start = file.read(4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = [("utf-16", "in UTF-16")]
    else:
        encodings = [("utf-8-sig", ""), ("cp1252", "in cp1252, the code page of Western European Windows")]
    for encoding, words in encodings:
        if encoding == "cp1252" and not _is_western(open_bytes):
            raise ValueError(
                f"it is not UTF-8 (line {_find_bad_line(open_bytes)}), nor a Western European text in cp1252: save it "
                "as UTF-8"
            )
        open_text = partial(_open_text, open_bytes, encoding)
        try:
            if format == ".jsonl":
                frame, notes = _read_jsonl(open_text), list[str]()
            else:
                frame, notes = read_csv(open_text, "\t" if format == ".tsv" else None)
        except UnicodeDecodeError:
            if encoding != "utf-8-sig":
                raise
            continue
        return frame, [*([words] if words else []), *notes]
    raise AssertionError("cp1252 decodes every text that is Western")


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open the bytes of a file, unpacked."""
    packing = list_suffixes(path)[1]
    if packing == ".gz":
        with gzip.open(path) as file:
            yield file  # type: ignore[misc]
    elif packing == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_find_member(path)) as member:
            yield member  # type: ignore[misc]
    else:
        with path.open("rb") as plain:
            yield plain


@contextmanager
def _open_text(open_bytes: Callable[[], Any], encoding: str) -> Iterator[TextIO]:
    with open_bytes() as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield text


def _find_member(path: Path) -> str:
    """Return the one table in a zip file; among several the one with its name. Raises ValueError."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
    except zipfile.BadZipFile as error:
        raise ValueError("it is no zip file") from error
    tables = [name for name in names if list_suffixes(Path(name))[0]] or names
    named = [name for name in tables if PurePosixPath(name).name == path.stem]
    if len(named or tables) != 1:
        raise ValueError(f"it holds {len(tables)} tables, {', '.join(map(quote, tables[:5]))}: unpack the one to read")
    return (named or tables)[0]


def _find_bad_line(open_bytes: Callable[[], Any]) -> int:
    """Return the first line that is not UTF-8."""
    with open_bytes() as file:
        raw = file.read()
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return int(raw.count(b"\n", 0, error.start)) + 1
    return 1


def _is_western(open_bytes: Callable[[], Any]) -> bool:
    """Return True if bytes that are not UTF-8 look like a Western European text: few are not ASCII, in short runs.

    A file that holds characters of UTF-8 is one with a damaged byte: in cp1252 every other letter of it would be wrong.
    """
    with open_bytes() as file:
        raw = file.read()
    foreign = len(raw) - len(raw.translate(None, bytes(range(128, 256))))
    return foreign <= MOST_FOREIGN * len(raw) and WESTERN.search(raw) is None and UTF_8.search(raw) is None
