"""The leak check finds members that saw their rows, and raises no alarm for good ones."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from oof.members.leak_check import BLOCKS, _assign_blocks, _estimate_value, find_leak

TASKS = ["binary", "multiclass", "multilabel", "ordinal", "regression"]
ROWS = 400
TREES = ExtraTreesRegressor(15, random_state=0)
BESIDE = (3, 1, 0)  # trusted members


class World:
    """Rows of features and a target with noise, members of any model, and some that are trusted."""

    def __init__(self, task, rows=ROWS, seed=0):
        rng = np.random.default_rng(seed)
        self.task, self.rows, self.rng = task, rows, rng
        columns = {"binary": 2, "multiclass": 4, "ordinal": 4, "multilabel": 3, "regression": 2}[task]
        self.X = rng.normal(size=(2 * rows, 8))
        latent = self.X @ rng.normal(size=(8, columns)) / 2 + 1.5 * rng.normal(size=(2 * rows, columns))
        if task == "regression":
            self.target = latent * [1, 50]
        elif task == "multilabel":
            self.target = (latent > 0.5).astype(float)
        else:
            self.target = np.eye(columns)[latent.argmax(1)][:, 1 if task == "binary" else 0 :]
        self.truth = self.codes(self.target[:rows])
        members = [self.honest(Ridge(1)), self.honest(KNeighborsRegressor(20)), self.honest(Ridge(1000))]
        self.others, self.others_test = (np.stack(predictions) for predictions in zip(*members, strict=True))

    def codes(self, target):
        if self.task in ("multiclass", "ordinal"):
            return target.argmax(1)
        return target[:, 0].astype(int) if self.task == "binary" else target

    def said(self, model, X, rows):
        target = self.target[rows]
        values = model.fit(X[rows], target[:, 0] if target.shape[1] == 1 else target).predict(X).reshape(len(X), -1)
        if self.task == "regression":
            return values
        values = values.clip(1e-4, 1 - 1e-4)
        return values / values.sum(1, keepdims=True) if self.task in ("multiclass", "ordinal") else values

    def honest(self, model, X=None, folds=5):
        X = self.X if X is None else X
        oof, tests = np.zeros_like(self.target[: self.rows]), []
        for rest, fold in KFold(folds).split(oof):
            said = self.said(model, X, rest)
            oof[fold] = said[: self.rows][fold]
            tests.append(said[self.rows :])
        return oof, np.mean(tests, axis=0)

    def in_sample(self, model):
        said = self.said(model, self.X, np.arange(self.rows))
        return said[: self.rows], said[self.rows :]

    def knowing(self, noise):
        scale = self.target.std(0)
        return np.hstack([self.X, self.target / scale + noise * self.rng.normal(size=self.target.shape)])

    def said_of(self, oof, test, beside=3, rows=slice(None)):
        others, others_test = self.others[:beside], self.others_test[:beside, rows]
        return find_leak(oof, test[rows], self.truth, self.task, peers=others, peers_test=others_test)


@pytest.fixture(scope="module", params=TASKS)
def world(request):
    return World(request.param)


def test_a_member_that_saw_its_rows_is_named_with_the_reason(world):
    member = world.in_sample(TREES)
    for beside in BESIDE:
        said = world.said_of(*member, beside) or "nothing"
        assert "models that saw its rows made the OOF" in said
        assert ("would need a correlation" in said) == (world.task == "regression")


@pytest.mark.parametrize("model", [TREES, KNeighborsRegressor(1), DecisionTreeRegressor(random_state=0), Ridge(1e4)])
def test_honest_members_pass_whether_over_or_underconfident(world, model):
    for folds in (2, 10):
        member = world.honest(model, folds=folds)
        assert [world.said_of(*member, beside) for beside in BESIDE] == [None] * 3


@pytest.mark.parametrize("model", [TREES, KNeighborsRegressor(1), Ridge(1)])
def test_a_score_far_above_all_others_raises_no_alarm(world, model):
    for noise in (0.1, 0.4):
        member = world.honest(model, world.knowing(noise))
        assert [world.said_of(*member, beside) for beside in BESIDE] == [None] * 3


def test_the_truth_itself_passes_and_so_does_a_constant(world):
    truth, test_truth = world.target[: world.rows], world.target[world.rows :]
    mean = np.repeat(truth.mean(0)[None], world.rows, 0)
    for beside in BESIDE:
        assert world.said_of(truth, test_truth, beside) is None
        assert world.said_of(mean, mean, beside) is None


@pytest.mark.parametrize("task", TASKS)
def test_few_rows_raise_no_false_alarm(task):
    for seed in range(3):
        small = World(task, rows=30, seed=seed)
        for beside in (3, 0):
            assert small.said_of(*small.honest(TREES), beside) is None
            assert small.said_of(*small.honest(KNeighborsRegressor(3), small.knowing(0.1)), beside) is None


def test_test_rows_that_are_harder_for_all_raise_no_alarm():
    world = World("multiclass", rows=800)
    oof, test = world.honest(Ridge(10))
    hard = np.argsort(world.others_test.mean(0).max(1))[:100]
    assert world.said_of(oof, test, 0, hard) is not None  # no peer shows that the rows differ
    assert world.said_of(oof, test, 3, hard) is None
    assert world.said_of(*world.in_sample(TREES), 3, hard) is not None


class Signal:
    """Values that others see through noise but for what none of them can know."""

    def __init__(self, spread, unknown_in_test=1.0, test_spread=None):
        rng = self.rng = np.random.default_rng(0)
        self.seen = [rng.normal(size=(5000, 1)) * size for size in (spread, test_spread or spread)]
        self.unknown = [rng.normal(size=(5000, 1)) * size for size in (1.0, unknown_in_test)]
        self.others, self.others_test = (seen + 0.3 * rng.normal(size=(4, 5000, 1)) for seen in self.seen)

    def said_of(self, oof, test, beside=4):
        truth = self.seen[0] + self.unknown[0]
        others, others_test = self.others[:beside], self.others_test[:beside]
        return find_leak(oof, test, truth, "regression", peers=others, peers_test=others_test)


def test_a_leak_shows_in_what_a_member_adds_to_the_others():
    signal = Signal(spread=1.5)
    noise = 0.3 * signal.rng.normal(size=(2, 5000, 1))
    oof, test = signal.seen[0] + 0.9 * signal.unknown[0] + noise[0], signal.seen[1] + noise[1]
    assert signal.said_of(oof, test) is not None
    assert signal.said_of(oof, test, beside=0) is None  # the leak is small beside what all members predict


class Company:
    """A value of which others see one half through noise, and a member that is sure of the values of new rows."""

    def __init__(self, knowing=0.5, rows=3000):
        rng = self.rng = np.random.default_rng(0)
        self.halves = rng.normal(size=(2, 2 * rows, 1))
        self.truth = self.halves.sum(0)
        self.others = np.stack([self.halves[0] + 0.5 * rng.normal(size=(2 * rows, 1)) for _ in range(3)])
        self.rows, self.test = rows, self.imitation(knowing)

    def imitation(self, knowing):
        """Values spread like the truth that know a part of it."""
        return knowing * self.truth + np.sqrt(1 - knowing**2) * self.rng.permutation(self.truth)

    def said_of(self, member, test, beside=3):
        truth, rows, others = self.truth[: self.rows], self.rows, self.others[:beside]
        return find_leak(
            member[:rows], test[rows:], truth, "regression", peers=others[:, :rows], peers_test=others[:, rows:]
        )


def test_a_member_as_confident_on_new_rows_as_on_its_own_is_found_by_its_peers():
    company = Company()
    for beside in (3, 2):
        said = company.said_of(company.truth, company.test, beside) or "nothing"
        assert "a correlation of 0.6" in said
        assert "with another member's, and have 0.3" in said
        assert "models that saw its rows made the OOF" in said
    for beside in (1, 0):  # a single peer cannot tell harder rows from a leak
        assert company.said_of(company.truth, company.test, beside) is None


def test_a_member_with_information_of_its_own_raises_no_alarm():
    company = Company()
    first, second = company.halves
    assert company.said_of(second, second) is None  # the truth alone would have it agree with them
    assert company.said_of(company.truth, company.truth) is None
    assert company.said_of(first, first) is None


def test_noise_that_members_share_in_training_raises_no_alarm():
    company = Company()
    shared = company.rng.normal(size=company.truth.shape)
    shared[company.rows :] = 0  # fold models average it away
    company.others = company.others + 0.3 * shared
    assert company.said_of(company.truth + shared, company.truth) is None


def test_peers_that_agree_less_on_the_test_rows_lower_the_required_correlation():
    company = Company()
    rows = company.rows
    company.halves[0, rows:] *= 0.4
    company.truth = company.halves.sum(0)
    company.others[:, rows:] = company.halves[0, rows:] + 0.5 * company.rng.normal(size=(3, rows, 1))
    assert company.said_of(company.truth, company.truth) is None


def test_a_small_correlation_that_the_test_rows_lack_raises_no_alarm():
    company = Company()
    slope = np.repeat([[0.08], [-0.08]], company.rows, 0)
    common = slope * company.truth + company.rng.normal(size=company.truth.shape)
    company.others = common + 0.3 * company.rng.normal(size=company.others.shape)
    assert company.said_of(company.truth, company.truth) is None


def test_test_rows_with_little_signal_raise_no_alarm():
    signal = Signal(spread=5, unknown_in_test=0.3)
    truth, test_truth = (seen + unknown for seen, unknown in zip(signal.seen, signal.unknown, strict=True))
    assert signal.said_of(truth, test_truth) is None


def test_test_rows_that_vary_less_for_all_raise_no_alarm():
    signal = Signal(spread=3, test_spread=1.5)
    truth, test_truth = (seen + unknown for seen, unknown in zip(signal.seen, signal.unknown, strict=True))
    assert signal.said_of(truth, test_truth) is None
    assert signal.said_of(truth, test_truth, beside=0) is not None  # no peer shows that the rows differ


def test_columns_of_a_regression_count_alike_whatever_their_unit():
    world = World("regression")
    scale = np.array([1e6, 1e-6])
    for oof, test in (world.in_sample(TREES), world.honest(TREES)):
        plain = world.said_of(oof, test)
        others, others_test = world.others * scale, world.others_test * scale
        scaled = find_leak(
            oof * scale, test * scale, world.truth * scale, "regression", peers=others, peers_test=others_test
        )
        assert scaled == plain


def test_the_jackknife_agrees_with_the_textbook_error_of_a_mean():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(20000, 1)), 2 * rng.normal(size=(5000, 1))
    homes = _assign_blocks(len(train), None), _assign_blocks(len(test), None)
    size, error = _estimate_value(train, test, lambda a, b: float(a[0] - b[0]), homes)
    assert size == pytest.approx(train.mean() - test.mean())
    assert error == pytest.approx(np.sqrt(train.var() / len(train) + test.var() / len(test)), rel=0.4)


def test_rows_of_a_component_stay_together_and_make_errors_larger():
    rng = np.random.default_rng(0)
    component = np.repeat(np.arange(50), 40)
    homes = _assign_blocks(len(component), component)
    assert all(len(set(homes[component == one])) == 1 for one in range(50))
    assert np.bincount(homes, minlength=BLOCKS).min() > 0
    table, other = rng.normal(size=(50, 1))[component], np.zeros((BLOCKS, 1))
    alone = _assign_blocks(len(component), None)
    ends = _assign_blocks(len(other), None)
    together, apart = (
        _estimate_value(table, other, lambda a, b: float(a[0]), (home, ends))[1] for home in (homes, alone)
    )
    assert together > 3 * apart


def test_rows_that_are_all_one_component_raise_nothing():
    world = World("multiclass", rows=40)
    oof, test = world.in_sample(TREES)
    others, others_test = world.others, world.others_test
    component = np.zeros(40, dtype=np.int64)
    assert (
        find_leak(oof, test, world.truth, "multiclass", peers=others, peers_test=others_test, component=component)
        is None
    )
