"""Engines give the same bytes, restart lost fits, and stop when `train` asks them to."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks.sites import contents
from models.device import list_devices
from models.store import CHECKPOINT, MARKER
from pipeline.engines.multiprocess import MAX_FAILURES, WorkerProcess
from pipeline.engines.select import EngineOptions, describe_resources, runs_in_this_process
from pipeline.fits.events import EpochEnded, Event, EventThrottle, StepsTaken
from pipeline.fits.timing import FitLoad, Pace
from pipeline.scheduling.scheduler import Scheduler
from pipeline.storage.files import PREFIX

MakeSite = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]


def test_processes_leave_the_bytes_that_one_process_leaves(site: Any, alone: Any) -> None:
    out = site.ok("train", "--workers", "2")
    assert contents(site.root) == contents(alone.root)
    ends = re.findall(r"^\[(\d)/6\] (\w+), seed \d+, fold \d: roc_auc", out, re.MULTILINE)
    assert sorted(number for number, _ in ends) == [str(number) for number in range(1, 7)]
    assert sorted({name for _, name in ends}) == ["max", "mean", "tfidf"]


def test_a_fit_whose_process_is_killed_is_done_again_to_the_same_bytes(
    long_site: Any, long: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, handle_event = [], Scheduler.handle_event

    def kill_process(scheduler: Scheduler, number: int, event: Event) -> None:
        if isinstance(event, EpochEnded) and len(killed) < 3 and number not in killed:
            killed.append(number)
            worker = int(scheduler.active[number].where.removeprefix("process "))
            [process] = [child for child in multiprocessing.active_children() if child.name == f"fits {worker}"]
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            half = scheduler.jobs[number].folder / f"{PREFIX}killed"  # as if it had been in the middle of a write
            half.mkdir(parents=True)
            (half / "weights.safetensors").touch()
        handle_event(scheduler, number, event)

    monkeypatch.setattr(Scheduler, "handle_event", kill_process)
    out = long_site.ok("train", "--workers", "2")
    assert len(killed) == 3
    reason = r"its process was killed by signal 9, the machine may be out of memory"
    lost = rf"^\w+, seed 42, fold \d: fit lost \({reason}\): restarts from \d+% of its steps$"
    assert len(re.findall(lost, out, re.MULTILINE)) == 3
    assert contents(long_site.root) == contents(long.root)
    assert multiprocessing.active_children() == []


DEADLY = """
import os


def deadly(truth, predictions):
    if os.environ.get("TQDM_DISABLE"):
        os._exit(3)
    return 0.0
"""


def test_a_fit_that_is_lost_again_and_again_is_given_up_and_the_others_go_on(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = linear_site("binary")
    (site.folder / "metric.py").write_text(DEADLY, encoding="utf-8")
    site.configure(competition={"metric": {"file": "metric.py", "function": "deadly", "direction": "higher"}})
    monkeypatch.setattr("pipeline.scheduling.scheduler.MAX_LOSSES", 2)
    done = site.run("train", "--workers", "2")
    assert done.code == 1
    reason = "its process ended with exit code 3"
    for fold in range(2):
        assert f"tfidf, seed 0, fold {fold}: lost 2 times, the last time because {reason}\n" in done.err
        assert f"tfidf, seed 0, fold {fold}: fit lost ({reason}): restarts from 0% of its steps\n" in done.out


STOPPED = """
import os


def stopped_once(truth, predictions):
    if os.environ.get("TQDM_DISABLE") and not os.path.exists({flag!r}):
        open({flag!r}, "w").close()
        raise RuntimeError("CUDA error: device-side assert triggered\\nCompile with TORCH_USE_CUDA_DSA")
    return float(((predictions > 0.5) == truth).mean())
"""


def test_a_process_whose_gpu_stopped_is_replaced_and_its_fit_done_again(linear_site: MakeSite) -> None:
    site = linear_site("binary")
    flag = str(site.folder / "stopped")
    (site.folder / "metric.py").write_text(STOPPED.format(flag=flag), encoding="utf-8")
    site.configure(competition={"metric": {"file": "metric.py", "function": "stopped_once", "direction": "higher"}})
    out = site.ok("train", "--workers", "2")
    lost = re.findall(r"fit lost \(its GPU stopped: .*device-side assert triggered\): restarts", out)
    assert len(lost) == 1
    assert "[2/2]" in out


def test_this_process_ends_with_a_sentence_where_its_gpu_stopped(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = linear_site("binary")

    def stop(*given: Any, **options: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.fits.run_fit.train_job", stop)
        done = site.run("train", "--workers", "1")
    assert done.code == 2
    assert "cannot go on in this process, because its GPU stopped: " in done.err
    assert "Traceback" not in done.err
    assert "[2/2]" in site.ok("train", "--workers", "1")


def test_a_single_gpu_has_a_process_of_its_own_unless_one_worker_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus, workers, here in (([], None, True), (["0"], None, False), (["0"], 1, True), (["0", "1"], 1, True)):
        monkeypatch.setattr("models.device.list_devices", lambda gpus=gpus: gpus)
        options = EngineOptions(workers=workers)
        assert runs_in_this_process(options, gpus, 1) is here
        fits, where = describe_resources(options, [Mock(is_linear=False)])
        assert (fits, where.startswith("in this process" if here else "in one process of ")) == (1, True)


class _Poison:
    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (3,)


def test_processes_that_cannot_start_end_the_call_with_a_sentence(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = WorkerProcess.begin
    monkeypatch.setattr(WorkerProcess, "begin", lambda self, inputs, *given: real(self, _Poison(), *given))
    monkeypatch.setattr("pipeline.engines.multiprocess.MAX_STARTUP_FAILURES", 2)  # as many as start at a time
    done = site.run("train", "--workers", "2")
    assert done.code == 2
    assert "error: worker processes cannot start: its process ended with exit code 3; " in done.err
    assert multiprocessing.active_children() == []


def test_a_process_killed_while_much_is_sent_to_it_is_noticed(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, real, killed = linear_site("binary"), WorkerProcess.send, []
    site.write("train.csv", [{**row, "text": row["text"] * 2000} for row in site.rows("train.csv")])

    def kill_first(process: WorkerProcess, message: Any) -> None:
        if not killed:
            [child] = multiprocessing.active_children()
            killed.append(child.pid)
            os.kill(child.pid or 0, signal.SIGKILL)
        real(process, message)

    monkeypatch.setattr(WorkerProcess, "send", kill_first)
    out = site.ok("train", "--workers", "2")
    assert len(killed) == 1
    assert "[2/2]" in out


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
    assert len(re.findall(r"^mean, seed 42, fold \d: stopped after .* s, saved at \d+% of its steps$", out, re.M)) == 2
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


METRIC = """
import os


