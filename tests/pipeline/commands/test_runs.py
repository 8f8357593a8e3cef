"""The verb `runs`: a line for each run, what differs between two, and the leaderboard's scores beside one's own."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Blended = Callable[[str], Any]


@pytest.fixture
def three(blended: Blended) -> Any:
    """A competition with three blended runs, r, s and t, and one that was only trained."""
    site = blended("multiclass")
    for name, overrides in (("s", ["blend.method=mean"]), ("t", ["variants.tfidf.strength=5.0"])):
        for verb in ("train", "blend"):
            site.ok(verb, f"run={name}", "training.epochs=1", *overrides)
    site.ok("train", "run=unblended", "--only", "tfidf")
    return site


def test_each_run_has_a_line_with_its_scores(three: Any) -> None:
    out = three.ok("runs")
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["r"][1] == "log_loss"
    assert lines["s"][3] == "mean"
    assert lines["unblended"][1:] == ["-"] * 6
    assert "4 run(s), 3 blended; the best of 3 scores flatters" in out
    assert f"python run.py runs --config {three.folder / 'config.yaml'} --leaderboard RUN=SCORE" in out


def test_two_runs_differ_by_the_keys_of_their_configs(three: Any) -> None:
    out = three.ok("runs", "--diff", "s", "t")
    assert "s -> t: 2 key(s) of the config differ; the same fits and members\n" in out
    assert '  blend.method "mean" -> "auto"\n' in out
    assert "  variants.tfidf.strength null -> 5.0\n" in out
    assert "r -> r: the same config; the same fits and members\n" in three.ok("runs", "--diff", "r", "r")


def test_runs_of_one_config_differ_by_what_was_trained_and_blended(blended: Blended) -> None:
    site = blended("binary")
    site.ok("train", "run=part", "--only", "tfidf", "--folds", "1")
    lines = site.ok("runs", "--diff", "r", "part").splitlines()
    assert lines[:3] == [
        "r -> part: the same config; other fits or members",
        "  fits of mean: 2, folds 0, 1 -> none",
        "  fits of tfidf: 2, folds 0, 1 -> 1, fold 1",
    ]
    site.ok("blend", "run=part", "--folds", "1")
    lines = site.ok("runs", "--diff", "r", "part").splitlines()
    assert "  members that were blended: mean, tfidf -> tfidf" in lines
    assert "  folds that were blended: 0, 1 -> 1" in lines


def test_scores_of_two_runs_stand_side_by_side(three: Any) -> None:
    three.ok("runs", "--leaderboard", "t=0.4")
    lines = [line.split() for line in three.ok("runs", "--diff", "s", "t").splitlines()]
    blends = [json.loads((three.folder / "runs" / name / "oof" / "blend.json").read_text()) for name in "st"]
    for name in ("in-sample", "cross-fitted"):
        assert [name, *(f"{blend['scores'][name]:.5f}" for blend in blends)] in lines
    assert ["method", *(blend["method"] for blend in blends)] in lines
    assert ["leaderboard", "-", "0.40000"] in lines
    assert ["metric", "log_loss", "-"] in [
        line.split() for line in three.ok("runs", "--diff", "s", "unblended").splitlines()
    ]


def test_noted_scores_stay_and_are_set_against_ones_own(three: Any) -> None:
    assert "3 leaderboard scores are needed to set them against your own; 1 noted" in three.ok(
        "runs", "--leaderboard", "r=0.5"
    )
    out = three.ok("runs", "--leaderboard", "s=0.6", "t=0.4")
    assert "rank correlation of own score and leaderboard over 3 runs: " in out
    plot = (three.folder / "runs" / "leaderboard.svg").read_bytes()
    assert b">r<" in plot
    assert "0.50000" in three.ok("runs")
    assert (three.folder / "runs" / "leaderboard.svg").read_bytes() == plot


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--leaderboard", "x=1"], "there is no run 'x'"),
        (["--leaderboard", "r"], "--leaderboard must be RUN=SCORE with a number, got 'r'"),
        (["--leaderboard", "r=nan"], "--leaderboard must be RUN=SCORE with a number, got 'r=nan'"),
        (["--diff", "r", "x"], "there is no run 'x'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(blended: Blended, arguments: list[str], said: str) -> None:
    done = blended("binary").run("runs", *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert said in done.err


def test_without_runs_it_says_what_to_do(linear_site: Callable[..., Any]) -> None:
    assert "holds no run yet: train first" in linear_site("binary").run("runs").err


def test_a_damaged_file_is_named(blended: Blended) -> None:
    site = blended("binary")
    blend = site.root / "oof" / "blend.json"
    blend.write_bytes(blend.read_bytes().replace(b"numbers", b"nombres"))
    assert "blend.json" in site.run("runs").err
    config = site.root / "config.yaml"
    config.write_bytes(config.read_bytes().replace(b"run: r", b"run: q"))
    assert "config.yaml is damaged or was changed" in site.run("runs").err


def test_status_and_runs_speak_json(blended: Any) -> None:
    site = blended("binary")
    status = json.loads(site.ok("status", "--json"))
    assert status["run"] == "r"
    assert [variant["name"] for variant in status["variants"]] == ["mean", "tfidf"]
    assert all(variant["done"] == variant["fits"] == 2 for variant in status["variants"])
    assert status["running"] is None
    assert status["next"]
    [listed] = json.loads(site.ok("runs", "--json"))
    assert (listed["run"], listed["metric"]) == ("r", "roc_auc")
    assert 0 <= listed["cross_fitted"] <= 1
    assert listed["leaderboard"] is None
    blend = json.loads(site.ok("blend", "--json"))
    assert blend["members"] == listed["members"]
    assert blend["metric"] == "roc_auc"
    assert json.loads(site.ok("compare", "--json"))["metric"] == "roc_auc"
