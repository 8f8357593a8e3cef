"""Engines give the same bytes, survive what dies, and hear what `train` wishes."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sites import contents
from models.store import CHECKPOINT, MARKER
from pipeline.engines.processes import Process
from pipeline.orders import EpochEnded, Event
from pipeline.work import Work

MakeSite = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
VARIANTS = {"mean": {"pooling": "mean"}, "max": {"pooling": "max"}, "tfidf": {"model": "tfidf"}}


@pytest.fixture(scope="module")
def alone(make_site: MakeSite) -> Any:
    """A run that one process did."""
    site = make_site("binary", variants=VARIANTS, training={"epochs": 2})
    site.ok("train", "--workers", "1")
    return site


@pytest.fixture
def site(alone: Any, make_site: MakeSite) -> Any:
    """The same competition before its run."""
    return make_site("binary", variants=VARIANTS, training={"epochs": 2})


def test_processes_leave_the_bytes_that_one_process_leaves(site: Any, alone: Any) -> None:
    out = site.ok("train", "--workers", "2")
    assert contents(site.root) == contents(alone.root)
    ends = re.findall(r"^\[(\d)/6\] (\w+), seed \d+, fold \d: roc_auc", out, re.MULTILINE)
    assert sorted(number for number, _ in ends) == [str(number) for number in range(1, 7)]
    assert sorted({name for _, name in ends}) == ["max", "mean", "tfidf"]


def test_a_fit_whose_process_is_killed_is_done_again_to_the_same_bytes(
    site: Any, alone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, hear = [], Work.hear

    def heard(work: Work, place: int, event: Event) -> None:
        if isinstance(event, EpochEnded) and len(killed) < 3 and place not in killed:
            killed.append(place)
            number = int(work.out[place].where.removeprefix("process "))
            [process] = [child for child in multiprocessing.active_children() if child.name == f"fits {number}"]
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        hear(work, place, event)

    monkeypatch.setattr(Work, "hear", heard)
    out = site.ok("train", "--workers", "2")
    assert len(killed) == 3
    died = r"its process ended \(killed by SIGKILL\): the machine may be out of memory"
    assert len(re.findall(rf"^\w+, seed 42, fold \d: lost, {died}; it is done again from ", out, re.MULTILINE)) == 3
    assert contents(site.root) == contents(alone.root)
    assert multiprocessing.active_children() == []


def test_a_fit_that_is_lost_again_and_again_is_given_up_and_the_others_go_on(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(process: Process, given: bytes, threads: int) -> None:
        real(process, given, threads)
        assert process.pipe is not None
        process.pipe.send(_Poison())  # whoever reads it is gone

    real = Process.begin
    monkeypatch.setattr(Process, "begin", dying)
    monkeypatch.setattr("pipeline.work.TRIES", 2)
    done = site.run("train", "--workers", "2", "--only", "tfidf")
    assert done.code == 1
    died = "its process ended (exit code 3)"
    for fold in range(2):
        assert f"tfidf, seed 0, fold {fold}: lost 2 times, the last time because {died}\n" in done.err
        assert f"tfidf, seed 0, fold {fold}: lost, {died}; it is done again from 0% of its steps\n" in done.out


class _Poison:
    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (3,)


def call(site: Any, *more: str) -> "subprocess.Popen[str]":
    """`train` in two processes of its own group, as a terminal would start it."""
    command = [sys.executable, "run.py", "train", "--config", str(site.folder / "config.yaml"), "--workers", "2", *more]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, text=True, env=settings, start_new_session=True)


def read_until(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"{word!r} never came")


def test_ctrl_c_saves_every_running_fit_and_the_next_call_goes_on_to_the_same_bytes(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 80})
    whole = site.copy(tmp_path / "whole")
    with call(site) as process:
        read_until(process, "epoch 3:")
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert len(re.findall(r"^mean, seed 42, fold \d: left after .* s, saved at \d+% of its steps$", out, re.M)) == 2
    assert len(list(site.root.rglob(CHECKPOINT))) == 2
    site.ok("train", "--workers", "2")
    whole.ok("train", "--workers", "2")
    assert contents(site.root) == contents(whole.root)


def test_processes_end_with_the_one_that_started_them(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 100_000})
    with call(site) as process:
        read_until(process, "epoch 3:")
        process.kill()
        process.wait()
        ends = time.monotonic() + 20
        while _group(process.pid) and time.monotonic() < ends:
            time.sleep(0.05)
        assert _group(process.pid) == []
        assert not list(site.root.rglob(MARKER))


def _group(number: int) -> list[str]:
    """The processes of a group that still run."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(number)], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if "Z" not in line]
