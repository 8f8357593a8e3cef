"""`train --dry-run` says what would be done, how long it takes and what it costs, and does nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.sites import contents

MakeSite = Callable[..., Any]
VARIANTS = {"mean": {"pooling": "mean"}, "max": {"pooling": "max"}}


@pytest.fixture
def timed(make_site: MakeSite) -> Any:
    """A run of which one fit is done, that took 20 minutes."""
    site = make_site("binary", variants=VARIANTS)
    site.ok("train", "--only", "mean", "--folds", "0")
    [marker] = site.root.rglob("fit.json")
    site.reseal(marker, provenance={"seconds": 1200.0, "device": "Tesla T4"})
    return site


def test_time_and_cost_come_from_the_fits_timed_so_far(timed: Any) -> None:
    before = contents(timed.root)
    out = timed.ok("train", "--dry-run", "--workers", "3", "--price", "2.5")
    assert "  mean: 1 of 2 fits to do\n  max: 2 of 2 fits to do\n" in out
    assert "3 fits, 3 at a time in 3 processes of 1 thread\n" in out
    table = [line.split(maxsplit=2) for line in out.splitlines() if line.startswith(("mean ", "max "))]
    assert table == [["mean", "1", "20 min"], ["max", "2", "40 min"]]
    assert "about 20 min, by the fits timed so far on Tesla T4\n" in out
    assert "about 2.50 for 1.00 hours of a worker at 2.5 an hour; 2.50 if all are paid until the last is done" in out
    assert contents(timed.root) == before


def test_workers_that_wait_for_the_last_fit_are_paid_too(timed: Any) -> None:
    out = timed.ok("train", "--dry-run", "--workers", "2", "--price", "3")
    assert "about 40 min, by the fits timed so far" in out
    assert "about 3.00 for 1.00 hours of a worker at 3 an hour; 4.00 if all are paid" in out


def test_nothing_is_foreseen_of_fits_like_none_that_was_timed_and_nothing_is_written(make_site: MakeSite) -> None:
    site = make_site("binary", variants=VARIANTS)
    out = site.ok("train", "--dry-run")
    assert "4 fits, 1 at a time in this process\n" in out
    assert "no fit like those of mean, max was timed yet; this times one: python run.py train --config " in out
    assert out.endswith(" --only mean --folds 0\n")
    assert "--dry-run" not in out
    priced = site.ok("train", "--dry-run", "--price", "2.5", "--workers", "2")
    assert "was timed yet, and without a time there is no price; this times one: " in priced
    assert priced.endswith("--workers 2 --only mean --folds 0\n")
    assert not site.root.exists()


def test_a_finished_run_has_nothing_to_do(timed: Any) -> None:
    timed.ok("train")
    assert "nothing to do; blend next: " in timed.ok("train", "--dry-run")


def test_what_could_not_train_is_refused(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean", "freeze_layers": 9}})
    done = site.run("train", "--dry-run")
    assert done.code == 2
    assert "freeze_layers" in done.err


def test_a_price_without_a_dry_run_is_refused(timed: Any) -> None:
    done = timed.run("train", "--price", "2")
    assert (done.code, done.err) == (2, "error: --price is for --dry-run: name that too, or leave it out\n")
