"""The rule selects later candidates by more than one standard error, never those that gain from noise."""

from itertools import product

import numpy as np
import pytest

from oof.selection.rule import SelectionRule


def slow_path(values, errors, methods, finish, noise_checks):
    """Each step in words."""
    selected, path = 0, [0]
    for new in range(1, methods):
        better = values[new] - values[selected] > errors[new][selected]
        fooled = new in noise_checks and values[noise_checks[new]] - values[new] > errors[noise_checks[new]][new]
        if better and not fooled:
            selected = new
        path.append(selected)
    if finish:
        finished = selected + methods
        path.append(finished if values[finished] - values[selected] > errors[finished][selected] else selected)
    return path


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("learners", [(), (3,), (0, 2, 3)])
def test_the_path_is_that_of_a_slow_loop(finish, learners):
    rng, seen = np.random.default_rng(0), set()
    first = 8 if finish else 4
    noise_checks = {candidate: first + at for at, candidate in enumerate(learners)}
    size = first + len(learners)
    for _ in range(300):
        errors = np.abs(rng.normal(size=(size, size)))
        rule = SelectionRule(4, finish, noise_checks, (errors + errors.T) / 2)
        values = rng.normal(size=size) + np.arange(size) / 4
        found = rule.select_stepwise(values)
        assert found == slow_path(values.tolist(), rule.errors.tolist(), 4, finish, noise_checks)
        seen.add(tuple(found))
    assert len(seen) >= 8


def test_a_gain_of_exactly_one_error_is_not_enough():
    errors = np.full((2, 2), 0.25)
    for gain, selected in ((0.25, 0), (0.2500001, 1), (-1, 0)):
        assert SelectionRule(2, False, {}, errors).select_stepwise(np.array([1.0, 1 + gain])) == [0, selected]
    assert SelectionRule(2, False, {}, np.zeros((2, 2))).select_stepwise(np.ones(2)) == [0, 0]


def test_a_candidate_is_compared_with_the_selected_one_and_not_with_the_first():
    errors = np.full((3, 3), 0.5)
    assert SelectionRule(3, False, {}, errors).select_stepwise(np.array([0.0, 1.0, 1.2])) == [0, 1, 1]
    assert SelectionRule(3, False, {}, errors).select_stepwise(np.array([0.0, 0.4, 0.8])) == [0, 0, 2]


def test_a_candidate_that_gains_from_its_noise_check_is_refused_and_the_next_one_is_not():
    errors = np.full((5, 5), 0.1)
    for noise_check, selected in ((1.05, 1), (1.2, 0), (-3.0, 1)):
        rule = SelectionRule(3, False, {1: 3}, errors)
        assert rule.select_stepwise(np.array([0.0, 1.0, 0.5, noise_check, 0])) == [0, selected, 1 if selected else 2]
        assert rule.is_excluded(np.array([0.0, 1.0, 0.5, noise_check, 0]), 1) == (selected == 0)


def test_a_finish_may_only_follow_the_selected_candidate():
    errors = np.zeros((4, 4))
    assert SelectionRule(2, True, {}, errors).select_stepwise(np.array([0.0, 1.0, 9.0, 0.5])) == [0, 1, 1]
    assert SelectionRule(2, True, {}, errors).select_stepwise(np.array([0.0, 1.0, 0.0, 1.5])) == [0, 1, 3]


def test_what_is_undefined_is_never_taken():
    errors = np.zeros((4, 4))
    for at, error in product(range(4), (False, True)):
        values, broken = np.arange(4.0), errors.copy()
        if error:
            broken[at], broken[:, at] = np.nan, np.nan
        else:
            values[at] = np.nan
        assert at == 0 or at not in SelectionRule(4, False, {}, broken).select_stepwise(values)
    assert SelectionRule(4, False, {}, errors).select_stepwise(np.full(4, np.nan)) == [0, 0, 0, 0]


def test_one_candidate_is_selected():
    assert SelectionRule(1, False, {}, np.zeros((1, 1))).select_stepwise(np.ones(1)) == [0]
    assert SelectionRule(1, True, {}, np.zeros((2, 2))).select_stepwise(np.array([1.0, 2])) == [0, 1]
