"""Tables: csv, parquet and jsonl read alike, every cell a text, nothing guessed and nothing repaired."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.tables import need_columns, read_table, row_ids

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


def test_a_column_of_lists_does_not_stand_in_the_way_of_the_others(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["1", "2"], "tokens": [["a", "b"], ["c"]]}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "table")["id"].tolist() == ["1", "2"]


def test_cells_that_a_short_row_lacks_are_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text,target\n1,a,0\n2,b\n3\n")
    read = read_table(tmp_path / "t.csv", "table")
    assert read.to_dict("list") == {"id": ["1", "2", "3"], "text": ["a", "b", ""], "target": ["0", "", ""]}


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
        ("t.csv", "id,text,id\n1,a,2\n", "has the column 'id' twice"),
        (
            "t.csv",
            "id,text\n1,a\n2,b,c\n3,d\n",
            "cannot be read: Error tokenizing data. C error: Expected 2 fields in line 3, saw 3",
        ),
        (
            "t.csv",
            "id,text\n1,a,b\n2,b,c\n",
            "cannot be read: Error tokenizing data. C error: Expected 2 fields in line 2, saw 3",
        ),
        ("t.csv", 'id,text\n1,"never closed\n2,b\n', "cannot be read: "),
        ("t.csv", "id,text\n1,é\n".encode("latin-1"), "is not UTF-8 text (byte 10): save it as UTF-8"),
        ("t.csv", "id,text\n1,a\n".encode("utf-16"), "is not UTF-8 text"),
        ("t.jsonl", b'{"id": "\xe9"}\n', "is not UTF-8 text"),
        ("t.jsonl", '{"id": "1"}\n{"id": \n', "cannot be read: line 2: Expecting value"),
        ("t.jsonl", '["1", "a"]\n', "cannot be read: line 1 is no JSON object"),
        ("t.parquet", "PAR1 and then nothing", "cannot be read: "),
        ("t.tsv", "id\ttext\n1\ta\n", "must be one of .csv, .parquet, .jsonl"),
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
        need_columns(frame, ["id", "text"], Path("a.csv"), "table")


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (["1", "2", "1", "2"], "table a.csv has 2 duplicate id(s) in key, the first is '1'"),
        (["1", ""], "table a.csv, row 2: key is empty"),
    ],
)
def test_ids_name_each_row_once(ids: list[str], sentence: str) -> None:
    with pytest.raises(PipelineError) as caught:
        row_ids(pd.DataFrame({"key": ids}, dtype=str), "key", Path("a.csv"), "table")
    assert str(caught.value) == sentence
    assert row_ids(pd.DataFrame({"key": ["07", "7"]}, dtype=str), "key", Path("a.csv"), "table") == ["07", "7"]
