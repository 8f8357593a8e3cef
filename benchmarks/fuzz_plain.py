"""A plain reading of tables, to hold the product's against: slow, obvious, and sharing no code with it."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

Cells = list[list[Any]]  # header first
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)


def plain_table(path: Path) -> Cells | None:
    """The header and the rows of a file; None if it is no table in the plain form of its format."""
    cells = {".csv": plain_csv, ".jsonl": plain_jsonl, ".parquet": plain_parquet}[path.suffix](path.read_bytes())
    return cells if cells and is_table(cells) else None


def is_table(cells: Cells) -> bool:
    """Whether there are rows below a header that names every column once."""
    return len(cells) > 1 and bool(cells[0]) and len(set(cells[0])) == len(cells[0])


def plain_tables(path: Path) -> list[Cells]:
    """The plain reading of a file, or else every other that it may have."""
    plain = plain_table(path)
    return list_readings(path) if plain is None else [plain]


def list_readings(path: Path) -> list[Cells]:
    """Every reading that a csv file in another form may have, by encoding, separator, quotes and spaces."""
    raw, found = path.read_bytes(), list[Cells]()
    if path.suffix == ".jsonl":
        cells = plain_jsonl(raw.decode("cp1252", errors="replace").encode())
        return [cells] if cells and is_table(cells) else []
    if path.suffix != ".csv":
        return []
    for encoding in ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if re.match("sep=.?\r?\n", text, re.IGNORECASE):
            text = text.split("\n", 1)[1]
        for separator, quotes, escaped, spaces in itertools.product(
            ",\t;|", (True, False), (False, True), (False, True)
        ):
            rows = parsed(text, separator, quotes, escaped, spaces)
            if rows and "\0" not in text:
                found += list_tables(rows)
        break  # only what is not UTF-8 is read in another encoding
    return found


def list_tables(rows: Cells) -> list[Cells]:
    """The tables that rows may be: as long as the header, or each ended by a separator; unnamed columns numbered."""
    width = len(rows[0])
    if all(len(row) == width + 1 and not row[-1] for row in rows[1:]):
        rows = [rows[0], *(row[:-1] for row in rows[1:])]
    if any(len(row) != width for row in rows):
        return []
    unnamed = [at for at, name in enumerate(rows[0]) if not name.strip()]
    if len(unnamed) > 1:
        kept = [at for at in range(width) if at not in unnamed or any(row[at] for row in rows[1:])]
        header = [f"unnamed {at + 1}" if at in unnamed else name for at, name in enumerate(rows[0])]
        rows = [[row[at] for at in kept] for row in [header, *rows[1:]]]
    return [rows] if is_table(rows) else []


def number(cell: Any) -> float:
    """A cell as a number, yes and no among them; NaN if it is none."""
    if isinstance(cell, float) or NUMBER.fullmatch(cell):
        return float(cell)
    return {"true": 1.0, "false": 0.0}.get(cell.lower(), math.nan)


def same_table(frame: Any, plain: Cells) -> bool:
    """Whether a frame of text holds these cells; a float may have another spelling of the same value."""
    columns = [frame[name].tolist() for name in frame]
    read = [list(frame.columns), *map(list, zip(*columns, strict=True))]
    return len(read) == len(plain) and all(
        len(row) == len(other) and all(map(same, row, other)) for row, other in zip(read, plain, strict=True)
    )


def same(text: str, cell: Any) -> bool:
    """Whether a text is that of a cell; a float may have several spellings."""
    if isinstance(cell, float):
        return number(text) == cell or text == str(cell)  # infinities are no numbers
    return bool(text == cell)


def plain_csv(raw: bytes) -> Cells | None:
    """RFC 4180, one character at a time, in UTF-8; a quote inside a cell that begins without one is a letter."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if re.match("sep=.?\r?\n", text, re.IGNORECASE):
        return None
    rows = parsed(text)
    if rows is None or "\0" in text or any(len(row) != len(rows[0]) for row in rows):
        return None
    hint = bool(rows) and len(rows[0]) == 1 and any(sign in rows[0][0] for sign in ";\t|")  # another separator
    return None if hint else rows


def parsed(
    text: str, separator: str = ",", quotes: bool = True, escaped: bool = False, spaces: bool = False
) -> list[list[str]] | None:
    """The rows of a csv text; None where a quote is left open or followed by a letter."""
    rows, row, cell, state = list[list[str]](), list[str](), "", "start"
    is_escape = False
    for at, letter in enumerate(text):
        if is_escape:
            cell, is_escape, state = cell + letter, False, "bare" if state == "start" else state
        elif escaped and letter == "\\":
            is_escape = True
        elif spaces and letter == " " and state == "start":
            continue
        elif state == "quoted":
            cell, state = (cell, "closed") if letter == '"' else (cell + letter, "quoted")
        elif letter == '"' and quotes and state == "start":
            state = "quoted"
        elif letter == '"' and state == "closed" and not escaped:
            cell, state = cell + letter, "quoted"
        elif letter == separator:
            row, cell, state = [*row, cell], "", "start"
        elif letter == "\n" and at and text[at - 1] == "\r" and state == "start" and not row:
            continue  # the second half of a line's end
        elif letter in "\r\n":
            rows += [[*row, cell]] if row or state != "start" else []
            row, cell, state = [], "", "start"
        elif state == "closed":
            return None
        else:
            cell, state = cell + letter, "bare"
    if state == "quoted":
        return None
    return rows + ([[*row, cell]] if row or state != "start" else [])


def plain_jsonl(raw: bytes) -> Cells | None:
    """An object on each line, its keys once; numbers as written, lists and objects as JSON."""
    try:
        lines = [line for line in re.split("\r\n|\r|\n", raw.decode("utf-8-sig")) if line.strip()]
        rows = [_object(line) for line in lines]
        header = list(dict.fromkeys(key for row in rows for key in row))
        cells = [header, *([row.get(key, "") for key in header] for row in rows)]
        json.dumps(cells, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return cells


def _object(line: str) -> dict[str, str]:
    pairs = json.loads(line, object_pairs_hook=_pairs, parse_int=str, parse_float=str, parse_constant=_constant)
    if not isinstance(pairs, dict):
        raise ValueError(line)
    whole = json.loads(line, parse_int=_whole)
    return {key: _text(whole[key] if isinstance(value, list | dict) else value) for key, value in pairs.items()}


def _whole(digits: str) -> int:
    return int(digits) if len(digits) < 4000 else 0


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError(pairs)
    return dict(pairs)


def _constant(name: str) -> Any:
    return None if name == "NaN" else name


def plain_parquet(raw: bytes) -> Cells | None:
    """The Python values of pyarrow."""
    import pyarrow as pa

    try:
        whole = pq.ParquetFile(pa.BufferReader(raw)).read()
        names = [name for name in whole.column_names if not name.startswith("__index_level_")]
        columns = [_values(whole.column(at)) for at, name in enumerate(whole.column_names) if name in names]
        return [names, *([_text(cell) for cell in row] for row in zip(*columns, strict=True))]
    except (ValueError, OSError, pa.ArrowException, OverflowError):
        return None


def _values(column: Any) -> list[Any]:
    """Single floats as the shortest decimal that names them: the digits beyond are no measurement."""
    values = column.to_pylist()
    single = str(column.type) == "float"
    return [float(str(np.float32(value))) if single and value is not None else value for value in values]


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.decode() if isinstance(value, bytes) else value if isinstance(value, str | float) else str(value)
