"""A custom metric is called as any other, and each error in it becomes one sentence."""

import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oof import OOFError
from oof.metrics.custom_metric import TableNames, load_custom_metric, rehearse_metric, resolve_needs
from oof.metrics.metric_registry import CLASSES, find_metric
from oof.metrics.thresholds import decide_labels, prepare_for_metric

Own = Callable[..., Any]
TASKS = sorted(CLASSES | {"regression"})
BRIER = "def brier(truth, predictions):\n    return ((truth - predictions[:, 0]) ** 2).mean()\n"


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """own(text, function, ...) -> the metric of a file with that text."""

    def written(text: str, function: str = "f", task: str = "binary", needs: Any = None, higher: bool = False) -> Any:
        path = tmp_path / "my.py"
        path.write_text(text, encoding="utf-8")
        return load_custom_metric(path, function, higher_is_better=higher, needs=needs, task=task)

    return written


def test_it_is_a_metric_like_any_other(own: Own, draw: Any) -> None:
    truth, P = draw("binary")
    found = own(BRIER, "brier")
    assert found.function(truth, P[0]) == ((truth - P[0][:, 0]) ** 2).mean()
    assert (found.name, found.needs, found.sign, found.tasks) == ("brier", "probabilities", -1, {"binary"})
    assert own(BRIER, "brier", higher=True).sign == 1


@pytest.mark.parametrize("result", ["3", "np.float32(3)", "np.int64(3)", "np.array([3.0]).mean()"])
def test_any_kind_of_number_is_accepted(own: Own, result: str) -> None:
    value = own(f"import numpy as np\ndef f(truth, predictions):\n    return {result}").function(np.ones(2), np.ones(2))
    assert (type(value), value) == (float, 3.0)


def test_a_function_that_changes_its_arguments_changes_copies(own: Own, draw: Any) -> None:
    truth, P = draw("regression")
    before = truth.copy(), P.copy()
    body = ("truth.sort(0)", "predictions.sort(0)", "return abs(truth - predictions).mean()")
    found = own("def f(truth, predictions):\n    " + "\n    ".join(body), task="regression")
    assert found.function(truth, P[0]) == found.function(truth, P[0])
    assert np.array_equal(truth, before[0])
    assert np.array_equal(P, before[1])


def test_an_imported_function_is_accepted(own: Own, draw: Any) -> None:
    truth, P = draw("binary")
    found = own("from sklearn.metrics import zero_one_loss", "zero_one_loss", needs="labels")
    labels = decide_labels("binary", P[0])
    assert found.function(truth, labels) == pytest.approx(1 - find_metric("accuracy", "binary").function(truth, labels))


