"""A budget: whole members first, never over the limit while the estimates are right, and the plan's order without one.

Fits here are loads whose length is known, and time is a number that they move on.
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.fits.timing import MARGINS, RECENT, FitLoad, TimedLoad, TimeEstimates, measure_loads
from pipeline.scheduling.budget import Budget, FitQueue, choose_next_fit, estimate_time, forecast_fits, parse_duration


class Clock:
    """Time that only moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@st.composite
def plans(draw: st.DrawFn) -> list[FitLoad]:
    """Up to five variants, each of one to five fits of one length; 1 s a unit of work."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 100)), min_size=1, max_size=5))
    return [FitLoad(f"v{v}", "neural", float(work)) for v, (fits, work) in enumerate(sizes) for _ in range(fits)]


def known(loads: list[FitLoad], pace: float = 1.0) -> TimeEstimates:
    """Estimates of fits that were timed before, every variant's."""
    return TimeEstimates(earlier=tuple(TimedLoad(load, pace * load.work) for load in loads))


def done_in(
    loads: list[FitLoad], seconds: float, estimates: TimeEstimates, pace: float = 1.0
) -> tuple[list[int], float]:
    """The fits that a queue hands out within a budget, and the seconds they take."""
    clock, done = Clock(), []
    queue = FitQueue(loads, [], Budget(seconds, clock.now, clock, closing=0.0), estimates)
    while (number := queue.take_next()) is not None:
        clock.now += pace * loads[number].work
        queue.finish(number, pace * loads[number].work)
        done.append(number)
    return done, clock.now - 100.0


@given(plans(), st.floats(0, 2000))
def test_the_budget_is_kept_where_the_estimates_are_right(loads: list[FitLoad], seconds: float) -> None:
    _, spent = done_in(loads, seconds, known(loads))
    assert spent <= seconds


@given(plans(), st.floats(0, 2000), st.floats(0.01, 100))
def test_the_budget_is_kept_where_the_first_fit_of_a_variant_is_scaled_from_another(
    loads: list[FitLoad], seconds: float, pace: float
) -> None:
    first = TimeEstimates(earlier=(TimedLoad(loads[0], pace * loads[0].work),))
    _, spent = done_in(loads, seconds, first, pace)
    assert spent <= seconds * (1 + 1e-9)


@given(plans())
def test_without_a_budget_the_order_is_that_of_the_plan(loads: list[FitLoad]) -> None:
    for estimates in (known(loads), TimeEstimates()):
        assert done_in(loads, math.inf, estimates)[0] == list(range(len(loads)))
    begun = {loads[-1].variant}
    assert forecast_fits(dict(enumerate(loads)), begun, math.inf, known(loads)) == list(range(len(loads)))


@given(plans())
def test_everything_is_done_where_the_budget_is_ample(loads: list[FitLoad]) -> None:
    done, _ = done_in(loads, 2 * sum(load.work for load in loads), known(loads))
    assert sorted(done) == list(range(len(loads)))


@given(plans(), st.floats(0, 1.5), st.data())
def test_members_that_will_be_whole_come_first_and_among_them_those_begun(
    loads: list[FitLoad], share: float, data: st.DataObject
) -> None:
    left = share * sum(load.work for load in loads)
    estimates, begun = known(loads), data.draw(st.sets(st.sampled_from([load.variant for load in loads])))
    waiting = {n: load for n, load in enumerate(loads) if data.draw(st.booleans())}
    number, need = (
        choose_next_fit(waiting, begun, left, estimates),
        {n: estimates.bound_seconds(load) for n, load in waiting.items()},
    )
    startable = [n for n in waiting if need[n] <= left]
    if number is None:
        assert startable == [] or left <= 0
        return
    assert number in startable
    rest = {load.variant: sum(need[n] for n in waiting if waiting[n].variant == load.variant) for load in loads}
    group = [n for n in startable if rest[waiting[n].variant] <= left] or startable
    old = [n for n in group if waiting[n].variant in begun]
    assert number == (old or group)[0]


