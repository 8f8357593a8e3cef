"""A Ray cluster: the connection to it, its nodes, and the resources that a fit takes of a node.

The nodes get the code from here. Ray is an extra; it is imported in this module and on the nodes only.
"""

import logging
import math
import os
import signal
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.display import format_count
from pipeline.errors import PipelineError

DEFAULT_CPUS = 4.0  # of a fit without a GPU: more make one fit faster, fewer make room for more fits at a time
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
PROBE_SECONDS = 5.0
TOKEN_ADVICE = "if its head asks for a token, set RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN here"


@dataclass(frozen=True)
class Resources:
    """What a fit takes of a node, or what a node has: CPUs, GPUs (also a part of one), and bytes of memory.

    None stands for what the user does not say; a memory of 0 sets no limit.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None

    def __str__(self) -> str:
        memory = f" and {self.memory / 2**30:,.1f} GiB of memory" if self.memory else ""
        return f"{format_count(self.cpus or 0, 'CPU')}, {format_count(self.gpus or 0, 'GPU')}{memory}"

    def check(self) -> None:
        """Raise PipelineError for amounts that no node can be asked for."""
        for name, amount in (("cpus", self.cpus), ("gpus", self.gpus)):
            if amount and round(amount, 4) != amount:
                raise PipelineError(f"--{name} {amount:g} is too fine: give four digits after the point at most")
        if self.gpus and self.gpus > 1 and self.gpus % 1:
            raise PipelineError(f"--gpus {self.gpus:g} must be a part of one, or whole GPUs")
        if self.cpus == 0 and not self.gpus:
            raise PipelineError("--cpus 0 asks for nothing: give a fit a CPU, or a GPU")

    def count_fits(self, node: "Resources") -> int:
        """Return how many fits with these resources a node runs at a time."""
        pairs = (self.cpus, node.cpus), (self.gpus, node.gpus), (self.memory, node.memory)
        counts = [(available or 0) / needed for needed, available in pairs if needed]
        return math.floor(min(counts, default=0) + 1e-9)


def complete_resources(requested: Resources, nodes: Mapping[str, Resources]) -> Resources:
    """Return what the user requested, and for the rest: one GPU where a node has any, with its share of the CPUs."""
    with_gpus = [node for node in nodes.values() if node.gpus]
    gpus = requested.gpus if requested.gpus is not None else float(bool(with_gpus))
    cpus = requested.cpus
    if cpus is None and gpus and with_gpus:
        cpus = max(1.0, min((node.cpus or 1) // ((node.gpus or 1) / gpus) for node in with_gpus))
    elif cpus is None:
        cpus = max(1.0, min([DEFAULT_CPUS, *(node.cpus for node in nodes.values() if node.cpus)]))
    return Resources(cpus, gpus, requested.memory or 0)


def connect(address: str | None) -> Any:
    """Return Ray, connected to a cluster, without its own messages; None starts one here. Raises PipelineError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise PipelineError("--engine ray needs Ray, which is not installed: pip install 'ray>=2.40,<3'") from None
    option = "--address" if address else "RAY_ADDRESS"
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None:
        probe_cluster(address, option)
    ray._private.worker._worker_logs_enabled = False  # log_to_driver alone still prints deaths of processes
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        options["include_dashboard"] = False
    # As working_dir, not as py_modules: with those, nodes look into the driver's own paths, and there first.
    with TemporaryDirectory() as code:
        for package in PACKAGES:
            copytree(ROOT / package, Path(code, package), ignore=ignore_patterns("__pycache__"))
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address or "local", runtime_env={"working_dir": code}, **options)
        except Exception as error:  # noqa: BLE001 - Ray raises plain Exception too, for a node that does not start
            where = "on this machine" if address is None else f"at {address}"
            advice = "" if address is None else f"; {TOKEN_ADVICE}"
            raise PipelineError(f"--engine ray cannot work {where}: {format_error(error)}{advice}") from None
        finally:
            signal.signal(signal.SIGTERM, handler)  # Ray's own handler would end fits unsaved
    return ray


def probe_cluster(address: str, option: str) -> None:
    """Raise PipelineError for a cluster that does not answer: Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal() and "/" not in host):
        raise PipelineError(f"{option} must be auto, host:port or ray://host:port of a Ray cluster, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise PipelineError(f"{option} {address}: no Ray cluster answers there ({error})") from None


def format_error(error: Exception) -> str:
    """Return the type and the first line of an error; Ray's errors have many lines."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def list_nodes(ray: Any) -> dict[str, Resources]:
    """Return the resources of the nodes that are alive, by their ids."""
    resources = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return {
        node: Resources(amounts.get("CPU", 0.0), amounts.get("GPU", 0.0), int(amounts.get("memory", 0)))
        for node, amounts in resources.items()
    }


def name_nodes(ray: Any) -> dict[str, str]:
    """Return the names of the nodes by their ids: the host, with a part of the id where nodes share a host."""
    hosts = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    counts = Counter(hosts.values())
    return {node: host if counts[host] == 1 else f"{host}/{node[:6]}" for node, host in hosts.items()}
