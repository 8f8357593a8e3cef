"""The connection to a Ray cluster, whose nodes get the code from here. Ray is an extra, imported here alone."""

import logging
import os
import signal
import socket
from collections import Counter
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.engines.needs import Needs
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
PROBE_SECONDS = 5.0
TOKEN = "if its head asks for a token, set RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN here"


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