@given(plans(), st.floats(0, 1.5))
def test_a_second_member_is_begun_only_once_the_one_begun_is_whole_or_will_not_be(
    loads: list[FitLoad], share: float
) -> None:
    clock, begun = Clock(), set[str]()
    queue = FitQueue(
        loads, [], Budget(share * sum(load.work for load in loads), clock.now, clock, closing=0.0), known(loads)
    )
    while True:
        left, need = queue.budget.left, queue.estimates.bound_seconds
        rest = {v: [need(load) for load in queue.waiting.values() if load.variant == v] for v in begun}
        passed = [v for v, needs in rest.items() if needs and sum(needs) <= left]
        if (number := queue.take_next()) is None:
            break
        assert loads[number].variant in begun or passed == []
        begun.add(loads[number].variant)
        clock.now += loads[number].work
        queue.finish(number, loads[number].work)


@given(plans(), st.floats(0, 2000))
def test_what_is_foreseen_is_what_is_done(loads: list[FitLoad], seconds: float) -> None:
    timed = tuple(TimedLoad(load, load.work) for load in loads)
    exact = TimeEstimates(measured=timed, errors=(("measured", 1.0),) * 100)  # so sure that learning changes nothing
    clock = Clock()
    queue = FitQueue(loads, [], Budget(seconds, clock.now, clock, closing=0.0), exact)
    seen, done = forecast_fits(queue.waiting, [], seconds, exact), []
    while (number := queue.take_next()) is not None:
        clock.now += loads[number].work
        queue.active.clear()
        done.append(number)
    assert seen == done


def test_a_cheaper_member_passes_one_that_would_not_be_whole() -> None:
    long, short = FitLoad("long", "neural", 100.0), FitLoad("short", "neural", 10.0)
    done, _ = done_in([long] * 3 + [short] * 3, 200.0, known([long, short]))
    assert done[:3] == [3, 4, 5]
    assert done[3:] == [0]  # what is left is used, because fits are kept


def test_what_is_begun_lets_others_pass_if_it_will_not_be_whole() -> None:
    waiting = {
        0: FitLoad("long", "neural", 100.0),
        1: FitLoad("long", "neural", 100.0),
        2: FitLoad("short", "neural", 10.0),
    }
    estimates = known(list(waiting.values()))
    assert choose_next_fit(waiting, ["long"], 150.0, estimates) == 2
    assert choose_next_fit(waiting, ["long"], 250.0, estimates) == 0
    assert choose_next_fit({0: waiting[0], 1: waiting[1]}, ["long"], 150.0, estimates) == 0  # fits are kept


def test_a_member_that_is_begun_stays_first_when_another_turns_out_to_be_quick() -> None:
    loads = [FitLoad("a", "neural", 40.0)] * 2 + [FitLoad("b", "neural", 20.0)] * 3
    clock = Clock()
    queue = FitQueue(loads, [], Budget(95.0, clock.now, clock, closing=0.0), known(loads))
    assert queue.take_next() == 2  # with its margin, a would not be whole
    queue.finish(2, 2.0)
    assert queue.take_next() == 3
    assert choose_next_fit(queue.waiting, [], 95.0, queue.estimates) == 0


def test_fits_that_are_out_are_not_handed_out_again_until_they_are_put_back() -> None:
    loads = [FitLoad("a", "neural", 1.0), FitLoad("a", "neural", 1.0), FitLoad("b", "neural", 1.0)]
    queue = FitQueue(loads, [], Budget(), TimeEstimates())
    assert [queue.take_next(), queue.take_next()] == [0, 1]
    queue.put_back(0)
    assert [queue.take_next(), queue.take_next(), queue.take_next()] == [0, 2, None]


def test_the_end_of_the_process_is_inside_the_budget() -> None:
    clock = Clock()
    assert Budget(10.0, clock.now - 4.0, clock, closing=2.0).left == 4.0
    assert Budget(10.0, clock.now, clock).left < 10.0


