"""The limits of a blend, what it prints of itself, and which members it refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oof.blends.blend_file import read_blend
from pipeline.blending import run_members

Change = Callable[[pd.DataFrame], pd.DataFrame]
CLASSES = ["who", "where", "when"]


def offer(site: Any, name: str, oof: Change, test: Change = lambda table: table) -> None:
    """Offer the run's own member tfidf, changed, as a teammate's files."""
    for kind, source, change in (("oof", "tfidf.parquet", oof), ("test", "tfidf.test.parquet", test)):
        change(pd.read_parquet(site.root / "oof" / source)).to_parquet(site.folder / f"{name}.{kind}.parquet")
    extra = site.config().get("blend", {}).get("extra", {})
    paths = {"oof": f"{name}.oof.parquet", "test": f"{name}.test.parquet"}
    site.configure(blend={"extra": {**extra, name: paths}})


def blurred(share: float) -> Change:
    return lambda table: table.assign(**{name: share * table[name] + (1 - share) / 3 for name in CLASSES})


def cheated(site: Any) -> Change:
    truth = pd.Series({row["id"]: row["kind"] for row in site.rows("train.csv")})
    return lambda table: table.assign(**{name: (truth[table["id"]] == name).to_numpy(float) for name in CLASSES})


def test_a_member_that_saw_its_rows_is_refused_and_may_be_trusted(blended) -> None:
    site = blended("multiclass")
    offer(site, "theirs", cheated(site), blurred(0.2))
    done = site.run("blend")
    assert done.code == 2
    assert "error: theirs does not look out of fold: its OOF gives the truth a probability of 1.00" in done.err
    assert "if you know better, blend --trust theirs" in done.err
    done = site.run("blend", "--trust", "theirs")
    assert done.code == 0
    assert "warning: theirs is used, though it does not look out of fold" in done.err
    assert "theirs" in read_blend(site.root / "oof" / "blend.json").members
    done = site.run("blend", "blend.members=[theirs]")  # alone, the test rows may be harder
    assert done.code == 0
    assert "warning: theirs is used, though it does not look out of fold" in done.err


def test_an_honest_member_passes_however_weak_or_strong(blended) -> None:
    site = blended("multiclass")
    answers = pd.Series({row["id"]: row["kind"] for row in site.rows("solution.csv")})
    hidden = lambda table: table.assign(  # noqa: E731
        **{name: (answers[table["id"]] == name).to_numpy(float) for name in CLASSES}
    )
    offer(site, "oracle", cheated(site), hidden)
    offer(site, "weak", blurred(0.1), blurred(0.1))
    done = site.run("blend")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("trusted", "sentence"),
    [
        ("mean", "--trust names 'mean', which is no member from a file; members from files are theirs"),
        ("their", "--trust names 'their', which is no member from a file; members from files are theirs"),
    ],
)
def test_only_members_from_files_need_trust(blended, trusted: str, sentence: str) -> None:
    site = blended("multiclass")
    offer(site, "theirs", blurred(0.5), blurred(0.5))
    done = site.run("blend", "--trust", trusted)
    assert done.code == 2
    assert sentence in done.err


def test_members_that_can_add_nothing_are_left_out_with_a_sentence(blended) -> None:
    site = blended("multiclass")
    offer(site, "flat", lambda table: table.assign(**dict.fromkeys(CLASSES, 1 / 3)))
    offer(site, "twin", lambda table: table)
    done = site.run("blend")
    assert done.code == 0
    assert "warning: flat is left out: its OOF is the same for every row\n" in done.err
    assert "warning: twin is left out: its OOF equals that of tfidf in every row\n" in done.err
    assert read_blend(site.root / "oof" / "blend.json").members == ["mean", "tfidf"]
    done = site.run("blend", "blend.members=[flat]")
    assert done.code == 2
    assert "no member can be blended: flat is of no use, its OOF is the same for every row" in done.err


def test_a_blend_keeps_to_its_number_of_members(blended, tmp_path: Path) -> None:
    site = blended("multiclass")
    assert "weights: tfidf 1.000\n" in site.ok("blend", "blend.method=mean", "blend.max_members=1")
    described = read_blend(site.root / "oof" / "blend.json")
    assert described.members == ["tfidf"]
    assert list(described.fits) == ["tfidf"]
    site.ok("submit")
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path), "blend.max_members=1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "blend.test.parquet",
        "predictions.json",
        "tfidf.test.parquet",
    ]


def timed(site: Any, **seconds: float) -> None:
    """Say that each fit of a variant predicts 1,000 rows in so many seconds."""
    for name, each in seconds.items():
        for path in (site.root / "models" / name).rglob("fit.json"):
            marker = json.loads(path.read_text())
            assert marker["provenance"]["predict_seconds"] >= 0
            site.reseal(path, provenance={**marker["provenance"], "predict_seconds": each})


def test_a_blend_keeps_to_its_seconds_of_prediction(blended) -> None:
    site = blended("multiclass")
    timed(site, tfidf=100.0, mean=900.0)  # 2 fits and 12 test rows: 2.4 and 21.6 seconds
    site.ok("blend", "blend.method=mean", "blend.max_seconds=21")
    assert read_blend(site.root / "oof" / "blend.json").members == ["tfidf"]
    done = site.run("blend", "blend.max_seconds=2.3")
    assert done.code == 2
    assert "no member is within blend.max_seconds 2.3: the fastest takes 2.4 seconds" in done.err
    offer(site, "theirs", blurred(0.5), blurred(0.5))
    done = site.run("blend", "blend.max_seconds=5")
    assert done.code == 2
    assert "blend.max_seconds: the prediction time of theirs is unknown" in done.err


def test_a_finish_is_tried_and_can_be_switched_off(blended) -> None:
    site = blended("multiclass")
    out = site.ok("blend")
    assert ", finished" in out
    assert "a temperature of " in out
    finish = read_blend(site.root / "oof" / "blend.json").finish
    assert (finish is not None) == ("after it gains" in out)
    out = site.ok("blend", "blend.finish=false")
    assert "finished" not in out
    assert read_blend(site.root / "oof" / "blend.json").finish is None


def test_the_range_of_the_target_bounds_a_regression(blended) -> None:
    site = blended("regression")
    out = site.ok("blend", "blend.method=stacker")
    finish = read_blend(site.root / "oof" / "blend.json").finish
    if finish is None:
        assert "the target's range after it does not pay: " in out
    else:
        found = pd.read_parquet(site.root / "oof" / "blend.test.parquet")["score"]
        assert found.between(finish["low"][0], finish["high"][0]).all()


def test_scores_come_with_an_interval_and_a_figure_for_having_chosen(blended) -> None:
    site = blended("multiclass")
    out = site.ok("blend")
    scores = read_blend(site.root / "oof" / "blend.json").scores
    low, high = scores.interval
    assert low < scores.cross_fitted < high
    assert f"corrected for the choice among these blends (BBC-CV): {scores.corrected:.5f}" in out
    assert f"{low:.5f} to {high:.5f}" in out
    assert np.isfinite(scores.corrected)
    assert "95 % intervals cover about 90 % on so few rows" in out
    assert "stratified folds make every log loss here too low by about 1/rows, 0.02083" in out
    assert "make every log loss" not in blended("regression").ok("blend")


def test_what_was_trained_since_is_named_until_it_is_offered(linear_site) -> None:
    site = linear_site("multiclass")
    more = {"tfidf": {"model": "tfidf"}, "new": {"model": "tfidf", "max_terms": 100}}
    for verb in ("train", "blend", "submit"):
        site.ok(verb)
    site.configure(variants=more)
    site.ok("train", "--folds", "0")
    assert site.run("submit").err == ""  # half a member is none
    site.ok("train")
    assert "the blend does not know new: blend again to offer it" in site.run("submit").err
    assert "the blend does not know new: python run.py blend" in site.ok("status")
    site.ok("blend", "blend.members=[tfidf]")
    assert "does not know" not in site.run("submit", "blend.members=[tfidf]").err
    site.ok("blend")
    site.configure(variants={"other": {"model": "tfidf"}})
    assert "is no longer one: train, then blend" in site.run("submit").err


def test_status_does_not_call_submitted_what_submit_would_refuse(linear_site) -> None:
    site = linear_site("multiclass")
    for verb in ("train", "blend", "submit"):
        site.ok(verb)
    assert "submitted: " in site.ok("status")
    assert "the blend was made by other settings: method" in site.ok("status", "blend.method=mean")
    site.write("test.csv", [{**row, "text": f"{row['text']} good"} for row in site.rows("test.csv")])
    site.ok("train")
    assert "the blend is of another test table: python run.py blend" in site.ok("status")


def test_a_teammates_test_predictions_of_something_else_are_refused(blended) -> None:
    site = blended("binary")
    oof, test = (pd.read_parquet(site.root / "oof" / f"tfidf.{kind}") for kind in ("parquet", "test.parquet"))
    oof.assign(target=0.1 + 0.8 * oof["target"]).to_csv(site.folder / "theirs.csv", index=False)
    test.assign(target=1 - test["target"]).to_csv(site.folder / "theirs_test.csv", index=False)
    site.configure(blend={"extra": {"theirs": {"oof": "theirs.csv", "test": "theirs_test.csv"}}})
    done = site.run("blend")
    assert done.code == 2
    assert "theirs does not look out of fold: column 'target' correlates with the run's own members" in done.err
    assert "theirs is used, though" in site.run("blend", "--trust", "theirs").err


def test_members_share_the_ids_of_the_test_table(blended, monkeypatch: pytest.MonkeyPatch) -> None:
    site = blended("multiclass")
    real, found = run_members.stack_members, []

    def seen(made: Any, *more: Any) -> Any:
        found.extend(made)
        return real(found, *more)

    monkeypatch.setattr(run_members, "stack_members", seen)
    offer(site, "theirs", blurred(0.8))
    site.ok("blend")
    assert len(found) > 2
    assert {id(member.test_ids) for member in found} == {id(found[0].test_ids)}


def test_a_member_whose_parts_predict_other_test_rows_is_refused(blended, monkeypatch: pytest.MonkeyPatch) -> None:
    site, real = blended("multiclass"), run_members.join_parts

    def turned(*given: Any) -> Any:
        member = real(*given)
        return replace(member, test_ids=member.test_ids[::-1])

    monkeypatch.setattr(run_members, "join_parts", turned)
    done = site.run("blend")
    assert done.code == 2
    assert "are not of this test table: train predicts it" in done.err
