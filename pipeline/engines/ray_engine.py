"""The engine of a Ray cluster: each fit is one task, on whichever node has room for it.

The driver alone touches the run directory, so the nodes share no disk with it: they need the libraries, Ray brings the
code. A fit tells how it goes to a desk, an actor on the driver's node, and hears there that it is to leave. What is
large stays in the object store of the node that made it until the driver fetches it.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.checkpoint import Checkpoint
from pipeline.display import print_warnings
from pipeline.engines import Hear, Wish
from pipeline.engines.in_process import Here
from pipeline.engines.ray_cluster import Needs, connect, default_needs, first_line, names_of, nodes_of
from pipeline.errors import PipelineError
from pipeline.fits.events import (
    REPORT_SECONDS,
    CheckpointSaved,
    Event,
    FitFailed,
    FitFinished,
    FitInterrupted,
    FitLost,
    FitRequest,
    FitResult,
    FitStarted,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.outputs import describe_failure, load_checkpoint, save_checkpoint, save_result

LOOK_SECONDS = 5.0  # between looks at the nodes: which there are, and what they have
TELLS = 200  # a second that all fits together send to the desk; it takes some six times as many
DEATHS = {
    "NodeDiedError": "its node died",
    "WorkerCrashedError": "its process died",
    "OutOfMemoryError": "memory ran out on its node: give a fit more by --memory",
}
AHEAD = 2  # fits handed out for each that runs: nodes never wait for the driver, and an autoscaler sees what waits


class Desk:
    """Takes what fits tell until the driver collects it, and answers each whether it is to leave.

    A list holds the reference to a checkpoint: only the newest of a fit is kept, or they would fill the object store
    where the driver is slower than the fits.
    """

    def __init__(self) -> None:
        self._told: list[tuple[int, Any]] = []
        self._leaving: set[int] = set()

    def tell(self, turn: int, event: Any) -> bool:
        """Something happened to the fit of that turn, or for None it only asks."""
        if isinstance(event, list):
            self._told = [(by, one) for by, one in self._told if by != turn or not isinstance(one, list)]
        if event is not None:
            self._told.append((turn, event))
        return turn in self._leaving

    def collect(self, leaving: set[int]) -> list[tuple[int, Any]]:
        """What was told since the last time; from now on the fits of these turns are to leave."""
        self._leaving = leaving
        told_since, self._told = self._told, []
        return told_since


@dataclass
class Task:
    """A fit that is handed out: its place, its order, its result to come, and its node once it has begun."""

    place: int
    order: FitRequest
    result: Any
    node: str | None = None


class Cluster:
    """An engine on the Ray cluster at `address`, or for None on this machine alone.

    `asked` is what a fit takes of a node, as far as somebody said; `most` is how many may run at a time. Raises
    PipelineError where Ray is missing, the cluster does not answer, or this machine cannot carry a fit.
    """

    def __init__(
        self,
        shared: FitInputs,
        models: Path,
        hear: Hear,
        wish: Wish,
        clock: Callable[[], float],
        *,
        address: str | None,
        asked: Needs,
        most: int | None,
    ) -> None:
        from pipeline.engines.ray_transfer import ObjectStore

        self._ray = connect(address)
        self._shared, self._hear, self._wish, self._most = shared, hear, wish, most
        self._here = Here(shared, models, hear, wish, clock)
        self._tasks: dict[int, Task] = {}
        self._store = ObjectStore(self._ray.put, shared, self._here.caches)
        self._turn, self._looked = 0, 0.0
        nodes = self._look()
        self.needs = default_needs(asked, nodes)
        self._check_room(nodes, address)
        node = self._ray.get_runtime_context().get_node_id()
        beside = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        # Where memory runs out Ray may end the desk first. A new one lacks only what was told in the last second.
        always = {"max_restarts": -1, "max_task_retries": -1}
        self._desk = self._ray.remote(Desk).options(num_cpus=0, scheduling_strategy=beside, **always).remote()
        # A retry by Ray would know no newer checkpoint. A process that has used one GPU cannot change to another.
        self._remote = self._ray.remote(max_retries=0, max_calls=1 if self.needs.gpus else 0)(_task)

    @property
    def at_once(self) -> int:
        """What the nodes hold now."""
        return max(min(self._capacity, self._most or self._capacity), 1)

    @property
    def room(self) -> int:
        """As many fits wait as run, unless somebody said how many may run."""
        return (self._most or AHEAD * self.at_once) - len(self._tasks)

    def nodes(self) -> dict[str, str]:
        """The nodes that are alive, and what they have."""
        return {self._names[node]: str(has) for node, has in self._nodes.items()}

    @property
    def _capacity(self) -> int:
        return sum(self.needs.times_in(node) for node in self._nodes.values())

    def start(self, place: int, order: FitRequest) -> None:
        """Hand out a fit; a finished one that has only the test table to predict is done here, where its weights are.

        Each time is a turn of its own, so that nobody hears what a lost one may still tell.
        """
        if order.job.state == "predict":
            self._here.start(place, order)
            self._here.wait()
            return
        try:
            reads = self._store.given(order.job)
        except Exception as error:  # noqa: BLE001 - a text without a token, say: the other fits go on
            self._hear(place, describe_failure(error))
            return
        self._turn += 1
        bare = replace(order, job=replace(order.job, marker=None))
        needs = self.needs if not order.job.is_linear else replace(self.needs, gpus=0.0)
        options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory or None}
        start = load_checkpoint(order.job)
        every = max(REPORT_SECONDS, self.at_once / TELLS)
        given = (bare, start and self._ray.put(start), *reads, self._desk, self._turn, every)
        result = self._remote.options(**options, name=order.job.title).remote(*given)
        self._tasks[self._turn] = Task(place, order, result)

    def wait(self) -> None:
        """Wait for an end, a second at most, bring it home, and pass on all that was told."""
        turns = {task.result: turn for turn, task in self._tasks.items()}
        if turns:
            self._ray.wait(list(turns), timeout=1.0, fetch_local=False)
            ended, _ = self._ray.wait(list(turns), num_returns=len(turns), timeout=0, fetch_local=False)
            self._collect()
            for result in ended:
                if (task := self._tasks.pop(turns[result], None)) is not None:
                    self._hear(task.place, self._end(task))
        if time.monotonic() > self._looked + LOOK_SECONDS:
            self._look()

    def close(self) -> None:
        """Leave the cluster, which ends the fits that run there; one on this machine alone is stopped."""
        self._ray.shutdown()

    def _collect(self) -> None:
        leaving = {turn for turn, task in self._tasks.items() if self._wish(task.place)}
        for turn, event in self._ray.get(self._desk.collect.remote(leaving)):
            if (task := self._tasks.get(turn)) is None:
                continue
            if isinstance(event, list):
                with suppress(self._ray.exceptions.RayError):  # lost with its node: there is an older one
                    if save_checkpoint(task.order.job, self._ray.get(event[0])):
                        self._hear(task.place, CheckpointSaved())
            elif isinstance(event, FitStarted):
                task.node = event.where
                self._hear(task.place, FitStarted(self._names.get(event.where, event.where)))
            else:
                self._hear(task.place, event)
        for turn in leaving:
            if self._tasks[turn].node is None:  # it waits for a node, so it does not hear the desk
                self._ray.cancel(self._tasks[turn].result)

    def _end(self, task: Task) -> Event:
        """How a fit ended; what it gave is brought home first."""
        problems = self._ray.exceptions
        try:
            event, outcome = self._ray.get(task.result)
        except problems.TaskCancelledError:
            return FitInterrupted(0.0)
        except (problems.RayTaskError, problems.RuntimeEnvSetupError) as error:
            if isinstance(getattr(error, "cause", None), ImportError):  # its code is gone: the node is closing down
                return FitLost(f"its node has not the code for it: {error.cause}")
            return FitFailed(str(error).strip().splitlines()[-1], str(error))
        except problems.RayError as error:
            return FitLost(DEATHS.get(type(error).__name__) or first_line(error))
        return event if outcome is None else self._bring_home(task.order, event, outcome)

    def _bring_home(self, order: FitRequest, event: FitFinished, outcome: FitResult) -> Event:
        try:
            return replace(event, marker=save_result(order.job, self._shared, outcome))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - predictions that are no numbers, say: the other fits go on
            return describe_failure(error)

    def _look(self) -> dict[str, Needs]:
        """Look at the nodes. Fits on one that is gone are lost: if it went silent, Ray says nothing of its fits."""
        self._looked, self._nodes, self._names = time.monotonic(), nodes_of(self._ray), names_of(self._ray)
        for turn, task in list(self._tasks.items()):
            if task.node is not None and task.node not in self._nodes:
                del self._tasks[turn]
                self._hear(task.place, FitLost("its node is gone"))
        return self._nodes

    def _check_room(self, nodes: dict[str, Needs], address: str | None) -> None:
        if self._capacity:
            return
        if address is None and not os.environ.get("RAY_ADDRESS"):
            [machine] = nodes.values()
            raise PipelineError(f"a fit is to have {self.needs}, but this machine has {machine}: ask for less")
        print_warnings(
            [f"a fit is to have {self.needs}, which no node of the cluster has: fits wait until one joins that does"]
        )


def _task(
    order: FitRequest,
    start: Checkpoint | None,
    shared: FitInputs,
    tokens: dict[str, Any],
    backbone: Any,
    desk: Any,
    turn: int,
    every: float,
) -> tuple[Event, FitResult | None]:
    """What Ray runs on a node, where references are already what they refer to, but not those inside of arguments."""
    import ray

    from pipeline.engines.ray_transfer import do_on_node

    # A task that waits for Ray in its main thread gives its CPUs back meanwhile, and another fit takes them.
    with ThreadPoolExecutor(1) as aside:

        def get(reference: Any) -> Any:
            return aside.submit(ray.get, reference).result()

        def tell(event: Any) -> bool:
            if isinstance(event, FitStarted):
                event = FitStarted(ray.get_runtime_context().get_node_id())
            leave: bool = get(desk.tell.remote(turn, event))
            return leave

        tables = {key: get(reference) for key, reference in tokens.items()}
        files = backbone and (backbone[0], get(backbone[1]))
        return do_on_node(order, start, shared, tables, files, tell, ray.put, every)