def test_an_unknown_fit_is_tried_while_time_is_left_and_no_longer() -> None:
    waiting = {0: FitLoad("a", "neural", 1e9)}
    assert TimeEstimates().estimate_seconds(waiting[0]) is None
    assert estimate_time(waiting.values(), TimeEstimates()) is None
    assert choose_next_fit(waiting, [], 0.1, TimeEstimates()) == 0
    assert choose_next_fit(waiting, [], 0.0, TimeEstimates()) is None


@given(st.floats(1.5, 20), st.integers(1, RECENT))
def test_the_margin_learns_how_far_estimates_were_off(factor: float, fits: int) -> None:
    load, estimates = FitLoad("new", "neural", 10.0), known([FitLoad("a", "neural", 10.0)])
    assert estimates.bound_seconds(load) == pytest.approx(10 * (1 + MARGINS["scaled"]))
    for number in range(fits):
        estimates = estimates.learn(replace(load, variant=f"v{number}"), 10.0 * factor)
        factor_of_guess = [error for basis, error in estimates.errors if basis == "scaled"]
        assert factor_of_guess[0] == pytest.approx(factor)
        assert estimates.bound_seconds(load) >= 10.0 * factor
    assert estimates.bound_seconds(load) > estimates.estimate_seconds(load)


def test_margins_shrink_while_estimates_prove_right() -> None:
    load, estimates, margins = FitLoad("a", "neural", 10.0), known([FitLoad("a", "neural", 10.0)]), []
    for _ in range(5):
        estimates = estimates.learn(load, 10.0)
        margins.append(estimates.bound_seconds(load) - 10.0)
    assert margins[1:] == sorted(margins[1:], reverse=True)
    assert margins[-1] < margins[1]


def test_an_old_error_is_forgotten() -> None:
    load, wrong, right = FitLoad("a", "neural", 10.0), ("measured", 5.0), ("measured", 1.0)
    timed = TimeEstimates(measured=(TimedLoad(load, 10.0),))
    assert replace(timed, errors=(right, wrong)).bound_seconds(load) > 50.0
    assert replace(timed, errors=(wrong, *[right] * RECENT)).bound_seconds(load) < 11.0


def test_a_load_is_what_a_fit_reads() -> None:
    texts = [("x" * 40,)] * 10  # 12 tokens each
    table = SimpleNamespace(texts=texts, test=SimpleNamespace(texts=texts[:5]))
    split = SimpleNamespace(train=lambda fold: np.arange(8), valid=lambda fold: np.arange(8, 10))
    training = SimpleNamespace(max_length=256, freeze_layers=None)
    recipe = SimpleNamespace(backbone_sha256="abc")
    job = SimpleNamespace(variant="v", fold=0, is_linear=False, epochs=2, training=training, recipe=recipe)
    short = SimpleNamespace(**{**vars(job), "training": SimpleNamespace(max_length=6, freeze_layers=None)})
    tfidf = SimpleNamespace(**{**vars(job), "epochs": 1, "is_linear": True})
    found = measure_loads([job, short, tfidf], table, split, lambda job: 7.0)
    assert found[0] == FitLoad("v", "neural", train=7.0 * 2 * 3 * 96, valid=7.0 * 2 * 24, test=7.0 * 60)
    assert found[1] == FitLoad("v", "neural", train=7.0 * 2 * 3 * 48, valid=7.0 * 2 * 12, test=7.0 * 30)
    assert found[2] == FitLoad("v", "linear", train=3.0 * 96, valid=24.0, test=60.0)
    [load] = measure_loads([job], table, split)
    assert load == FitLoad("v", "abc, None frozen", train=2 * 3 * 96.0, valid=48.0, test=60.0)


def test_a_slower_machine_is_learned_for_variants_that_ran_on_the_former_one() -> None:
    first, second = FitLoad("a", "neural", 10.0), FitLoad("b", "neural", 10.0)
    estimates = known([first, second]).learn(first, 30.0)
    assert estimates.estimate_seconds(second) == pytest.approx(30.0)
    assert estimates.bound_seconds(second) > 30.0


