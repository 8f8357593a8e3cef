"""Folds of a run: made once, verified against the table and the config at every later step, never recomputed."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pipeline.config.run_config import read_config
from pipeline.data.competition import load_competition
from pipeline.data.fold_assignment import FoldAssignment, open_folds
from pipeline.storage.run_directory import locate_run

MakeSite = Callable[..., Any]


def opened(site: Any, *overrides: str) -> FoldAssignment:
    config = read_config(site.folder / "config.yaml", overrides)
    competition = load_competition(config.competition, config.submission, site.folder)
    return open_folds(locate_run(site.folder, config.run), config.folds, competition, make=True)


def test_folds_are_made_once_and_read_ever_after(linear_site: MakeSite) -> None:
    site = linear_site("multiclass")
    first = opened(site)
    csv = site.root / "folds" / "folds.csv"
    before = csv.stat().st_mtime_ns
    again = opened(site)
    assert csv.stat().st_mtime_ns == before
    assert first.fold.tolist() == again.fold.tolist()
    assert first.numbers == [0, 1]
    assert sorted([*first.valid(0), *first.valid(1)]) == list(range(48))
    assert sorted([*first.valid(0), *first.train(0)]) == list(range(48))
    assert first.train("all").tolist() == list(range(48))
    assert len(first.valid("all")) == 0


def edit_fold(site: Any) -> None:
    csv = site.root / "folds" / "folds.csv"
    frame = pd.read_csv(csv, dtype=str)
    frame.loc[0, "fold"] = "1" if frame.loc[0, "fold"] == "0" else "0"
    frame.to_csv(csv, index=False)


def drop_fold_row(site: Any) -> None:
    csv = site.root / "folds" / "folds.csv"
    csv.write_text("\n".join(csv.read_text().splitlines()[:-1]) + "\n")


def cut_folds_off(site: Any) -> None:
    csv = site.root / "folds" / "folds.csv"
    csv.write_text(csv.read_text()[:-3])


def edit_text(site: Any) -> None:
    rows = site.rows("train.csv")
    rows[3]["text"] += " more"
    site.write("train.csv", rows)


def edit_target(site: Any) -> None:
    rows = site.rows("train.csv")
    rows[3]["kind"] = rows[4]["kind"]
    site.write("train.csv", rows)


def drop_row(site: Any) -> None:
    site.write("train.csv", site.rows("train.csv")[:-1])


ROWS = "the training rows are not those that the folds were made from"
AGAIN = "restore it or use another `run:` name"


@pytest.mark.parametrize(
    ("change", "overrides", "sentences"),
    [
        (edit_fold, (), ["folds.csv is damaged or was changed since it was written"]),
        (drop_fold_row, (), ["folds.csv is damaged or was changed since it was written"]),
        (cut_folds_off, (), ["folds.csv"]),
        (edit_text, (), [ROWS, AGAIN]),
        (edit_target, (), [ROWS, AGAIN]),
        (drop_row, (), [ROWS, AGAIN]),
        (None, ("folds.count=3",), ["folds.count is 2 in this run but 3 in the config", AGAIN]),
        (None, ("folds.seed=7",), ["folds.seed is 42 in this run but 7 in the config", AGAIN]),
        (None, ("folds.kind=kfold",), ["folds.kind is stratified in this run but kfold in the config", AGAIN]),
        (None, ("folds.together=null",), ["folds.together is duplicates in this run but null in the config", AGAIN]),
    ],
)
@pytest.mark.parametrize("verb", ["train", "blend", "status"])
def test_other_folds_or_rows_in_the_same_run_are_refused(
    linear_site: MakeSite,
    change: Callable[[Any], None] | None,
    overrides: tuple[str, ...],
    sentences: list[str],
    verb: str,
) -> None:
    site = linear_site("multiclass")
    site.ok("train")
    before = site.markers()
    if change:
        change(site)
    done = site.run(verb, *overrides)
    assert done.code == 2, done.out
    assert done.err.startswith("error: ")
    for sentence in sentences:
        assert sentence in done.err
    assert site.markers() == before


def test_another_competition_in_the_same_run_is_refused(linear_site: MakeSite) -> None:
    site, other = linear_site("multiclass"), linear_site("binary")
    site.ok("train")
    competition = other.config()["competition"]
    for name in ("train", "test", "sample_submission"):
        competition[name] = str(other.folder / competition[name])
    site.configure(competition=competition)
    done = site.run("train")
    assert done.code == 2
    assert ROWS in done.err
    site.ok("train", "run=another")


def test_duplicates_share_a_fold_and_switching_that_off_is_possible(linear_site: MakeSite) -> None:
    site = linear_site("multiclass")
    rows = site.rows("train.csv")
    for row in rows[::2]:
        row["text"] = " Where,   who?"
    for row in rows[1::4]:
        row["text"] = "where who"
    site.write("train.csv", rows)
    folds = opened(site)
    together = [at for at, row in enumerate(rows) if "ho" in row["text"] and len(row["text"]) < 16]
    assert len(together) == 36
    assert len(set(folds.fold[together])) == 1
    assert len(set(opened(site, "run=s", "folds.together=null").fold[together])) == 2


def test_rows_that_only_train_have_no_oof(linear_site: MakeSite) -> None:
    site = linear_site("binary", folds={"train_only": "external"})
    site.write("train.csv", [{**row, "external": int(at < 10)} for at, row in enumerate(site.rows("train.csv"))])
    folds = opened(site)
    assert (folds.fold[:10] == -1).all()
    assert set(range(10)) <= set(folds.train(0)) & set(folds.train(1))
    site.ok("train")
    site.ok("blend")
    oof = pd.read_parquet(site.root / "oof" / "blend.parquet")
    assert len(oof) == 38
    assert not set(oof["id"]) & {f"{at:03d}" for at in range(10)}


def test_groups_given_folds_and_time_are_taken_from_their_columns(linear_site: MakeSite) -> None:
    site = linear_site("binary")
    rows = site.rows("train.csv")
    days = [{"who": f"w{at % 7}", "given": at // 24, "day": f"2024-01-{at // 2 + 1:02d}"} for at in range(48)]
    site.write("train.csv", [{**row, **more} for row, more in zip(rows, days, strict=True)])
    groups = pd.Series(opened(site, "run=g", "folds.kind=group", "folds.group=who").fold)
    assert (groups.groupby([day["who"] for day in days]).nunique() == 1).all()
    given = opened(site, "run=p", "folds.kind=predefined", "folds.column=given")
    assert given.fold.tolist() == [day["given"] for day in days]
    time = opened(site, "run=t", "folds.kind=time", "folds.time=day", "folds.count=3")
    assert time.numbers == [1, 2]
    assert max(time.train(1)) < min(time.valid(1))
    assert max(time.train(2)) < min(time.valid(2))
    site.ok("train", "run=t", "folds.kind=time", "folds.time=day", "folds.count=3")
    site.ok("blend", "run=t", "folds.kind=time", "folds.time=day", "folds.count=3")
    assert set(pd.read_parquet(site.folder / "runs" / "t" / "oof" / "blend.parquet")["fold"]) == {1, 2}


def test_a_class_rarer_than_the_folds_warns_and_trains(linear_site: MakeSite) -> None:
    site = linear_site("multiclass", competition={"metric": "accuracy"})
    rows = site.rows("train.csv")
    rows[0]["kind"] = "why"
    site.write("train.csv", rows)
    site.write("sample_submission.csv", [{"id": row["id"], "kind": "who"} for row in site.rows("test.csv")])
    done = site.run("train")
    assert done.code == 0, done.err
    assert "warning: class why: 1 row, no OOF in fold" in done.err
    site.ok("blend")
    site.ok("submit")
