"""Sample submissions of every shape; test ids come in another order than the sample's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.check import check_submission
from submissions.fill import fill_sample
from submissions.formats import SubmissionFormat

IDS = ["c", "a", "b"]


def sample(**columns: str) -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b", "c"], **{name: [cell] * 3 for name, cell in columns.items()}})


def filled(frame: pd.DataFrame, values: Any, clip: list[float] | None = None, **names: Any) -> dict[str, list[Any]]:
    """Fill and check a sample; return the cells by column."""
    before = frame.copy()
    form = SubmissionFormat("id", **names)
    result = fill_sample(frame, form, ids=IDS, values=values, clip=clip)
    pd.testing.assert_frame_equal(frame, before)
    check_submission(result, frame, form)
    assert list(result.columns) == list(frame.columns)
    assert result["id"].tolist() == ["a", "b", "c"]
    return {str(name): result[name].tolist() for name in result.columns if name != "id"}


def test_multiclass_probabilities_go_to_the_column_of_their_class() -> None:
    values = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.0, 1.0, 0.0]])
    columns = ["entity", "human", "numeric"]
    result = filled(
        sample(numeric="0.3", Entity="0.3", human="0.3"),
        values=values,
        task="multiclass",
        kind="probabilities",
        columns=columns,
        classes=columns,
    )
    assert result == {"numeric": [0.6, 0.0, 0.1], "Entity": [0.1, 0.0, 0.7], "human": [0.3, 1.0, 0.2]}


def test_numbered_classes_match_by_value() -> None:
    values = np.array([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]])
    frame = sample(**{"1": "0", "0": "0"})
    result = filled(frame, values=values, task="ordinal", kind="probabilities", columns=["0.0", "1.0"])
    assert result == {"1": [0.5, 0.0, 0.25], "0": [0.5, 1.0, 0.75]}


@pytest.mark.parametrize("name", ["irony", "target"])
def test_one_binary_column_holds_the_positive_class(name: str) -> None:
    values = np.array([[0.1], [0.2], [0.3]])
    frame, names = sample(**{name: "0.5"}), ["0", "1"]
    result = filled(frame, values=values, task="binary", kind="probabilities", columns=["irony"], classes=names)
    assert result == {name: [0.2, 0.3, 0.1]}


def test_two_binary_columns_hold_both_classes() -> None:
    values = np.array([[0.25], [0.5], [1.0]])
    frame, names = sample(Yes="0.5", No="0.5"), ["no", "yes"]
    result = filled(frame, values=values, task="binary", kind="probabilities", columns=["irony"], classes=names)
    assert result == {"Yes": [0.5, 1.0, 0.25], "No": [0.5, 0.0, 0.75]}


def test_multilabel_probabilities_need_not_sum_to_one() -> None:
    values = np.array([[0.9, 0.8], [0.1, 0.2], [0.3, 0.4]])
    result = filled(
        sample(joy="0", awe="0"), values=values, task="multilabel", kind="probabilities", columns=["awe", "joy"]
    )
    assert result == {"joy": [0.2, 0.4, 0.8], "awe": [0.1, 0.3, 0.9]}


def test_multilabel_labels_are_spelled_as_in_the_sample() -> None:
    codes = np.array([[1, 0], [0, 1], [1, 1]])
    frame = sample(joy="0", awe="0.0")
    result = filled(frame, values=codes, task="multilabel", kind="labels", columns=["awe", "joy"])
    assert result == {"joy": ["1", "1", "0"], "awe": ["0.0", "1.0", "1.0"]}


@pytest.mark.parametrize(
    ("shown", "classes", "expected"),
    [
        ("true", ["False", "True"], ["false", "true", "true"]),
        ("1", ["0.0", "1.0"], ["0", "1", "1"]),
        ("?", ["cat", "dog"], ["cat", "dog", "dog"]),
    ],
)
def test_labels_are_spelled_as_in_the_sample(shown: str, classes: list[str], expected: list[str]) -> None:
    arguments: dict[str, Any] = {"values": np.array([1, 0, 1]), "kind": "labels", "columns": classes}
    for task in ("binary", "multiclass", "ordinal"):
        assert filled(sample(y=shown), task=task, classes=classes, **arguments) == {"y": expected}


def test_values_match_by_target() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    result = filled(sample(b="0", a="0"), values=values, task="regression", kind="values", columns=["a", "b"])
    assert result == {"b": [4.0, 6.0, 2.0], "a": [3.0, 5.0, 1.0]}


def test_a_single_value_column_may_have_another_name() -> None:
    values = np.array([[1.0], [3.0], [5.0]])
    result = filled(sample(target="0"), values=values, task="regression", kind="values", columns=["score"])
    assert result == {"target": [3.0, 5.0, 1.0]}


def test_clip_bounds_values() -> None:
    values = np.array([[-1.0], [3.0], [7.0]])
    arguments: dict[str, Any] = {"values": values, "task": "regression", "kind": "values", "columns": ["score"]}
    assert filled(sample(score="0"), clip=[0.0, 5.0], **arguments) == {"score": [3.0, 5.0, 0.0]}
    assert filled(sample(score="0"), **arguments) == {"score": [3.0, 7.0, -1.0]}


def test_an_ordinal_value_is_the_expected_grade() -> None:
    values = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.25, 0.5, 0.25]])
    frame, names = sample(stars="2"), ["1", "2", "4"]
    result = filled(frame, values=values, task="ordinal", kind="values", columns=names, classes=names)
    assert result == {"stars": [4.0, 2.25, 1.5]}


@pytest.mark.parametrize(
    ("frame", "changes", "ids", "message"),
    [
        (sample(x="0"), {}, IDS, "the columns of the sample submission must be the id and x, y: it lacks y"),
        (sample(x="0", y="0", z="0"), {}, IDS, "it has z, which nothing predicts"),
        (sample(x="0", y="0"), {"kind": "labels"}, IDS, "labels of task multiclass must fill one column.* has 2: x, y"),
        (sample(x="0", y="0"), {"kind": "values"}, IDS, "submission.kind must be probabilities or labels"),
        (sample(x="0", y="0"), {"task": "ordinal", "kind": "values"}, IDS, "the expected grade must fill one column"),
        (sample(x="0"), {"task": "ordinal", "kind": "values"}, IDS, "ascending numbers as grades. Got x, y instead"),
        (sample(p="0", q="0"), {"task": "regression", "kind": "values"}, IDS, "it lacks x, y and has p, q"),
        (sample(x="0", y="0"), {}, ["a", "b"], "the test table has no row for id c of the sample submission"),
        (sample(x="0", y="0"), {}, ["a", "b", "b"], "the test table has more than one row for id b"),
        (sample(), {}, IDS, "has no column besides the id column id"),
        (sample(x="0").rename(columns={"id": "ID"}), {}, IDS, "has no id column id; its columns are ID, x"),
    ],
)
def test_what_does_not_fit_the_sample_is_refused(
    frame: pd.DataFrame, changes: dict[str, Any], ids: list[str], message: str
) -> None:
    form = SubmissionFormat("id", "multiclass", "probabilities", ["x", "y"], ["x", "y"])
    with pytest.raises(SubmissionError, match=message):
        fill_sample(frame, replace(form, **changes), ids=ids, values=np.full((3, 2), 0.5))