def test_the_closest_timed_fit_decides() -> None:
    near, far = FitLoad("near", "neural", 10.0), FitLoad("far", "neural", 20.0)
    estimates = TimeEstimates(earlier=(TimedLoad(far, 40.0),))
    assert estimates.estimate_seconds(near) == 20.0  # scaled
    estimates = replace(estimates, earlier=(TimedLoad(far, 40.0), TimedLoad(near, 30.0)))
    assert estimates.estimate_seconds(near) == 30.0  # its own, of an earlier call
    assert replace(estimates, measured=(TimedLoad(near, 50.0),)).estimate_seconds(near) == 50.0  # its own, of this call
    assert estimates.estimate_seconds(FitLoad("tfidf", "linear", 1e5)) == pytest.approx(
        1.0
    )  # another kind: only its prior


def test_a_fits_start_is_not_scaled_and_the_first_ones_counts_for_no_other() -> None:
    load = FitLoad("a", "neural", 10.0)
    estimates = TimeEstimates().learn(load, 40.0, start=30.0)
    assert estimates.estimate_seconds(load) == 10.0
    assert estimates.learn(load, 12.0, start=2.0).estimate_seconds(replace(load, train=20.0)) == 22.0


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9999))
def test_a_duration_is_read_as_written(hours: int, minutes: int, seconds: int) -> None:
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    text = "".join(f"{number}{unit}" for number, unit in parts if number)
    if text:
        assert parse_duration(text, "--budget") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize(
    "text", ["", "8", "8 h", "1.5h", "-1h", "30m1h", "h", "8H", "0h", "8h\n", "٨h", "1h1h", "9" * 9 + "h"]
)
def test_what_is_no_duration_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(PipelineError, match=r"--budget must be a time such as 8h, 90m, 1h30m or 3600s, got '") as error:
        parse_duration(text, "--budget")
    assert str(error.value).endswith(repr(text))


def test_fits_longer_than_the_budget_are_begun_by_all_workers_and_only_once() -> None:
    loads, clock = [FitLoad("a", "neural", 100.0)] * 6, Clock()
    queue = FitQueue(loads, [], Budget(50.0, clock.now, clock, closing=0.0), known(loads), range(6), slots=2)
    assert [queue.take_next(), queue.take_next(), queue.take_next()] == [0, 1, None]
    queue.put_back(0)
    assert queue.take_next() is None


def test_several_at_a_time_are_done_when_the_last_of_them_is() -> None:
    loads = [FitLoad("a", "neural", 30.0), *[FitLoad("b", "neural", 10.0)] * 3]
    assert estimate_time(loads, known(loads)) == 60.0
    assert estimate_time(loads, known(loads), 2) == 30.0
    assert estimate_time(loads, known(loads), 9) == 30.0
    assert estimate_time(loads[1:], known(loads), 2, [15.0, 2.0]) == 25.0
    assert estimate_time([], known(loads), 3, [15.0, 2.0]) == 15.0
    assert forecast_fits(dict(enumerate(loads)), [], 25.0, known(loads), 2) == [1, 2, 3]  # a would not be whole


@given(plans(), st.floats(0, 500), st.integers(1, 5))
def test_a_budget_is_kept_by_several_at_a_time(loads: list[FitLoad], seconds: float, slots: int) -> None:
    clock, ends = Clock(), list[tuple[float, int]]()
    queue = FitQueue(loads, [], Budget(seconds, clock.now, clock, closing=0.0), known(loads), slots=slots)
    while True:
        while len(ends) < slots and (number := queue.take_next()) is not None:
            ends.append((clock.now + loads[number].work, number))
        if not ends:
            break
        clock.now, number = min(ends)
        ends.remove((clock.now, number))
        queue.finish(number, loads[number].work)
    assert clock.now - 100.0 <= seconds
