import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.formats import infer_kind, require_kind


def sample(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b"], **columns})


@pytest.mark.parametrize(
    ("task", "frame", "classes", "kind"),
    [
        ("binary", sample(irony=["0.5", "0.5"]), ["0", "1"], "probabilities"),
        ("binary", sample(irony=["0", "0"]), ["0", "1"], "labels"),
        ("binary", sample(irony=["0.0", "0.0"]), ["0", "1"], "probabilities"),
        ("binary", sample(irony=["no", "0.5"]), ["no", "yes"], "probabilities"),
        ("binary", sample(no=["1", "1"], yes=["0", "0"]), ["no", "yes"], "probabilities"),
        ("multiclass", sample(label=["x", "x"]), ["x", "y", "z"], "labels"),
        ("multiclass", sample(x=["1", "1"], y=["0", "0"]), ["x", "y"], "probabilities"),
        ("ordinal", sample(stars=["2", "2"]), ["0", "1", "2"], "labels"),
        ("multilabel", sample(joy=["0.5", "0.5"], awe=["0.5", "0.5"]), [], "probabilities"),
        ("multilabel", sample(joy=["0", "0"], awe=["0", "1"]), [], "labels"),
        ("regression", sample(score=["0", "1"]), [], "values"),
    ],
)
def test_the_sample_tells_the_kind(task: str, frame: pd.DataFrame, classes: list[str], kind: str) -> None:
    assert infer_kind(task, frame, id="id", classes=classes, labels_scored=True) == kind
    require_kind(task, kind)


@pytest.mark.parametrize(("task", "kind"), [("regression", "labels"), ("binary", "values"), ("multilabel", "values")])
def test_a_kind_that_the_task_has_not_is_refused(task: str, kind: str) -> None:
    with pytest.raises(SubmissionError, match=f"submission.kind must be .* for task {task}. Got {kind} instead"):
        require_kind(task, kind)


def test_a_sample_of_zeros_asks_for_probabilities_where_they_are_scored() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "target": ["0", "0"]})
    assert infer_kind("binary", frame, id="id", classes=["0", "1"], labels_scored=False) == "probabilities"
