import numpy as np
import pytest

from folds.components import find_components, normalise_texts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("Straße", "STRASSE"),
        ("你好，世界。", "你好 世界"),
        ("tab\tand\nline", "tab and line"),
        ("no-break\u00a0space", "no break space"),
        ("zero\u200bwidth", "zerowidth"),
        ("good 👍🏽", "good"),
        ("snake_case", "snake case"),
    ],
)
def test_case_punctuation_symbols_and_space_do_not_part_texts(one: str, other: str) -> None:
    assert find_components([one, other, "else"]).tolist() == [0, 0, 1]


def test_letters_digits_and_marks_part_texts() -> None:
    texts = ["page 1", "page 2", "की", "का", "cafe", "café"]
    assert find_components(texts).tolist() == list(range(len(texts)))


def test_a_text_of_symbols_alone_is_compared_as_it_stands() -> None:
    assert find_components(["👍", " 👍 ", "👎", "❤\ufe0f", "☀\ufe0f", "?!", "!?"]).tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert normalise_texts(["  ?! "]) == ["?!"]


def test_empty_texts_are_no_duplicates_of_each_other() -> None:
    assert find_components(["", "", "  ", "a", "A"]).tolist() == [0, 1, 2, 3, 3]


def test_groups_and_duplicates_chain() -> None:
    texts = ["a", "A!", "b", "c", "d"]
    groups = [1, 2, 2, 3, None]
    assert find_components(texts, groups).tolist() == [0, 0, 0, 1, 2]


def test_duplicates_can_be_switched_off() -> None:
    assert find_components(["a", "a", "b"], duplicates=False).tolist() == [0, 1, 2]
    assert find_components(["a", "a", "b"], ["x", "y", "y"], duplicates=False).tolist() == [0, 1, 1]


def test_missing_groups_are_no_group() -> None:
    assert find_components(list("abcd"), np.array([np.nan, np.nan, 1.0, 1.0])).tolist() == [0, 1, 2, 2]
    assert find_components(list("abcd"), ["", "", "x", "x"]).tolist() == [0, 1, 2, 2]


def test_no_rows_have_no_components() -> None:
    assert find_components([]).tolist() == []
