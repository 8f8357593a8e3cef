"""The linear models have the coefficients of scikit-learn's and SciPy's, whatever the blocks."""

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.preprocessing import StandardScaler

from oof.blends.linear_models import ALPHAS, fit_logistic, fit_non_negative, fit_ridge

sizes = pytest.mark.parametrize("size", [1, 7, 1000])


def cut(X, size=1000):
    """Blocks of so many rows."""
    return lambda: ((slice(at, min(at + size, len(X))), X[at : at + size]) for at in range(0, len(X), size))


def drawn(rows=90, members=4, seed=0):
    """Alike features of unlike scale, values and labels."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    noise = rng.normal(size=(rows, members)) * np.linspace(0.5, 3, members)
    scale, shift = np.logspace(-2, 2, members), np.linspace(-5, 50, members)
    X = (signal[:, None] + noise) * scale + shift
    return X, 3 * signal + rng.normal(size=rows) + 10, (signal + rng.normal(size=rows) > 0.5).astype(int)


def scaled_logistic(X, truth):
    scaler = StandardScaler().fit(X)
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(scaler.transform(X), truth)
    plain = model.coef_[0] / scaler.scale_
    return plain, model.intercept_[0] - plain @ scaler.mean_


def scaled_ridge(X, values):
    scaler = StandardScaler().fit(X)
    model = RidgeCV(ALPHAS).fit(scaler.transform(X), values)
    plain = model.coef_ / scaler.scale_
    return plain, model.intercept_ - plain @ scaler.mean_


def same(found, expected, **tolerance):
    assert found[0] == pytest.approx(expected[0], **tolerance)
    assert found[1] == pytest.approx(expected[1], **tolerance)


@sizes
def test_logistic_has_scikit_learns_coefficients(size):
    for seed in range(8):
        X, _, labels = drawn(rows=40, seed=seed)
        same(fit_logistic(cut(X, size), labels), scaled_logistic(X, labels), rel=1e-8)


@sizes
def test_ridge_has_scikit_learns_coefficients(size):
    for seed in range(5):
        X, values, _ = drawn(seed=seed)
        same(fit_ridge(cut(X, size), values), scaled_ridge(X, values), rel=1e-8)


@sizes
def test_non_negative_has_scikit_learns_coefficients(size):
    for seed in range(5):
        X, values, _ = drawn(seed=seed)
        X[:, 1] *= -1  # so that it is left out
        model = LinearRegression(positive=True).fit(X, values)
        found = fit_non_negative(cut(X, size), values, centred=True)
        same(found, (model.coef_, model.intercept_), rel=1e-7, abs=1e-10)
        assert found[0][1] == 0
        plain = fit_non_negative(cut(X, size), values, centred=False)
        same(plain, (nnls(X, values)[0], 0.0), rel=1e-7, abs=1e-10)


def test_ridge_chooses_its_strength_as_scikit_learn_does():
    """From signal to none, the strength goes from one end to the other."""
    rng = np.random.default_rng(0)
    X, chosen = rng.normal(size=(60, 3)), set()
    for noise in (1e-6, 0.3, 3, 30, 1e4):
        values = X.sum(1) + noise * rng.normal(size=60)
        same(fit_ridge(cut(X), values), scaled_ridge(X, values), rel=1e-6, abs=1e-9)
        chosen.add(RidgeCV(ALPHAS).fit(StandardScaler().fit_transform(X), values).alpha_)
    assert len(chosen) >= 3


def odd(X):
    """Features that no inverse is made for."""
    return {
        "the same twice": np.column_stack([X, X[:, :1]]),
        "a sum of others": np.column_stack([X, X @ [1, 2, 3, 4]]),
        "constant": np.column_stack([X, np.full(len(X), 0.1)]),
        "all constant": np.full((len(X), 2), 0.3),
        "more features than rows": np.tile(X, 8)[:10] + np.random.default_rng(0).normal(size=(10, 32)),
        "three rows": X[:3],
    }


@pytest.mark.parametrize("kind", odd(np.zeros((30, 4))))
def test_collinear_constant_and_too_many_features_are_scikit_learns(kind):
    X, values, labels = drawn()
    labels[:2] = [0, 1]
    X = odd(X)[kind]
    values, labels = values[: len(X)], labels[: len(X)]
    same(fit_logistic(cut(X, 7), labels), scaled_logistic(X, labels), rel=1e-5, abs=1e-7)
    weights, intercept = fit_ridge(cut(X, 7), values)
    expected = scaled_ridge(X, values)
    assert X @ weights + intercept == pytest.approx(X @ expected[0] + expected[1], rel=1e-5)
    weights, intercept = fit_non_negative(cut(X, 7), values, centred=True)
    model = LinearRegression(positive=True).fit(X, values)
    assert X @ weights + intercept == pytest.approx(model.predict(X), rel=1e-5)
    assert weights.min() >= 0


def test_constant_features_have_no_weight_whatever_they_are():
    _, values, labels = drawn()
    for constant in (0.0, 0.1, 1e9):
        X = np.full((90, 3), constant)
        weights, intercept = fit_non_negative(cut(X, 7), values, centred=True)
        assert not weights.any()
        assert intercept == values.mean()
        same(fit_ridge(cut(X, 7), values), (np.zeros(3), values.mean()), abs=1e-6)
        weights, intercept = fit_logistic(cut(X, 7), labels)
        odds = labels.mean() / (1 - labels.mean())
        assert X[0] @ weights + intercept == pytest.approx(np.log(odds))


def test_a_huge_feature_does_not_drown_the_others():
    X, values, labels = drawn()
    huge = np.column_stack([X, 1e8 * (1 + np.random.default_rng(1).normal(size=90))])
    model = LinearRegression(positive=True).fit(huge, values)
    same(fit_non_negative(cut(huge), values, centred=True), (model.coef_, model.intercept_), rel=1e-6, abs=1e-12)
    same(fit_ridge(cut(huge), values), scaled_ridge(huge, values), rel=1e-6)
    same(fit_logistic(cut(huge), labels), scaled_logistic(huge, labels), rel=1e-6)


@pytest.mark.parametrize("rows", [4, 1000])
def test_perfect_separation_finishes(rows):
    labels = np.arange(rows) % 2
    for X in (labels[:, None] * 27.6 - 13.8, np.column_stack([labels, 1 - labels, labels]) * 27.6 - 13.8):
        weights, intercept = fit_logistic(cut(X), labels)
        same((weights, intercept), scaled_logistic(X, labels), rel=1e-5, abs=1e-6)
        assert ((X @ weights + intercept > 0) == labels).all()


def test_one_positive_among_many_finishes():
    labels = (np.arange(20_000) == 5).astype(int)
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(20_000, 2)), np.column_stack([labels, labels]) * 27.6 - 13.8):
        same(fit_logistic(cut(X), labels), scaled_logistic(X, labels), rel=1e-4)


def test_one_row_is_its_own_mean():
    one = cut(np.array([[3.0, 4.0]]))
    same(fit_ridge(one, np.array([7.0])), (np.zeros(2), 7.0))
    same(fit_non_negative(one, np.array([7.0]), centred=True), (np.zeros(2), 7.0))
