"""The hash that names a table: of its cells, whatever the blocks it is made in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from models.store import digest
from pipeline.data.competition import load_test

CELLS = ["plain", "", 'two\nlines, "quoted" \\', "中文 é", "😀", "\u2028", "NA", "1,2", "['x']", "tab\t"]
SPEC: Any = SimpleNamespace(id="id", text="text", repeated_ids="refuse")


def written(folder: Path, rows: int) -> tuple[Path, dict[str, list[str]]]:
    texts = [f"{CELLS[row % len(CELLS)]} {row}" for row in range(rows)]
    table = {"id": [str(row) for row in range(rows)], "text": texts, "Ä b": CELLS[:1] * rows}
    pd.DataFrame(table).to_csv(folder / "test.csv", index=False)
    return folder / "test.csv", table


@pytest.mark.parametrize("rows", [1, 6, 7, 8, 14, 20])
def test_a_table_hashed_in_blocks_has_the_digest_of_its_columns(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.competition.BLOCK", 7)
    path, table = written(tmp_path, rows)
    assert load_test(SPEC, path).sha256 == digest(table)


def test_a_cell_that_moves_to_its_neighbour_is_another_table(tmp_path: Path) -> None:
    hashes = set()
    for first, second in [("ab", "c"), ("a", "bc"), ('a","b', "c"), ("abc", "")]:
        pd.DataFrame({"id": ["1", "2"], "text": [first, second]}).to_csv(tmp_path / "test.csv", index=False)
        hashes.add(load_test(SPEC, tmp_path / "test.csv").sha256)
    assert len(hashes) == 4