def seen(truth, predictions):
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
    with open({path!r}, "a") as file:
        file.write(",".join(os.environ[name] for name in names) + "\\n")
    return float(((predictions > 0.5) == truth).mean())
"""


def test_where_there_are_several_gpus_each_has_a_process_that_sees_no_other(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}, "tfidf": {"model": "tfidf"}})
    path = site.folder / "seen.txt"
    (site.folder / "metric.py").write_text(METRIC.format(path=str(path)), encoding="utf-8")
    site.configure(competition={"metric": {"file": "metric.py", "function": "seen", "direction": "higher"}})
    monkeypatch.setattr("models.device.list_devices", lambda: ["GPU-ab", "GPU-cd"])
    monkeypatch.setattr("models.device.count_threads", lambda: 6)
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "rehearsal")
    out = site.ok("train")
    assert "[4/4]" in out
    assert {line for line in path.read_text().splitlines() if "rehearsal" not in line} == {"GPU-ab,3,3", "GPU-cd,3,3"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "rehearsal"
    assert "2 at a time in 2 processes of 3 threads, on GPU-ab, GPU-cd\n" in site.ok(
        "train", "--dry-run", "training.epochs=2"
    )


@pytest.mark.parametrize(
    ("named", "count", "found"),
    [(None, 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("", 0, []), (None, 0, []), ("GPU-ab", 1, ["GPU-ab"])],
)
def test_gpus_go_by_the_names_that_the_user_gave_them(
    named: str | None, count: int, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert list_devices() == found


def test_a_fit_that_fails_in_a_process_is_noted_and_the_others_go_on(linear_site: MakeSite) -> None:
    rare, tfidf = {"model": "tfidf", "min_rows": 1000, "char_ngrams": 0}, {"model": "tfidf"}
    site = linear_site("binary", variants={"rare": rare, "tfidf": tfidf})
    done = site.run("train", "--workers", "2")
    assert done.code == 1
    assert "rare, seed 0, fold 1: tfidf finds no word" in done.err
    assert sorted(Path(path).parts[1] for path in site.markers()) == ["tfidf", "tfidf"]


def test_a_budget_stops_processes_in_time_with_their_fits_saved(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"epochs": 100_000})
    started = time.monotonic()
    done = site.run("train", "--workers", "2", "--budget", "20s")
    assert done.code == 3, done.err
    out = done.out
    assert time.monotonic() - started < 30
    assert "stopped by the budget of 20.0 s: 0 of 2 fits are done; no member is whole yet\n" in out
    assert len(list(site.root.rglob(CHECKPOINT))) == 2


def test_reports_sum_steps_up_and_keep_the_order_of_events() -> None:
    now, sent = [0.0], list[Event]()
    reports = EventThrottle(sent.append, lambda: now[0], every=1.0)
    pace = Pace(FitLoad("v", "neural", 1.0), 10, 0.0)
    for step in range(5):
        now[0] += 0.4
        pace.note_step(now[0])
        reports(StepsTaken(1, 100, [(step, 0.5)], pace))
    reports(EpochEnded({"epoch": 1}))
    assert [type(event) for event in sent] == [StepsTaken, StepsTaken, EpochEnded]
    first, second = sent[:2]
    assert isinstance(first, StepsTaken)
    assert isinstance(second, StepsTaken)
    assert (first.steps + second.steps, first.tokens + second.tokens) == (5, 500)
    assert [place for place, _ in first.losses + second.losses] == [0, 1, 2, 3, 4]
    assert first.pace.taken < second.pace.taken == 5  # each report has its own


def test_a_process_that_fails_every_fit_gets_no_more_and_others_do_them(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken GPU fails fast, so it took every fit: 39 of 40 failed."""
    variants = {f"tfidf{number}": {"model": "tfidf", "max_terms": 1000 + number} for number in range(5)}
    site = linear_site("binary", variants=variants)
    monkeypatch.setattr("pipeline.engines.select.list_devices_for", lambda jobs: ["bad", "good"])
    real = WorkerProcess.begin

    def begin(process: WorkerProcess, inputs: Any, *given: Any) -> None:
        real(process, _BrokenInputs(inputs) if process.device == "bad" else inputs, *given)

    monkeypatch.setattr(WorkerProcess, "begin", begin)
    done = site.run("train")
    assert done.code == 0, done.err
    assert "[10/10]" in done.out
    assert 1 <= done.out.count("it is tried once more") <= MAX_FAILURES
    assert "failed" not in done.err


class _BrokenInputs:
    """Inputs with which a fit fails by an unforeseen error."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return partial(replace, weights=None), (self.inputs,)
