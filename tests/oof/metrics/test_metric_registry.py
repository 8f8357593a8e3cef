"""Contract of the metrics: every entry of METRICS, and map_at_k, under every task it fits."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.preprocessing import OneHotEncoder

from oof import OOFError
from oof.metrics.confusion import score_by_confusion
from oof.metrics.metric_registry import DEFAULTS, METRICS, find_metric, get_default_metric
from oof.metrics.thresholds import decide_labels

CELLS = [(name, task) for name, entry in METRICS.items() for task in sorted(entry.tasks)]
CELLS += [("map_at_1", "multiclass"), ("map_at_3", "multiclass")]
TASKS = sorted(DEFAULTS)
CODES = ("multiclass", "ordinal")


def sure(task, truth, columns):
    """Predictions that are right and certain."""
    if task in CODES:
        return np.eye(columns)[truth]
    return truth.reshape(len(truth), -1).astype(float)


def value(name, task, truth, predictions):
    entry = find_metric(name, task)
    return entry.sign * entry.function(
        truth, decide_labels(task, predictions) if entry.needs == "labels" else predictions
    )


@pytest.mark.parametrize(("name", "task"), CELLS)
def test_a_perfect_prediction_is_best_and_noise_costs(name, task, draw):
    truth, P = draw(task)
    perfect = value(name, task, truth, sure(task, truth, P.shape[2]))
    assert perfect == pytest.approx(1.0 if find_metric(name, task).higher_is_better else 0.0, abs=1e-9)
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


@pytest.mark.parametrize(("name", "task"), [cell for cell in CELLS if find_metric(*cell).gradient])
def test_gradients_are_the_derivative(name, task, draw):
    truth, P = draw(task, rows=12)
    entry, predictions, step = find_metric(name, task), P[0], 1e-6
    slope = entry.gradient(truth, predictions)
    for row, column in np.ndindex(predictions.shape):
        up, down = predictions.copy(), predictions.copy()
        up[row, column] += step
        down[row, column] -= step
        difference = (entry.function(truth, up) - entry.function(truth, down)) / (2 * step)
        assert slope[row, column] == pytest.approx(difference, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", [name for name, task in CELLS if task == "regression"])
def test_a_constant_column_has_a_finite_gradient_and_value(name, draw):
    truth, P = draw("regression", rows=12)
    flat_truth, flat = truth.copy(), P[0].copy()
    flat_truth[:, 0] = flat[:, 0] = 0.1  # the mean of which is not .1
    gradient = find_metric(name, "regression").gradient
    for t, p in ((flat_truth, P[0]), (truth, flat), (flat_truth, flat), (truth[:1], P[0, :1])):
        assert np.isfinite(value(name, "regression", t, p))
        assert gradient is None or np.isfinite(gradient(t, p)).all()


@pytest.mark.parametrize("name", ["pearson", "r2"])
def test_what_a_constant_column_counts_has_no_slope(name, draw):
    truth, P = draw("regression", rows=12)
    truth[:, 0] = 0.1
    slope = METRICS[name].gradient(truth, P[0])
    assert not slope[:, 0].any()
    assert slope[:, 1].all()


def test_mae_has_no_slope_where_it_has_no_error():
    truth, predictions = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [1.0], [5.0]])
    assert METRICS["mae"].gradient(truth, predictions).tolist() == [[0.0], [-1 / 3], [1 / 3]]


@pytest.mark.parametrize(("name", "task"), [cell for cell in CELLS if find_metric(*cell).confusion])
def test_confusion_matrices_give_the_same_value(name, task, draw):
    entry = find_metric(name, task)
    for seed in range(5):
        truth, P = draw(task, rows=15, seed=seed)
        labels = decide_labels(task, P[2])
        assert score_by_confusion(entry.confusion, truth, labels) == pytest.approx(
            entry.function(truth, labels), abs=1e-12
        )


@pytest.mark.parametrize(("name", "task"), [(n, t) for n in METRICS for t in TASKS if t not in METRICS[n].tasks])
def test_a_wrong_task_is_refused_with_the_fitting_metrics(name, task):
    with pytest.raises(OOFError, match=f"metric {name} does not fit task {task}; fitting ones: .*{DEFAULTS[task]}"):
        find_metric(name, task)


def test_an_unknown_metric_is_refused_with_the_nearest_name():
    with pytest.raises(OOFError, match=r"unknown metric 'log_los': did you mean log_loss\? known ones: log_loss, roc"):
        find_metric("log_los", "binary")


def test_map_at_k_is_known_for_every_k_and_spelt_with_a_number():
    assert find_metric("map_at_12", "multiclass").name == "map_at_12"
    with pytest.raises(OOFError, match=r"metric map_at_3 does not fit task ordinal; fitting ones: .*, qwk$"):
        find_metric("map_at_3", "ordinal")
    with pytest.raises(
        OOFError, match=r"does not fit task multiclass; fitting ones: .*, mcc, map_at_k \(\"map_at_3\"\)$"
    ):
        find_metric("rmse", "multiclass")
    with pytest.raises(OOFError, match=r"did you mean map_at_3\? known ones: .*, spearman, map_at_k \(\"map_at_3\"\)$"):
        find_metric("map@3", "multiclass")
    for name in ("map_at_k", "map_at_0", "map_at_-1", "map_at_03", "map_at_1.5", "map_at", "map_at3"):
        with pytest.raises(OOFError, match=f"metric '{name}' must end in a whole number from 1 up, .*: map_at_3"):
            find_metric(name, "multiclass")


def test_names_are_the_keys_and_every_task_has_a_default():
    assert all(name == entry.name for name, entry in METRICS.items())
    assert {task: get_default_metric(task).name for task in TASKS} == DEFAULTS
    assert find_metric("f1", "multiclass").name == "f1"


def by_column(function):
    """The mean of a reference over labels or targets."""

    def mean(task, truth, predictions):
        pairs = zip(truth.reshape(len(truth), -1).T, predictions.reshape(len(truth), -1).T, strict=True)
        return np.mean([function(t, p) for t, p in pairs])

    return mean


def by_class(function):
    """The mean of a reference over labels or classes against the rest, without those where `function` gives None."""

    def mean(task, truth, predictions):
        hit = np.eye(predictions.shape[1])[truth] if task in CODES else truth.reshape(len(truth), -1)
        found = [function(t, p) for t, p in zip(hit.T, predictions.T, strict=True)]
        known = [one for one in found if one is not None]
        return np.mean(known) if known else None

    return mean


def log_loss(task, truth, predictions):
    if task not in CODES:
        return by_class(lambda t, p: reference.log_loss(t, p, labels=[0, 1]))(task, truth, predictions)
    whole = predictions / predictions.sum(1, keepdims=True)
    return reference.log_loss(truth, whole, labels=range(whole.shape[1]))


def f1_score(*positive_class):
    def mean(task, truth, labels):
        average = "binary" if task in positive_class else "macro"
        return by_column(lambda t, p: reference.f1_score(t, p, average=average, zero_division=0))(task, truth, labels)

    return mean


def correlation(function):
    return by_column(lambda t, p: 0.0 if np.ptp(t) == 0 or np.ptp(p) == 0 else function(t, p).statistic)


def r2_score(truth, predictions):
    # scikit-learn takes rounding of the mean of a constant target for variance
    return reference.r2_score(truth, predictions) if np.ptp(truth) else float((truth == predictions).all())


def map_at(k):
    def slow(task, truth, predictions):
        best = [sorted(range(len(p)), key=lambda at, p=p: (-p[at], at))[:k] for p in predictions]
        return np.mean([1 / (1 + ranked.index(t)) if t in ranked else 0 for t, ranked in zip(truth, best, strict=True)])

    return slow


def quadratic_kappa(task: str, t: np.ndarray, p: np.ndarray) -> float:
    """scikit-learn's kappa, and 0 where it divides by zero: below 1.8 it has no option for that."""
    if len(set(t.tolist())) == 1 and set(t.tolist()) == set(p.tolist()):
        return 0.0
    return float(reference.cohen_kappa_score(t, p, labels=range(4), weights="quadratic"))


