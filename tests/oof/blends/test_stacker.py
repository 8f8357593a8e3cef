"""Our linear stackers are scikit-learn's, kept as numbers."""

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.special import expit, logit
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import oof.blends.problem
from oof.blends import linear_models, stacker
from oof.blends.problem import Problem
from oof.metrics.metric_registry import METRICS


def problem(P, truth, task):
    name = "rmse" if task == "regression" else "log_loss"
    return Problem(P, truth, np.arange(P.shape[1]) % 4, task, METRICS[name])


def fit(P, truth, task):
    return stacker.fit_stacker(problem(P, truth, task))


def test_binary_predicts_what_scikit_learn_predicts_on_logits(draw):
    truth, P = draw("binary")
    X = logit(P[..., 0].T)
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-10)).fit(X, truth)
    assert stacker.apply_stacker(fit(P, truth, "binary"), P)[:, 0] == pytest.approx(model.predict_proba(X)[:, 1])


def test_multiclass_predicts_what_scikit_learn_predicts_on_centred_logs(draw):
    truth, P = draw("multiclass")
    logs = np.log(P)
    X = np.concatenate([(logs - logs.mean(2, keepdims=True))[m, :, :-1] for m in range(3)], axis=1)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(X, truth)
    assert stacker.apply_stacker(fit(P, truth, "multiclass"), P) == pytest.approx(model.predict_proba(X))


def test_regression_predicts_what_ridge_predicts(draw):
    truth, P = draw("regression")
    found = stacker.apply_stacker(fit(P, truth, "regression"), P)
    for target in range(2):
        model = make_pipeline(StandardScaler(), RidgeCV(linear_models.ALPHAS)).fit(P[..., target].T, truth[:, target])
        assert found[:, target] == pytest.approx(model.predict(P[..., target].T))


def test_each_label_is_stacked_by_its_own_column(draw):
    truth, P = draw("multilabel")
    found = stacker.apply_stacker(fit(P, truth, "multilabel"), P)
    alone = stacker.apply_stacker(fit(P[..., [1]], truth[:, 1], "binary"), P[..., [1]])
    assert found[:, 1] == pytest.approx(alone[:, 0])


def test_a_class_that_the_rows_lack_keeps_the_members_mean(draw):
    truth, P = draw("multiclass")
    for lacking in ([3], [2, 3], [1, 2, 3]):
        kept = ~np.isin(truth, lacking)
        found = stacker.apply_stacker(fit(P[:, kept], truth[kept], "multiclass"), P)
        assert found[:, lacking] == pytest.approx(P.mean(0)[:, lacking])
        assert found.sum(1) == pytest.approx(1)


def test_a_label_with_one_class_gets_the_mean_logit(draw):
    _, P = draw("binary")
    found = stacker.apply_stacker(fit(P, np.zeros(P.shape[1], dtype=int), "binary"), P)
    assert logit(found) == pytest.approx(logit(P).mean(0))


def test_the_stacker_corrects_members_that_are_wrong_the_same_way(draw):
    truth, P = draw("binary", rows=400)
    overconfident = P**4
    loss = METRICS["log_loss"].function
    found = stacker.apply_stacker(fit(overconfident, truth, "binary"), overconfident)
    assert loss(truth, found) < loss(truth, overconfident.mean(0)) - 0.1


