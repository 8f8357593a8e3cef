"""What a running fit shows: a line of what is known, one a minute where there is no terminal, TensorBoard's log."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.store import EpochLog
from oof.metrics.metric_registry import find_metric
from pipeline.display import configure_terminal
from pipeline.fits.events import StepsTaken
from pipeline.fits.timing import FitLoad, Pace
from pipeline.scheduling.progress import LINE_SECONDS, FitProgress

MakeSite = Callable[..., Any]
Lines = pytest.CaptureFixture[str]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(clock: Clock, left: float | None = None) -> FitProgress:
    return FitProgress("mean, seed 0, fold 1", 10, 0, find_metric("roc_auc", "binary"), lambda: left, clock)


def stepped(tokens: int, losses: list[tuple[int, float]]) -> StepsTaken:
    return StepsTaken(1, tokens, losses, Pace(FitLoad("mean", "neural", 1.0), 10, 0.0))


def test_a_line_says_loss_speed_score_and_time_left() -> None:
    shown = progress(clock := Clock(), left=600.0)
    assert shown.format_line() == "about 10 min left for all"
    clock.now += 2.0
    shown.show_steps(stepped(500, [(1, 0.5)]))
    assert shown.format_line() == "loss 0.500, 250 tokens/s, about 10 min left for all"
    shown.show_epoch(EpochLog(1, {"": 0.75}, loss=0.5), last=1)
    shown.show_steps(stepped(500, []))  # a GPU's losses are read now and then
    assert shown.format_line() == "loss 0.500, 500 tokens/s, roc_auc 0.75000, about 10 min left for all"
    shown.show_steps(stepped(500, [(2, 1.5), (3, 0.5)]))
    assert shown.loss == pytest.approx(0.9 * (0.9 * 0.5 + 0.1 * 1.5) + 0.1 * 0.5)


def test_without_a_terminal_there_is_a_line_a_minute(capsys: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_terminal()
    shown = progress(clock := Clock())
    for _ in range(9):
        clock.now += LINE_SECONDS / 3
        shown.show_steps(stepped(100, [(1, 0.25)]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  mean, seed 0, fold 1, step 3 of 10: loss 0.250, 5 tokens/s"
    assert len(lines) == 3
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock.now += 10 * LINE_SECONDS
    shown.show_steps(stepped(100, []))
    assert capsys.readouterr().out == ""


def test_tensorboard_reads_the_losses_and_scores_of_every_fit(make_site: MakeSite) -> None:
    site = make_site("binary", training={"epochs": 2}, variants={"both": {"poolings": {"a": "mean", "b": "max"}}})
    log = site.folder / "logs"
    site.ok("train", "--tensorboard", str(log))
    [recipe] = (log / "r" / "both").iterdir()  # of this run and recipe alone
    folders = sorted(recipe.iterdir())
    assert [path.name for path in folders] == ["seed-42_fold-0", "seed-42_fold-1"]
    for folder in folders:
        events = EventAccumulator(str(folder))
        events.Reload()
        assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))
        assert [event.step for event in events.Scalars("roc_auc/a")] == [1, 2]
        assert 0 <= events.Scalars("roc_auc/b")[-1].value <= 1
    assert "all as they were written" in site.ok("status", "--deep")


def test_without_tensorboard_the_option_says_what_to_install(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("binary")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = site.run("train", "--tensorboard", str(site.folder / "logs"))
    assert done.code == 2
    assert done.err == "error: --tensorboard needs a package that is not installed: pip install tensorboard\n"
    assert not site.markers()
    site.ok("train")
