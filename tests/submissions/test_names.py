import pytest

from submissions import SubmissionError
from submissions.names import find_positions, match_names, normalise_name, spell_classes


@pytest.mark.parametrize(
    ("one", "other"),
    [("True", "true"), ("1", "1.0"), ("10", "10.00"), ("-0", "0"), ("007", "7"), (" Joy ", "joy"), ("+1.50", "1.5")],
)
def test_spellings_of_one_name_share_a_key(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)


@pytest.mark.parametrize(
    ("one", "other"), [("True", "1"), ("1", "10"), ("nan", "NaN1"), ("1_0", "10"), ("inf", "1e999")]
)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


def test_an_exact_name_goes_before_a_key() -> None:
    assert find_positions(["a", "A", "B"], ["A", "a", "b"]) == [1, 0, 2]
    assert find_positions(["z"], ["A"]) == [-1]


def test_two_classes_that_are_no_and_yes_match_every_spelling_of_them() -> None:
    assert find_positions(["yes", "F", "1", "2"], ["True", "False"]) == [0, 1, 0, -1]
    assert find_positions(["yes"], ["0", "1", "2"]) == [-1]
    assert find_positions(["1"], ["no", "maybe"]) == [-1]


def test_a_name_that_could_mean_two_is_refused() -> None:
    with pytest.raises(SubmissionError, match=r"1\.00 could mean 1 and 1\.0; spell it as one of them"):
        find_positions(["1.00"], ["1", "1.0"])


def test_columns_match_in_any_order() -> None:
    assert match_names(["2", "0.0", "1"], ["0", "1", "2"], "the sample").tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["a"], "the columns of the sample must be the id and a, b: it lacks b"),
        (["a", "b", "c"], "it has c, which nothing predicts"),
        (["a", "d"], "it lacks b and has d, which nothing predicts"),
        (["a", "b", "B"], "the sample has more than one column for b"),
    ],
)
def test_columns_that_do_not_match_are_refused(found: list[str], message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        match_names(found, ["a", "b"], "the sample")


@pytest.mark.parametrize(
    ("classes", "shown", "expected"),
    [
        (["False", "True"], ["true"], ["false", "true"]),
        (["no", "yes"], ["NO", "NO"], ["NO", "YES"]),
        (["no", "yes"], ["No"], ["No", "Yes"]),
        (["0.0", "1.0"], ["1"], ["0", "1"]),
        (["0", "1"], ["0.0"], ["0.0", "1.0"]),
        (["0", "1"], ["0"], ["0", "1"]),
        (["cat", "dog"], ["0"], ["cat", "dog"]),
        (["cat", "dog"], ["", "DOG"], ["CAT", "DOG"]),
        (["uk", "us", "eu"], ["UK", "us", "Eu"], ["UK", "us", "Eu"]),
        (["A", "a"], ["a"], ["A", "a"]),
        (["False", "True"], ["0"], ["0", "1"]),
        (["no", "yes"], ["FALSE"], ["FALSE", "TRUE"]),
        (["0", "1"], ["N"], ["N", "Y"]),
        (["0", "1"], ["0.0", "1.0"], ["0.0", "1.0"]),
        (["True", "False"], ["0", "1"], ["1", "0"]),
    ],
)
def test_labels_are_spelled_as_in_the_sample(classes: list[str], shown: list[str], expected: list[str]) -> None:
    assert spell_classes(classes, shown) == expected


def test_a_spelling_without_a_rule_is_refused() -> None:
    with pytest.raises(SubmissionError, match="spells new york as New York; how it spells los angeles is unclear"):
        spell_classes(["new york", "los angeles"], ["New York"])
