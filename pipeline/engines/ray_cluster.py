"""What a fit takes of a node, and how often a node holds that.

The connection to a Ray cluster, whose nodes get the code from here. Ray is an extra, imported here alone.
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

CPUS = 4.0  # of a fit where no GPU is: more threads make one fit faster, fewer make more of them at a time
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
PROBE_SECONDS = 5.0
TOKEN = "if its head asks for a token, set RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN here"


@dataclass(frozen=True)
class Needs:
    """CPUs and GPUs, parts of one too, and bytes of memory, 0 for as it comes. Also what a node has.

    None stands for what nobody asked for.
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

    def times_in(self, node: "Needs") -> int:
        """How many such fits a node carries at a time."""
        pairs = (self.cpus, node.cpus), (self.gpus, node.gpus), (self.memory, node.memory)
        return math.floor(min(((has or 0) / need + 1e-9 for need, has in pairs if need), default=0))


def default_needs(asked: Needs, nodes: Mapping[str, Needs]) -> Needs:
    """What was asked for, and for the rest: one GPU where the cluster has any, with its share of the node's CPUs."""
    with_gpus = [node for node in nodes.values() if node.gpus]
    gpus = asked.gpus if asked.gpus is not None else float(bool(with_gpus))
    cpus = asked.cpus
    if cpus is None and gpus and with_gpus:
        cpus = max(1.0, min((node.cpus or 1) // ((node.gpus or 1) / gpus) for node in with_gpus))
    elif cpus is None:
        cpus = max(1.0, min([CPUS, *(node.cpus for node in nodes.values() if node.cpus)]))
    return Needs(cpus, gpus, asked.memory or 0)


def connect(address: str | None) -> Any:
    """Ray, connected to a cluster, its own messages off. Raises PipelineError."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise PipelineError("--engine ray needs Ray, which is not installed: pip install 'ray>=2.40,<3'") from None
    name = "--address" if address else "RAY_ADDRESS"
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is not None:
        probe(address, name)
    ray._private.worker._worker_logs_enabled = False  # log_to_driver leaves what raylets say of deaths
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        options["include_dashboard"] = False
    # As working_dir, not as py_modules: beside those, nodes look at the driver's own paths, and there first.
    with TemporaryDirectory() as code:
        for name in PACKAGES:
            copytree(ROOT / name, Path(code, name), ignore=ignore_patterns("__pycache__"))
        ours = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address or "local", runtime_env={"working_dir": code}, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "on this machine" if address is None else f"at {address}"
            token = "" if address is None else f"; {TOKEN}"
            raise PipelineError(f"--engine ray cannot work {where}: {first_line(error)}{token}") from None
        finally:
            signal.signal(signal.SIGTERM, ours)  # Ray takes it for itself, and would end fits unsaved
    return ray


def probe(address: str, name: str) -> None:
    """Refuse a cluster that does not answer: Ray itself would try for minutes. Raises PipelineError."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal() and "/" not in host):
        raise PipelineError(f"{name} must be auto, host:port or ray://host:port of a Ray cluster, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise PipelineError(f"{name} {address}: no Ray cluster answers there ({error})") from None


def first_line(error: Exception) -> str:
    """What Ray says, without its stories."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def nodes_of(ray: Any) -> dict[str, Needs]:
    """What the nodes have that are alive, by their numbers."""
    has = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    return {name: Needs(h.get("CPU", 0.0), h.get("GPU", 0.0), int(h.get("memory", 0))) for name, h in has.items()}


def names_of(ray: Any) -> dict[str, str]:
    """What nodes are called: by their machines, and those that share one by their numbers as well."""
    machines = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    alone = [machine for machine, times in Counter(machines.values()).items() if times == 1]
    return {name: machine if machine in alone else f"{machine}/{name[:6]}" for name, machine in machines.items()}