def test_the_file_leaves_no_trace_and_is_read_at_each_load(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    known = set(sys.modules)
    own("def f(truth, predictions):\n    return 1")
    times = (tmp_path / "my.py").stat()
    (tmp_path / "my.py").write_text("def f(truth, predictions):\n    return 2")
    os.utime(tmp_path / "my.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    again = load_custom_metric(tmp_path / "my.py", "f", higher_is_better=True, needs=None, task="binary")
    assert again.function(np.ones(1), np.ones(1)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["my.py"]
    assert set(sys.modules) == known


@pytest.mark.parametrize(
    ("text", "function", "sentence"),
    [
        ("def f(:", "f", "metric file {file}: raised SyntaxError: invalid syntax (my.py, line 1)"),
        ("1 / 0", "f", "raised ZeroDivisionError: division by zero"),
        ("import no_such_module", "f", "raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "f", "raised SystemExit: 3"),
        (BRIER + "import math\nname = 'x'", "brire", "has no function 'brire'; it has brier"),
        ("f = 3", "f", "has no function 'f'; it has none"),
        (BRIER.replace("brier", "log_loss"), "log_loss", "log_loss is the name of a known metric; give the function"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    own: Own, tmp_path: Path, text: str, function: str, sentence: str
) -> None:
    with pytest.raises(OOFError) as caught:
        own(text, function)
    said = str(caught.value)
    assert said.startswith(f"metric file {tmp_path / 'my.py'}")
    assert sentence.format(file=tmp_path / "my.py") in said
    assert "\n" not in said


def test_it_is_pickled_without_its_file(own: Own, draw: Any, tmp_path: Path) -> None:
    truth, P = draw("binary")
    found = own(BRIER, "brier")
    (tmp_path / "my.py").unlink()
    arrived = pickle.loads(pickle.dumps(found))
    assert arrived.function(truth, P[0]) == found.function(truth, P[0])
    assert replace(arrived, function=found.function) == found


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(OOFError, match=f"^metric file {path} does not exist$"):
            load_custom_metric(path, "f", higher_is_better=True, needs=None, task="binary")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise ValueError('two\\nlines')", "raised ValueError: two lines"),
        ("truth[9]", "raised IndexError: index 9 is out of bounds for axis 0 with size 2"),
        ("exit(1)", "raised SystemExit: 1"),
        ("pass", "returned NoneType; it must return a number"),
        ("return '0.5'", "returned str; it must return a number"),
        ("return predictions", "returned ndarray; it must return a number"),
        ("return float('nan')", "returned nan; it must return a finite number"),
        ("return -predictions[0] * float('inf')", "returned -inf; it must return a finite number"),
    ],
)
def test_a_function_that_fails_is_one_sentence(own: Own, tmp_path: Path, body: str, sentence: str) -> None:
    found = own(f"def f(truth, predictions):\n    {body}")
    with pytest.raises(OOFError) as caught:
        found.function(np.ones(2), np.ones(2))
    assert str(caught.value) == f"metric file {tmp_path / 'my.py'}, function f: {sentence}"


def test_what_it_needs_fits_the_task() -> None:
    assert {task: resolve_needs(None, task) for task in TASKS} == dict.fromkeys(CLASSES, "probabilities") | {
        "regression": "values"
    }
    assert resolve_needs("ranks", "regression") == "ranks"
    with pytest.raises(OOFError, match="of task regression cannot need labels; it gets values or ranks"):
        resolve_needs("labels", "regression")
    with pytest.raises(OOFError, match="of task ordinal cannot need values; it gets probabilities or labels or ranks"):
        resolve_needs("values", "ordinal")


def recorded(entry: Any, needs: str, seen: list[Any]) -> Any:
    """The metric with other needs, whose calls are recorded."""
    return replace(entry, needs=needs, function=lambda truth, predictions: seen.append((truth, predictions)) or 0.0)


@pytest.mark.parametrize("task", TASKS)
def test_a_rehearsal_calls_the_metric_as_scoring_does(task: str, draw: Any) -> None:
    truth, P = draw(task)
    needs = ["values", "ranks"] if task == "regression" else ["probabilities", "ranks", "labels"]
    for need in needs:
        seen = []
        entry = find_metric("rmse" if task == "regression" else "accuracy", task)
        rehearse_metric(recorded(entry, need, seen), task, truth, P.shape[2])
        ((got_truth, got),) = seen
        assert np.array_equal(got_truth, truth)
        assert got.shape == (truth.shape if need == "labels" else P.shape[1:])
        assert got.std() > 0
        assert task == "regression" or got.min() >= 0
        if task in ("multiclass", "ordinal") and need != "labels":
            assert got.sum(1) == pytest.approx(1)
            assert got.max() < 1


def test_a_rehearsal_finds_a_function_that_fails(own: Own, draw: Any) -> None:
    truth, _ = draw("binary")
    with pytest.raises(OOFError, match=r"function f: raised TypeError: f\(\) takes 1 positional argument but 2 were"):
        rehearse_metric(own("def f(truth):\n    return 1"), "binary", truth, 1)


def test_a_file_may_import_its_neighbour_which_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import math\n\ndef half(value):\n    return value / 2\n")
    (tmp_path / "later.py").write_text("SHIFT = 1\n")
    (tmp_path / "math.py").write_text("raise ValueError('a library of that name goes first')\n")
    body = "    import later\n    return half(len(truth)) + later.SHIFT\n"
    (tmp_path / "metric.py").write_text(f"from helper import half\n\ndef own(truth, predictions):\n{body}")
    known = set(sys.modules)
    metric = load_custom_metric(tmp_path / "metric.py", "own", higher_is_better=True, needs=None, task="binary")
    truth, predictions = np.array([0, 1, 1]), np.array([[0.1], [0.5], [0.9]])
    assert metric.function(truth, predictions) == 2.5
    assert set(sys.modules) == known
    sent = pickle.dumps(metric.function)
    for file in tmp_path.iterdir():
        file.unlink()
    assert pickle.loads(sent)(truth, predictions) == 2.5
    assert set(sys.modules) == known


HOST = """
import pandas as pd
def score(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    assert list(solution[row_id_column_name]) == list(submission[row_id_column_name])
    return {body}
"""


BINARY = TableNames("y", ("y",), ("0", "1"))
WORDS = TableNames("y", ("y",), ("no", "yes"))
CLASSES_OF_TWO = TableNames("y", ("a", "b"), ("a", "b"))
VALUES = TableNames("u", ("u", "v"))
P = [[0.25], [0.75]]


@pytest.mark.parametrize(
    ("task", "names", "needs", "truth", "predictions", "body", "expected"),
    [
        ("binary", BINARY, None, [0, 1], P, "abs(solution.y - submission.y).mean()", 0.25),
        ("binary", WORDS, "labels", [0, 1], P, "(solution.y == submission.y).mean()", 1.0),
        ("binary", WORDS, None, [0, 1], P, "submission.y[solution.y == 'yes'].mean()", 0.75),
        ("multiclass", CLASSES_OF_TWO, None, [1, 0], np.eye(2) / 2, "submission.b[solution.y == 'a'].mean()", 0.5),
        ("regression", VALUES, None, [[1.0, 2.0]], [[2.0, 4.0]], "(submission.v - solution.v).mean()", 2.0),
    ],
)
def test_a_hosts_function_gets_a_solution_and_a_submission(
    tmp_path: Path, task: str, names: TableNames, needs: Any, truth: Any, predictions: Any, body: str, expected: float
) -> None:
    (tmp_path / "metric.py").write_text(HOST.format(body=body))
    metric = load_custom_metric(
        tmp_path / "metric.py", "score", higher_is_better=True, needs=needs, task=task, tables=names
    )
    given = prepare_for_metric(metric, task, np.array(predictions))
    assert metric.function(np.array(truth), given) == expected
