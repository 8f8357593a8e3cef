"""Strangers' input: some hundred fuzzed files, the csv reader beside a plain parser, and a fuzzer that finds faults."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import fuzz, fuzz_plain
from pipeline.data import table_readers, tables
from pipeline.errors import PipelineError

ANY_CSV = st.text(alphabet='ab1é ,,"""\n\n\r;\t\0\ufeff', max_size=40)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
quick = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[fuzz.Site]:
    return fuzz.make_sites(tmp_path_factory.mktemp("fuzz"))


def counted(sites: list[fuzz.Site], inputs: int, kinds: list[str], failures: Path) -> dict[str, fuzz.Count]:
    return fuzz.fuzz(sites, inputs, 7, kinds, failures, lambda at: None)


def test_no_fuzzed_input_ends_in_a_traceback_or_is_read_wrong(sites: list[fuzz.Site], tmp_path: Path) -> None:
    counts = counted(sites, 300, list(fuzz.KINDS), tmp_path / "failures")
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "failures").rglob("said.txt")] == []
    whole = {name: sum(count.verdicts[name] for count in counts.values()) for name in fuzz.VERDICTS}
    assert min(whole["accepted"], whole["refused"]) > 60


def test_the_fuzzer_finds_a_reader_that_guesses(
    sites: list[fuzz.Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guess(open_text: Any, separator: str | None) -> tuple[pd.DataFrame, list[str]]:
        with open_text() as file:
            return pd.read_csv(file, dtype=str, keep_default_na=False), []

    monkeypatch.setattr(table_readers, "read_csv", guess)
    counts = counted(sites, 60, ["csv"], tmp_path / "failures")
    assert counts["csv"].verdicts["wrong"] > 5


def test_the_fuzzer_finds_a_reader_that_loses_digits(
    sites: list[fuzz.Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = table_readers._format_floats
    monkeypatch.setattr(table_readers, "_format_floats", lambda column: exact(column.cast("float32", safe=False)))
    counts = counted(sites, 150, ["parquet"], tmp_path / "failures")
    assert counts["parquet"].verdicts["wrong"] > 0


def test_the_fuzzer_finds_a_traceback(sites: list[fuzz.Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_readers, "_read_jsonl", lambda open_text: {}[open_text])
    counts = counted(sites, 5, ["jsonl"], tmp_path / "failures")
    assert counts["jsonl"].verdicts["traceback"] == 5
    assert len(list((tmp_path / "failures").glob("*-jsonl-traceback/said.txt"))) == 5


@settings(quick, max_examples=400)
@given(text=ANY_CSV)
def test_any_text_is_read_as_the_plain_parser_reads_it_or_refused_with_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    plain = fuzz_plain.plain_table(path)
    readings = fuzz_plain.list_readings(path) if plain is None else [plain]
    try:
        frame = tables.read_table(path, "table")
    except PipelineError:
        assert plain is None
    else:
        assert any(fuzz_plain.same_table(frame, reading) for reading in readings)


@settings(quick, max_examples=200)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_quoted_cells_come_back_from_a_file(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [("id", "text"), *rows]]
    (tmp_path / "t.csv").write_bytes("\r\n".join(lines).encode())
    read = tables.read_table(tmp_path / "t.csv", "table")
    assert [tuple(row) for row in read.to_numpy().tolist()] == rows


def test_the_plain_parser_reads_rfc_4180() -> None:
    text = 'a,"b ""c"""\r\n"x\r\ny",\n\n""\n'
    assert fuzz_plain.parsed(text) == [["a", 'b "c"'], ["x\r\ny", ""], [""]]
    assert fuzz_plain.parsed('a,"b') is None
    assert fuzz_plain.parsed('"a"b') is None
