"""The choice of an engine: what the command line asks for, and the engine that gives it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.engines import Engine, Hear, Wish
from pipeline.engines.cluster import Cluster
from pipeline.engines.connection import connect, nodes_of
from pipeline.engines.here import Here
from pipeline.engines.needs import Needs, default_needs
from pipeline.engines.processes import Processes
from pipeline.shared import Shared


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
    choice: Choice, models: Path, *, shared: Shared, hear: Hear, wish: Wish, clock: Callable[[], float]
) -> Engine:
    """The engine of a choice; `models` is the folder of the run, `clock` gives the time in seconds.

    Raises PipelineError where it cannot be had.
    """
    if choice.engine == "ray":
        address, asked, most = choice.address, choice.needs, choice.workers
        return Cluster(shared, models, hear, wish, clock, address=address, asked=asked, most=most)
    workers = local_workers(choice)
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


def resources(choice: Choice) -> tuple[int, str]:
    """Fits at a time by a choice, and where; a cluster is asked unless the number was given. Raises PipelineError."""
    if choice.engine == "ray":
        return cluster_room(choice)
    from models.device import devices, threads

    workers, found = local_workers(choice), devices()
    gpus = f", on {', '.join(f'GPU {name}' for name in found[:workers])}" if found else ""
    if workers == 1:
        return 1, f"in this process{gpus}"
    return workers, f"in {workers} processes of {max(threads() // workers, 1)} threads{gpus}"


def cluster_room(choice: Choice) -> tuple[int, str]:
    """Fits that a cluster carries at a time, at least one, and what each takes."""
    ray = connect(choice.address)
    try:
        nodes = nodes_of(ray)
    finally:
        ray.shutdown()
    needs = default_needs(choice.needs, nodes)
    held = sum(needs.times_in(node) for node in nodes.values())
    told = f"on {len(nodes)} nodes that hold {held} now, {needs} for each"
    return choice.workers or max(held, 1), told
