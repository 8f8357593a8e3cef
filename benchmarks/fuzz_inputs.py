"""Inputs that strangers might give: valid files, changed as structures (cells, rows, columns, keys) and as bytes."""

import csv
import datetime
import decimal
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Rows = list[list[Any]]  # header first
WORDS = ["the", "movie", "film", "book", "story", "plot", "actor", "cat", "dog", "city"]
TRAIN, TEST = 16, 6
TARGETS: dict[str, Callable[[int], list[str]]] = {
    "binary": lambda at: [str(at % 2)],
    "multiclass": lambda at: [("who", "where", "when")[at % 3]],
    "regression": lambda at: [f"{at % 5}.1"],
    "ordinal": lambda at: [str(at % 3 + 1)],
    "multilabel": lambda at: [str(at % 2), str(at // 2 % 2)],
}
SAMPLES = {
    "binary": ["0.5"],
    "multiclass": ["0.2", "0.4", "0.4"],
    "regression": ["0"],
    "ordinal": ["1"],
    "multilabel": ["0.5", "0.5"],
}
ODD = ["", " ", "NA", "null", "nan", "inf", "-inf", "1e400", "1e-400", "0", "1", "1.0", "-1", "+1", "01", "2", "0.5"]
ODD += ["True", "é", "中文", "🙂", "a,b", 'say "no"', '"', "l\nl", "c\rc", "c\r\nc", "a\tb", "\x1b[2J", "\x07", "\x85"]
ODD += ["0x10", "1_000", "١", "=1+1", "'", "\ufeff", "\u2028", "\u202e", "{x}", "..", "\ud7ff", "1e5", "9" * 400, ";"]
TOKENS = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b";",
    b"\t",
    b" ",
    b"\x1b",
]
TOKENS += [b"{", b"}", b"[", b"]", b":", b"&a ", b"*a", b"<<: ", b"!!", b"- ", b"#", b"|", b"\xed\xa0\x80", b"\xf0\x9f"]


def valid_rows(task: str) -> dict[str, Rows]:
    """The four tables of a small competition."""
    rng, target = random.Random(0), TARGETS[task]
    names = ["old", "red"] if task == "multilabel" else ["target"]
    rows = [
        [f"{at:02d}", " ".join([*rng.choices(WORDS, k=5), *target(at), str(at)]), *target(at)]
        for at in range(TRAIN + TEST)
    ]
    train, hidden = rows[:TRAIN], rows[TRAIN:]
    shown = ["when", "where", "who"] if task == "multiclass" else names
    return {
        "train": [["id", "text", *names], *train],
        "test": [["id", "text"], *(row[:2] for row in hidden)],
        "sample_submission": [["id", *shown], *([row[0], *SAMPLES[task]] for row in hidden)],
        "solution": [["id", *names], *([row[0], *row[2:]] for row in hidden)],
    }


def changed_rows(rows: Rows, rng: random.Random, keep: float) -> Rows:
    """The table with up to three changes; none in a share `keep` of the cases."""
    rows = [list(row) for row in rows]
    if rng.random() < keep:
        return rows
    for _ in range(rng.choice([1, 1, 2, 3])):
        rng.choice(CHANGES)(rows, rng)
    return rows


def _spot(rows: Rows, rng: random.Random) -> tuple[int, int]:
    at = rng.randrange(1, len(rows)) if len(rows) > 1 else 0
    return at, rng.randrange(len(rows[at])) if rows[at] else 0


def _odd_cell(rows: Rows, rng: random.Random) -> None:
    at, column = _spot(rows, rng)
    if rows[at]:
        rows[at][column] = rng.choice(ODD)


def _odd_text(rows: Rows, rng: random.Random) -> None:
    at, _ = _spot(rows, rng)
    if len(rows[at]) > 1:
        rows[at][1] = rng.choice([*ODD, "long " * rng.choice([10, 1_000, 40_000])])


def _odd_name(rows: Rows, rng: random.Random) -> None:
    if rows[0]:
        rows[0][rng.randrange(len(rows[0]))] = rng.choice([*ODD, "id", "text", "ID", "target"])


def _one_column(rows: Rows, rng: random.Random) -> None:
    column = rng.randrange(len(rows[0]) or 1)
    for row in rows:
        row[:] = row[column : column + 1]


def _add_column(rows: Rows, rng: random.Random) -> None:
    at, name = rng.randrange(len(rows[0]) + 1), rng.choice(["", "extra", "id", "a\nb", "note; more", "fold"])
    for place, row in enumerate(rows):
        row.insert(at, name if place == 0 else rng.choice(ODD))


def _more_of_a_row(rows: Rows, rng: random.Random) -> None:
    rows[rng.randrange(len(rows))].append(rng.choice(ODD))


def _less_of_a_row(rows: Rows, rng: random.Random) -> None:
    row = rows[rng.randrange(len(rows))]
    del row[-1:]


def _row_twice(rows: Rows, rng: random.Random) -> None:
    rows.insert(rng.randrange(1, len(rows) + 1), list(rng.choice(rows)))


def _row_away(rows: Rows, rng: random.Random) -> None:
    if len(rows) > 1:
        del rows[rng.randrange(1, len(rows))]


def _other_order(rows: Rows, rng: random.Random) -> None:
    rows[1:] = rng.sample(rows[1:], len(rows) - 1)


def _columns_turned(rows: Rows, rng: random.Random) -> None:
    for row in rows:
        row[:] = row[::-1]


def _nothing_left(rows: Rows, rng: random.Random) -> None:
    del rows[rng.choice([0, 1]) :]
    rows.extend([[]] if not rows else [])


CHANGES = [_odd_cell, _odd_text, _odd_text, _odd_text, _odd_name, _one_column, _add_column, _add_column, _more_of_a_row]
CHANGES += [_less_of_a_row, _row_twice, _row_away, _other_order, _other_order, _columns_turned, _nothing_left]


def written(rows: Rows, kind: str, rng: random.Random, plain: bool = False) -> bytes:
    """A file of these rows; unless `plain`, in one of the many ways that a format leaves open."""
    if plain:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()
    return {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind](rows, rng)


def _csv(rows: Rows, rng: random.Random) -> bytes:
    style = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
    end, sign = rng.choice(["\n", "\n", "\r\n", "\r"]), rng.choice([*",,,,,,,,,;", "\t"])
    lines = []
    for row in rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n", delimiter=sign, quoting=style).writerow(row)
        lines.append(text.getvalue()[:-2])
    joined = (end * rng.choice([1, 1, 1, 1, 2])).join(lines) + rng.choice(["", end, end, end * 3])
    codec = rng.choice(["utf-8"] * 12 + ["utf-8-sig"] * 3 + ["utf-16", "utf-16-le", "latin-1"])
    return joined.encode(codec, errors="replace")


def _jsonl(rows: Rows, rng: random.Random) -> bytes:
    typed, gaps, escaped = rng.random() < 0.5, rng.random() < 0.2, rng.random() < 0.5
    lines = []
    for row in rows[1:]:
        cells = [
            (name, _json(cell, rng) if typed else json.dumps(cell)) for name, cell in zip(rows[0], row, strict=False)
        ]
        cells = [pair for pair in cells if not gaps or rng.random() < 0.9]
        lines.append("{" + ", ".join(f"{json.dumps(name, ensure_ascii=escaped)}: {cell}" for name, cell in cells) + "}")
    end = rng.choice(["\n", "\n", "\r\n", "\n\n"])
    return (end.join(lines) + end).encode(rng.choice(["utf-8", "utf-8", "utf-8-sig"]))


def _json(cell: str, rng: random.Random) -> str:
    """A cell as JSON: now and then another value, one that JSON only knows in Python, or one too deep."""
    if rng.random() < 0.03:
        values = [
            "NaN",
            "Infinity",
            "-Infinity",
            "null",
            "true",
            "1.10",
            "-0",
            "1E5",
            "9" * 5000,
            '{"a": [1, {"b": null}]}',
        ]
        return rng.choice([*values, "[]", "[" * 2000 + "]" * 2000, '"\\ud800"', '"\\u0000"', '{"a": 1, "a": 2}', "'x'"])
    return cell if cell.isascii() and cell.isdigit() and str(int(cell)) == cell else json.dumps(cell)


def _parquet(rows: Rows, rng: random.Random) -> bytes:
    width = len(rows[0])
    cells = [[row[at] if at < len(row) else None for row in rows[1:]] for at in range(width)]
    arrays = [_arrow(column, rng) for column in cells]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=rows[0]), sink, compression=rng.choice(["none", "snappy"]))
    return sink.getvalue()


