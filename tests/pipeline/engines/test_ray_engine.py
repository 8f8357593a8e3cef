"""The engine of a Ray cluster, on two nodes of this machine: every fit finishes, whatever dies on the way."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

import run
from benchmarks.sites import contents
from models.store import CHECKPOINT
from pipeline.engines import ray_engine
from pipeline.engines.ray_cluster import Resources, probe_cluster
from pipeline.engines.ray_events import CheckpointSent, EventQueue
from pipeline.fits.events import EpochEnded, Event, FitFinished, FitStarted
from pipeline.scheduling.scheduler import Scheduler

MakeSite = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
SMALL = 80 * 2**20  # bytes of an object store; Ray takes no smaller one


QUICK = {
    "RAY_worker_niceness": "0",  # on a busy machine workers would come last
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",  # a dead node is noticed after five of them, a slow one has 10 s for each
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_num_workers_soft_limit": "8",  # of a node: idle workers stay, which have imported what a fit needs
    "RAY_USAGE_STATS_ENABLED": "0",
}
BARE = {"object_store_memory": SMALL, "include_log_monitor": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head, where the driver is and no fit runs, and two nodes with room for one fit each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        for name, value in QUICK.items():
            patched.setenv(name, value)
        head = {"num_cpus": 0, "include_dashboard": False, "no_monitor": True, **BARE}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            add_node(cluster)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()
    for folder in folders:
        shutil.rmtree(folder)


folders: list[str] = []  # each node has its own for the code, as on a machine of its own


def add_node(nodes: Any, **more: Any) -> Any:
    folders.append(tempfile.mkdtemp(prefix="ray-"))  # not pytest's: the path of a socket must be short
    more = {"num_cpus": 1, "num_gpus": 1, **BARE, **more}
    return nodes.add_node(wait=False, temp_dir=folders[-1], **more)


class Connection:
    """A connection to the cluster that stays when a call leaves it, so that the next call finds workers that run.

    As Ray itself does, it refuses a call where the one before did not leave.
    """

    def __init__(self) -> None:
        self._connect, self._leave, self._is_used = ray.init, ray.shutdown, False

    def init(self, *arguments: Any, **options: Any) -> None:
        if self._is_used:
            raise RuntimeError("ray.init was called twice")
        if not ray.is_initialized():
            self._connect(*arguments, **options)
        self._is_used = True

    def shutdown(self) -> None:
        self._is_used = False

    def close(self) -> None:
        self._leave()
        self._is_used = False


@pytest.fixture(scope="module")
def connection(nodes: Any) -> Iterator[Connection]:
    connection = Connection()
    yield connection
    connection.close()


@pytest.fixture
def new_driver(connection: Connection) -> None:
    """Calls of this test connect to the cluster and leave it themselves."""
    connection.close()


@pytest.fixture
def same_driver(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of this test use the connection, and so the workers, of the tests before it."""
    monkeypatch.setattr(ray, "init", connection.init)
    monkeypatch.setattr(ray, "shutdown", connection.shutdown)


NO_GPU = ["--gpus", "0"]  # one worker does many fits; with a GPU each has a new one


def on(nodes: Any) -> list[str]:
    return ["--engine", "ray", "--address", nodes.address]


def at_first_epochs(monkeypatch: pytest.MonkeyPatch, times: int, act: Callable[[Scheduler, int], None]) -> None:
    """Act on fits, each in the middle, so many times."""
    handle_event, seen = Scheduler.handle_event, set[int]()

    def handle_and_act(scheduler: Scheduler, number: int, event: Event) -> None:
        handle_event(scheduler, number, event)
        if isinstance(event, EpochEnded) and len(seen) < times and number not in seen:
            seen.add(number)
            act(scheduler, number)

    monkeypatch.setattr(Scheduler, "handle_event", handle_and_act)


@pytest.mark.usefixtures("new_driver")
def test_a_signal_that_ray_takes_for_itself_saves_the_running_fits_and_the_next_call_goes_on(
    nodes: Any, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 150})
    whole = site.copy(tmp_path / "whole")
    whole.ok("train", "--workers", "1")
    with monkeypatch.context() as patched:
        at_first_epochs(patched, 1, lambda scheduler, number: signal.raise_signal(signal.SIGTERM))
        done = site.run("train", *on(nodes))
    assert done.code == 128 + signal.SIGTERM
    assert "stopped as asked: " in done.out
    assert list(site.root.rglob(CHECKPOINT))
    site.ok("train", *on(nodes))
    assert contents(site.root) == contents(whole.root)


