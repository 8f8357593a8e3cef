"""`train` within a budget, on a clock that moves by seconds that the test gives to every step or fit."""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import run
from models.training.hooks import FitHooks, StepReport
from pipeline.commands.train import train
from pipeline.config.run_config import read_config
from pipeline.display import configure_terminal
from pipeline.fits import run_fit
from pipeline.fits.timing import STEPS, FitLoad, Pace
from pipeline.scheduling.budget import Budget

MakeSite = Callable[..., Any]
LINEAR = {name: {"model": "tfidf", "strength": strength} for name, strength in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
MEAN = {"mean": {"pooling": "mean"}}


class Clock:
    """Time that moves by `fit` seconds with each fit and by `step` seconds with each step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fit: float = 0.0, step: float = 0.0) -> None:
        self.now = 1000.0
        self.fit = fit
        train_job = run_fit.train_job

        def timed(job: Any, inputs: Any, hooks: FitHooks, **more: Any) -> Any:
            def slow_step(report: StepReport) -> None:
                self.now += step
                hooks.on_step(report)

            result = train_job(job, inputs, replace(hooks, on_step=slow_step), **more)
            self.now += self.fit
            return result

        monkeypatch.setattr(run_fit, "train_job", timed)

    def __call__(self) -> float:
        return self.now


def trained(site: Any, clock: Clock, seconds: float = math.inf) -> None:
    configure_terminal()
    config = site.folder / "config.yaml"
    train(read_config(config), site.folder, budget=Budget(seconds, clock.now, clock), command="AGAIN")


def fits(site: Any) -> dict[str, int]:
    """Finished fits by variant."""
    names = [path.split("/")[1] for path in site.markers()]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def test_a_budget_ends_with_whole_members_and_the_same_command_goes_on(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, clock = make_site("binary", variants=LINEAR), Clock(monkeypatch, fit=60.0)
    trained(site, clock, 300.0)
    out = capsys.readouterr().out
    assert fits(site) == {"a": 2, "b": 2}
    assert clock.now <= 1300.0
    assert "[1/6] a, seed 0, fold 0: roc_auc 1.00000, 60.0 s, about 5 min left\n" in out
    assert "  the budget of 5 min is enough for 3 of the 5 fits to come; whole members: a, b\n" in out
    assert out.splitlines()[-4:] == [
        "stopped by the budget of 5 min: 4 of 6 fits are done; whole members: a, b",
        "fits left: 2 of c, about 2 min",
        "resume: AGAIN",
        f"or blend the whole members: python run.py blend --config {site.folder / 'config.yaml'}",
    ]
    trained(site, clock, 300.0)
    assert fits(site) == {"a": 2, "b": 2, "c": 2}
    assert "all fits done; blend next" in capsys.readouterr().out


def test_a_member_that_is_partly_done_comes_first_within_a_budget_and_in_its_turn_without(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, clock = make_site("binary", variants=LINEAR), Clock(monkeypatch, fit=60.0)
    site.ok("train", "--only", "c", "--folds", "1")
    copy = site.copy(site.folder.parent / "copy")
    capsys.readouterr()
    trained(site, clock, 600.0)
    assert "[1/5] c, seed 0, fold 0" in capsys.readouterr().out
    trained(copy, clock)
    assert "[1/5] a, seed 0, fold 0" in capsys.readouterr().out


def test_steps_tell_how_long_the_run_takes_before_the_first_fit_ends(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site("binary", variants={**MEAN, "max": {"pooling": "max"}}, training={"epochs": 10})
    trained(site, clock := Clock(monkeypatch, step=10.0))
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch" not in line and ", step " not in line]
    assert clock.now == 1000.0 + 4 * 300
    [told] = [place for place, line in enumerate(lines) if line.startswith("  this fit will take about ")]
    # 5 min of steps, and what predicting would take if it took any of this clock's time
    assert lines[told] == "  this fit will take about 7 min; it and the 3 after it, about 27 min"
    assert lines[told + 1].startswith("[1/4] mean, seed 42, fold 0: ")
    assert lines[told + 1].endswith(", 5 min, about 15 min left")
    assert "budget" not in "".join(lines)


def test_a_budget_too_short_for_one_member_is_told_at_once_and_used_all_the_same(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site("binary", variants=MEAN, training={"epochs": 10})
    trained(site, Clock(monkeypatch, step=10.0), 500.0)
    out = capsys.readouterr().out
    short = "the budget of 8 min is too short for one whole member: mean needs about 12 min more, and 7 min are left"
    assert short in out
    assert out.index(short) < out.index("[1/2] mean")
    assert fits(site) == {"mean": 1}
    assert "1 of 2 fits are done; no member is whole yet\nfits left: 1 of mean, about 5 min\nresume: AGAIN\n" in out
    assert "blend" not in out


def test_a_fit_is_left_at_the_limit_and_not_before_and_goes_on_from_there(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site("binary", variants=MEAN, training={"epochs": 10})
    trained(site, clock := Clock(monkeypatch, step=10.0), 250.0)
    out = capsys.readouterr().out
    assert "  the budget of 4 min ends about 3 min too early for this fit: it runs until then and is saved" in out
    assert "mean, seed 42, fold 0: stopped after 4 min, saved at 83% of its steps\n" in out
    assert "stopped by the budget of 4 min: 0 of 2 fits are done; no member is whole yet\n" in out
    assert "saved: mean, seed 42, fold 0 at 83%\nresume: AGAIN\n" in out
    assert 1000.0 + 200.0 < clock.now <= 1000.0 + 250.0
    assert [path.name for path in (site.root / "models").rglob("seed-*/*/*")] == ["checkpoint.safetensors"]
    trained(site, Clock(monkeypatch))
    assert fits(site) == {"mean": 2}


def test_no_fit_is_started_that_would_not_end_in_time(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, clock = make_site("binary", variants=LINEAR), Clock(monkeypatch, fit=60.0)
    trained(site, clock, 60.0 + 60.0)  # the second would fit, but for the margin
    assert fits(site) == {"a": 1}
    trained(site, clock, 0.0)
    assert fits(site) == {"a": 1}
    assert "stopped by the budget of 0.0 s: 1 of 6 fits are done" in capsys.readouterr().out


def test_the_budget_counts_from_the_start_of_the_call_and_names_the_call_that_goes_on(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, seen = make_site("binary", variants=LINEAR), []
    monkeypatch.setattr("pipeline.commands.train.train", lambda *_, **options: seen.append(options))
    before, config = time.monotonic(), str(site.folder / "config.yaml")
    assert run.main(["train", "--config", config, "--budget", "1h30m", "training.epochs=2"]) == 0
    assert seen[0]["budget"].seconds == 5400.0
    assert before <= seen[0]["budget"].started <= time.monotonic()
    assert seen[0]["command"] == f"python run.py train --config {config} --budget 1h30m training.epochs=2"
    assert run.main(["train", "--config", config]) == 0
    assert seen[1]["budget"] is None
    assert run.main(["train", "--config", config, "--budget", "8"]) == 2
    assert "error: --budget must be a time such as 8h, 90m, 1h30m or 3600s, got '8'\n" in capsys.readouterr().err


def test_a_call_that_has_used_up_its_budget_starts_nothing_and_says_so(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, main_train = make_site("binary", variants=LINEAR), run.VERBS["train"]

    def late(args: argparse.Namespace) -> int | None:
        args.started -= 10.0
        return main_train(args)

    monkeypatch.setitem(run.VERBS, "train", late)
    done = site.run("train", "--budget", "9s")
    assert done.code == 3, done.err
    out = done.out
    assert fits(site) == {}
    again = f"python run.py train --config {site.folder / 'config.yaml'} --budget 9s\n"
    assert "no fit was finished in that time" in out
    assert f": the same command needs more of it: {again}" in out  # with this one it would never come further
    assert "resume:" not in out


def test_predicting_a_new_test_table_needs_the_tables_share_of_a_fit(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site("binary", variants=LINEAR)
    site.ok("train")
    for path in (site.root / "models").rglob("fit.json"):
        site.reseal(path, provenance={"seconds": 1000.0, "device": "cpu"})
    site.write("test.csv", [{**row, "text": f"{row['text']} good"} for row in site.rows("test.csv")])
    capsys.readouterr()
    trained(site, Clock(monkeypatch), 900.0)
    out = capsys.readouterr().out
    assert "[6/6] c, seed 0, fold 1: test table predicted" in out
    assert "fits done; blend next" in out


def test_status_guesses_for_a_variant_without_fits_from_another_on_the_same_backbone(make_site: MakeSite) -> None:
    site = make_site("binary", variants={**MEAN, "max": {"pooling": "max"}})
    site.ok("train")
    for path in (site.root / "models").glob("max/*/seed-*/fold-*/fit.json"):
        path.unlink()
    [line] = [line for line in site.ok("status").splitlines() if line.startswith("max")]
    assert line.split()[1:3] == ["0/2", "-"]
    assert line.endswith(" s")


def test_a_pace_tells_after_some_steps_or_a_few_slow_ones() -> None:
    load = FitLoad("v", "neural", 300.0, valid=30.0, test=60.0)
    fast, slow = Pace(load, 100, 0.0), Pace(load, 100, 0.0)
    for step in range(STEPS + 1):
        assert not fast.is_reliable
        fast.note_step(5.0 + step)
    assert fast.is_reliable
    assert fast.start == 4.0  # before the first step, which took a second as the others did
    assert fast.part.seconds == STEPS
    assert fast.part.load.work == pytest.approx(300.0 * STEPS / 100)
    assert fast.closing == pytest.approx(60.0 / 3)
    for step in range(4):
        assert not slow.is_reliable
        slow.note_step(30.0 * step)
    assert slow.is_reliable


def test_a_fit_without_steps_has_no_pace() -> None:
    pace = Pace(FitLoad("tfidf", "linear", 300.0), None, 0.0)
    assert (pace.is_reliable, pace.start, pace.closing) == (False, 0.0, 0.0)
