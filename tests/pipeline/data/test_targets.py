"""Targets: texts of a table to codes and numbers, class names kept as they came."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.competition_spec import CompetitionSpec
from pipeline.data.tables import read_table
from pipeline.data.targets import Targets, find_uneven_grades, read_targets
from pipeline.errors import PipelineError

PATH = Path("train.csv")
METRICS = {"regression": "rmse", "ordinal": "qwk"}


def spec(task: str, target: str | list[str] = "t", **more: Any) -> CompetitionSpec:
    tables = {"train": "a.csv", "test": "b.csv", "sample_submission": "c.csv", "text": "text"}
    given = {"task": task, "target": target, "metric": METRICS.get(task, "log_loss"), **tables, **more}
    return CompetitionSpec.model_validate(given)


def targets(task: str, cells: list[str], **more: Any) -> Targets:
    frame = pd.DataFrame({"t": cells}, dtype=str)
    return read_targets(frame, spec(task, **more), [f"r{row}" for row in range(len(cells))], PATH)


def refusal(task: str, cells: list[str], **more: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        targets(task, cells, **more)
    return str(caught.value)


def test_classes_stand_in_the_order_of_numbers_then_of_names() -> None:
    assert targets("multiclass", ["10", "9", "-1", "9"]).classes == ["-1", "9", "10"]
    assert targets("multiclass", ["b", "10", "a", "9", "nan"]).classes == ["9", "10", "a", "b", "nan"]
    found = targets("multiclass", ["10", "9", "-1", "9"])
    assert found.truth.tolist() == [2, 1, 0, 1]
    assert found.truth.dtype == np.int64
    assert found.columns == found.classes


def test_the_config_may_give_the_order_of_classes() -> None:
    found = targets("binary", ["yes", "no", "yes"], classes=["yes", "no"])
    assert (found.truth.tolist(), found.columns, found.classes) == ([0, 1, 0], ["t"], ["yes", "no"])
    grades = targets("ordinal", ["low", "high", "low"], classes=["low", "middle", "high"])
    assert (grades.truth.tolist(), grades.columns) == ([0, 2, 0], ["low", "middle", "high"])


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([True, False, True], ["False", "True"]),
        ([2, 10, 2], ["2", "10"]),
        ([0.5, 10.0, 0.5], ["0.5", "10.0"]),
        (["yes", "no", "yes"], ["no", "yes"]),
    ],
)
def test_class_names_of_any_type_keep_their_spelling(tmp_path: Path, values: list[Any], classes: list[str]) -> None:
    pd.DataFrame({"t": values}).to_parquet(tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet", "table")
    found = read_targets(frame, spec("binary"), ["a", "b", "c"], PATH)
    assert found.classes == classes
    assert [found.classes[code] for code in found.truth] == [str(value) for value in values]


def test_labels_are_zero_or_one_in_any_usual_spelling() -> None:
    frame = pd.DataFrame({"a": ["0", "1", "1.0"], "b": ["True", "false", "0.0"]}, dtype=str)
    found = read_targets(frame, spec("multilabel", ["a", "b"]), ["x", "y", "z"], PATH)
    assert found.truth.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert (found.columns, found.classes) == (["a", "b"], [])


def test_values_are_float_columns_even_for_one_target() -> None:
    found = targets("regression", ["1", "-2.5", "1e-3"])
    assert found.truth.shape == (3, 1)
    assert found.truth.dtype == np.float64
    assert found.truth[:, 0].tolist() == [1.0, -2.5, 0.001]


@pytest.mark.parametrize("cell", ["NaN", "inf", "-Infinity", "1e999", "ten"])
def test_a_value_that_is_no_finite_number_is_told_by_row_and_column(cell: str) -> None:
    right = "a regression target must be a finite number"
    assert refusal("regression", ["1", cell, "2"]) == f"train.csv, row 'r1': t is {cell!r}; {right}"


@pytest.mark.parametrize(
    ("task", "cells", "more", "sentence"),
    [
        ("binary", ["0", "", "1"], {}, "train.csv, row 'r1': t is missing; every training row needs a target"),
        ("regression", ["0", ""], {}, "train.csv, row 'r1': t is missing; every training row needs a target"),
        ("multilabel", ["0", "2"], {}, "train.csv, row 'r1': t is '2'; a label must be 0 or 1"),
        ("binary", ["a", "b", "c"], {}, "train.csv: column t holds 3 classes, a, b, c, but task binary takes 2"),
        ("binary", ["1", "1"], {}, "train.csv: column t holds one class only, '1'; two or more are needed"),
        ("multiclass", ["b", "b"], {"classes": ["a", "b"]}, "train.csv: column t holds one class only, 'b'; two"),
        ("ordinal", ["low", "high"], {}, "train.csv: the grades in t are no numbers: give competition.classes"),
        (
            "multiclass",
            ["a", "b", "c"],
            {"classes": ["a", "b"]},
            "train.csv, row 'r2': t is 'c'; competition.classes does not list it",
        ),
        ("binary", ["0", "1"], {"target": "label"}, "training table train.csv has no column 'label'; it has t"),
    ],
)
def test_a_target_that_the_task_does_not_allow_is_refused(
    task: str, cells: list[str], more: dict[str, Any], sentence: str
) -> None:
    assert refusal(task, cells, **more).startswith(sentence)


@pytest.mark.parametrize("name", ["id", "fold", "seed"])
def test_a_class_named_like_a_key_of_the_parts_is_refused_before_anything_trains(linear_site, name: str) -> None:
    site = linear_site("multiclass")
    site.write(
        "train.csv", [{**row, "kind": name if row["kind"] == "who" else row["kind"]} for row in site.rows("train.csv")]
    )
    sample = [
        {name if key == "who" else key: cell for key, cell in row.items()} for row in site.rows("sample_submission.csv")
    ]
    site.write("sample_submission.csv", sample)
    if name != "id":  # a sample cannot have two columns of that name
        assert f"a class or target cannot be named {name!r}" in site.run("train").err
    assert site.run("train").code == 2
    assert not site.markers()


def test_the_next_command_after_some_folds_is_one_that_works(linear_site) -> None:
    site = linear_site("binary")
    out = site.ok("train", "--folds", "0")
    assert out.rstrip().endswith("--folds 0")
    site.ok("blend", "--folds", "0")


def test_spellings_of_a_class_are_joined_and_said() -> None:
    found = targets("multiclass", ["Yes", "yes ", "no", "maybe", "Yes"])
    assert found.classes == ["Yes", "maybe", "no"]
    assert found.truth.tolist() == [0, 0, 2, 1, 0]
    assert len(found.warnings) == 1
    assert targets("multiclass", ["A", "a", "b"], classes=["A", "a", "b"]).truth.tolist() == [0, 1, 2]


def test_the_positive_class_is_the_last() -> None:
    assert targets("binary", ["hate", "nothate"]).classes == ["nothate", "hate"]
    assert targets("binary", ["hate", "nothate"], classes=["hate", "nothate"]).truth.tolist() == [0, 1]


def test_lists_of_labels_are_columns() -> None:
    for cells, separator in ((["a b", "", "b"], " "), (["a,b", "", "b"], ","), (['["a", "b"]', "[]", "['b']"], " ")):
        found = targets("multilabel", cells)
        assert (found.columns, found.truth.tolist(), found.separator) == (
            ["a", "b"],
            [[1, 1], [0, 0], [0, 1]],
            separator,
        )
    assert "is not among the labels" in refusal("multilabel", ["a b", "c"], classes=["a", "b"])


def test_columns_of_one_class_each_are_classes() -> None:
    frame = pd.DataFrame({"a": ["1", "0"], "b": ["0", "1"]}, dtype=str)
    found = read_targets(frame, spec("multiclass", ["a", "b"]), ["x", "y"], PATH)
    assert (found.truth.tolist(), found.classes) == ([0, 1], ["a", "b"])
    with pytest.raises(PipelineError, match="row 'x': 2 of a, b are 1, but task multiclass takes one class a row"):
        read_targets(frame.assign(b="1"), spec("multiclass", ["a", "b"]), ["x", "y"], PATH)


def test_shares_between_0_and_1_are_soft() -> None:
    found = targets("binary", ["0", "0.5", "1", "0.25"])
    assert found.soft is not None
    assert (found.truth.tolist(), found.soft.tolist(), found.classes) == ([0, 1, 1, 0], [0, 0.5, 1, 0.25], ["0", "1"])
    assert found.warnings[0].endswith("between 0 and 1: fits learn the shares, scores count .5 as 1")
    assert targets("binary", ["0.0", "1.0"]).soft is None
    assert targets("binary", ["0.2", "0.8"]).classes == ["0.2", "0.8"]
    assert "every t is below .5" in refusal("binary", ["0.1", "0.2", "0.3"])


@pytest.mark.parametrize(
    ("classes", "grades"),
    [(["1", "2", "4"], [1.0, 2.0, 4.0]), (["1", "2", "3"], None), (["0.5", "1", "1.5"], None), (["low", "high"], None)],
)
def test_grades_that_are_not_evenly_spaced_are_found(classes: list[str], grades: list[float] | None) -> None:
    assert find_uneven_grades(classes) == grades


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (['["caf\\u00e9", "b"]', '["b"]'], ["b", "caf\u00e9"]),
        (["('a', 'b')", "('a',)"], ["a", "b"]),
        (["{'a', 'b'}", "{'a'}"], ["a", "b"]),
        (["[a, b]", "[a]"], ["a", "b"]),
        (["Paris, TX;Rome", "Rome", "Paris, TX"], ["Paris, TX", "Rome"]),
        (["sci fi, drama", "drama"], ["drama", "sci fi"]),
        (['["it\'s", "b"]', "[]"], ["b", "it's"]),
    ],
)
def test_lists_of_every_writing_hold_the_same_names(cells: list[str], labels: list[str]) -> None:
    assert targets("multilabel", cells).columns == labels
