import numpy as np
import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.check import check_sample, check_submission
from submissions.formats import SubmissionFormat

SAMPLE = pd.DataFrame({"id": ["a", "b", "c"], "x": ["0"] * 3, "y": ["0"] * 3})
GOOD = SAMPLE.assign(x=[0.1, 0.2, 0.3], y=[0.9, 0.8, 0.7])


def run(frame: pd.DataFrame, kind: str = "probabilities", task: str = "multiclass") -> None:
    check_submission(frame, SAMPLE, SubmissionFormat("id", task, kind, ["x", "y"]))


def test_a_good_submission_passes_as_numbers_and_as_text() -> None:
    run(GOOD)
    run(GOOD.astype(str))


def test_sums_hold_within_the_tolerance() -> None:
    run(GOOD.assign(x=[0.1009, 0.2, 0.3]))
    with pytest.raises(SubmissionError, match=r"the probabilities for id a must sum to 1. Got 1.002 instead"):
        run(GOOD.assign(x=[0.102, 0.2, 0.3]))


def test_only_one_class_a_row_needs_a_sum() -> None:
    run(GOOD.assign(x=0.9), task="multilabel")
    binary = SubmissionFormat("id", "binary", "probabilities", ["x"])
    check_submission(GOOD[["id", "x"]], SAMPLE[["id", "x"]], binary)
    with pytest.raises(SubmissionError, match="must sum to 1"):
        run(GOOD.assign(x=0.9), task="binary")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (GOOD.drop(columns="y"), "it lacks y"),
        (GOOD.assign(z=0), "it adds z"),
        (GOOD.rename(columns={"y": "z"}), "it lacks y and adds z"),
        (GOOD[["id", "y", "x"]], "it reorders them"),
        (GOOD[:2], r"the submission has no row for id c of the sample submission \(1 such ids\)"),
        (GOOD.assign(id=["a", "b", "b"]), "the submission has more than one row for id b"),
        (pd.concat([GOOD, GOOD[:1].assign(id="d")]), "the sample submission has no row for id d of the submission"),
        (GOOD[::-1], "not in the sample's order from id c on"),
        (GOOD.assign(x=[0.1, np.nan, 0.3]), "must hold finite numbers. Got 'nan' at id b, column x instead"),
        (GOOD.assign(x=[0.1, np.inf, 0.3]), "Got 'inf' at id b, column x"),
        (GOOD.assign(x=["0.1", "", "0.3"]), "Got '' at id b, column x"),
        (GOOD.assign(x=[-0.1, 0.2, 0.3], y=[1.1, 0.8, 0.7]), "for id a are not all between 0 and 1"),
    ],
)
def test_a_bad_submission_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        run(frame)


def test_values_may_be_any_finite_number() -> None:
    run(GOOD.assign(x=-7.0), kind="values", task="regression")


def test_a_label_that_is_no_class_is_refused() -> None:
    sample = SAMPLE[["id", "x"]].assign(x="true")
    labels = SubmissionFormat("id", "binary", "labels", ["x"], ["False", "True"])
    check_submission(sample.assign(x="false"), sample, labels)
    with pytest.raises(SubmissionError, match="False for id b in column x is not among the labels false, true"):
        check_submission(sample.assign(x=["true", "False", "true"]), sample, labels)


def test_a_multilabel_label_is_zero_or_one() -> None:
    run(GOOD.assign(x=[0, 1, 1], y=["0", "1", "1"]), kind="labels", task="multilabel")
    with pytest.raises(SubmissionError, match="2 for id c in column x is not among the labels 0, 1"):
        run(GOOD.assign(x=[0, 1, 2], y=0), kind="labels", task="multilabel")


def test_a_kind_that_the_task_has_not_is_refused() -> None:
    with pytest.raises(SubmissionError, match=r"submission.kind must be values"):
        run(GOOD, task="regression")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], "the test table has no row for id c of the sample submission"),
        (["a", "b", "c", "c"], "the test table has more than one row for id c"),
    ],
)
def test_a_sample_of_another_test_table_is_refused(ids: list[str], message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check_sample(SAMPLE, "id", ids)


def test_a_sample_that_repeats_an_id_is_refused() -> None:
    with pytest.raises(SubmissionError, match="the sample submission has more than one row for id b"):
        check_sample(SAMPLE.assign(id=["a", "b", "b"]), "id", ["a", "b"])
