"""The engine of a Ray cluster: each fit is one task, on a node with free resources.

Only the driver touches the run directory, so the nodes share no disk with it: they need the libraries, and Ray brings
the code. Events go through `EventQueue`, an actor on the driver's node. Results stay in the object store of the node
that made them until the driver fetches them.
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
from pipeline.engines.in_process import InProcessEngine
from pipeline.engines.protocol import OnEvent, ShouldStop
from pipeline.engines.ray_cluster import Resources, complete_resources, connect, format_error, list_nodes, name_nodes
from pipeline.engines.ray_events import CheckpointSent, EventQueue, Message
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

NODES_SECONDS = 5.0  # between updates of the list of nodes
EVENTS_PER_SECOND = 200  # of all fits together; the queue takes about six times as many
QUEUE_FACTOR = 2  # fits submitted for each that runs: nodes never wait for the driver, and an autoscaler sees demand
LOSS_REASONS = {
    "NodeDiedError": "its node died",
    "WorkerCrashedError": "its process died",
    "OutOfMemoryError": "memory ran out on its node: give a fit more by --memory",
}


@dataclass
class RayTask:
    """An attempt of a fit: the fit's number, its request, the reference to its result, and its node once it started."""

    number: int
    request: FitRequest
    result: Any
    node: str | None = None


