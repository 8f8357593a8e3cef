"""The choice of an engine: what the command line asks for, and the engine that gives it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.engines import Engine, Hear, Wish
from pipeline.engines.cluster import Cluster
from pipeline.engines.here import Here
from pipeline.engines.needs import Needs
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
