"""A time budget, and the queue that hands out the fits that are worth most within it.

Only whole members count at the end. So members that will be whole in time come first, and among them those of which a
fit was started before. Without a budget the order is the plan's.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace

from pipeline.errors import PipelineError
from pipeline.fits.timing import FitLoad, TimeEstimates

DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?")


def parse_duration(text: str, option: str) -> float:
    """Return the seconds of 8h, 90m, 1h30m or 3600s. Raises PipelineError for anything else, also for no text."""
    match = DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise PipelineError(f"{option} must be a time such as 8h, 90m, 1h30m or 3600s, got {text!r}")
    return float(total)


@dataclass(frozen=True)
class Budget:
    """The seconds that a call may take from `started` on, by `clock`; infinite where no budget was given.

    `closing` seconds are kept for the end of the process: libraries need a while to release memory and devices.
    """

    seconds: float = math.inf
    started: float = 0.0
    clock: Callable[[], float] = time.monotonic
    closing: float = 3.0

    @property
    def left(self) -> float:
        """Seconds until fits must have ended; below 0 after that."""
        return self.started + self.seconds - self.closing - self.clock()


class FitQueue:
    """Hands out fits by number, each once, and records how each ended; about `slots` of them are active at a time.

    `waiting` and `active` hold loads by number. A fit of each of the `started` variants was started before. The
    `resumable` fits can be saved and stopped in the middle.
    """

    def __init__(
        self,
        loads: Sequence[FitLoad],
        started: Collection[str],
        budget: Budget,
        estimates: TimeEstimates,
        resumable: Collection[int] = (),
        slots: int = 1,
    ) -> None:
        self.waiting = dict(enumerate(loads))
        self.active: dict[int, FitLoad] = {}
        self.started = set(started)
        self.budget = budget
        self.estimates = estimates
        self.slots = slots
        self._resumable = set(resumable)

    def take_next(self) -> int | None:
        """Return the number of the fit to start now; None where no waiting fit ends within the budget.

        If not even the first fits do, they are `resumable` ones: a run whose fits are longer than its budget still
        makes progress with every call.
        """
        number = choose_next_fit(self.waiting, self.started, self.budget.left, self.estimates, self.slots)
        if number is None and self.budget.left > 0:
            number = min(self._resumable & set(self.waiting), default=None)
        if number is not None:
            self.active[number] = self.waiting.pop(number)
            self.started.add(self.active[number].variant)
        if number is None or len(self.active) >= self.slots:
            self._resumable.clear()
        return number

    def finish(self, number: int, seconds: float, start: float = 0.0) -> None:
        """Record a finished fit, and learn from its seconds unless it only predicted the test table."""
        load = self.active.pop(number)
        if load.train:
            self.estimates = self.estimates.learn(load, seconds, start)

    def drop(self, number: int) -> None:
        """Record a failed fit: it is not tried again."""
        del self.active[number]

    def put_back(self, number: int) -> None:
        """Let an active fit that did not finish wait again, at its former position."""
        self.waiting = dict(sorted({**self.waiting, number: self.active.pop(number)}.items()))

    def estimate_seconds_left(
        self, not_started: Collection[FitLoad] = (), running: Collection[float] = ()
    ) -> float | None:
        """Return the seconds until all fits are done; None while the seconds of a fit are unknown.

        Of the active fits, `not_started` are the loads of those that have not started; the others need `running` more
        seconds.
        """
        return estimate_time([*not_started, *self.waiting.values()], self.estimates, self.slots, running)


def choose_next_fit(
    waiting: Mapping[int, FitLoad], started: Collection[str], left: float, estimates: TimeEstimates, slots: int = 1
) -> int | None:
    """Return the number of the fit to start next, or None where none ends within the `left` seconds.

    Fits of members that will be whole in time come first, with `slots` fits at a time; among them those of `started`
    variants, then the order of the plan.
    """
    if left == math.inf:
        return next(iter(waiting), None)
    seconds = {number: estimates.bound_seconds(load) for number, load in waiting.items()}
    seconds_by_variant: dict[str, list[float]] = {}
    for number, load in waiting.items():
        seconds_by_variant.setdefault(load.variant, []).append(seconds[number])
    is_late = {variant: compute_makespan(fits, slots) > left for variant, fits in seconds_by_variant.items()}

    def rank(number: int) -> tuple[bool, bool]:
        variant = waiting[number].variant
        return is_late[variant], variant not in started

    startable = [number for number in waiting if left > 0 and seconds[number] <= left]
    return min(startable, key=rank, default=None)


def forecast_fits(
    waiting: Mapping[int, FitLoad],
    started: Collection[str],
    left: float,
    estimates: TimeEstimates,
    slots: int = 1,
    running: Collection[float] = (),
) -> list[int]:
    """Return the fits that will be done in the `left` seconds, in their order, if the estimates are right."""
    remaining = dict(waiting)
    variants = set(started)
    order: list[int] = []
    free = _list_free_times(slots, running)
    while (number := choose_next_fit(remaining, variants, left - free[0], estimates, slots)) is not None:
        load = remaining.pop(number)
        order.append(number)
        variants.add(load.variant)
        heapreplace(free, free[0] + (estimates.estimate_seconds(load) or 0.0))
    return order


def estimate_time(
    loads: Iterable[FitLoad], estimates: TimeEstimates, slots: int = 1, running: Collection[float] = ()
) -> float | None:
    """Return the seconds until loads are done in their order, `slots` at a time; None where one has no estimate.

    Fits that run already need `running` more seconds.
    """
    seconds = []
    for load in loads:
        estimate = estimates.estimate_seconds(load)
        if estimate is None:
            return None
        seconds.append(estimate)
    return compute_makespan(seconds, slots, running)


def compute_makespan(seconds: Iterable[float], slots: int, running: Collection[float] = ()) -> float:
    """Return the seconds until all fits are done, started in their order, `slots` at a time.

    `seconds` are those of each fit; fits that run already need `running` more seconds.
    """
    free = _list_free_times(slots, running)
    for needed in seconds:
        heapreplace(free, free[0] + needed)
    return max(free)


def _list_free_times(slots: int, running: Collection[float]) -> list[float]:
    """Return the seconds after which each slot is free, as a heap; at least one slot."""
    idle = max(slots - len(running), 0 if running else 1)
    return sorted([*running, *[0.0] * idle])
