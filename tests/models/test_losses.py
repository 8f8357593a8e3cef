from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn import functional as F

from models import ModelError
from models.losses import LOSSES, compute_grade_probabilities, compute_row_weights

ROWS, TASKS = 40, ("binary", "multiclass", "multilabel", "regression", "ordinal")
COLUMNS = {"binary": 1, "multiclass": 4, "multilabel": 3, "regression": 2, "ordinal": 5}


def drawn(task: str) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Outputs of a head, the truth, and the predictions that the outputs stand for."""
    rng = np.random.default_rng(0)
    columns = COLUMNS[task]
    outputs = torch.from_numpy(rng.normal(size=(ROWS, LOSSES[task].width(columns))) * 2)
    truth = {
        "binary": rng.integers(2, size=ROWS),
        "multilabel": rng.integers(2, size=(ROWS, columns)),
        "regression": rng.normal(size=(ROWS, columns)),
    }.get(task, rng.integers(columns, size=ROWS))
    return outputs, truth, LOSSES[task].predict(outputs).numpy()


def losses(task: str, outputs: torch.Tensor, truth: np.ndarray, smoothing: float = 0.0, positive: Any = None) -> Any:
    ones = torch.ones(COLUMNS[task]) if positive is None else torch.tensor(positive)
    return LOSSES[task].compute(outputs, torch.from_numpy(truth), smoothing, ones)


def test_there_is_a_loss_for_each_task() -> None:
    assert set(LOSSES) == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_there_is_a_loss_and_a_prediction_for_each_row(task: str) -> None:
    outputs, truth, predictions = drawn(task)
    assert losses(task, outputs, truth).shape == (ROWS,)
    assert predictions.shape == (ROWS, COLUMNS[task])


REFERENCES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "binary": lambda truth, p: log_loss(truth, p[:, 0]),
    "multiclass": lambda truth, p: log_loss(truth, p, labels=range(4)),
    "ordinal": lambda truth, p: log_loss(truth, p, labels=range(5)),
    "multilabel": lambda truth, p: float(np.mean([log_loss(truth[:, k], p[:, k]) for k in range(3)])),
    "regression": mean_squared_error,
}


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_scikit_learns_on_the_predictions(task: str) -> None:
    outputs, truth, predictions = drawn(task)
    assert float(losses(task, outputs, truth).mean()) == pytest.approx(REFERENCES[task](truth, predictions), rel=1e-9)


def test_predictions_are_the_links_of_the_outputs() -> None:
    for task, link in {"binary": expit, "multilabel": expit, "multiclass": lambda x: softmax(x, axis=1)}.items():
        outputs, _, predictions = drawn(task)
        np.testing.assert_allclose(predictions, link(outputs.numpy()), rtol=1e-12)


def test_grades_have_probabilities_that_sum_to_one_and_a_loss_of_minus_their_logarithm() -> None:
    outputs, truth, predictions = drawn("ordinal")
    np.testing.assert_allclose(predictions.sum(1), 1, atol=1e-12)
    assert (predictions > 0).all()
    expected = -np.log(predictions[np.arange(ROWS), truth])
    np.testing.assert_allclose(losses("ordinal", outputs, truth), expected, rtol=1e-9)


def test_grade_probabilities_by_hand() -> None:
    above = torch.tensor([[0.8, 0.5, 0.25]])
    torch.testing.assert_close(compute_grade_probabilities(above), torch.tensor([[0.2, 0.4, 0.3, 0.1]]))


def test_a_grade_asks_nothing_of_the_cuts_it_did_not_reach() -> None:
    outputs = torch.zeros(1, 4, requires_grad=True)
    losses("ordinal", outputs, np.array([1])).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad[0].tolist() == [-0.5, 0.5, 0.0, 0.0]


def test_smoothing_is_torchs_for_classes_and_the_mixture_for_the_rest() -> None:
    outputs, truth, _ = drawn("multiclass")
    expected = F.cross_entropy(outputs, torch.from_numpy(truth), label_smoothing=0.3, reduction="none")
    torch.testing.assert_close(losses("multiclass", outputs, truth, 0.3), expected)
    for task in ("binary", "multilabel", "ordinal"):
        outputs, truth, _ = drawn(task)
        plain, smooth = losses(task, outputs, truth), losses(task, outputs, truth, 0.3)
        if task == "ordinal":  # each question that is asked is answered wrongly by half of the weight
            asked = np.arange(4) <= truth[:, None]
            wrong = (F.softplus(outputs) + F.softplus(-outputs)).numpy()
            mixed = 0.7 * plain.numpy() + 0.3 * 0.5 * (wrong * asked).sum(1)
        else:
            mixed = 0.7 * plain.numpy() + 0.15 * (plain + losses(task, outputs, 1 - truth)).numpy()
        np.testing.assert_allclose(smooth, mixed, rtol=1e-9)


def test_the_loss_of_large_outputs_stays_finite() -> None:
    for task in TASKS:
        outputs, truth, _ = drawn(task)
        assert losses(task, outputs.float() * 1e4, truth).isfinite().all()
        assert LOSSES[task].predict(outputs * 1e4).isfinite().all()


def test_balanced_weights_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for task, classes in (("binary", ["no", "yes"]), ("multiclass", ["a", "b", "c"]), ("ordinal", ["1", "2", "3"])):
        truth = np.minimum(rng.geometric(0.6, 50) - 1, len(classes) - 1)
        columns = ["y"] if task == "binary" else classes
        rows, positive = compute_row_weights("balanced", task, truth, np.ones(50), columns, classes)
        np.testing.assert_allclose(rows, compute_sample_weight("balanced", truth))
        assert rows.mean() == pytest.approx(1)
        assert positive.tolist() == [1.0] * len(columns)


def test_balanced_classes_have_one_total_beside_weights_of_rows() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    given = np.where(truth == 1, 3.0, 1.0)
    rows, _ = compute_row_weights("balanced", "binary", truth, given, ["y"], ["no", "yes"])
    assert rows[truth == 0].sum() == pytest.approx(50)
    assert rows[truth == 1].sum() == pytest.approx(50)
    given = np.random.default_rng(0).random(100) + 0.1
    rows, _ = compute_row_weights("balanced", "multiclass", truth, given, ["a", "b"], ["a", "b"])
    assert rows.mean() == pytest.approx(1)
    assert rows[truth == 0].sum() == pytest.approx(rows[truth == 1].sum())
    assert np.allclose(rows[truth == 1] / given[truth == 1], rows[truth == 1][0] / given[truth == 1][0])


def test_balanced_answers_of_a_label_have_one_total_beside_weights_of_rows() -> None:
    truth = np.array([[1, 0], [0, 1], [0, 1], [1, 1]])
    given = np.array([5.0, 1.0, 1.0, 1.0])
    rows, positive = compute_row_weights("balanced", "multilabel", truth, given, ["a", "b"], [])
    assert np.allclose(rows, given / 2)
    for label in range(2):
        hits = truth[:, label] == 1
        assert rows[hits].sum() * positive[label] == pytest.approx(rows[~hits].sum())


def test_weights_by_class_are_ratios_and_a_class_without_one_weighs_one() -> None:
    truth = np.array([0, 0, 1, 2])
    rows, _ = compute_row_weights({"b": 4.0}, "multiclass", truth, np.ones(4), ["a", "b", "c"], ["a", "b", "c"])
    np.testing.assert_allclose(rows / rows[0], [1, 1, 4, 1])
    assert rows.mean() == pytest.approx(1)
    rows, _ = compute_row_weights({"yes": 3.0}, "binary", np.array([0, 1]), np.ones(2), ["y"], ["no", "yes"])
    np.testing.assert_allclose(rows, [0.5, 1.5])


def test_labels_weigh_their_positive_answers() -> None:
    truth = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1]])
    columns = ["p", "all", "none", "half"]
    rows, positive = compute_row_weights("balanced", "multilabel", truth, np.ones(4), columns, [])
    assert rows.tolist() == [1.0] * 4
    assert positive.tolist() == [3.0, 1.0, 1.0, 1.0]  # a label that is always there still has to be learned
    _, positive = compute_row_weights({"half": 2.5}, "multilabel", truth, np.ones(4), columns, [])
    assert positive.tolist() == [1.0, 1.0, 1.0, 2.5]


def test_positive_weights_weigh_the_positive_answers_alone() -> None:
    outputs, truth, _ = drawn("multilabel")
    positive = np.array([2.0, 1.0, 0.5])
    each = F.binary_cross_entropy_with_logits(outputs, torch.from_numpy(truth).double(), reduction="none").numpy()
    expected = (each * np.where(truth == 1, positive, 1)).mean(1)
    np.testing.assert_allclose(losses("multilabel", outputs, truth, positive=positive), expected, rtol=1e-9)


def test_no_weights_are_ones() -> None:
    for task in TASKS:
        truth = drawn(task)[1]
        rows, positive = compute_row_weights(None, task, truth, np.ones(len(truth)), ["c"] * COLUMNS[task], [])
        assert (rows == 1).all()
        assert (positive == 1).all()


@pytest.mark.parametrize("setting", ["balanced", {"a": 2.0}])
def test_a_regression_has_no_classes_to_weigh(setting: Any) -> None:
    with pytest.raises(ModelError, match=r"no meaning for a regression; use competition\.weight"):
        compute_row_weights(setting, "regression", np.zeros((3, 1)), np.ones(3), ["y"], [])


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="class_weights names 'd'; the classes are a, b"):
        compute_row_weights({"a": 1.0, "d": 2.0}, "multiclass", np.array([0, 1]), np.ones(2), ["a", "b"], ["a", "b"])
    with pytest.raises(ModelError, match="class_weights names 'z'; the classes are p, q"):
        compute_row_weights({"z": 1.0}, "multilabel", np.zeros((2, 2), int), np.ones(2), ["p", "q"], [])
