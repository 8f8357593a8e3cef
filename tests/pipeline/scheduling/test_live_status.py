"""`status` says what a running `train` does, and nothing of one that is gone."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.fits.events import Event, StepsTaken
from pipeline.scheduling.live_status import (
    STATUS_FILE,
    FitStatus,
    LiveStatusFile,
    Snapshot,
    describe_status,
    read_live_status,
)
from pipeline.scheduling.scheduler import Scheduler
from pipeline.storage.locks import hold_lock
from pipeline.storage.run_directory import RunDirectory

SNAPSHOT = Snapshot(
    ended=3,
    total=9,
    restarts=1,
    busy=22,
    seconds_left=600.0,
    running=[FitStatus("mean, seed 42, fold 1", "a", 40, 120), FitStatus("tfidf, seed 0, fold 1", "b", 0, None)],
    nodes={"a": "8 CPUs, 1 GPUs, 21 running", "b": "8 CPUs, 1 GPUs, 1 running"},
)


def test_a_snapshot_is_described_by_nodes_and_fits() -> None:
    assert describe_status(SNAPSHOT) == [
        "train is running: 3 of 9 fits ended, 22 running, 1 restarted, about 10 min left",
        "  a: 8 CPUs, 1 GPUs, 21 running",
        "  b: 8 CPUs, 1 GPUs, 1 running",
        "  mean, seed 42, fold 1, step 40 of 120, a",
        "  tfidf, seed 0, fold 1, b",
        "  and 20 more",
    ]


def test_a_snapshot_is_read_while_train_holds_the_run_and_not_afterwards(tmp_path: Any) -> None:
    run, times = RunDirectory(tmp_path / "r"), iter([0.0, 1.0, 1.0, 6.0, 6.0])
    with hold_lock(run.root, "train"):
        assert read_live_status(run) is None
        live = LiveStatusFile(run.root, lambda: next(times))
        live.write_if_due(lambda: SNAPSHOT)
        assert read_live_status(run) == SNAPSHOT
        live.write_if_due(lambda: pytest.fail("too soon"))
    assert read_live_status(run) is None  # left by a killed process: it says nothing
    live.remove()
    assert not (run.root / STATUS_FILE).exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_status_describes_a_running_train(
    make_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 4})
    handle_event = Scheduler.handle_event
    outputs: list[str] = []

    def run_status(scheduler: Scheduler, number: int, event: Event) -> None:
        handle_event(scheduler, number, event)
        if isinstance(event, StepsTaken) and not outputs:
            scheduler.status_file._written -= 10.0
            scheduler.status_file.write_if_due(scheduler.take_snapshot)
            outputs.append(site.ok("status"))

    monkeypatch.setattr(Scheduler, "handle_event", run_status)
    site.ok("train", "--workers", workers)
    assert outputs[0].startswith("train is running: 0 of 2 fits ended, ")
    assert re.search(r"^  mean, seed 42, fold \d, step \d+ of 12", outputs[0], re.MULTILINE)
    assert ("process 1: 1 thread, " in outputs[0]) == (workers == "2")
    assert "is running" not in site.ok("status")
    assert not (site.root / STATUS_FILE).exists()
