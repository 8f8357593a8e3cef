"""A time budget, and the agenda that hands out the fits that are worth most within it.

What counts at the end is whole members, so a member that will not be whole in time lets others pass, and among those
that will, one that is begun comes first. Without a budget the order is the plan's.
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
    """Seconds of 8h, 90m, 1h30m or 3600s. Raises PipelineError for anything else, and for nothing at all."""
    match = DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise PipelineError(f"{option} must be a time such as 8h, 90m, 1h30m or 3600s, got {text!r}")
    return float(total)


@dataclass(frozen=True)
class Budget:
    """The seconds that a call may take from `started` on, by `clock`; no end where none was asked for.

    `closing` seconds are kept for the end of the process: libraries take a while to let go of memory and devices.
    """

    seconds: float = math.inf
    started: float = 0.0
    clock: Callable[[], float] = time.monotonic
    closing: float = 3.0

    @property
    def left(self) -> float:
        """Seconds until fits must have ended; below 0 after that."""
        return self.started + self.seconds - self.closing - self.clock()


def next_fit(
    waiting: Mapping[int, FitLoad], begun: Collection[str], left: float, estimates: TimeEstimates, at_once: int = 1
) -> int | None:
    """The number of the fit to start next, or None where none fits into the seconds that are left.

    Fits of members that will be whole in time come first, `at_once` being done at a time, among them those in `begun`,
    then the plan's order.
    """
    if left == math.inf:
        return next(iter(waiting), None)
    needs = {number: estimates.bound_seconds(load) for number, load in waiting.items()}
    members: dict[str, list[float]] = {}
    for number, load in waiting.items():
        members.setdefault(load.variant, []).append(needs[number])
    late = {variant: time_together(own, at_once) > left for variant, own in members.items()}

    def rank(number: int) -> tuple[bool, bool]:
        variant = waiting[number].variant
        return late[variant], variant not in begun

    return min((number for number in waiting if left > 0 and needs[number] <= left), key=rank, default=None)


def time_together(needs: Iterable[float], at_once: int, running: Collection[float] = ()) -> float:
    """Seconds until all is done that takes so long, in its order, `at_once` at a time, beside what is running."""
    free = _places(at_once, running)
    for need in needs:
        heapreplace(free, free[0] + need)
    return max(free)


class Agenda:
    """Hands out fits by number, each once, and is told how each ended; about `at_once` are out at a time."""

    def __init__(
        self,
        loads: Sequence[FitLoad],
        begun: Collection[str],
        budget: Budget,
        estimates: TimeEstimates,
        leavable: Collection[int] = (),
        at_once: int = 1,
    ) -> None:
        self.waiting, self.out = dict(enumerate(loads)), dict[int, FitLoad]()
        self.begun, self.budget, self.estimates = set(begun), budget, estimates
        self._leavable, self.at_once = set(leavable), at_once

    def next(self) -> int | None:
        """The number of the fit to start now; None where none is left that fits into the budget.

        If not even the first ones fit, they are `leavable` ones, that can be saved in the middle: a run whose fits are
        longer than its budget comes to an end all the same.
        """
        number = next_fit(self.waiting, self.begun, self.budget.left, self.estimates, self.at_once)
        if number is None and self.budget.left > 0:
            number = min(self._leavable & set(self.waiting), default=None)
        if number is not None:
            self.out[number] = self.waiting.pop(number)
            self.begun.add(self.out[number].variant)
        if number is None or len(self.out) >= self.at_once:
            self._leavable.clear()
        return number

    def done(self, number: int, seconds: float, start: float = 0.0) -> None:
        """A fit that was handed out is finished; what it took is learned, unless it only predicted."""
        load = self.out.pop(number)
        if load.train:
            self.estimates = self.estimates.learn(load, seconds, start)

    def drop(self, number: int) -> None:
        """A fit that was handed out failed: it is not tried again."""
        del self.out[number]

    def put_back(self, number: int) -> None:
        """A fit that was handed out is not done: it waits again, in its place."""
        self.waiting = dict(sorted({**self.waiting, number: self.out.pop(number)}.items()))

    def seconds_left(self, first: Collection[FitLoad] = (), running: Collection[float] = ()) -> float | None:
        """Seconds until all is done; None while those of one are unknown.

        Of those that are out, the `first` are still to begin, and the others need the seconds in `running`.
        """
        return time_for([*first, *self.waiting.values()], self.estimates, self.at_once, running)


def time_for(
    loads: Iterable[FitLoad], estimates: TimeEstimates, at_once: int = 1, running: Collection[float] = ()
) -> float | None:
    """Seconds until loads are done in their order, `at_once` at a time; None where the seconds of one are unknown.

    Those that are `running` need so many seconds more.
    """
    needs = [estimates.estimate_seconds(load) for load in loads]
    known = [need for need in needs if need is not None]
    return time_together(known, at_once, running) if len(known) == len(needs) else None


def foresee(
    waiting: Mapping[int, FitLoad],
    begun: Collection[str],
    left: float,
    estimates: TimeEstimates,
    at_once: int = 1,
    running: Collection[float] = (),
) -> list[int]:
    """The fits that will be done in the seconds that are left, in their order, if the estimates are right."""
    rest, members, order, free = dict(waiting), set(begun), list[int](), _places(at_once, running)
    while (number := next_fit(rest, members, left - free[0], estimates, at_once)) is not None:
        load = rest.pop(number)
        order.append(number)
        members.add(load.variant)
        heapreplace(free, free[0] + (estimates.estimate_seconds(load) or 0.0))
    return order


def _places(at_once: int, running: Collection[float]) -> list[float]:
    """A heap of the seconds after which each of the places is free."""
    return sorted([*running, *[0.0] * max(at_once - len(running), 0 if running else 1)])
