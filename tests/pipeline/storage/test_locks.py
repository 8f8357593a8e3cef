"""One process at a time does a verb on a run: a second one is told who does, and a dead one holds nothing."""

import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sites import contents
from pipeline.errors import PipelineError
from pipeline.storage.locks import hold_lock

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from pipeline.storage.locks import hold_lock
with hold_lock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""

Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """hold(root, verb) -> another process that holds a run for a verb."""
    processes: list[subprocess.Popen[str]] = []

    def start(root: Path, verb: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLD, str(root), verb]
        processes.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout is not None
        assert processes[-1].stdout.readline() == "held\n"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(linear_site: Callable[..., Any]) -> Any:
    """A finished run of the linear variant."""
    site = linear_site("binary")
    for verb in ("train", "blend", "submit"):
        site.ok(verb)
    return site


@pytest.mark.parametrize("verb", ["train", "blend", "submit"])
def test_the_second_is_told_who_holds_the_run_and_changes_nothing(
    whole: Any, hold: Hold, tmp_path: Path, verb: str
) -> None:
    site = whole.copy(tmp_path / "copy")
    process = hold(site.root, verb)
    before = contents(site.root)
    done = site.run(verb)
    assert done.code == 2
    assert done.err.startswith(
        f"error: `{verb}` already works on run r: process {process.pid} on {platform.node()}, since "
    )
    assert done.err.endswith("; wait until it is done, or stop it\n")
    assert contents(site.root) == before


def test_one_that_was_killed_holds_nothing(whole: Any, hold: Hold, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    process = hold(site.root, "blend")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (site.root / ".blend.lock").exists()
    site.ok("blend")
    assert contents(site.root) == contents(whole.root)


def test_blend_submit_and_status_work_while_train_does(whole: Any, hold: Hold, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    hold(site.root, "train")
    for verb in ("blend", "submit", "status", "compare"):
        site.ok(verb)
    assert "all as they were written" in site.ok("status", "--deep")


def test_a_refused_run_leaves_nothing_behind(linear_site: Callable[..., Any]) -> None:
    site = linear_site("binary", folds={"count": 49})
    assert site.run("train").code == 2
    assert not site.root.exists()


def test_a_lock_is_gone_after_an_error_and_can_be_had_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), hold_lock(tmp_path / "r", "train"):
            raise KeyError
        assert not (tmp_path / "r").exists()


def test_a_full_disk_is_told_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what writing raises knows no path

    monkeypatch.setattr(Path, "write_text", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: .*\.train\.holder") as caught,
        hold_lock(tmp_path, "train"),
    ):
        pass
    assert caught.value.filename == str(tmp_path / ".train.holder")
    assert list(tmp_path.iterdir()) == []


def test_a_process_does_not_lock_a_verb_twice(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "train"), hold_lock(tmp_path, "blend"):
        with pytest.raises(PipelineError, match="`train` already works on run"), hold_lock(tmp_path, "train"):
            pass
        assert (tmp_path / ".train.lock").exists()


def test_the_note_of_the_holder_is_not_in_the_lock(tmp_path: Path) -> None:
    """Without flock the lock holds the number of its process, by which a dead one is recognised."""
    with hold_lock(tmp_path, "train"):
        assert "process" not in (tmp_path / ".train.lock").read_text()
        assert str(os.getpid()) in (tmp_path / ".train.holder").read_text()
    assert list(tmp_path.iterdir()) == []
