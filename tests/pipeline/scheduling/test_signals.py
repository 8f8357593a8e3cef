"""A signal stops `train` gently: the running fit is saved and goes on later, to the same bytes."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sites import contents
from models.store import CHECKPOINT
from models.training.hooks import FitHooks, StepReport
from pipeline.fits import run_fit
from pipeline.scheduling.signals import STOP_MESSAGE, StopRequest, handle_stop_signals

EPOCHS, AT = 2, 4
STEPS = EPOCHS * 24 // 8  # half of 48 rows are trained on, 8 at once

ROOT = Path(__file__).resolve().parents[3]


class Steps:
    """Counts the steps of fits, and raises signals at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *signals: signal.Signals, at: int = AT) -> None:
        self.signals, self.at, self.taken = signals, at, 0
        self.real = run_fit.train_job
        monkeypatch.setattr(run_fit, "train_job", self.train_job)

    def train_job(self, job: Any, inputs: Any, hooks: FitHooks, **more: Any) -> Any:
        if job.is_linear:
            self.step()

        def count_step(step: StepReport) -> None:
            hooks.on_step(step)
            self.step()

        return self.real(job, inputs, replace(hooks, on_step=count_step), **more)

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.at:
            for number in self.signals:
                signal.raise_signal(number)


@pytest.fixture(scope="module")
def whole(make_site: Callable[..., Any]) -> Any:
    """A finished run that nobody stopped."""
    site = make_site("binary", training={"epochs": EPOCHS})
    site.ok("train")
    return site


@pytest.fixture
def site(whole: Any, make_site: Callable[..., Any]) -> Any:
    """The same competition before its run."""
    return make_site("binary", training={"epochs": EPOCHS})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_the_running_fit_and_the_next_call_goes_on_from_it(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    with monkeypatch.context() as patched:
        Steps(patched, number)
        done = site.run("train")
    assert done.code == 128 + number
    assert capfd.readouterr().err == STOP_MESSAGE.decode()
    assert f"saved at {AT / STEPS:.0%} of its steps" in done.out
    assert "stopped as asked: 0 of 4 fits are done" in done.out
    assert f"resume: python run.py train --config {site.folder / 'config.yaml'}" in done.out
    [checkpoint] = site.root.rglob(CHECKPOINT)
    assert f"interrupted: mean, seed 42, fold 0 at {AT / STEPS:.0%}" in site.ok("status")
    steps = Steps(monkeypatch)
    site.ok("train", "--only", "mean", "--folds", "0")
    assert steps.taken == STEPS - AT
    assert not checkpoint.exists()
    site.ok("train")
    assert contents(site.root) == contents(whole.root)


def test_the_second_signal_stops_at_once_and_harms_nothing(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        Steps(patched, signal.SIGTERM, signal.SIGTERM)
        done = site.run("train")
    assert done.code == 130
    assert "stopped; finished fits are kept: the same command continues" in done.err
    assert list(site.root.rglob(CHECKPOINT)) == []
    assert "all as they were written" in site.ok("status", "--deep")
    site.ok("train")
    assert contents(site.root) == contents(whole.root)


def test_a_second_signal_keeps_the_checkpoint_that_was_there(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        Steps(patched, signal.SIGINT)
        site.run("train")
    [checkpoint] = site.root.rglob(CHECKPOINT)
    saved = checkpoint.read_bytes()
    with monkeypatch.context() as patched:
        Steps(patched, signal.SIGINT, signal.SIGINT, at=1)
        assert site.run("train").code == 130
    assert checkpoint.read_bytes() == saved
    site.ok("train")
    assert contents(site.root) == contents(whole.root)


def test_a_signal_during_a_linear_fit_stops_after_it(
    linear_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = linear_site("binary")
    Steps(monkeypatch, signal.SIGTERM, at=1)
    done = site.run("train")
    assert done.code == 128 + signal.SIGTERM
    assert "stopped as asked: 1 of 2 fits are done" in done.out
    assert len(site.markers()) == 1
    site.ok("train")
    assert len(site.markers()) == 2


def test_a_signal_after_the_last_fit_is_told_by_the_exit_code_alone(
    linear_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = linear_site("binary")
    Steps(monkeypatch, signal.SIGINT, at=2)
    done = site.run("train")
    assert done.code == 128 + signal.SIGINT
    assert "all fits done" in done.out


def test_what_was_ignored_stays_ignored_and_what_was_heeded_comes_back() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heeded = signal.getsignal(signal.SIGTERM)
    try:
        with handle_stop_signals() as request:
            assert signal.getsignal(signal.SIGTERM) is not heeded
            signal.raise_signal(signal.SIGHUP)
        assert request == StopRequest(None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is heeded
    finally:
        signal.signal(signal.SIGHUP, former)


DEEP = """
import hashlib
from pipeline.scheduling.signals import handle_stop_signals
with handle_stop_signals():
    print("in", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2 * 10**9)  # minutes in C code, where Python hears of no signal
"""


def test_a_second_signal_ends_a_process_that_is_deep_in_c_code() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DEEP], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.count("stopping after this step") == 1


def test_train_works_off_the_main_thread(linear_site: Callable[..., Any]) -> None:
    """Signals can be set in the main thread alone: there was a ValueError, in a notebook's thread for one."""
    site = linear_site("binary")
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(site.run("train").code))
    thread.start()
    thread.join()
    assert codes == [0]
