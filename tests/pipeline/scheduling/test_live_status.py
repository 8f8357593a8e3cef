"""`status` says what a running `train` does, and nothing of one that is gone."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.fits.events import Event, StepsTaken
from pipeline.scheduling.live_status import LIVE, Live, Running, Snapshot, read_live, sentences
from pipeline.scheduling.scheduler import Work
from pipeline.storage.locks import hold_lock
from pipeline.storage.run_directory import RunDirectory

SNAPSHOT = Snapshot(
    ended=3,
    total=9,
    again=1,
    busy=22,
    seconds_left=600.0,
    running=[Running("mean, seed 42, fold 1", "a", 40, 120), Running("tfidf, seed 0, fold 1", "b", 0, None)],
    nodes={"a": "8 CPUs, 1 GPUs, 21 running", "b": "8 CPUs, 1 GPUs, 1 running"},
)


def test_a_snapshot_is_told_by_nodes_and_fits() -> None:
    assert sentences(SNAPSHOT) == [
        "train is at work: 3 of 9 fits ended, 22 running, 1 handed out again, about 10 min left",
        "  a: 8 CPUs, 1 GPUs, 21 running",
        "  b: 8 CPUs, 1 GPUs, 1 running",
        "  mean, seed 42, fold 1, step 40 of 120, a",
        "  tfidf, seed 0, fold 1, b",
        "  and 20 more",
    ]


def test_a_snapshot_is_read_while_train_holds_the_run_and_not_afterwards(tmp_path: Any) -> None:
    run, times = RunDirectory(tmp_path / "r"), iter([0.0, 1.0, 1.0, 6.0, 6.0])
    with hold_lock(run.root, "train"):
        assert read_live(run) is None
        live = Live(run.root, lambda: next(times))
        live.note(lambda: SNAPSHOT)
        assert read_live(run) == SNAPSHOT
        live.note(lambda: pytest.fail("too soon"))
    assert read_live(run) is None  # left by a killed process: it says nothing
    live.close()
    assert not (run.root / LIVE).exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_status_tells_of_the_train_at_work(
    make_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 4})
    hear, said = Work.hear, list[str]()

    def heard(work: Work, place: int, event: Event) -> None:
        hear(work, place, event)
        if isinstance(event, StepsTaken) and not said:
            work.live._written -= 10.0
            work.live.note(work.snapshot)
            said.append(site.ok("status"))

    monkeypatch.setattr(Work, "hear", heard)
    site.ok("train", "--workers", workers)
    assert said[0].startswith("train is at work: 0 of 2 fits ended, ")
    assert re.search(r"^  mean, seed 42, fold \d, step \d+ of 12", said[0], re.MULTILINE)
    assert ("process 1: 1 thread, " in said[0]) == (workers == "2")
    assert "at work" not in site.ok("status")
    assert not (site.root / LIVE).exists()
