"""Contract of the metrics: every entry of METRICS, under every task it fits."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.preprocessing import OneHotEncoder

from oof import OOFError
from oof.confusion import quick
from oof.decide import decide
from oof.metrics import DEFAULTS, METRICS, default_metric, metric

CELLS = [(name, task) for name, entry in METRICS.items() for task in sorted(entry.tasks)]
TASKS = sorted(DEFAULTS)


def sure(task, truth, columns):
    """Predictions that are right and certain."""
    if task in ("multiclass", "ordinal"):
        return np.eye(columns)[truth]
    return truth.reshape(len(truth), -1).astype(float)


def value(name, task, truth, predictions):
    entry = metric(name, task)
    return entry.sign * entry.function(truth, decide(task, predictions) if entry.needs == "labels" else predictions)


@pytest.mark.parametrize(("name", "task"), CELLS)
def test_a_perfect_prediction_is_best_and_noise_costs(name, task, draw):
    truth, P = draw(task)
    perfect = value(name, task, truth, sure(task, truth, P.shape[2]))
    assert perfect == pytest.approx(1.0 if METRICS[name].higher_is_better else 0.0, abs=1e-9)
    good, bad = value(name, task, truth, P[0]), value(name, task, truth, P[2, ::-1])
    assert perfect > good > bad


@pytest.mark.parametrize(("name", "task"), [cell for cell in CELLS if cell[1] not in ("binary", "regression")])
def test_a_fold_that_lacks_a_class_has_a_value(name, task, draw):
    truth, P = draw(task)
    lacking = truth[:, 1] == 0 if task == "multilabel" else truth != 1
    assert np.isfinite(value(name, task, truth[lacking], P[0, lacking]))


@pytest.mark.parametrize("name", [name for name, task in CELLS if task == "binary"])
def test_one_class_only_is_a_number_or_a_sentence(name):
    truth, predictions = np.zeros(5, dtype=int), np.linspace(0.1, 0.9, 5)[:, None]
    if METRICS[name].needs == "ranks":
        with pytest.raises(OOFError, match=r"in at least one column; these 5 rows have none"):
            value(name, "binary", truth, predictions)
    else:
        assert np.isfinite(value(name, "binary", truth, predictions))
        assert np.isfinite(value(name, "binary", truth, np.zeros((5, 1))))


@pytest.mark.parametrize(("name", "task"), CELLS)
def test_order_of_rows_does_not_matter(name, task, draw):
    truth, P = draw(task)
    order = np.random.default_rng(1).permutation(len(truth))
    assert value(name, task, truth, P[0]) == pytest.approx(value(name, task, truth[order], P[0][order]), rel=1e-12)


@pytest.mark.parametrize(("name", "task"), [cell for cell in CELLS if METRICS[cell[0]].gradient])
def test_gradients_are_the_derivative(name, task, draw):
    truth, P = draw(task, rows=12)
    entry, predictions, step = metric(name, task), P[0], 1e-6
    slope = entry.gradient(truth, predictions)
    for row, column in np.ndindex(predictions.shape):
        up, down = predictions.copy(), predictions.copy()
        up[row, column] += step
        down[row, column] -= step
        difference = (entry.function(truth, up) - entry.function(truth, down)) / (2 * step)
        assert slope[row, column] == pytest.approx(difference, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(("name", "task"), [cell for cell in CELLS if METRICS[cell[0]].needs == "labels"])
def test_confusion_matrices_give_the_same_value(name, task, draw):
    entry = metric(name, task)
    for seed in range(5):
        truth, P = draw(task, rows=15, seed=seed)
        labels = decide(task, P[2])
        assert quick(entry.confusion, truth, labels) == pytest.approx(entry.function(truth, labels), abs=1e-12)


@pytest.mark.parametrize(("name", "task"), [(n, t) for n in METRICS for t in TASKS if t not in METRICS[n].tasks])
def test_a_wrong_task_is_refused_with_the_fitting_metrics(name, task):
    with pytest.raises(OOFError, match=f"metric {name} does not fit task {task}; fitting ones: .*{DEFAULTS[task]}"):
        metric(name, task)


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(OOFError, match=r"unknown metric 'log_los': did you mean log_loss\? known ones: log_loss, roc"):
        metric("log_los", "binary")


def test_names_are_the_keys_and_every_task_has_a_default():
    assert all(name == entry.name for name, entry in METRICS.items())
    assert {task: default_metric(task).name for task in TASKS} == DEFAULTS
    assert metric("f1", "multiclass").name == "f1"


def test_metrics_of_classes_are_scikit_learns(draw):
    truth, P = draw("multiclass")
    p, labels = P[0], decide("multiclass", P[0])
    assert METRICS["log_loss"].function(truth, p) == pytest.approx(reference.log_loss(truth, p, labels=range(4)))
    auc = reference.roc_auc_score(truth, p, multi_class="ovr")
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(auc)
    assert metric("f1", "multiclass").function(truth, labels) == reference.f1_score(truth, labels, average="macro")
    balanced = reference.balanced_accuracy_score(truth, labels)
    assert METRICS["balanced_accuracy"].function(truth, labels) == pytest.approx(balanced)


@pytest.mark.parametrize("digits", [1, 2, 17])
def test_binary_metrics_are_scikit_learns_with_ties_too(draw, digits):
    truth, P = draw("binary")
    p = P[0].round(digits).clip(0, 1)
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(reference.roc_auc_score(truth, p[:, 0]))
    precision = reference.average_precision_score(truth, p[:, 0])
    assert METRICS["average_precision"].function(truth, p) == pytest.approx(precision)
    assert METRICS["log_loss"].function(truth, p) == pytest.approx(reference.log_loss(truth, p[:, 0], labels=[0, 1]))


def test_multilabel_metrics_are_means_over_labels(draw):
    truth, P = draw("multilabel")
    p, labels = P[0], decide("multilabel", P[0])
    each = [reference.log_loss(truth[:, at], p[:, at]) for at in range(3)]
    assert METRICS["log_loss"].function(truth, p) == pytest.approx(np.mean(each))
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(reference.roc_auc_score(truth, p))
    macro = reference.f1_score(truth, labels, average="macro")
    assert metric("f1", "multilabel").function(truth, labels) == pytest.approx(macro)
    assert metric("macro_f1", "multilabel").function(truth, labels) == pytest.approx(macro)
    truth[:, 1] = 0  # a label without a question is left out
    left = reference.roc_auc_score(truth[:, [0, 2]], p[:, [0, 2]])
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(left)


def test_regression_metrics_are_scikit_learns_and_scipys(draw):
    truth, P = draw("regression")
    p = P[0]
    rmses = [reference.root_mean_squared_error(truth[:, at], p[:, at]) for at in range(2)]
    assert METRICS["mcrmse"].function(truth, p) == pytest.approx(np.mean(rmses))
    assert METRICS["rmse"].function(truth, p) == pytest.approx(np.sqrt(((truth - p) ** 2).mean()))
    pearson = [stats.pearsonr(truth[:, at], p[:, at]).statistic for at in range(2)]
    assert METRICS["pearson"].function(truth, p) == pytest.approx(np.mean(pearson))
    spearman = [stats.spearmanr(truth[:, at], p[:, at]).statistic for at in range(2)]
    assert METRICS["spearman"].function(truth, p) == pytest.approx(np.mean(spearman))


def test_a_constant_prediction_has_no_correlation(draw):
    truth, P = draw("regression")
    for name in ("pearson", "spearman"):
        assert METRICS[name].function(truth, np.full_like(P[0], 0.1)) == 0


def test_kappa_keeps_the_distance_between_grades_that_a_fold_lacks():
    truth, labels = np.array([0, 1, 3, 0, 1]), np.array([0, 3, 3, 1, 1])
    whole = reference.cohen_kappa_score(truth, labels, labels=[0, 1, 2, 3], weights="quadratic")
    assert METRICS["qwk"].function(truth, labels) == pytest.approx(whole)


def test_log_loss_ignores_rounded_row_sums_and_survives_a_sure_mistake(draw):
    truth, P = draw("multiclass")
    p = OneHotEncoder(sparse_output=False).fit_transform(((truth + 1) % 4)[:, None])
    assert 30 < METRICS["log_loss"].function(truth, p) < 40
    doubled = METRICS["log_loss"].function(truth, P[0] * 1.0005)
    assert doubled == pytest.approx(METRICS["log_loss"].function(truth, P[0]))
