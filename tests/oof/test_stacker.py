"""Our linear stackers are scikit-learn's, kept as numbers."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from oof import linear, stacker
from oof.metrics import METRICS
from oof.problem import Problem


def problem(P, truth, task):
    name = "rmse" if task == "regression" else "log_loss"
    return Problem(P, truth, np.arange(P.shape[1]) % 4, task, METRICS[name])


def fit(P, truth, task):
    return stacker.fit(problem(P, truth, task))


def test_binary_predicts_what_scikit_learn_predicts_on_logits(draw):
    truth, P = draw("binary")
    X = logit(P[..., 0].T)
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-10)).fit(X, truth)
    assert stacker.apply(fit(P, truth, "binary"), P)[:, 0] == pytest.approx(model.predict_proba(X)[:, 1])


def test_multiclass_predicts_what_scikit_learn_predicts_on_centred_logs(draw):
    truth, P = draw("multiclass")
    logs = np.log(P)
    X = np.concatenate([(logs - logs.mean(2, keepdims=True))[m, :, :-1] for m in range(3)], axis=1)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(X, truth)
    assert stacker.apply(fit(P, truth, "multiclass"), P) == pytest.approx(model.predict_proba(X))


def test_regression_predicts_what_ridge_predicts(draw):
    truth, P = draw("regression")
    found = stacker.apply(fit(P, truth, "regression"), P)
    for target in range(2):
        model = make_pipeline(StandardScaler(), RidgeCV(linear.ALPHAS)).fit(P[..., target].T, truth[:, target])
        assert found[:, target] == pytest.approx(model.predict(P[..., target].T))


def test_each_label_is_stacked_by_its_own_column(draw):
    truth, P = draw("multilabel")
    found = stacker.apply(fit(P, truth, "multilabel"), P)
    alone = stacker.apply(fit(P[..., [1]], truth[:, 1], "binary"), P[..., [1]])
    assert found[:, 1] == pytest.approx(alone[:, 0])


def test_a_class_that_the_rows_lack_keeps_the_members_mean(draw):
    truth, P = draw("multiclass")
    for lacking in ([3], [2, 3], [1, 2, 3]):
        kept = ~np.isin(truth, lacking)
        found = stacker.apply(fit(P[:, kept], truth[kept], "multiclass"), P)
        assert found[:, lacking] == pytest.approx(P.mean(0)[:, lacking])
        assert found.sum(1) == pytest.approx(1)


def test_a_label_with_one_class_gets_the_mean_logit(draw):
    _, P = draw("binary")
    found = stacker.apply(fit(P, np.zeros(P.shape[1], dtype=int), "binary"), P)
    assert logit(found) == pytest.approx(logit(P).mean(0))


def test_the_stacker_mends_members_that_are_wrong_the_same_way(draw):
    truth, P = draw("binary", rows=400)
    overconfident = P**4
    loss = METRICS["log_loss"].function
    found = stacker.apply(fit(overconfident, truth, "binary"), overconfident)
    assert loss(truth, found) < loss(truth, overconfident.mean(0)) - 0.1