def _arrow(cells: list[Any], rng: random.Random) -> Any:
    """Text mostly; numbers, where there are no others, mostly as numbers."""
    if (
        cells
        and all(cell is not None and re.fullmatch(r"-?[0-9]+\.[0-9]+", cell) for cell in cells)
        and rng.random() < 0.7
    ):
        return _numbers(cells, rng)
    return rng.choice(ARROWS)(cells, rng) if rng.random() < 0.25 else pa.array(cells, pa.string())


def _numbers(cells: list[Any], rng: random.Random) -> Any:
    values = []
    for cell in cells:
        try:
            values.append(float(cell))
        except (TypeError, ValueError):
            values.append(None)
    kind = rng.choice([pa.float64(), pa.float32(), pa.float16(), pa.int64()])
    if pa.types.is_integer(kind) and all(
        value is not None and value == value // 1 and abs(value) < 1e15 for value in values
    ):
        return pa.array([int(value) for value in values], kind)
    return pa.array(values, pa.float64() if pa.types.is_integer(kind) else kind)


def _of(make: Callable[[int, str], Any], kind: Any) -> Callable[[list[Any], random.Random], Any]:
    return lambda cells, rng: pa.array([make(at, str(cell)) for at, cell in enumerate(cells)], kind)


DAY = datetime.datetime(2020, 1, 31, 12)
ARROWS: list[Callable[[list[Any], random.Random], Any]] = [
    _numbers,
    _numbers,
    lambda cells, rng: pa.array(cells, pa.string()).dictionary_encode(),
    lambda cells, rng: pa.array(cells, pa.large_string()),
    _of(lambda at, cell: cell.encode(), pa.binary()),
    _of(lambda at, cell: cell.encode()[:1] + b"\xff", pa.binary()),
    _of(lambda at, cell: [cell] * (at % 3), pa.list_(pa.string())),
    _of(lambda at, cell: {"a": cell, "b": [at]}, pa.struct([("a", pa.string()), ("b", pa.list_(pa.int64()))])),
    _of(lambda at, cell: decimal.Decimal(at) / 100, pa.decimal128(12, 4)),
    _of(lambda at, cell: DAY + datetime.timedelta(days=at), pa.timestamp("us")),
    _of(lambda at, cell: 2**62 + at, pa.timestamp("us")),
    _of(lambda at, cell: (DAY + datetime.timedelta(days=at)).date(), pa.date32()),
    _of(lambda at, cell: bool(at % 2), pa.bool_()),
    _of(lambda at, cell: None, pa.null()),
    _of(lambda at, cell: [("k", at)], pa.map_(pa.string(), pa.int64())),
]