REFERENCES = {
    "log_loss": log_loss,
    "roc_auc": by_class(lambda t, p: reference.roc_auc_score(t, p) if np.ptp(t) else None),
    "average_precision": by_class(lambda t, p: reference.average_precision_score(t, p) if t.any() else None),
    "accuracy": by_column(reference.accuracy_score),
    "exact_match": lambda task, truth, labels: reference.accuracy_score(truth, labels),
    "balanced_accuracy": by_column(reference.balanced_accuracy_score),
    "f1": f1_score("binary", "multilabel"),
    "macro_f1": f1_score("multilabel"),
    "mcc": by_column(reference.matthews_corrcoef),
    "qwk": quadratic_kappa,
    "rmse": lambda task, t, p: np.sqrt(((t - p) ** 2).mean()),
    "mcrmse": by_column(reference.root_mean_squared_error),
    "mae": by_column(reference.mean_absolute_error),
    "r2": by_column(r2_score),
    "pearson": correlation(stats.pearsonr),
    "spearman": correlation(stats.spearmanr),
    "map_at_1": map_at(1),
    "map_at_3": map_at(3),
}


def one_class(truth, p):
    truth[...] = truth[0]
    return truth, p


def first_column_constant(truth, p):
    p[:, 0] = 0.3
    if truth.ndim == 2:
        truth[:, 0] = truth[0, 0]
        return truth, p
    return truth[truth != 1], p[truth != 1]  # all rows positive or not for binary: a class is missing


