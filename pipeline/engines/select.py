"""Selection of the engine that the command line asks for, and how many fits it runs at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.display import format_count, print_warnings
from pipeline.engines.in_process import InProcessEngine
from pipeline.engines.multiprocess import MultiprocessEngine, name_gpu
from pipeline.engines.protocol import Engine, OnEvent, ShouldStop
from pipeline.engines.ray_cluster import Resources, complete_resources, connect, list_nodes
from pipeline.engines.ray_engine import RayEngine
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job

LINEAR_FITS, NEURAL_FITS = "pipeline.fits.run_fit", "pipeline.fits.neural_fit"  # that worker processes import
CLOSING_SECONDS = {"local": 3.0, "ray": 6.0}  # that an engine needs to end


@dataclass(frozen=True)
class EngineOptions:
    """`workers` is the number of fits at a time; None is one for each GPU, or all that a cluster holds.

    `address` is that of a Ray cluster, `resources` what a fit takes of a node there, as far as the user says.
    """

    engine: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    resources: Resources = Resources()  # noqa: RUF009 - frozen


def make_engine(
    options: EngineOptions,
    models: Path,
    *,
    inputs: FitInputs,
    jobs: Sequence[Job],
    on_event: OnEvent,
    should_stop: ShouldStop,
    clock: Callable[[], float],
) -> Engine:
    """Return the engine of the options for some jobs; `models` is the run's folder, `clock` gives seconds.

    Raises PipelineError where it cannot be made.
    """
    if options.engine == "ray":
        return RayEngine(
            inputs,
            models,
            on_event,
            should_stop,
            clock,
            address=options.address,
            requested=options.resources,
            workers=options.workers,
        )
    devices = list_devices_for(jobs)
    workers = count_local_workers(options, devices, len(jobs))
    if runs_in_this_process(options, devices, workers):
        return InProcessEngine(inputs, models, on_event, should_stop, clock)
    from models.device import count_threads

    available = devices or [""]
    return MultiprocessEngine(
        inputs,
        models,
        on_event,
        should_stop,
        devices=[available[number % len(available)] for number in range(workers)],
        threads=max(count_threads() // workers, 1),
        preload=[LINEAR_FITS] if is_linear(jobs) else [LINEAR_FITS, NEURAL_FITS],
    )


def is_linear(jobs: Sequence[Job]) -> bool:
    """Return True if no job has a network: then torch is not imported, which takes seconds and 500 MB."""
    return all(job.is_linear for job in jobs)


def list_devices_for(jobs: Sequence[Job]) -> list[str]:
    """Return the GPUs that jobs may use, by their names in CUDA_VISIBLE_DEVICES; linear ones use none."""
    if is_linear(jobs):
        return []
    from models.device import list_devices

    return list_devices()


def count_local_workers(options: EngineOptions, devices: Sequence[str], fits: int) -> int:
    """Return how many of a number of fits run at a time on this machine."""
    return min(options.workers or max(len(devices), 1), fits)


def runs_in_this_process(options: EngineOptions, devices: Sequence[str], workers: int) -> bool:
    """Return True if the fits run in this process: one at a time on the CPU, or on a GPU where --workers 1 says so.

    Otherwise a GPU has a process of its own, which is replaced when it loses it: after some errors of CUDA every later
    call of a process fails.
    """
    return workers == 1 and (options.workers == 1 or not devices)


def describe_resources(options: EngineOptions, jobs: Sequence[Job]) -> tuple[int, str]:
    """Return how many of some jobs run at a time, and where. Raises PipelineError."""
    if options.engine == "ray":
        return _describe_cluster(options, len(jobs))
    devices = list_devices_for(jobs)
    workers = count_local_workers(options, devices, len(jobs))
    used = devices[:workers]
    gpus = f", on {', '.join(name_gpu(device) for device in used)}" if used else ""
    if runs_in_this_process(options, devices, workers):
        return 1, f"in this process{gpus}"
    from models.device import count_threads

    processes = "one process" if workers == 1 else f"{workers} processes"
    return workers, f"in {processes} of {format_count(max(count_threads() // workers, 1), 'thread')}{gpus}"


def _describe_cluster(options: EngineOptions, fits: int) -> tuple[int, str]:
    """Return the number of fits that a cluster runs at a time, at least one, and what each takes."""
    ray = connect(options.address)
    try:
        nodes = list_nodes(ray)
    finally:
        ray.shutdown()
    resources = complete_resources(options.resources, nodes)
    room = sum(resources.count_fits(node) for node in nodes.values())
    if not room:
        print_warnings([f"no node has the resources of a fit, {resources}: fits would wait until one joins that does"])
    where = f"on {format_count(len(nodes), 'node')} with room for {room} now, {resources} for each"
    return min(options.workers or room or 1, room or 1, fits), where