def scratched(raw: bytes, rng: random.Random, keep: float) -> bytes:
    """The bytes with up to four of them changed, cut or repeated; none in a share `keep` of the cases."""
    if rng.random() < keep:
        return raw
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, length = rng.randrange(len(raw) + 1), rng.choice([1, 1, 2, 5, 30])
        cut = raw[at : at + length]
        new = rng.choice([b"", cut * 2, rng.choice(TOKENS), rng.choice(TOKENS) + cut, bytes([rng.randrange(256)])])
        raw = raw[:at] if rng.random() < 0.05 else raw[:at] + new + raw[at + length :]
    return raw


NAMES = [
    "..",
    "../up",
    "/abs",
    "a/b",
    "a\n",
    "con",
    "NUL.txt",
    ".hidden",
    "",
    "a" * 300,
    "é",
    "r\0",
    "A",
    "blend",
    "x.test",
]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**70,
    10**30,
    1e308,
    "",
    "x",
    "\x1b[2J",
    "\u202e",
    [],
    {},
    [[]],
    [None],
    {"": 1},
]
VALUES += [
    [1, 2],
    ["a", "a"],
    {"kind": "gem"},
    {"x": {"y": {}}},
    "2020-01-01",
    ".inf",
    "a" * 5_000,
    ["a"] * 2_000,
    *NAMES,
]
KEYS = [
    "training",
    "folds",
    "blend",
    "submission",
    "variants",
    "competition",
    "run",
    "nonsense",
    "a.b",
    "\x1b",
    "1",
    *NAMES,
]
SNIPPETS = ["a: .inf", "a: .nan", "a: 2020-13-45", "a: " + "9" * 5000, "a: !!python/object:os.system x", "a: !!bool x"]
SNIPPETS += [
    "a: !!int ''",
    "a: &x [*x]",
    "run: again",
    "? [a]\n: 1",
    "1: 2",
    "null: 1",
    "2020-01-01: 1",
    "a: \0",
    "\ta: 1",
]
SNIPPETS += [
    'a: "\\ud800"',
    "---\nrun: b",
    "%YAML 1.1\n---\na: no",
    "a: {<<: 3}",
    "<<: {folds: {count: 3}}",
    "a: " + "[" * 900,
]
SNIPPETS += ["a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}*a{n - 1}]\n" for n in range(1, 12))]
SNIPPETS += [
    "training: {learning_rate: .inf}",
    "training: {seeds: [99999999999999999999]}",
    "submission: {clip: [.nan, 1]}",
]
SNIPPETS += [
    "blend: {extra: {../x: {oof: a, test: b}}}",
    "submission: {file: ../x.csv}",
    "folds: {count: 99999999999999999999}",
]
SNIPPETS += [
    "folds: {count: 3}",
    "training: {epochs: 2}",
    "submission: {file: best.csv}",
    "# words",
    "",
    "folds: {count: 2}\n...",
]


