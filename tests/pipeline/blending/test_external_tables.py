"""Files of teammates: ids, classes and logits under other names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from oof.spec import ExtraSpec
from pipeline.blending.external_tables import read_external_table
from pipeline.errors import PipelineError


def read(folder: Path, table: dict[str, list[Any]], task: str = "binary", **extra: str) -> dict[str, list[str]]:
    pd.DataFrame(table).to_csv(folder / "t.csv", index=False)
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b"]}.get(task, [])
    columns = {"binary": ["target"], "multilabel": ["a", "b"]}.get(task, classes)
    competition: Any = SimpleNamespace(
        spec=SimpleNamespace(id="text_id", task=task), targets=SimpleNamespace(columns=columns, classes=classes)
    )
    spec = ExtraSpec(oof="t.csv", test="t.csv", **extra)  # type: ignore[arg-type]
    found = read_external_table(folder / "t.csv", extra=spec, competition=competition)
    return {str(name): found[name].tolist() for name in found}


@pytest.mark.parametrize(("name", "extra"), [("id", {}), ("text_id", {}), ("row", {"id": "row"})])
def test_the_id_may_have_three_names(tmp_path: Path, name: str, extra: dict[str, str]) -> None:
    assert read(tmp_path, {name: ["x", "y"], "target": [0.25, 0.5]}, **extra) == {
        "id": ["x", "y"],
        "target": ["0.25", "0.5"],
    }


@pytest.mark.parametrize("names", [("no", "yes"), ("0", "1"), ("No", "YES")])
def test_two_columns_of_a_binary_task_are_its_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    table = {"id": ["x"], "fold": [0], names[0]: [0.75], names[1]: [0.25]}
    assert read(tmp_path, table) == {"id": ["x"], "fold": ["0"], "target": ["0.25"]}


def test_columns_match_without_regard_to_case(tmp_path: Path) -> None:
    assert list(read(tmp_path, {"id": ["x"], "B": [0.5], "A": [0.5]}, "multiclass")) == ["id", "b", "a"]
    assert list(read(tmp_path, {"id": ["x"], "Target": [0.5]})) == ["id", "target"]


def test_logits_become_probabilities(tmp_path: Path) -> None:
    logits = {"id": ["x", "y"], "target": [-1.0, 2.0]}
    with pytest.raises(
        PipelineError, match=r"the prediction of id 'x', -1, is not in .*set blend\.extra\.<name>\.form: logits"
    ):
        read(tmp_path, logits)
    assert [float(cell) for cell in read(tmp_path, logits, form="logits")["target"]] == pytest.approx(
        [0.26894, 0.8808], abs=1e-4
    )
    found = read(tmp_path, {"id": ["x"], "a": [1.0], "b": [3.0]}, "multiclass", form="logits")
    assert float(found["a"][0]) + float(found["b"][0]) == pytest.approx(1)


def test_a_file_without_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="has no id column 'id' or 'text_id'; it has row, target"):
        read(tmp_path, {"row": ["x"], "target": [0.5]})