@pytest.mark.usefixtures("same_driver")
def test_a_fit_that_fails_on_a_node_is_noted_and_the_others_go_on(nodes: Any, linear_site: MakeSite) -> None:
    rare, tfidf = {"model": "tfidf", "min_rows": 1000, "char_ngrams": 0}, {"model": "tfidf"}
    site = linear_site("binary", variants={"rare": rare, "tfidf": tfidf})
    done = site.run("train", *on(nodes))
    assert done.code == 1
    assert "2 of 4 fits failed" in done.err
    assert "rare, seed 0, fold 1: " in done.err
    assert sorted(Path(path).parts[1] for path in site.markers()) == ["tfidf", "tfidf"]


@pytest.mark.usefixtures("same_driver")
def test_a_cluster_leaves_the_bytes_that_one_process_leaves(nodes: Any, site: Any, alone: Any) -> None:
    out = site.ok("train", *on(nodes), *NO_GPU)
    assert contents(site.root) == contents(alone.root)
    ends = re.findall(r"^\[(\d)/6\] (\w+), seed \d+, fold \d: roc_auc", out, re.MULTILINE)
    assert sorted(number for number, _ in ends) == [str(number) for number in range(1, 7)]


@pytest.mark.usefixtures("same_driver")
def test_a_node_that_falls_silent_is_given_up_and_its_later_events_are_ignored(
    nodes: Any, long_site: Any, long: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, list_nodes = list[str](), ray_engine.list_nodes

    def list_audible_nodes(ray: Any) -> dict[str, Resources]:
        gone = [silent.pop()] if silent else []  # for one look: Ray itself would go on to give fits to the node
        return {node: resources for node, resources in list_nodes(ray).items() if node[:6] not in gone}

    def hush(scheduler: Scheduler, number: int) -> None:
        silent.append(scheduler.active[number].where[-6:])

    monkeypatch.setattr(ray_engine, "list_nodes", list_audible_nodes)
    monkeypatch.setattr(ray_engine, "NODES_SECONDS", 0.2)
    at_first_epochs(monkeypatch, 1, hush)
    out = long_site.ok("train", *on(nodes), *NO_GPU)
    assert "fit lost (its node is gone): restarts from " in out
    assert re.findall(r"^\[(\d)/4\]", out, re.MULTILINE) == ["1", "2", "3", "4"]
    assert contents(long_site.root) == contents(long.root)


class SlowQueue(EventQueue):
    """A queue that answers the first event of a fit late."""

    def send(self, attempt: int, message: Any) -> bool:
        time.sleep(3.0 if isinstance(message, FitStarted) else 0.0)  # long enough for a node to start another process
        return super().send(attempt, message)


@pytest.mark.usefixtures("same_driver")
def test_a_node_never_does_more_fits_than_it_has_cpus_for(
    nodes: Any, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle_event, newest, others = Scheduler.handle_event, dict[str, int](), list[Event]()

    def record_event(scheduler: Scheduler, number: int, event: Event) -> None:
        handle_event(scheduler, number, event)
        if isinstance(event, FitStarted):
            newest[scheduler.active[number].where] = number
        elif not isinstance(event, FitFinished) and newest[scheduler.active[number].where] != number:
            others.append(event)  # the end of a fit comes with its result, so it may come late

    monkeypatch.setattr(Scheduler, "handle_event", record_event)
    monkeypatch.setattr(ray_engine, "EventQueue", SlowQueue)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    site = make_site("binary", variants={"mean": {"pooling": "mean"}, "max": {"pooling": "max"}}, folds={"count": 3})
    out = site.ok("train", *on(nodes), *NO_GPU, "--cpus", "1")
    assert "[6/6]" in out
    assert newest
    assert not others


@pytest.mark.usefixtures("same_driver")
def test_a_new_test_table_is_predicted_where_the_weights_are(nodes: Any, site: Any) -> None:
    site.ok("train", "--workers", "1")
    site.write("test.csv", [{**row, "text": f"{row['text']} good"} for row in site.rows("test.csv")])
    out = site.ok("train", *on(nodes), *NO_GPU)
    assert out.count("test table predicted") == 6
    assert "every fit is done" in site.ok("status")


@pytest.mark.usefixtures("same_driver")
def test_fits_that_no_node_can_carry_wait_for_one_that_can(
    nodes: Any, linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, start_fits, added = linear_site("binary"), Scheduler._start_fits, []

    def add_node_late(scheduler: Scheduler, *given: Any) -> None:
        if scheduler.active and not added:
            added.append(add_node(nodes, num_cpus=3))
        start_fits(scheduler, *given)

    monkeypatch.setattr(Scheduler, "_start_fits", add_node_late)
    done = site.run("train", *on(nodes), "--cpus", "3", *NO_GPU)
    nodes.remove_node(added[0])
    assert done.code == 0
    assert "a fit needs 3 CPUs, 0 GPUs, which no node of the cluster has: fits wait until one joins" in done.err


@pytest.mark.usefixtures("same_driver")
def test_after_a_killed_driver_only_what_is_missing_is_done(nodes: Any, long_site: Any, long: Any) -> None:
    config = str(long_site.folder / "config.yaml")
    command = [sys.executable, "run.py", "train", "--config", config, *on(nodes), *NO_GPU]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=settings) as process:
        assert process.stdout is not None
        assert any(line.startswith("[1/4]") for line in process.stdout)
        process.kill()
    before = long_site.markers()
    out = long_site.ok("train", *on(nodes), *NO_GPU)
    assert 1 <= len(before) < 4
    assert len(re.findall(r"^\[\d/\d\]", out, re.MULTILINE)) == 4 - len(before)
    assert {path: long_site.markers()[path] for path in before} == before
    assert contents(long_site.root) == contents(long.root)


@pytest.mark.usefixtures("same_driver")
def test_the_fits_of_killed_nodes_are_done_again_and_nothing_twice(
    nodes: Any, long_site: Any, long: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(scheduler: Scheduler, number: int) -> None:
        where = scheduler.active[number].where
        for node in [node for node in nodes.worker_nodes if where.endswith(node.node_id[:6])]:
            nodes.remove_node(node, allow_graceful=False)  # unless it was killed for a fit that it ran before this one
            add_node(nodes)

    with monkeypatch.context() as patched:
        at_first_epochs(patched, 3, kill)
        out = long_site.ok("train", *on(nodes), *NO_GPU)
    lost = r"^\w+, seed 42, fold \d: fit lost \(.*\): restarts from \d+% of its steps$"
    assert len(re.findall(lost, out, re.MULTILINE)) >= 2
    assert re.findall(r"^\[(\d)/4\]", out, re.MULTILINE) == ["1", "2", "3", "4"]
    assert contents(long_site.root) == contents(long.root)
    assert "all as they were written" in long_site.ok("status", "--deep")


def test_the_queue_keeps_only_the_newest_checkpoint_of_a_fit() -> None:
    queue = EventQueue()
    first, second = FitStarted("a"), FitStarted("b")
    old, new, other = CheckpointSent("old"), CheckpointSent("new"), CheckpointSent("other")
    for message in (first, old, second, new, None):
        assert not queue.send(1, message)
    queue.send(2, other)
    assert queue.collect({1}) == [(1, first), (1, second), (1, new), (2, other)]
    assert queue.send(1, None)
    assert queue.collect(set()) == []
    assert not queue.send(1, None)


def test_without_ray_the_option_says_what_to_install(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = site.run("train", "--engine", "ray")
    assert done.code == 2
    assert done.err == "error: --engine ray needs Ray, which is not installed: pip install 'ray>=2.40,<3'\n"
    assert not site.markers()


@pytest.mark.parametrize("address", ["head", "head:port", "http://head:10001", "head:99999999"])
def test_an_address_that_is_none_is_refused_at_once(site: Any, address: str) -> None:
    done = site.run("train", "--engine", "ray", "--address", address)
    assert done.code == 2
    assert done.err.startswith("error: --address")
    assert done.err.count("\n") == 1


def test_a_cluster_that_does_not_answer_is_told_at_once(site: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    started = time.monotonic()
    done = site.run("train", "--engine", "ray", "--address", address)
    assert (done.code, time.monotonic() - started < 30) == (2, True)
    assert f"--address {address}: no Ray cluster answers there" in done.err


@pytest.mark.parametrize(
    "option", [["--cpus", "0.00001"], ["--gpus", "1.5"], ["--cpus", "0"], ["--memory", "9TB"], ["--gpus", "-1"]]
)
def test_amounts_that_no_node_can_be_asked_for_are_refused(
    site: Any, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):  # what argparse refuses
        assert run.main(["train", "--config", str(site.folder / "config.yaml"), "--engine", "ray", *option]) == 2
    assert f"{option[0]}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("address", "said"), [("head", "RAY_ADDRESS must be auto, host:port"), ("local", "")])
def test_an_address_in_the_environment_is_called_by_its_name(
    site: Any, address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    if said:
        assert said in site.run("train", "--engine", "ray").err
    else:
        probe_cluster(address, "RAY_ADDRESS")


@pytest.mark.parametrize("option", [["--address", "auto"], ["--gpus", "1"], ["--cpus", "2"], ["--memory", "1GB"]])
def test_options_of_a_cluster_are_refused_without_one(site: Any, option: list[str]) -> None:
    done = site.run("train", *option)
    assert (done.code, done.err) == (
        2,
        f"error: {option[0]} is for --engine ray: leave it out, or name that engine\n",
    )
