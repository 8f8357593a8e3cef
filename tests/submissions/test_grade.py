from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oof.metrics.functions import compute_map_at
from submissions import SubmissionError
from submissions.files import write_submission
from submissions.fill import fill_sample
from submissions.formats import SubmissionFormat
from submissions.grade import align_solution, read_truth, recover_predictions

IDS = [f"te{number}" for number in range(40)]
GRADES = ["0", "1", "2"]


def sample(columns: list[str], cell: str) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS[::-1], **dict.fromkeys(columns, cell)})


@pytest.mark.parametrize(
    ("task", "kind", "shown", "cell", "columns", "classes"),
    [
        ("multiclass", "probabilities", ["z", "x", "y"], "0.3", ["x", "y", "z"], ["x", "y", "z"]),
        ("binary", "probabilities", ["irony"], "0.5", ["irony"], ["0", "1"]),
        ("binary", "probabilities", ["Yes", "No"], "0.5", ["irony"], ["no", "yes"]),
        ("multilabel", "probabilities", ["joy", "awe"], "0.5", ["awe", "joy"], []),
        ("ordinal", "probabilities", ["1", "0", "2"], "0.3", GRADES, GRADES),
        ("regression", "values", ["score"], "2.5", ["score"], []),
        ("regression", "values", ["b", "a"], "2.5", ["a", "b"], []),
    ],
)
def test_predictions_survive_the_way_through_a_file(
    tmp_path: Path, task: str, kind: str, shown: list[str], cell: str, columns: list[str], classes: list[str]
) -> None:
    predictions = np.random.default_rng(0).dirichlet(np.ones(max(len(columns), 2)), len(IDS))[:, : len(columns)]
    form = SubmissionFormat("id", task, kind, columns, classes)
    write_submission(tmp_path / "s.csv", fill_sample(sample(shown, cell), form, ids=IDS, values=predictions))
    submission = align_solution(pd.read_csv(tmp_path / "s.csv", dtype=str), pd.DataFrame({"id": IDS}), id="id")
    np.testing.assert_allclose(recover_predictions(submission, form), predictions, rtol=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal"])
def test_labels_become_certain_predictions(task: str) -> None:
    classes = ["False", "True"] if task == "binary" else GRADES
    codes = np.random.default_rng(0).integers(0, len(classes), len(IDS))
    form = SubmissionFormat("id", task, "labels", classes, classes)
    submission = fill_sample(sample(["y"], classes[0].lower()), form, ids=IDS, values=codes)
    aligned = align_solution(submission, pd.DataFrame({"id": IDS}), id="id")
    predictions = recover_predictions(aligned, form)
    expected = codes[:, None] if task == "binary" else np.eye(3)[codes]
    assert np.array_equal(predictions, expected)


def test_multilabel_labels_become_zeros_and_ones() -> None:
    codes = np.random.default_rng(0).integers(0, 2, (len(IDS), 2))
    form = SubmissionFormat("id", "multilabel", "labels", ["awe", "joy"])
    submission = fill_sample(sample(["joy", "awe"], "0"), form, ids=IDS, values=codes)
    aligned = align_solution(submission, pd.DataFrame({"id": IDS}), id="id")
    assert np.array_equal(recover_predictions(aligned, form), codes)


def test_ranked_answers_are_read_from_the_cells_alone() -> None:
    form = SubmissionFormat("id", "multiclass", "ranked", list("xyz"), list("xyz"), answers=2)
    predictions = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    filled = fill_sample(
        pd.DataFrame({"id": ["a", "b"], "p": ["x y", "x y"]}), form, ids=["a", "b"], values=predictions
    )
    assert filled["p"].tolist() == ["y z", "z x"]
    read = recover_predictions(filled, form)
    assert read.tolist() == [[-np.inf, 2, 1], [1, -np.inf, 2]]
    assert compute_map_at(np.array([0, 0]), read, 3) == 0.25  # x is not in the first file's cell, whatever ties say
    with pytest.raises(SubmissionError, match="the submission has w for id a, which is not among the classes x, y, z"):
        recover_predictions(pd.DataFrame({"id": ["a"], "p": ["x w"]}), form)


def test_a_column_named_after_the_negative_class_holds_its_probability() -> None:
    form = SubmissionFormat("id", "binary", "probabilities", ["label"], ["ham", "spam"])
    frame = pd.DataFrame({"id": ["a"], "HAM": ["0.5"]})
    filled = fill_sample(frame, form, ids=["a"], values=np.array([[0.25]]))
    assert filled["HAM"].tolist() == [0.75]
    assert recover_predictions(filled, form).tolist() == [[0.25]]


def test_an_ordinal_value_becomes_probabilities_around_it() -> None:
    submission = pd.DataFrame({"id": list("abcd"), "y": ["1.25", "3", "9", "-1"]})
    form = SubmissionFormat("id", "ordinal", "values", ["1", "2", "4"], ["1", "2", "4"])
    predictions = recover_predictions(submission, form)
    assert predictions.tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0]]