ROWS = {
    "drawn": lambda truth, p: (truth, p),
    "ties": lambda truth, p: (truth, (p * 8).round() / 8),
    "constant predictions": lambda truth, p: (truth, np.repeat(p[:1], len(p), axis=0)),
    "first column constant": first_column_constant,
    "one class": one_class,
    "two rows": lambda truth, p: (truth[:2], p[:2]),
    "one row": lambda truth, p: (truth[:1], p[:1]),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("name", "task"), CELLS)
def test_every_metric_is_the_reference_on_any_rows(name, task, rows, draw):
    entry = find_metric(name, task)
    for seed in range(3):
        truth, P = draw(task, rows=40, seed=seed)
        truth, p = ROWS[rows](truth, P[2])
        p = decide_labels(task, p) if entry.needs == "labels" else p
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the references warn of what is undefined; ours must not
            expected = REFERENCES[name](task, truth, p)
        if expected is None:
            with pytest.raises(OOFError, match="in at least one column"):
                entry.function(truth, p)
        else:
            assert entry.function(truth, p) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_metrics_of_classes_are_scikit_learns(draw):
    truth, P = draw("multiclass")
    p, labels = P[0], decide_labels("multiclass", P[0])
    assert METRICS["log_loss"].function(truth, p) == pytest.approx(reference.log_loss(truth, p, labels=range(4)))
    auc = reference.roc_auc_score(truth, p, multi_class="ovr")
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(auc)
    assert find_metric("f1", "multiclass").function(truth, labels) == reference.f1_score(truth, labels, average="macro")
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
    p, labels = P[0], decide_labels("multilabel", P[0])
    each = [reference.log_loss(truth[:, at], p[:, at]) for at in range(3)]
    assert METRICS["log_loss"].function(truth, p) == pytest.approx(np.mean(each))
    assert METRICS["roc_auc"].function(truth, p) == pytest.approx(reference.roc_auc_score(truth, p))
    macro = reference.f1_score(truth, labels, average="macro")
    assert find_metric("f1", "multilabel").function(truth, labels) == pytest.approx(macro)
    assert find_metric("macro_f1", "multilabel").function(truth, labels) == pytest.approx(macro)
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


def test_log_loss_ignores_rounded_row_sums_and_is_finite_for_a_certain_mistake(draw):
    truth, P = draw("multiclass")
    p = OneHotEncoder(sparse_output=False).fit_transform(((truth + 1) % 4)[:, None])
    assert 30 < METRICS["log_loss"].function(truth, p) < 40
    doubled = METRICS["log_loss"].function(truth, P[0] * 1.0005)
    assert doubled == pytest.approx(METRICS["log_loss"].function(truth, P[0]))
