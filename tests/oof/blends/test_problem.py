"""A problem of some rows is a view of P, and gives what a copy of these rows gives."""

from dataclasses import replace

import numpy as np
import pytest

import oof.blends.problem
from oof.blends import weights
from oof.blends.blend_registry import BLENDS
from oof.blends.problem import Problem, combine
from oof.blends.search import make_objective, reduce_to_true_class
from oof.metrics.metric_registry import METRICS
from oof.selection.candidates import run_noise_check

TASKS = ["binary", "multiclass", "multilabel", "ordinal", "regression"]
tasks = pytest.mark.parametrize("task", TASKS)


@pytest.fixture
def nested(draw, level_one):
    """nested(task) -> a view of a view, and the same problem on copied arrays."""

    def made(task, name=None, rows=60, spoil=True):
        truth, P = draw(task, rows=rows)
        name = name or ("rmse" if task == "regression" else "log_loss")
        whole = level_one(truth, P, task, name, component=np.arange(rows) // 2)
        rng = np.random.default_rng(3)
        outer = rng.uniform(size=rows) < 0.8
        inner = rng.uniform(size=int(outer.sum())) < 0.8
        kept = np.flatnonzero(outer)[inner]
        left = np.delete(np.arange(rows), kept)
        if spoil:  # what lies outside must not matter
            P[:, left] = P[:, left] * 1e3 if task == "regression" else np.eye(P.shape[2])[0]
        copy = Problem(P[:, kept].copy(), truth[kept], np.arange(rows)[kept] % 4, task, whole.metric, kept // 2)
        return whole.select_rows(outer).select_rows(inner), copy

    return made


@tasks
def test_every_method_of_a_view_in_a_view_gives_what_a_copy_gives(nested, task):
    view, copy = nested(task)
    mix = np.array([0.2, 0.5, 0.3])
    assert len(view) == len(copy) == copy.P.shape[1]
    assert view.member_count == copy.member_count == 3
    assert (view.folds == copy.folds).all()
    assert (view.truth == copy.truth).all()
    assert (view.fold == copy.fold).all()
    assert (view.component == copy.component).all()
    assert (view.take_predictions() == copy.P).all()
    for at in range(3):
        assert (view.get_member(at) == copy.get_member(at)).all()
    assert view.combine_members(mix) == pytest.approx(combine(mix, copy.P), rel=1e-12)
    gradient = np.random.default_rng(0).normal(size=copy.P.shape[1:])
    slow = [(gradient * member).sum() for member in copy.P]
    assert view.compute_weight_gradient(gradient) == pytest.approx(slow)
    assert copy.compute_weight_gradient(gradient) == pytest.approx(slow)
    assert (view.select_members([2, 0]).take_predictions() == copy.P[[2, 0]]).all()
    third = np.arange(len(copy)) % 3 == 0
    assert (view.select_rows(third).take_predictions() == copy.select_rows(third).take_predictions()).all()
    assert (view.select_rows(third).component == copy.component[third]).all()


@tasks
def test_objectives_and_noise_checks_of_a_view_are_those_of_a_copy(nested, task):
    view, copy = nested(task)
    mix = np.array([0.2, 0.5, 0.3])
    for some in (lambda one: one, reduce_to_true_class):
        given, expected = some(view), some(copy)
        assert make_objective(given)(given.combine_members(mix)) == pytest.approx(
            make_objective(expected)(expected.combine_members(mix))
        )
    for method in ("mean", "stacker"):
        found, expected = run_noise_check(BLENDS[method], view), run_noise_check(BLENDS[method], copy)
        assert found.predictions == pytest.approx(expected.predictions)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "roc_auc"),
        ("multiclass", "log_loss"),
        ("multilabel", "average_precision"),
        ("ordinal", "qwk"),
        ("regression", "spearman"),
        ("regression", "rmse"),
    ],
)
def test_every_blend_is_fitted_on_a_view_as_on_a_copy(nested, task, name):
    view, copy = nested(task, name)
    for method, rule in BLENDS.items():
        if task in rule.tasks and METRICS[name].needs in rule.needs:
            found, expected = (rule.apply(rule.fit(one), copy.P) for one in (view, copy))
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-5), method


@tasks
@pytest.mark.parametrize("size", [1, 40, 2**18])
def test_blocks_cover_each_row_once_in_order(nested, task, size, monkeypatch):
    monkeypatch.setattr(oof.blends.problem, "BLOCK", size)
    for one in nested(task):
        columns = one.P.shape[2]
        cuts = [(one.iterate_blocks(), one.take_predictions(), 3 * columns)]
        cuts += [(one.iterate_column_blocks(at), one.take_predictions()[..., at], 3) for at in range(columns)]
        for blocks, whole, entries in cuts:
            places, found = zip(*blocks, strict=True)
            assert [row for rows in places for row in range(rows.start, rows.stop)] == list(range(len(one)))
            assert (np.concatenate(found, axis=1) == whole).all()
            assert all(block.shape[1] == rows.stop - rows.start for rows, block in zip(places, found, strict=True))
            assert max(block.shape[1] for block in found) == min(max(size // entries, 1), len(one))


def test_a_result_cached_for_some_rows_is_not_used_for_others(draw, level_one):
    truth, P = draw("multilabel")
    whole = level_one(truth, P, "multilabel", "log_loss")
    parts = [whole, *(whole.select_rows(whole.fold != fold) for fold in range(4)), whole.select_rows(whole.fold < 2)]
    parts += [whole.select_members([2, 1, 0]), replace(whole, metric=METRICS["roc_auc"])]
    parts += [parts[1].select_rows(parts[1].fold > 1)]
    found = [weights.fit_simplex(one) for one in parts]
    assert found == [weights.fit_simplex(replace(one, cache={})) for one in parts]
    assert found == [weights.fit_simplex(one) for one in parts]
    assert len({tuple(one["weights"]) for one in found}) == len(found)


@tasks
def test_the_arrays_of_a_problem_are_never_changed(nested, task):
    for one in nested(task):
        for array in (one.P, one.truth, one.fold, one.component):
            array.setflags(write=False)
        for rule in BLENDS.values():
            if task in rule.tasks and one.metric.needs in rule.needs:
                rule.apply(rule.fit(one), one.P)
        run_noise_check(BLENDS["mean"], one)


def test_all_rows_are_not_copied_and_some_members_are(draw, level_one):
    truth, P = draw("binary")
    whole = level_one(truth, P, "binary")
    assert whole.take_predictions() is P
    assert all(np.shares_memory(block, P) for _, block in whole.iterate_blocks())
    assert whole.select_rows(truth == 1).P is P
    assert not np.shares_memory(whole.select_members([1]).P, P)


def test_one_row_and_one_member_are_a_problem(draw, level_one):
    truth, P = draw("binary")
    one = replace(level_one(truth, P, "binary"), P=P[:1]).select_rows(np.arange(len(truth)) == 7)
    assert one.combine_members(np.ones(1)) == pytest.approx(P[0, 7:8])
    assert [block.shape for _, block in one.iterate_blocks()] == [(1, 1, 1)]
    assert one.folds.tolist() == [3]
    assert one.component is None
