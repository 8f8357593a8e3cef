"""Names of classes: spellings of one class, and which of two is the positive one."""

import pytest

from pipeline.data.class_names import join_spellings, match_spellings, put_positive_last


def test_spellings_that_differ_by_case_and_space_are_one_class() -> None:
    names, sentences = join_spellings(["Positive", "positive", "Positive ", "Positive", "Neutral"])
    assert names == {"Positive": "Positive", "positive": "Positive", "Positive ": "Positive", "Neutral": "Neutral"}
    assert len(sentences) == 1
    assert sentences[0].endswith("are one class, 'Positive'; competition.classes would keep them apart")


def test_the_samples_spelling_is_taken() -> None:
    names, _ = join_spellings(["YES", "YES", "yes", "no"], preferred=["id", "yes"])
    assert set(names.values()) == {"yes", "no"}


def test_other_texts_stay_apart() -> None:
    assert join_spellings(["1", "2", "a b", "a-b"]) == ({"1": "1", "2": "2", "a b": "a b", "a-b": "a-b"}, [])


def test_one_number_is_one_class() -> None:
    """Labels 1, 2 and 1.0 became three classes, and a submission mixed 1 and 1.0."""
    names, sentences = join_spellings(["1", "1.0", "1", "2", "2.0", "2.0"])
    assert names == {"1": "1", "1.0": "1", "2": "2.0", "2.0": "2.0"}
    assert len(sentences) == 2


def test_classes_of_the_config_settle_it() -> None:
    assert match_spellings(["A", "a ", "b", "c"], ["A", "B"]) == {"A": "A", "a ": "A", "b": "B"}
    assert match_spellings(["A", "a", "A "], ["A", "a"]) == {"A": "A", "a": "a"}


@pytest.mark.parametrize(
    ("classes", "asked", "positive"),
    [
        (["hate", "nothate"], [], "hate"),
        (["irony", "non-irony"], [], "irony"),
        (["not_spam", "spam"], [], "spam"),
        (["ham", "spam"], [], "spam"),
        (["negative", "positive"], [], "positive"),
        (["offensive", "none"], [], "offensive"),
        (["0", "1"], [], "1"),
        (["False", "True"], [], "True"),
        (["fake", "real"], [], "real"),
        (["fake", "real"], ["id", "Fake"], "fake"),
        (["fake", "real"], ["id", "fake", "real"], "real"),
        (["ham", "spam"], ["id", "ham"], "spam"),
    ],
)
def test_the_positive_class_is_the_one_that_is_no_absence(classes: list[str], asked: list[str], positive: str) -> None:
    assert put_positive_last(classes, asked)[1] == positive
