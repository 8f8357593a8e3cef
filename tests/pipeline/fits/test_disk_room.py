"""A run that the disk cannot hold is refused before it trains."""

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from models.store import WEIGHTS
from pipeline.commands.train import plan_fits
from pipeline.config.run_config import read_config
from pipeline.fits.disk_room import CHECKPOINT_BYTES, estimate_room
from pipeline.fits.open_run import open_run


def jobs_of(site: Any, **training: Any) -> list[Any]:
    site.configure(training={**site.config()["training"], **training})
    config = read_config(site.folder / "config.yaml")
    return plan_fits(open_run(config, site.folder, fold_source="forecast"), None)


def test_weights_of_all_fits_and_checkpoints_of_those_that_run_are_counted(make_site: Callable[..., Any]) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}, "tfidf": {"model": "tfidf"}})
    jobs = jobs_of(site)
    weights, checkpoints = estimate_room(jobs, 1)
    site.ok("train", "--only", "mean")
    saved = [path.stat().st_size for path in site.root.rglob(WEIGHTS)]
    assert len(saved) == 2
    assert weights == pytest.approx(sum(saved), rel=0.2)
    assert checkpoints == 2 * CHECKPOINT_BYTES * weights // 8
    assert estimate_room(jobs, 2)[1] == 2 * checkpoints
    assert estimate_room(jobs_of(site, save_weights="fp16"), 1)[0] == weights // 2
    assert estimate_room(jobs_of(site, save_weights="none"), 1)[0] == 0


def test_a_disk_without_room_is_refused_before_the_first_fit(
    make_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    done = site.run("train")
    assert done.code == 2
    assert "has 0.00 GiB free, but the fits that are left need about" in done.err
    assert "training.save_weights: fp16 halves the weights, none keeps predictions only" in done.err
    assert not list(site.root.rglob("fit.json"))
