import pandas as pd
import pytest

from submissions import SubmissionError
from submissions.formats import SubmissionFormat, choose_separator, describe_format, infer_kind, require_kind


def sample(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"id": ["a", "b"], **columns})


@pytest.mark.parametrize(
    ("task", "frame", "classes", "kind"),
    [
        ("binary", sample(irony=["0.5", "0.5"]), ["0", "1"], "probabilities"),
        ("binary", sample(irony=["0", "0"]), ["0", "1"], "labels"),
        ("binary", sample(irony=["0.0", "0.0"]), ["0", "1"], "labels"),
        ("binary", sample(irony=["FALSE", "FALSE"]), ["False", "True"], "labels"),
        ("binary", sample(irony=["0", "0"]), ["No", "Yes"], "labels"),
        ("multiclass", sample(label=["x y", "y z"]), ["x", "y", "z"], "ranked"),
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
    assert infer_kind(task, frame, id="id", classes=classes, needs="labels") == kind
    require_kind(task, kind)


@pytest.mark.parametrize(("task", "kind"), [("regression", "labels"), ("binary", "values"), ("multilabel", "values")])
def test_a_kind_that_the_task_has_not_is_refused(task: str, kind: str) -> None:
    with pytest.raises(SubmissionError, match=f"submission.kind must be .* for task {task}. Got {kind} instead"):
        require_kind(task, kind)


def test_a_sample_of_zeros_asks_for_probabilities_where_they_are_scored() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "target": ["0", "0"]})
    assert infer_kind("binary", frame, id="id", classes=["0", "1"]) == "probabilities"


def test_a_metric_of_the_best_answers_asks_for_them() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "target": ["x", "x"]})
    assert infer_kind("multiclass", frame, id="id", classes=["x", "y", "z"], answers=3) == "ranked"


@pytest.mark.parametrize(
    ("cells", "names", "separator"),
    [
        (["x y", "y z"], ["x", "y", "z"], " "),
        (["x,y"], ["x", "y"], ","),
        (["new york, la"], ["new york", "la"], ", "),
        (["x"], ["x", "y"], " "),
        (["0.5"], ["new york", "la"], ","),
    ],
)
def test_the_sample_shows_what_separates_answers(cells: list[str], names: list[str], separator: str) -> None:
    assert choose_separator(cells, names) == separator


@pytest.mark.parametrize(
    ("columns", "kind", "said"),
    [
        (["p"], "probabilities", "the probability of spam, for roc_auc"),
        (["ham"], "probabilities", "the probability of ham, for roc_auc"),
        (["p"], "labels", "labels, spelled ham, spam, for roc_auc"),
        (["ham", "spam"], "probabilities", "probabilities, a column for each of ham, spam"),
    ],
)
def test_what_the_cells_hold_is_said(columns: list[str], kind: str, said: str) -> None:
    frame = pd.DataFrame({"id": ["a"], **{column: ["ham"] for column in columns}})
    form = SubmissionFormat("id", "binary", kind, ["label"], ["ham", "spam"])
    assert describe_format(frame, form, "roc_auc") == said
