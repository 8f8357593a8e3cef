"""Tables: csv, parquet and jsonl read alike, every cell a text, nothing guessed and nothing repaired."""

import datetime
import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from pipeline.data import csv_reader
from pipeline.data.tables import read_ids, read_table, require_columns
from pipeline.errors import PipelineError

ROWS = [
    {"id": "007", "text": "NA", "number": 3, "flag": True},
    {"id": "08", "text": 'two\nlines, "quoted" 🙂', "number": None, "flag": False},
    {"id": "1e5", "text": "", "number": 12, "flag": None},
    {"id": "null", "text": "中文 é", "number": -1, "flag": True},
]
TEXT = {
    "id": ["007", "08", "1e5", "null"],
    "text": ["NA", 'two\nlines, "quoted" 🙂', "", "中文 é"],
    "number": ["3", "", "12", "-1"],
    "flag": ["True", "False", "", "True"],
}


def as_csv(folder: Path) -> Path:
    path = folder / "table.csv"
    pd.DataFrame(TEXT).to_csv(path, index=False)
    return path


def as_parquet(folder: Path) -> Path:
    path = folder / "table.parquet"
    frame = pd.DataFrame(ROWS).astype({"number": "Int64", "flag": "boolean"})
    frame.to_parquet(path)
    return path


def as_jsonl(folder: Path) -> Path:
    path = folder / "table.jsonl"
    rows = [{key: value for key, value in row.items() if value is not None} for row in ROWS]
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def refusal(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PipelineError) as caught:
        read_table(path, "training table")
    assert str(caught.value).startswith(f"training table {path} ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"training table {path} ")


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_jsonl])
def test_the_three_formats_read_alike(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    pd.testing.assert_frame_equal(read_table(write(tmp_path), "table"), pd.DataFrame(TEXT, dtype=str))


def test_a_long_text_comes_whole_from_every_format(tmp_path: Path) -> None:
    text = "长 text, 🙂\n" * 10_000
    frame = pd.DataFrame({"id": ["1"], "text": [text]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for name in ("t.csv", "t.parquet", "t.jsonl"):
        assert read_table(tmp_path / name, "table")["text"].tolist() == [text], name


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id,text\n1,a\n".encode("utf-8-sig"))
    (tmp_path / "t.jsonl").write_bytes('{"id": "1", "text": "a"}\n'.encode("utf-8-sig"))
    for name in ("t.csv", "t.jsonl"):
        assert list(read_table(tmp_path / name, "table").columns) == ["id", "text"], name


def test_numbers_keep_the_spelling_of_their_type(tmp_path: Path) -> None:
    frame = pd.DataFrame({"whole": [1, 20], "part": [0.5, np.nan], "single": np.array([0.1, 2], np.float32)})
    frame.to_parquet(tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet", "table")
    assert read.to_dict("list") == {"whole": ["1", "20"], "part": ["0.5", ""], "single": ["0.1", "2.0"]}
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": 1.0}\n{"a": NaN, "b": null}\n')
    assert read_table(tmp_path / "t.jsonl", "table").to_dict("list") == {"a": ["1", ""], "b": ["1.0", ""]}


def test_every_type_of_a_parquet_column_is_text(tmp_path: Path) -> None:
    columns = {
        "category": (pa.array(["a", None]).dictionary_encode(), ["a", ""]),
        "bytes": (pa.array([b"a", "é".encode()]), ["a", "é"]),
        "decimal": (pa.array([Decimal("1.10"), None]), ["1.10", ""]),
        "moment": (pa.array([datetime.datetime(2020, 1, 31, 12), None]), ["2020-01-31 12:00:00", ""]),
        "struct": (pa.array([{"x": [1, None]}, None]), ['{"x": [1, null]}', ""]),
        "half": (pa.array(np.array([0.5, 2], np.float16)), ["0.5", "2.0"]),
        "infinite": (pa.array([np.inf, -0.0]), ["inf", "-0.0"]),
        "nothing": (pa.nulls(2), ["", ""]),
    }
    pq.write_table(pa.table({name: column for name, (column, _) in columns.items()}), tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet", "table").to_dict("list")
    assert read == {name: text for name, (_, text) in columns.items()}


@pytest.mark.parametrize("column", [pa.array([b"\xff"]), pa.array([2**62], pa.timestamp("us"))])
def test_a_parquet_column_that_is_no_text_is_refused(tmp_path: Path, column: Any) -> None:
    pq.write_table(pa.table({"odd": column}), tmp_path / "t.parquet")
    with pytest.raises(PipelineError, match="cannot be read: column 'odd' holds what is no text: "):
        read_table(tmp_path / "t.parquet", "table")


def test_two_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["1"])] * 2, names=["id", "id"]), tmp_path / "t.parquet")
    with pytest.raises(PipelineError, match="it has the column 'id' twice"):
        read_table(tmp_path / "t.parquet", "table")


def test_numbers_of_jsonl_stay_as_written_and_nested_values_are_json(tmp_path: Path) -> None:
    lines = ['{"a": 1.10, "b": ' + "9" * 5_000 + "}", '{"a": Infinity, "c": {"x": [1, 0.5]}}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    read = read_table(tmp_path / "t.jsonl", "table").to_dict("list")
    assert read == {"a": ["1.10", "Infinity"], "b": ["9" * 5_000, ""], "c": ["", '{"x": [1, 0.5]}']}


def test_an_empty_line_is_no_row_and_a_quoted_empty_cell_is_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\nid\n\n1\n""\n\n')
    assert read_table(tmp_path / "t.csv", "table")["id"].tolist() == ["1", ""]


def test_rows_of_several_chunks_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "CHUNK", 3)
    (tmp_path / "t.csv").write_text("id\n" + "\n".join(map(str, range(10))))
    read = read_table(tmp_path / "t.csv", "table")
    assert read["id"].tolist() == list(map(str, range(10)))
    assert read.index.tolist() == list(range(10))


def test_a_column_of_lists_does_not_stand_in_the_way_of_the_others(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["1", "2"], "tokens": [["a", "b"], ["c"]]}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "table")["id"].tolist() == ["1", "2"]