@pytest.fixture(params=["whole", "view", "blocks of few rows", "view in blocks of few rows"])
def seen(request, monkeypatch):
    """seen(truth, P, task) -> a problem seen in one of the ways it may be, and its truth and P copied."""

    def made(truth, P, task):
        if "blocks" in request.param:
            monkeypatch.setattr(oof.blends.problem, "BLOCK", 40)
        found = problem(P, truth, task)
        if "view" in request.param:
            found = found.select_rows(np.arange(len(truth)) % 5 != 1).select_rows(np.arange(len(truth) * 4 // 5) > 6)
        return found, found.truth.copy(), found.take_predictions().copy()

    return made


def unscaled(model, X, truth):
    scaler = StandardScaler().fit(X)
    model.fit(scaler.transform(X), truth)
    coefficients = np.atleast_2d(model.coef_) / scaler.scale_
    return coefficients, np.atleast_1d(model.intercept_) - coefficients @ scaler.mean_


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_labels_have_scikit_learns_coefficients(draw, seen, task):
    view, truth, P = seen(*draw(task), task)
    found = stacker.fit_stacker(view)
    for at, column in enumerate(truth.reshape(len(truth), -1).T):
        exact = LogisticRegression(solver="newton-cholesky", tol=1e-12)
        coefficients, intercepts = unscaled(exact, logit(P[..., at].T), column)
        assert found["coefficients"][at] == pytest.approx(coefficients[0], rel=1e-6)
        assert found["intercepts"][at] == pytest.approx(intercepts[0], rel=1e-6)


@pytest.mark.parametrize("task", ["multiclass", "ordinal"])
def test_classes_have_scikit_learns_coefficients(draw, seen, task):
    view, truth, P = seen(*draw(task), task)
    logs = np.log(P)
    X = (logs - logs.mean(2, keepdims=True))[..., :-1].transpose(1, 0, 2).reshape(len(truth), -1)
    coefficients, intercepts = unscaled(LogisticRegression(tol=1e-10, max_iter=5000), X, truth)
    found = stacker.fit_stacker(view)
    assert np.array(found["coefficients"]) == pytest.approx(coefficients, abs=1e-2)  # at the default tolerance
    assert np.array(found["intercepts"]) == pytest.approx(intercepts, abs=1e-2)


def test_targets_have_scikit_learns_coefficients(draw, seen):
    view, truth, P = seen(*draw("regression"), "regression")
    found, positive = stacker.fit_stacker(view), stacker.fit_nnls(view)
    for at in range(2):
        coefficients, intercepts = unscaled(RidgeCV(linear_models.ALPHAS), P[..., at].T, truth[:, at])
        assert found["coefficients"][at] == pytest.approx(coefficients[0])
        assert found["intercepts"][at] == pytest.approx(intercepts[0])
        model = LinearRegression(positive=True).fit(P[..., at].T, truth[:, at])
        assert positive["coefficients"][at] == pytest.approx(model.coef_)
        assert positive["intercepts"][at] == pytest.approx(model.intercept_)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "ordinal"])
def test_non_negative_weights_of_probabilities_are_scipys_divided_by_their_sum(draw, seen, task):
    view, truth, P = seen(*draw(task, members=4), task)
    hit = np.eye(4)[truth] if task in ("multiclass", "ordinal") else truth
    expected = nnls(P.reshape(4, -1).T, hit.reshape(-1).astype(float))[0]
    found = stacker.fit_nnls(view)["weights"]
    assert found == pytest.approx(expected / expected.sum())
    assert sum(found) == pytest.approx(1)


def test_non_negative_weights_never_leave_the_members(draw):
    """Weights whose sum is one but for rounding would make 1.0000000000000002 of ones."""
    for seed in range(20):
        truth, P = draw("binary", rows=40, members=5, seed=seed)
        numbers = stacker.fit_nnls(problem(P, truth, "binary"))
        for edge in (0.0, 1.0, 0.1):
            assert (stacker.apply_stacker(numbers, np.full((5, 3, 1), edge)) == edge).all()


def test_useless_members_get_equal_weights(draw):
    _, P = draw("binary")
    nothing = np.zeros(P.shape[1], dtype=int)
    assert stacker.fit_nnls(problem(P, nothing, "binary"))["weights"] == [1 / 3] * 3


def test_fits_with_fewer_rows_than_members_and_with_certain_members_end(draw):
    for task in ("binary", "multiclass", "multilabel", "ordinal", "regression"):
        truth, P = draw(task, rows=12, members=40)
        sure = np.eye(4)[P.argmax(2)] if task in ("multiclass", "ordinal") else P.round()
        for some in (P, sure):
            for fitted in (stacker.fit_stacker, stacker.fit_nnls):
                predictions = stacker.apply_stacker(fitted(problem(some, truth, task)), some)
                assert np.isfinite(predictions).all()
                assert task == "regression" or (predictions.min() >= 0 and predictions.max() <= 1)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_the_response_is_what_predictions_do_where_every_member_rises(draw, task):
    truth, P = draw(task)
    numbers = fit(P, truth, task)
    if task == "regression":
        rises = stacker.apply_stacker(numbers, P + 1) - stacker.apply_stacker(numbers, P)
    elif task == "multiclass":
        rises = np.empty(P.shape[1:])
        for at in range(4):
            more = P * np.where(np.arange(4) == at, np.e, 1)
            change = np.log(
                stacker.apply_stacker(numbers, more / more.sum(2, keepdims=True)) / stacker.apply_stacker(numbers, P)
            )
            rises[:, at] = (change[:, at] - change.mean(1)) / (1 - 1 / 4)  # a single sound member: one
    else:
        rises = logit(stacker.apply_stacker(numbers, expit(logit(P) + 1))) - logit(stacker.apply_stacker(numbers, P))
    assert stacker.compute_response(numbers, 3) == pytest.approx(rises[50].mean(), rel=1e-3)
