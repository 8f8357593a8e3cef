"""A plain reading of tables, to hold the product's against: slow, obvious, and sharing no code with it."""

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
    """The header and the rows of a file; None if it is no table."""
    cells = {".csv": plain_csv, ".jsonl": plain_jsonl, ".parquet": plain_parquet}[path.suffix](path.read_bytes())
    if not cells or len(cells) < 2 or not cells[0] or len(set(cells[0])) < len(cells[0]):
        return None
    return cells


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
    rows = parsed(text)
    if rows is None or "\0" in text or any(len(row) != len(rows[0]) for row in rows):
        return None
    hint = bool(rows) and len(rows[0]) == 1 and any(sign in rows[0][0] for sign in ";\t")  # another separator
    return None if hint else rows


def parsed(text: str) -> list[list[str]] | None:
    """The rows of a csv text; None where a quote is left open or followed by a letter."""
    rows, row, cell, state = list[list[str]](), list[str](), "", "start"
    for at, letter in enumerate(text):
        if state == "quoted":
            cell, state = (cell, "closed") if letter == '"' else (cell + letter, "quoted")
        elif letter == '"' and state == "start":
            state = "quoted"
        elif letter == '"' and state == "closed":
            cell, state = cell + letter, "quoted"
        elif letter == ",":
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