def test_a_parquet_index_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["1", "2", "3"], "text": ["a", "b", "c"]})
    frame[frame["id"] != "2"].to_parquet(tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet", "table")
    assert read.to_dict("list") == {"id": ["1", "3"], "text": ["a", "c"]}
    assert read.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "", "cannot be read: "),
        ("t.csv", "id,text\n", "has no rows"),
        ("t.jsonl", "", "has no rows"),
        ("t.csv", "id,text,id\n1,a,2\n", "cannot be read: it has the column 'id' twice"),
        ("t.csv", "id,text\n1,a\n2,b,c\n3,d\n", "cannot be read: line 3 has 3 fields, the header has 2"),
        ("t.csv", "id,text\n1,a,b\n2,b,c\n", "cannot be read: line 2 has 3 fields, the header has 2"),
        ("t.csv", 'id,text\n\n1,"a\nb"\n2\n', "cannot be read: line 5 has 1 field, the header has 2"),
        ("t.csv", 'id,text\n1,a\n2,"open\n3,b\n', "cannot be read: line 3: a quoted cell is opened and never closed"),
        ("t.csv", 'id,text\n1,"a"b,c\n', "cannot be read: line 2: a comma must follow a closing quote; a quote inside"),
        ("t.csv", "id,text\n1,a\0\n", "cannot be read: line 2 holds a NUL byte"),
        ("t.csv", "id;text\n1;a;b\n", "cannot be read: line 1 has ';' and no other separator fits it"),
        (
            "t.csv",
            "id,text\n1,文本文本文本\n".encode("gb18030"),
            "cannot be read: it is not UTF-8 (line 2), nor a Western",
        ),
        (
            "t.csv",
            "id,text\n1,текст\n".encode("cp1251"),
            "cannot be read: it is not UTF-8 (line 2), nor a Western",
        ),
        ("t.tsv", 'id\ttext\n1\t"a\n2\tb\tc"\n', "cannot be read: line 2: a quote opens a cell of several rows"),
        ("t.csv.gz", "id,text\n1,a\n", "cannot be read: Not a gzipped file"),
        ("t.zip", "id,text\n1,a\n", "cannot be read: it is no zip file"),
        ("t.jsonl", '{"id": "1"}\n{"id": \n', "cannot be read: line 2: Expecting value"),
        ("t.jsonl", '["1", "a"]\n', "cannot be read: line 1: it is no JSON object"),
        ("t.jsonl", '{"id": "1", "id": "2"}\n', "cannot be read: line 1: it has the column 'id' twice"),
        ("t.jsonl", '{"id": ' + "[" * 100_000, "cannot be read: line 1: it is nested too deeply"),
        ("t.jsonl", '{"id": "\\ud800"}\n', "cannot be read: line 1: a \\u escape gives half a character"),
        ("t.jsonl", "\n".join(f'{{"{n}": 1}}' for n in range(10_001)), "cannot be read: it has 10,001 keys"),
        ("t.parquet", "PAR1 and then nothing", "cannot be read: "),
        (
            "t.xls",
            "id\ttext\n1\ta\n",
            "must be one of .csv, .tsv, .parquet, .jsonl, or one of them packed as .gz or .zip",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    assert refusal(tmp_path / name, content).startswith(sentence)


def test_a_table_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"test table .*nowhere\.csv does not exist"):
        read_table(tmp_path / "nowhere.csv", "test table")


