"""What there is to do of jobs, how much that is, and whether it can be done at all.

What will be done and how long it will take, and at a budget's end what is left, in sentences.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.display import format_duration
from pipeline.fits.job import Job
from pipeline.fits.timing import FitLoad, Pace, TimeEstimates, measure_loads
from pipeline.scheduling.budget import Agenda, foresee, time_for


def check_jobs(jobs: Sequence[Job], competition: Competition) -> None:
    """Refuse what cannot train before the first fit starts, not after the last. Raises ModelError."""
    from pipeline.fits import run_fit

    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():  # all fits of a variant are alike
        run_fit.check_job(job, competition)


def loads_to_do(
    jobs: Sequence[Job], competition: Competition, split: FoldAssignment
) -> tuple[list[FitLoad], list[tuple[Job, FitLoad]]]:
    """The loads of all jobs as whole fits, and of those that are not done what is left of them."""
    loads = measure_loads(jobs, competition, split, _token_size)
    return loads, [(job, _rest(job, load)) for job, load in zip(jobs, loads, strict=True) if job.state != "done"]


def _rest(job: Job, load: FitLoad) -> FitLoad:
    """What is to be done of a job: of one that is trained the test table, of one that was left the steps after that."""
    if job.state == "predict":
        return replace(load, train=0.0, valid=0.0)
    return replace(load, train=load.train * (1 - job.share_done))


def _token_size(job: Job) -> float:
    """What a token costs in the backbone of a neural job: the matrix products of the layers that are not frozen."""
    from pipeline.fits.caches import open_backbone_of

    backbone = open_backbone_of(job.training)
    layers = backbone.layers - 1 - (job.training.freeze_layers or 0)
    return float(layers * backbone.config.hidden_size**2)


@dataclass(frozen=True)
class Done:
    """How `do_jobs` ended: the jobs that are left, about the seconds of all and of one of them, and sentences on
    those that failed."""

    left: list[Job]
    seconds: float | None
    one: float | None
    failed: list[str]


def time_to_come(agenda: Agenda, place: int, pace: Pace, first: Sequence[FitLoad]) -> list[str]:
    """How long the running fit and all after it will take, by the steps it has done, and how far the budget goes.

    Of those that are out, the `first` are still to begin.
    """
    estimates = agenda.estimates.add_part(pace.part)
    this = pace.start + (estimates.estimate_seconds(agenda.out[place]) or 0.0)
    beside = len(agenda.out) - len(first)  # they began with it
    later = [*first, *agenda.waiting.values()]
    whole = time_for(later, estimates, agenda.at_once, [this] * beside)
    lines = [f"this fit will take about {format_duration(this)}"]
    if (count := len(later) + beside - 1) and whole is not None:
        several = f"all {count + 1}, {agenda.at_once} at a time"
        lines[0] += (
            f"; {several if agenda.at_once > 1 else f'it and the {count} after it'}, about {format_duration(whole)}"
        )
    return lines + _reach(agenda, estimates, [this - (pace.last - pace.began)] * beside)


def reach(agenda: Agenda, running: list[float]) -> list[str]:
    """How far the budget goes, where there is one; those `running` still need so many seconds."""
    return _reach(agenda, agenda.estimates, running)


def _reach(agenda: Agenda, estimates: TimeEstimates, running: list[float]) -> list[str]:
    budget, left = agenda.budget, agenda.budget.left - max(running, default=0.0)
    if budget.seconds == math.inf:
        return []
    name = f"the budget of {format_duration(budget.seconds)}"
    if left < 0 and not running:
        return [f"{name} is used up"]
    if left < 0:
        short = f"about {format_duration(-left)} too early for this fit"
        return [f"{name} ends {short}: it goes on until then, and is saved"]
    done = set(foresee(agenda.waiting, agenda.begun, agenda.budget.left, estimates, agenda.at_once, running))
    if len(done) == len(agenda.waiting):
        return [f"{name} is enough for all of it"]
    unfinished = {load.variant for place, load in agenda.waiting.items() if place not in done}
    whole = [name for name in _variants([*agenda.out.values(), *agenda.waiting.values()]) if name not in unfinished]
    if not whole:
        kept = "what ends in time is kept, and the same command goes on from there"
        return [f"{name} is too short for one whole member: {_shortest(agenda, estimates, running)}; {kept}"]
    return [f"{name} is enough for {len(done)} of the {len(agenda.waiting)} fits to come; whole: {', '.join(whole)}"]


def _shortest(agenda: Agenda, estimates: TimeEstimates, running: list[float]) -> str:
    """The member that would be whole first, and what it still needs."""
    needs: dict[str, float] = {load.variant: max(running, default=0.0) for load in agenda.out.values()}
    for variant in _variants(agenda.waiting.values()):
        own = [load for load in agenda.waiting.values() if load.variant == variant]
        needs[variant] = needs.get(variant, 0.0) + (time_for(own, estimates, agenda.at_once) or 0.0)
    variant = min(needs, key=lambda name: needs[name])
    return f"{variant} needs about {format_duration(needs[variant])} more, and {format_duration(agenda.budget.left)} are left"


def _variants(loads: Iterable[FitLoad]) -> list[str]:
    return list(dict.fromkeys(load.variant for load in loads))


def stopped(jobs: Sequence[Job], done: Done, why: str, again: str, blend: str, *, asked: bool) -> list[str]:
    """What is done of the jobs and what is left when a call stops early, and the commands that go on.

    It was `asked` to stop, or its time is over.
    """
    left, seconds = done.left, done.seconds
    missing = [job.variant for job in left]
    whole = [variant for variant in dict.fromkeys(job.variant for job in jobs) if variant not in missing]
    ended, about = len(jobs) - len(left), "" if seconds is None else f", about {format_duration(seconds)}"
    begun = [f"{job.title} at {share:.0%}" for job in left if (share := job.share_done)]
    lines = [
        f"stopped {why}: {ended} of {len(jobs)} fits are done; "
        + (f"whole: {', '.join(whole)}" if whole else "no member is whole yet"),
        f"left: {', '.join(f'{missing.count(name)} of {name}' for name in dict.fromkeys(missing))}{about}"
        + (f"; saved: {', '.join(begun)}" if begun else ""),
        f"go on: {again}",
    ]
    if not asked and not begun and len(left) == sum(job.state != "done" for job in jobs):
        one = "" if done.one is None else f", one takes about {format_duration(done.one)}"
        lines[-1] = f"no fit was finished in that time{one}: the same command needs more of it: {again}"
    return [*lines, f"or blend what is whole: {blend}"] if whole else lines
