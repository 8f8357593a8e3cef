from collections.abc import Sequence

import numpy as np
import pytest

from folds.components import find_components
from folds.duplicates import link_contained_texts, link_duplicates, normalise_texts


def find(texts: Sequence[str], groups: Sequence[object] | None = None, duplicates: bool = True) -> list[int]:
    links = link_duplicates(texts, {"text": texts}) if duplicates else []
    return find_components(len(texts), links, groups).tolist()


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
    assert find([one, other, "else"]) == [0, 0, 1]


def test_letters_digits_and_marks_part_texts() -> None:
    texts = ["page 1", "page 2", "की", "का", "cafe", "café"]
    assert find(texts) == list(range(len(texts)))


def test_a_text_of_symbols_alone_is_compared_as_it_stands() -> None:
    assert find(["👍", " 👍 ", "👎", "❤\ufe0f", "☀\ufe0f", "?!", "!?"]) == [0, 0, 1, 2, 3, 4, 5]
    assert normalise_texts(["  ?! "]) == ["?!"]


def test_empty_texts_are_no_duplicates_of_each_other() -> None:
    assert find(["", "", "  ", "a", "A"]) == [0, 1, 2, 3, 3]


def test_groups_and_duplicates_chain() -> None:
    texts = ["a", "A!", "b", "c", "d"]
    groups = [1, 2, 2, 3, None]
    assert find(texts, groups) == [0, 0, 0, 1, 2]


def test_duplicates_can_be_switched_off() -> None:
    assert find(["a", "a", "b"], duplicates=False) == [0, 1, 2]
    assert find(["a", "a", "b"], ["x", "y", "y"], duplicates=False) == [0, 1, 1]


def test_missing_groups_are_no_group() -> None:
    assert find(list("abcd"), np.array([np.nan, np.nan, 1.0, 1.0])) == [0, 1, 2, 2]
    assert find(list("abcd"), ["", "", "x", "x"]) == [0, 1, 2, 2]


def test_no_rows_have_no_components() -> None:
    assert find([]) == []


def pair(first: list[str], second: list[str]) -> list[int]:
    rows = ["\n".join(texts) for texts in zip(first, second, strict=True)]
    return find_components(len(rows), link_duplicates(rows, {"a": first, "b": second}, is_pair=True)).tolist()


def test_a_pair_is_the_same_in_either_order() -> None:
    assert pair(["x", "y", "x"], ["y", "X!", "z"]) == [0, 0, 1]


LONG_TEXT = "the quick brown fox jumps over the lazy dog again"


def test_a_long_text_under_another_keyword_is_the_same_text() -> None:
    texts, keywords = [LONG_TEXT, LONG_TEXT.upper(), "short", "short"], ["fire", "flood", "fire", "flood"]
    rows = [f"{keyword} {text}" for keyword, text in zip(keywords, texts, strict=True)]
    links = link_duplicates(rows, {"keyword": keywords, "text": texts})
    assert find_components(4, links).tolist() == [0, 0, 1, 2]


def test_a_text_that_many_rows_share_is_a_category() -> None:
    prompt = "write an essay about the phone at school"
    rows = [f"answer number {number}" for number in range(400)]
    links = link_duplicates(rows, {"prompt": [prompt] * 400, "answer": rows})
    assert len(set(find_components(400, links).tolist())) == 400


def test_a_long_text_inside_others_links_them() -> None:
    texts = [f"RT @user: {LONG_TEXT}!", "something else", LONG_TEXT, f"{LONG_TEXT} - as I said", LONG_TEXT[:-6]]
    codes = link_contained_texts(texts)
    assert codes[0] == codes[2] == codes[3] == codes[4] >= 0
    assert codes[1] == -1
    assert (link_contained_texts([*texts[1:2], LONG_TEXT, LONG_TEXT[4:].replace("fox", "cat")]) == -1).all()
    assert (link_contained_texts(["a few words", "just a few words here"]) == -1).all()


def test_a_phrase_inside_many_texts_links_none() -> None:
    phrase = "please see the attached file for all of the details"
    texts = [f"message {number} {phrase}" for number in range(40)] + [phrase]
    assert (link_contained_texts(texts) == -1).all()


def test_forms_of_unicode_do_not_part_texts() -> None:
    assert find(["ｆｕｌｌ width ﬁne", "full width fine", "cafe\u0301", "café"]) == [0, 0, 1, 1]
