"""What goes wrong in one fit costs that fit alone; what the machine refuses ends the call in a sentence."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.sites import contents
from models.encoder.backbone import open_backbone
from models.store import CHECKPOINT, FAILURE
from models.training.hooks import FitHooks, StepReport
from models.training.loop import OptimizerStep
from pipeline.errors import OUT_OF_MEMORY
from pipeline.fits import run_fit
from pipeline.fits.events import FitFailed
from pipeline.fits.outputs import describe_failure
from pipeline.storage.files import PREFIX

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def whole(make_site: Callable[..., Any]) -> Any:
    """A finished run in which nothing went wrong."""
    site = make_site("binary")
    for verb in ("train", "blend", "submit"):
        site.ok(verb)
    return site


@pytest.fixture
def site(whole: Any, make_site: Callable[..., Any]) -> Any:
    """The same competition before its run."""
    return make_site("binary")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the first fit of `mean` raise, at its second step."""
    real = run_fit.train_job

    def train_job(job: Any, inputs: Any, hooks: FitHooks, **more: Any) -> Any:
        steps = itertools.count(1)

        def fail_in_second_step(step: StepReport) -> None:
            hooks.on_step(step)
            if (job.variant, job.fold, next(steps)) == ("mean", 0, 2):
                raise error

        return real(job, inputs, replace(hooks, on_step=fail_in_second_step), **more)

    monkeypatch.setattr(run_fit, "train_job", train_job)


def finish(site: Any) -> None:
    for verb in ("train", "blend", "submit"):
        site.ok(verb)


def test_a_fit_that_raises_leaves_a_note_and_the_others_go_on(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        failing(patched, RuntimeError("no\nsuch luck"))
        done = site.run("train")
    said = "mean, seed 42, fold 0: RuntimeError: no such luck"
    assert done.code == 1
    assert f"[1/4] failed: {said}; the other fits continue" in done.out
    assert f"1 of 4 fits failed; the same command tries them again: python run.py train --config {site.folder}" in (
        done.err
    )
    assert len(site.markers()) == 3
    [note] = site.root.rglob(FAILURE)
    assert json.loads(note.read_text(encoding="utf-8"))["traceback"].startswith("Traceback")
    assert f"failed: {said}" in site.ok("status")
    assert "all as they were written" in site.ok("status", "--deep")
    finish(site)
    assert not note.exists()
    assert "failed" not in site.ok("status")
    assert contents(site.root) == contents(whole.root)


def test_a_loss_that_is_no_number_fails_that_fit_in_a_sentence(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(OptimizerStep, "__call__", lambda stepper, rows: torch.tensor(torch.nan))
        done = site.run("train")
    assert done.code == 1
    assert "failed: mean, seed 42, fold 0: the training loss became nan at step" in done.out
    assert "[4/4] tfidf, seed 0, fold 1: " in done.out
    notes = [json.loads(path.read_text(encoding="utf-8")) for path in site.root.rglob(FAILURE)]
    assert [sorted(note) for note in notes] == [["error", "fingerprint"]] * 2  # foreseen: without a traceback
    finish(site)
    assert contents(site.root) == contents(whole.root)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_the_machine_refuses_ends_the_call_in_a_sentence(
    site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patched:
        failing(patched, OSError(number, os.strerror(number), "disk"))
        done = site.run("train")
    assert done.code == 2
    assert done.err.startswith(f"error: {os.strerror(number)}: disk")
    assert done.err.count("\n") == 1
    assert (list(site.root.rglob(FAILURE)), site.markers()) == ([], {})
    finish(site)
    assert contents(site.root) == contents(whole.root)


def test_a_note_that_cannot_be_read_is_a_failure_all_the_same(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        failing(patched, RuntimeError("x"))
        site.run("train")
    [note] = site.root.rglob(FAILURE)
    note.write_bytes(b"\xff")
    assert "failed: mean, seed 42, fold 0: the note of its failure is damaged" in site.ok("status")
    site.ok("train")
    assert not note.exists()


def test_what_a_kill_left_beside_a_finished_fit_is_swept(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    for marker in site.root.rglob("fit.json"):
        for name in (FAILURE, CHECKPOINT):
            marker.with_name(name).write_bytes(b"x")
    site.ok("train", "--only", "tfidf")
    assert contents(site.root) == contents(whole.root)


def test_what_a_kill_left_in_a_write_is_swept(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    for folder in [site.root, *(path for path in site.root.rglob("*") if path.is_dir())]:
        (folder / f"{PREFIX}x").mkdir()
        (folder / f"{PREFIX}x" / "half").write_bytes(b"x")
    finish(site)
    assert contents(site.root) == contents(whole.root)


@pytest.mark.parametrize("verb", ["train", "blend", "submit"])
def test_a_run_folder_that_cannot_be_written_is_a_sentence(
    whole: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    site = whole.copy(tmp_path / "copy")
    before = contents(site.root)

    def refuse(prefix: str, dir: Path) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir / f"{prefix}x"))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    done = site.run(verb)
    assert done.code == 2
    assert done.err.startswith(f"error: {os.strerror(errno.EROFS)}: {site.root}")
    assert done.err.endswith("; take a folder that can be written\n")
    assert PREFIX not in done.err
    assert contents(site.root) == before
    for reading in ("status", "status --deep"):
        site.ok(*reading.split())


def test_a_clock_that_jumps_does_no_harm(site: Any, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now, jumps = time.time(), itertools.cycle([0.0, -1e8, 1e8, -3600.0])
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    finish(site)
    for path, jump in zip(sorted(site.root.rglob("*")), itertools.cycle([-1e8, 1e8])):
        os.utime(path, (now + jump, now + jump))
    assert "nothing to do" in site.ok("train")
    assert "submitted: " in site.ok("status")
    assert contents(site.root) == contents(whole.root)


def test_without_its_backbone_a_finished_run_is_of_use(
    make_site: Callable[..., Any], tiny_backbone: Callable[[str], str], tmp_path: Path
) -> None:
    backbone = Path(shutil.copytree(tiny_backbone("bert"), tmp_path / "backbone"))
    site = make_site("binary", training={"backbone": str(backbone)})
    site.ok("train")
    shutil.rmtree(backbone)
    open_backbone.cache_clear()
    for verb in ("blend", "compare", "submit", "status"):
        site.ok(verb)
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path / "predictions"))
    before = contents(site.root)
    done = site.run("train")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert str(backbone) in done.err
    assert contents(site.root) == before


def test_a_reader_that_goes_away_is_no_traceback(whole: Any) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "status", "--config", str(whole.folder / "config.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize(
    "words", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"]
)
def test_memory_that_ran_out_anywhere_is_a_sentence_and_no_traceback(words: str) -> None:
    assert describe_failure(RuntimeError(words)) == FitFailed(OUT_OF_MEMORY)
    other = describe_failure(RuntimeError("shapes cannot be multiplied"))
    assert other.reason == "RuntimeError: shapes cannot be multiplied"
    assert other.traceback is not None