class RayEngine:
    """Runs fits on the Ray cluster at `address`, or for None on a cluster that it starts on this machine.

    `requested` are the resources of a fit, as far as the user says; at most `workers` fits run at a time. Raises
    PipelineError where Ray is missing, the cluster does not answer, or this machine cannot run a fit.
    """

    def __init__(
        self,
        inputs: FitInputs,
        models: Path,
        on_event: OnEvent,
        should_stop: ShouldStop,
        clock: Callable[[], float],
        *,
        address: str | None,
        requested: Resources,
        workers: int | None,
    ) -> None:
        from pipeline.engines.ray_transfer import ObjectStore

        self._ray = connect(address)
        self._inputs = inputs
        self._on_event = on_event
        self._should_stop = should_stop
        self._workers = workers
        self._in_process = InProcessEngine(inputs, models, on_event, should_stop, clock)
        self._store = ObjectStore(self._ray.put, inputs, self._in_process.caches)
        self._tasks: dict[int, RayTask] = {}  # by attempt
        self._attempts = 0
        self._update_nodes()
        self.resources = complete_resources(requested, self._nodes)
        self._check_capacity(address)
        here = self._ray.get_runtime_context().get_node_id()
        on_this_node = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        # Where memory runs out Ray may end the queue first. A restarted one lacks only the events of the last second.
        restarts = {"max_restarts": -1, "max_task_retries": -1}
        actor = self._ray.remote(EventQueue).options(num_cpus=0, scheduling_strategy=on_this_node, **restarts)
        self._queue = actor.remote()
        # Ray's own retry would start from an old checkpoint. A process that has used one GPU cannot change to another.
        self._remote = self._ray.remote(max_retries=0, max_calls=1 if self.resources.gpus else 0)(_run_task)

    @property
    def slots(self) -> int:
        """The number of fits that the nodes can run now."""
        return max(min(self._capacity, self._workers or self._capacity), 1)

    @property
    def free_slots(self) -> int:
        """The number of fits that can be submitted now: as many wait as run, unless the user limits the workers."""
        return (self._workers or QUEUE_FACTOR * self.slots) - len(self._tasks)

    def describe_nodes(self) -> dict[str, str]:
        """Return the nodes that are alive with their resources."""
        return {self._names[node]: str(resources) for node, resources in self._nodes.items()}

    def start(self, number: int, request: FitRequest) -> None:
        """Submit a fit as a new attempt; one that only predicts the test table runs here, where its weights are."""
        job = request.job
        if job.state == "predict":
            self._in_process.start(number, request)
            self._in_process.wait()
            return
        try:
            inputs, tokens, backbone = self._store.put_inputs(job)
        except Exception as error:  # noqa: BLE001 - a text without a token, say: the other fits continue
            self._on_event(number, describe_failure(error))
            return
        self._attempts += 1
        checkpoint = load_checkpoint(job)
        resources = replace(self.resources, gpus=0.0) if job.is_linear else self.resources
        submit = self._remote.options(
            name=job.title, num_cpus=resources.cpus, num_gpus=resources.gpus, memory=resources.memory or None
        ).remote
        result = submit(
            replace(request, job=replace(job, marker=None)),
            checkpoint and self._ray.put(checkpoint),
            inputs,
            tokens,
            backbone,
            self._queue,
            self._attempts,
            max(REPORT_SECONDS, self.slots / EVENTS_PER_SECOND),
        )
        self._tasks[self._attempts] = RayTask(number, request, result)

    def wait(self) -> None:
        """Report all events, and save the results of the fits that ended; waits for an end, at most a second."""
        attempts = {task.result: attempt for attempt, task in self._tasks.items()}
        if attempts:
            self._ray.wait(list(attempts), timeout=1.0, fetch_local=False)
            ended, _ = self._ray.wait(list(attempts), num_returns=len(attempts), timeout=0, fetch_local=False)
            self._collect_events()
            for result in ended:
                task = self._tasks.pop(attempts[result], None)
                if task is not None:
                    self._on_event(task.number, self._fetch_result(task))
        if time.monotonic() > self._nodes_updated + NODES_SECONDS:
            self._update_nodes()

    def close(self) -> None:
        """Disconnect from the cluster, which ends the fits that run there; one that was started here is stopped."""
        self._ray.shutdown()

    @property
    def _capacity(self) -> int:
        return sum(self.resources.count_fits(node) for node in self._nodes.values())

    def _collect_events(self) -> None:
        """Report the events since the last call, save checkpoints, and tell attempts to stop."""
        stopping = {attempt for attempt, task in self._tasks.items() if self._should_stop(task.number)}
        for attempt, message in self._ray.get(self._queue.collect.remote(stopping)):
            task = self._tasks.get(attempt)
            if task is not None:
                self._handle_message(task, message)
        for attempt in stopping:
            if self._tasks[attempt].node is None:  # it waits for a node, so it cannot ask the queue
                self._ray.cancel(self._tasks[attempt].result)

    def _handle_message(self, task: RayTask, message: Message) -> None:
        match message:
            case CheckpointSent(reference):
                with suppress(self._ray.exceptions.RayError):  # lost with its node: the checkpoint before it remains
                    if save_checkpoint(task.request.job, self._ray.get(reference)):
                        self._on_event(task.number, CheckpointSaved())
            case FitStarted(node):
                task.node = node
                self._on_event(task.number, FitStarted(self._names.get(node, node)))
            case _:
                self._on_event(task.number, message)

    def _fetch_result(self, task: RayTask) -> Event:
        """Return the last event of a fit, after its result was fetched and saved."""
        exceptions = self._ray.exceptions
        try:
            event, result = self._ray.get(task.result)
        except exceptions.TaskCancelledError:
            return FitInterrupted(0.0)
        except (exceptions.RayTaskError, exceptions.RuntimeEnvSetupError) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ImportError):  # the node removed the code, because it shuts down
                return FitLost(f"its node has no code for it: {cause}")
            return FitFailed(str(error).strip().splitlines()[-1], str(error))
        except exceptions.RayError as error:
            return FitLost(LOSS_REASONS.get(type(error).__name__) or format_error(error))
        return event if result is None else self._save_result(task.request, event, result)

    def _save_result(self, request: FitRequest, event: FitFinished, result: FitResult) -> Event:
        try:
            return replace(event, marker=save_result(request.job, self._inputs, result))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - predictions that are not finite, say: the other fits continue
            return describe_failure(error)

    def _update_nodes(self) -> None:
        """Update the list of nodes, and report fits on a missing node as lost: Ray reports none of a silent node."""
        self._nodes_updated = time.monotonic()
        self._nodes = list_nodes(self._ray)
        self._names = name_nodes(self._ray)
        for attempt, task in list(self._tasks.items()):
            if task.node is not None and task.node not in self._nodes:
                del self._tasks[attempt]
                self._on_event(task.number, FitLost("its node is gone"))

    def _check_capacity(self, address: str | None) -> None:
        """Warn if no node can run a fit. Raises PipelineError if this machine is the only node."""
        if self._capacity:
            return
        if address is None and not os.environ.get("RAY_ADDRESS"):
            [machine] = self._nodes.values()
            raise PipelineError(f"a fit needs {self.resources}, but this machine has {machine}: ask for less")
        print_warnings(
            [f"a fit needs {self.resources}, which no node of the cluster has: fits wait until one joins that does"]
        )


def _run_task(
    request: FitRequest,
    checkpoint: Checkpoint | None,
    inputs: FitInputs,
    tokens: dict[str, Any],
    backbone: Any,
    queue: Any,
    attempt: int,
    every: float,
) -> tuple[Event, FitResult | None]:
    """Run a fit on a node, as a task of Ray: fetch its references, and connect it to the queue.

    Ray replaces references among the arguments by their values, but not those inside of an argument.
    """
    import ray

    from pipeline.engines.ray_transfer import run_on_node

    # A task that waits for Ray in its main thread gives its CPUs back meanwhile, and another fit takes them.
    with ThreadPoolExecutor(1) as thread:

        def fetch(reference: Any) -> Any:
            return thread.submit(ray.get, reference).result()

        def send(message: Message | None) -> bool:
            if isinstance(message, FitStarted):
                message = FitStarted(ray.get_runtime_context().get_node_id())
            stop: bool = fetch(queue.send.remote(attempt, message))
            return stop

        tables = {key: fetch(reference) for key, reference in tokens.items()}
        files = backbone and (backbone[0], fetch(backbone[1]))
        return run_on_node(request, checkpoint, inputs, tables, files, send, ray.put, every)