def test_a_missing_column_is_told_with_the_nearest_one() -> None:
    frame = pd.DataFrame({"id": ["1"], "texts": ["a"]})
    with pytest.raises(
        PipelineError, match=r"table a\.csv has no column 'text'; did you mean 'texts'\?; it has id, texts"
    ):
        require_columns(frame, ["id", "text"], Path("a.csv"), "table")


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["1", "2", "1", "2"], "table a.csv has 2 duplicate id(s) in key, the first is '1'"),
        (["1", ""], "table a.csv, row 2: key is empty"),
        (["1", "a\x1b"], "table a.csv, row 2: key is 'a\\x1b'; an id holds no control character"),
    ],
)
def test_ids_name_each_row_once(ids: list[str], sentence: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read_ids(pd.DataFrame({"key": ids}, dtype=str), "key", Path("a.csv"), "table")
    assert str(caught.value) == sentence
    assert read_ids(pd.DataFrame({"key": ["07", "7"]}, dtype=str), "key", Path("a.csv"), "table") == ["07", "7"]


@pytest.mark.parametrize(
    ("name", "content", "cells", "said"),
    [
        ("t.csv", "id;text\n1;a, b\n", [["1", "a, b"]], "separated by semicolons"),
        ("t.tsv", 'id\ttext\n1\t"a" b\n2\tsay "c\n', [["1", '"a" b'], ["2", 'say "c']], "quotes belong to the texts"),
        ("t.TSV", 'id\ttext\n1\t"a\nb"\n', [["1", "a\nb"]], ""),
        ("t.csv", "id|text\n1|a\n", [["1", "a"]], "separated by bars"),
        ("t.csv", "sep=,\nid,text\n1,a\n", [["1", "a"]], ""),
        ("t.csv", "id;text, long;n\n1;a, b;2\n", [["1", "a, b", "2"]], "separated by semicolons"),
        ("t.csv", 'id;text\n1;"a;b\nc"\n', [["1", "a;b\nc"]], "separated by semicolons"),
        ("t.CSV", "sep=;\nid;text\n1;a\n", [["1", "a"]], "separated by semicolons"),
        ("t.csv", 'id, text\n1, "a, b"\n', [["1", "a, b"]], "spaces after separators are left out"),
        ("t.csv", "id,text\n1,a,\n2,b,\n", [["1", "a"], ["2", "b"]], "rows end with a separator"),
        ("t.csv", 'id,text\n1,"say \\"a, b\\" c"\n', [["1", 'say "a, b" c']], 'a quote inside a cell is written \\"'),
        ("t.csv", 'id,text\n1,"a" b\n2,c\n', [["1", '"a" b'], ["2", "c"]], "quotes belong to the texts"),
        ("t.csv", "id,text,,\n1,a,,\n", [["1", "a"]], "2 empty columns without a name are left out"),
        ("t.csv", "id,text,,\n1,a,,x\n", [["1", "a", "x"]], "columns without a name are called unnamed 4"),
        ("t.csv", "id,text\n1,£5 café\n".encode("latin-1"), [["1", "£5 café"]], "in cp1252"),
        ("t.csv", "id,text\n1,a\n".encode("utf-16"), [["1", "a"]], "in UTF-16"),
        ("t.jsonl", '{"id": "caf\xe9"}\n'.encode("latin-1"), [["café"]], "in cp1252"),
    ],
)
def test_a_table_in_another_form_is_read_and_said(
    tmp_path: Path, name: str, content: str | bytes, cells: list[list[str]], said: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    notes: list[str] = []
    assert read_table(tmp_path / name, "table", notes).to_numpy().tolist() == cells
    assert (said in notes[0]) if said else not notes


def test_packed_tables_are_read(tmp_path: Path) -> None:
    content = b"id,text\n1,a\n"
    with gzip.open(tmp_path / "t.csv.gz", "wb") as file:
        file.write(content)
    with zipfile.ZipFile(tmp_path / "train.csv.zip", "w") as archive:
        archive.writestr("__MACOSX/train.csv", "x")
        archive.writestr("data/train.csv", content)
        archive.writestr("data/other.csv", "x\n1\n")
        archive.writestr("readme.md", "x")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", content)
        archive.writestr("b.csv", content)
    for name in ("t.csv.gz", "train.csv.zip"):
        assert read_table(tmp_path / name, "table").to_numpy().tolist() == [["1", "a"]]
    with pytest.raises(PipelineError, match=r"it holds 2 tables, 'a\.csv', 'b\.csv': unpack the one to read"):
        read_table(tmp_path / "two.zip", "table")
