"""The rule is the one written out: later rungs by more than one standard error, never those that gain from noise."""

from itertools import product

import numpy as np
import pytest

from oof.selection.rule import Rule


def slow_path(values, errors, rungs, finish, canaries):
    """Each step in words."""
    held, path = 0, [0]
    for rung in range(1, rungs):
        better = values[rung] - values[held] > errors[rung][held]
        fooled = rung in canaries and values[canaries[rung]] - values[rung] > errors[canaries[rung]][rung]
        if better and not fooled:
            held = rung
        path.append(held)
    if finish:
        finished = held + rungs
        path.append(finished if values[finished] - values[held] > errors[finished][held] else held)
    return path


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("learners", [(), (3,), (0, 2, 3)])
def test_the_path_is_that_of_a_slow_loop(finish, learners):
    rng, seen = np.random.default_rng(0), set()
    first = 8 if finish else 4
    canaries = {rung: first + at for at, rung in enumerate(learners)}
    size = first + len(learners)
    for _ in range(300):
        errors = np.abs(rng.normal(size=(size, size)))
        rule = Rule(4, finish, canaries, (errors + errors.T) / 2)
        values = rng.normal(size=size) + np.arange(size) / 4
        found = rule.path(values)
        assert found == slow_path(values.tolist(), rule.errors.tolist(), 4, finish, canaries)
        seen.add(tuple(found))
    assert len(seen) >= 8


def test_a_gain_of_exactly_one_error_is_not_enough():
    errors = np.full((2, 2), 0.25)
    for gain, held in ((0.25, 0), (0.2500001, 1), (-1, 0)):
        assert Rule(2, False, {}, errors).path(np.array([1.0, 1 + gain])) == [0, held]
    assert Rule(2, False, {}, np.zeros((2, 2))).path(np.ones(2)) == [0, 0]


def test_a_rung_is_compared_with_the_one_held_and_not_with_the_first():
    errors = np.full((3, 3), 0.5)
    assert Rule(3, False, {}, errors).path(np.array([0.0, 1.0, 1.2])) == [0, 1, 1]
    assert Rule(3, False, {}, errors).path(np.array([0.0, 0.4, 0.8])) == [0, 0, 2]


def test_a_rung_that_gains_from_its_canary_is_refused_and_the_next_one_is_not():
    errors = np.full((5, 5), 0.1)
    for canary, held in ((1.05, 1), (1.2, 0), (-3.0, 1)):
        rule = Rule(3, False, {1: 3}, errors)
        assert rule.path(np.array([0.0, 1.0, 0.5, canary, 0])) == [0, held, 1 if held else 2]
        assert rule.refused(np.array([0.0, 1.0, 0.5, canary, 0]), 1) == (held == 0)


def test_a_finish_may_only_follow_the_rung_held():
    errors = np.zeros((4, 4))
    assert Rule(2, True, {}, errors).path(np.array([0.0, 1.0, 9.0, 0.5])) == [0, 1, 1]
    assert Rule(2, True, {}, errors).path(np.array([0.0, 1.0, 0.0, 1.5])) == [0, 1, 3]


def test_what_is_undefined_is_never_taken():
    errors = np.zeros((4, 4))
    for at, error in product(range(4), (False, True)):
        values, broken = np.arange(4.0), errors.copy()
        if error:
            broken[at], broken[:, at] = np.nan, np.nan
        else:
            values[at] = np.nan
        assert at == 0 or at not in Rule(4, False, {}, broken).path(values)
    assert Rule(4, False, {}, errors).path(np.full(4, np.nan)) == [0, 0, 0, 0]


def test_one_rung_is_held():
    assert Rule(1, False, {}, np.zeros((1, 1))).path(np.ones(1)) == [0]
    assert Rule(1, True, {}, np.zeros((2, 2))).path(np.array([1.0, 2])) == [0, 1]
