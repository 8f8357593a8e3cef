"""The choice of an engine: what the command line asks for, and the engine that gives it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.display import format_count, print_warnings
from pipeline.engines import Engine, Hear, Wish
from pipeline.engines.in_process import Here
from pipeline.engines.multiprocess import Processes, gpu
from pipeline.engines.ray_cluster import Needs, connect, default_needs, nodes_of
from pipeline.engines.ray_engine import Cluster
from pipeline.fits.inputs import FitInputs

CLOSING = {"local": 3.0, "ray": 6.0}  # seconds that an engine takes for its own end


@dataclass(frozen=True)
class Choice:
    """`workers` is how many fits to do at a time; None is one for each GPU, or all that a cluster holds.

    `address` is that of a Ray cluster, `needs` what a fit takes of a node there, as far as somebody said.
    """

    engine: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    needs: Needs = Needs()  # noqa: RUF009 - frozen


def make_engine(
    choice: Choice, models: Path, *, shared: FitInputs, fits: int, hear: Hear, wish: Wish, clock: Callable[[], float]
) -> Engine:
    """The engine of a choice for so many fits; `models` is the run's folder, `clock` gives the time in seconds.

    Raises PipelineError where it cannot be had.
    """
    if choice.engine == "ray":
        address, asked, most = choice.address, choice.needs, choice.workers
        return Cluster(shared, models, hear, wish, clock, address=address, asked=asked, most=most)
    workers = min(local_workers(choice), fits)
    if workers == 1:
        return Here(shared, models, hear, wish, clock)
    from models.device import devices, threads

    found = devices() or [""]
    seen = [found[number % len(found)] for number in range(workers)]
    return Processes(shared, models, hear, wish, seen, max(threads() // workers, 1))


def local_workers(choice: Choice) -> int:
    """Fits at a time on this machine."""
    from models.device import devices

    return choice.workers or max(len(devices()), 1)


def resources(choice: Choice, fits: int) -> tuple[int, str]:
    """How many of so many fits are done at a time by a choice, and where. Raises PipelineError."""
    if choice.engine == "ray":
        return cluster_room(choice, fits)
    from models.device import devices, threads

    workers, found = min(local_workers(choice), fits), devices()
    gpus = f", on {', '.join(gpu(name) for name in found[:workers])}" if found else ""
    if workers == 1:
        return 1, f"in this process{gpus}"
    return workers, f"in {workers} processes of {format_count(max(threads() // workers, 1), 'thread')}{gpus}"


def cluster_room(choice: Choice, fits: int) -> tuple[int, str]:
    """Fits that a cluster carries at a time, at least one, and what each takes."""
    ray = connect(choice.address)
    try:
        nodes = nodes_of(ray)
    finally:
        ray.shutdown()
    needs = default_needs(choice.needs, nodes)
    held = sum(needs.times_in(node) for node in nodes.values())
    if not held:
        print_warnings([f"no node has what a fit is to have, {needs}: fits would wait until one joins that does"])
    told = f"on {format_count(len(nodes), 'node')} with room for {held} now, {needs} for each"
    return min(choice.workers or held or 1, held or 1, fits), told
