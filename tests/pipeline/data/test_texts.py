"""Texts: one column, a pair, several joined, or a template that names columns and nothing else."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data import texts as module
from pipeline.data.texts import Texts, find_text_warnings, list_text_columns, uses_separator
from pipeline.errors import PipelineError

FRAME = pd.DataFrame({"title": ["A {b}", ""], "body": ["one", "two"], "who": ["x", "y"]}, dtype=str)
WHERE = (Path("train.csv"), "training table")


def texts(text: str | list[str]) -> list[tuple[str, ...]]:
    return list(Texts(FRAME, text, *WHERE))


def test_one_column_gives_one_string_and_two_give_a_pair() -> None:
    assert texts("body") == texts(["body"]) == [("one",), ("two",)]
    assert texts(["body", "title"]) == [("one", "A {b}"), ("two", "")]


def test_a_column_may_be_named_twice() -> None:
    assert texts(["body", "body"]) == [("one", "one"), ("two", "two")]
    assert texts(["body", "who", "body"]) == [("one | x | one",), ("two | y | two",)]


def test_three_columns_are_joined_in_order() -> None:
    assert texts(["who", "body", "title"]) == [("x | one | A {b}",), ("y | two | ",)]


def test_a_template_is_filled_and_braces_in_a_cell_are_text() -> None:
    assert texts("{title} [SEP] {body}, {{{title}}}") == [
        ("A {b} [SEP] one, {A {b}}",),
        (" [SEP] two, {}",),
    ]
    assert list_text_columns("{title} [SEP] {body}, {{{title}}}") == ["title", "body"]


@pytest.mark.parametrize("text", ["body", ["body", "title"], ["who", "body", "title"], "{title}: {body}"])
def test_rows_and_slices_are_those_of_the_whole(text: str | list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)
    frame = pd.concat([FRAME] * 4, ignore_index=True).assign(who=list("abcdefgh")).astype(str)
    found = Texts(frame, text, *WHERE)
    whole = [tuple(found[row]) for row in range(8)]
    assert len(found) == 8
    assert list(found) == found[:] == whole
    assert (found[2:5], found[7:9], found[8:]) == (whole[2:5], whole[7:], [])
    assert found[-1] == whole[-1]
    assert found.take(np.array([6, 0, 6])) == [whole[6], whole[0], whole[6]]
    with pytest.raises(IndexError):
        found[8]
    there = pickle.loads(pickle.dumps(found))
    assert list(there) == whole


@pytest.mark.parametrize(
    "template",
    [
        "{}",
        "{body} {}",
        "{{body}}",
        "{sep}",
    ],
)
def test_a_template_may_only_name_columns(template: str) -> None:
    with pytest.raises(PipelineError, match=r"competition\.text must name columns in braces, like .*, got"):
        texts(template)


@pytest.mark.parametrize("template", ["{body", "body}{", "{body}}", "{body:{who}}"])
def test_a_broken_template_is_one_sentence(template: str) -> None:
    with pytest.raises(PipelineError, match=r"competition\.text is no valid template: "):
        texts(template)


def test_a_column_that_the_table_lacks_is_named() -> None:
    for text in ("boddy", ["title", "boddy"], "{title} {boddy}"):
        with pytest.raises(
            PipelineError, match=r"training table train\.csv has no column 'boddy'; did you mean 'body'"
        ):
            texts(text)


def test_numbers_and_empty_texts_are_warned_of() -> None:
    frame = pd.DataFrame({"n": ["1", "2.5", "-3"], "t": ["a", " ", ""], "ok": ["1", "b", "c"]}, dtype=str)
    assert find_text_warnings(frame, "ok", WHERE[0]) == []
    assert find_text_warnings(frame, ["n", "t"], WHERE[0]) == [
        "train.csv: text column n holds numbers; is it the right column?",
        "train.csv: 2 of 3 rows have an empty t",
    ]
    assert find_text_warnings(frame, "{n} {ok}", WHERE[0]) == find_text_warnings(frame, "n", WHERE[0])


def test_a_name_is_all_that_stands_in_braces() -> None:
    frame = pd.DataFrame(
        {"meta.title": ["a"], "q[0]": ["b"], "Review Text": ["c"], "0": ["d"], "x!r": ["e"]}, dtype=str
    )
    template = "{Review Text}/{meta.title}/{q[0]}/{0}/{x!r}"
    assert list(Texts(frame, template, *WHERE)) == [("c/a/b/d/e",)]
    with pytest.raises(PipelineError, match=r"has no column 'q\[0\]\.__class__'"):
        Texts(frame, "{q[0].__class__}", *WHERE)


def test_the_separator_has_a_name_and_is_no_column() -> None:
    assert texts("{title} {sep} {body}") == texts("{title} [SEP] {body}")
    assert list_text_columns("{title} {sep} {body}") == ["title", "body"]
    assert [uses_separator(text) for text in ("{title} {sep}", "{title} [SEP]", "{title}", "[SEP]")] == [
        True,
        True,
        False,
        False,
    ]
