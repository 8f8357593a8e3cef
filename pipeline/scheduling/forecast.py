"""The work that jobs still need and the time that it takes, in sentences before, during and after a run."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import FoldAssignment
from pipeline.display import format_duration, print_warnings
from pipeline.fits.caches import open_backbone_of
from pipeline.fits.job import Job
from pipeline.fits.run_fit import check_job
from pipeline.fits.timing import FitLoad, Pace, TimeEstimates, measure_loads
from pipeline.scheduling.budget import FitQueue, estimate_time, forecast_fits

SLOW = 1.5  # times as long as another precision


@dataclass(frozen=True)
class SchedulerResult:
    """How a call ended: the jobs that are left, and a sentence for each fit that failed.

    `seconds` is the estimate for all jobs that are left, `seconds_per_fit` for one of them; None where unknown.
    """

    left: list[Job]
    seconds: float | None
    seconds_per_fit: float | None
    failures: list[str]


def check_jobs(jobs: Sequence[Job], competition: Competition) -> None:
    """Raise ModelError for what cannot train, and warn of what is slow, before the first fit starts."""
    for precision in sorted({job.training.precision for job in jobs if not job.is_linear} & {"bf16", "fp16"}):
        _warn_of_slow_precision(precision)
    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():  # all fits of a variant are alike
        check_job(job, competition)


def _warn_of_slow_precision(precision: str) -> None:
    from models.device import choose_device, measure_slowdown

    if choose_device().type == "cpu" and (slowdown := measure_slowdown(precision)) > SLOW:
        print_warnings(
            [
                f"precision {precision} is slow on this CPU, which has no units for it: a product of matrices "
                f"takes {slowdown:.0f} times as long as in fp32, which precision auto takes here"
            ]
        )


def list_remaining_loads(
    jobs: Sequence[Job], competition: Competition, split: FoldAssignment
) -> tuple[list[FitLoad], list[tuple[Job, FitLoad]]]:
    """Return the loads of all jobs as whole fits, and the jobs that are not done with what is left of their loads."""
    loads = measure_loads(jobs, competition, split, _measure_token)
    unfinished = [(job, load) for job, load in zip(jobs, loads, strict=True) if job.state != "done"]
    return loads, [(job, _reduce_load(job, load)) for job, load in unfinished]


def describe_time_left(queue: FitQueue, number: int, pace: Pace, not_started: Sequence[FitLoad]) -> list[str]:
    """Say how long a running fit and all after it will take, by the steps it has done, and how far the budget goes.

    `not_started` are the loads of the active fits that have not started.
    """
    estimates = queue.estimates.add_part(pace.part)
    fit_seconds = pace.start + (estimates.estimate_seconds(queue.active[number]) or 0.0)
    running = len(queue.active) - len(not_started)  # they started with this one
    later = [*not_started, *queue.waiting.values()]
    others = len(later) + running - 1
    all_seconds = estimate_time(later, estimates, queue.slots, [fit_seconds] * running)
    sentence = f"this fit will take about {format_duration(fit_seconds)}"
    if others and all_seconds is not None:
        fits = f"all {others + 1}, {queue.slots} at a time" if queue.slots > 1 else f"it and the {others} after it"
        sentence += f"; {fits}, about {format_duration(all_seconds)}"
    fit_seconds_left = fit_seconds - (pace.last - pace.began)
    return [sentence, *describe_budget(queue, [fit_seconds_left] * running, estimates)]


def describe_budget(queue: FitQueue, running: list[float], estimates: TimeEstimates | None = None) -> list[str]:
    """Say how far the budget goes, where there is one; the running fits need `running` more seconds."""
    if queue.budget.seconds == math.inf:
        return []
    estimates = estimates or queue.estimates
    budget = f"the budget of {format_duration(queue.budget.seconds)}"
    left = queue.budget.left - max(running, default=0.0)
    if left < 0 and not running:
        return [f"{budget} is used up"]
    if left < 0:
        early = f"about {format_duration(-left)} too early for this fit"
        return [f"{budget} ends {early}: it runs until then and is saved"]
    in_time = set(forecast_fits(queue.waiting, queue.started, queue.budget.left, estimates, queue.slots, running))
    if len(in_time) == len(queue.waiting):
        return [f"{budget} is enough for all fits"]
    late = {load.variant for number, load in queue.waiting.items() if number not in in_time}
    whole = [name for name in _list_variants([*queue.active.values(), *queue.waiting.values()]) if name not in late]
    if not whole:
        shortest = _describe_shortest_member(queue, estimates, running)
        kept = "fits that end in time are kept, and the same command resumes"
        return [f"{budget} is too short for one whole member: {shortest}; {kept}"]
    enough = f"{budget} is enough for {len(in_time)} of the {len(queue.waiting)} fits to come"
    return [f"{enough}; whole members: {', '.join(whole)}"]


def describe_stop(
    jobs: Sequence[Job], result: SchedulerResult, reason: str, command: str, blend: str, *, requested: bool
) -> list[str]:
    """Say what is done and what is left when a call stops early, and the commands that resume it and that blend.

    `requested`: a signal stopped it; else its time is over.
    """
    names = [job.variant for job in result.left]
    counts = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
    about = "" if result.seconds is None else f", about {format_duration(result.seconds)}"
    saved = [f"{job.title} at {share:.0%}" for job in result.left if (share := job.share_done)]
    whole = [name for name in dict.fromkeys(job.variant for job in jobs) if name not in names]
    members = f"whole members: {', '.join(whole)}" if whole else "no member is whole yet"
    lines = [
        f"stopped {reason}: {len(jobs) - len(names)} of {len(jobs)} fits are done; {members}",
        f"fits left: {counts}{about}" + (f"; saved: {', '.join(saved)}" if saved else ""),
    ]
    no_progress = not saved and len(names) == sum(job.state != "done" for job in jobs)
    if no_progress and not requested:
        seconds = result.seconds_per_fit
        one_fit = "" if seconds is None else f", one takes about {format_duration(seconds)}"
        lines.append(f"no fit was finished in that time{one_fit}: the same command needs more of it: {command}")
    else:
        lines.append(f"resume: {command}")
    if whole:
        lines.append(f"or blend the whole members: {blend}")
    return lines


def _reduce_load(job: Job, load: FitLoad) -> FitLoad:
    """Return what is left of a load: of a trained fit the test table, of a saved one the steps after its checkpoint."""
    if job.state == "predict":
        return replace(load, train=0.0, valid=0.0)
    return replace(load, train=load.train * (1 - job.share_done))


def _measure_token(job: Job) -> float:
    """Return the cost of a token in a neural job's backbone: the matrix products of the layers that are not frozen."""
    backbone = open_backbone_of(job.training)
    layers = backbone.layers - 1 - (job.training.freeze_layers or 0)
    return float(layers * backbone.config.hidden_size**2)


def _describe_shortest_member(queue: FitQueue, estimates: TimeEstimates, running: list[float]) -> str:
    """Say which member would be whole first, and how much time it still needs."""
    needed: dict[str, float] = {load.variant: max(running, default=0.0) for load in queue.active.values()}
    for variant in _list_variants(queue.waiting.values()):
        loads = [load for load in queue.waiting.values() if load.variant == variant]
        needed[variant] = needed.get(variant, 0.0) + (estimate_time(loads, estimates, queue.slots) or 0.0)
    variant = min(needed, key=lambda name: needed[name])
    left = format_duration(queue.budget.left)
    return f"{variant} needs about {format_duration(needed[variant])} more, and {left} are left"


def _list_variants(loads: Iterable[FitLoad]) -> list[str]:
    return list(dict.fromkeys(load.variant for load in loads))