MERGES = "".join(f"m{n}: &m{n} {{<<: [{f'*m{n - 1}, ' * 9}*m{n - 1}]}}\n" for n in range(1, 12))
SNIPPETS += ["m0: &m0 {x: 1, y: 2}\n" + MERGES]


def changed_config(config: dict[str, Any], rng: random.Random, keep: float) -> bytes:
    """A config as JSON or as lines of YAML with one line of another hand, changed in up to three places."""
    config = json.loads(json.dumps(config))
    if rng.random() >= keep:
        for _ in range(rng.choice([1, 1, 2, 3])):
            _change_a_key(config, rng)
    if rng.random() < 0.5:
        return json.dumps(config, ensure_ascii=rng.random() < 0.5).encode()
    lines = "".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in config.items())
    return (lines + rng.choice(SNIPPETS) + "\n").encode("utf-8", errors="replace")


def _change_a_key(place: Any, rng: random.Random) -> None:
    while isinstance(place, dict) and place:
        key = rng.choice(list(place))
        if isinstance(place[key], dict) and rng.random() < 0.7:
            place = place[key]
            continue
        change = rng.choice(["value", "value", "value", "away", "name", "new", "benign", "benign"])
        if change in ("away", "name"):
            value = place.pop(key)
            place.update({rng.choice(KEYS): value} if change == "name" else {})
        elif change == "benign":
            place.update(rng.choice(BENIGN) if "run" in place else {})
        else:
            place[rng.choice(KEYS) if change == "new" else key] = rng.choice(VALUES)
        return


BENIGN: list[dict[str, Any]] = [
    {"training": {"epochs": 2, "learning_rate": 1e-4}},
    {"submission": {"file": "best one.csv"}},
    {"blend": {"method": "simplex"}},
    {"variants": {"a-b_C9": {"model": "tfidf", "char_ngrams": 0}, "two": {"model": "tfidf", "strength": 0.5}}},
    {"folds": {"kind": "kfold", "count": 3}},
]


def odd_override(rng: random.Random) -> str:
    """A word that the command line takes for an override."""
    key = ".".join(
        rng.choice([*KEYS, "train", "count", "epochs", "tfidf"]) for _ in range(rng.choice([1, 2, 2, 3, 60]))
    )
    value = rng.choice(
        [*map(json.dumps, VALUES), "3", "[1", "{a: 1", "&a [*a]", "!!int x", "\udcff", "a: b: c", "2e-5", "''"]
    )
    good = ["training.epochs=3", "folds.count=3", "run=other", "blend.method=mean", "variants.more={model: tfidf}"]
    return rng.choice([f"{key}={value}", f"{key}={value}", *good]).replace("\0", "")