def test_truth_comes_in_the_form_of_the_task() -> None:
    solution = pd.DataFrame({"id": ["a", "b"], "label": ["y", "X"], "joy": ["1", "0"], "score": ["2.5", "1"]})
    codes = read_truth(solution, id="id", task="multiclass", targets=["label"], classes=["x", "y"])
    assert codes.tolist() == [1, 0]
    assert read_truth(solution, id="id", task="multilabel", targets=["joy"]).tolist() == [[1], [0]]
    assert read_truth(solution, id="id", task="regression", targets=["score"]).tolist() == [[2.5], [1.0]]


def test_the_submission_is_put_in_the_order_of_the_solution() -> None:
    submission = pd.DataFrame({"id": ["a", "b", "c"], "y": ["1", "2", "3"]})
    aligned = align_solution(submission, pd.DataFrame({"id": ["c", "a", "b"]}), id="id")
    assert aligned.to_dict("list") == {"id": ["c", "a", "b"], "y": ["3", "1", "2"]}


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "c"], "the submission has no row for id c of the solution"),
        (["a", "b", "b"], "the solution has more than one row for id b"),
    ],
)
def test_gaps_between_submission_and_solution_are_refused(ids: list[str], message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        align_solution(pd.DataFrame({"id": ["a", "b"]}), pd.DataFrame({"id": ids}), id="id")


def test_a_solution_without_what_is_scored_is_refused() -> None:
    solution = pd.DataFrame({"id": ["a"], "label": ["w"], "score": ["high"]})
    with pytest.raises(SubmissionError, match="the solution has no id column key; its columns are id"):
        align_solution(pd.DataFrame({"key": ["a"]}), solution, id="key")
    with pytest.raises(SubmissionError, match="the solution has no column target"):
        read_truth(solution, id="id", task="regression", targets=["target"])
    with pytest.raises(SubmissionError, match="the solution has w for id a, which is not among the labels x, y"):
        read_truth(solution, id="id", task="binary", targets=["label"], classes=["x", "y"])
    with pytest.raises(SubmissionError, match="the solution must hold 0 or 1 per label, unlike id a"):
        read_truth(solution.assign(score="0.5"), id="id", task="multilabel", targets=["score"])
    with pytest.raises(
        SubmissionError, match=r"the solution must hold finite numbers. Got 'high' at id a, column score"
    ):
        read_truth(solution, id="id", task="regression", targets=["score"])


def test_a_submission_that_could_be_read_in_two_ways_is_refused() -> None:
    labels, probabilities = (
        SubmissionFormat("id", "multiclass", kind, ["x", "y"], ["x", "y"]) for kind in ("labels", "probabilities")
    )
    two = pd.DataFrame({"id": ["a"], "label": ["x"], "other": ["y"]})
    with pytest.raises(SubmissionError, match=r"must have one column besides id\. Got label, other instead"):
        recover_predictions(two, labels)
    for cells, message in ((["0.5", "0.1"], "must sum to 1"), (["1.5", "-0.5"], "not all between 0 and 1")):
        given = pd.DataFrame([["a", *cells]], columns=["id", "x", "y"])
        with pytest.raises(SubmissionError, match=message):
            recover_predictions(given, probabilities)
