"""The plan: what is to do and why is said before it starts, and nothing that is finished is done again."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.encoder.backbone import open_backbone
from models.store import Recipe
from pipeline.config.run_config import read_config
from pipeline.fits.open_run import open_run
from pipeline.fits.recipes import find_recorded_recipe, read_recipe

MEAN = {"mean": {"pooling": "mean"}}
TFIDF = {"tfidf": {"model": "tfidf"}}


def test_an_edited_rate_is_told_and_reverting_it_finds_the_first_fits(make_site: Callable[..., Any]) -> None:
    site = make_site("binary", variants=MEAN)
    assert "\n  mean: 2 of 2 fits to do\n" in site.ok("train")
    first = site.markers()
    out = site.ok("train", "training.learning_rate=0.003")
    assert "\n  mean: 2 of 2 fits to do, learning_rate 0.001 -> 0.003; the 2 of the former recipe stay\n" in out
    assert len(site.markers()) == 4
    out = site.ok("train")
    assert "\n  mean: all 2 fits done\nnothing to do" in out
    assert first.items() <= site.markers().items()


def test_the_blend_takes_the_fits_of_the_config_at_hand(make_site: Callable[..., Any]) -> None:
    site = make_site("regression", variants={"tfidf": {"model": "tfidf", "strength": 1.0}})
    oof = []
    for strength in ("1.0", "50.0", "1.0"):
        override = f"variants.tfidf.strength={strength}"
        site.ok("train", override)
        site.ok("blend", override)
        oof.append(pd.read_parquet(site.root / "oof" / "tfidf.parquet"))
    pd.testing.assert_frame_equal(oof[0], oof[2])
    assert not np.allclose(oof[0]["score"], oof[1]["score"])


def test_options_that_do_not_change_a_fit_train_nothing_again(make_site: Callable[..., Any]) -> None:
    site = make_site("binary", variants=MEAN)
    site.ok("train")
    out = site.ok("train", "training.save_weights=fp16", "blend.method=mean", "variants.tfidf={model: tfidf}")
    assert "mean: all 2 fits done" in out
    assert "tfidf: 2 of 2 fits to do" in out


def test_each_seed_is_a_fit_a_fold_and_the_member_is_their_mean(make_site: Callable[..., Any]) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean", "seeds": [1]}})
    site.ok("train")
    first = site.markers()
    out = site.ok("train", "variants.mean.seeds=[1, 2]")
    assert "mean: 2 of 4 fits to do" in out
    assert first.items() <= site.markers().items()
    site.ok("blend", "variants.mean.seeds=[1, 2]")
    parts = pd.concat(pd.read_parquet(p) for p in (site.root / "models").rglob("mean.valid.parquet"))
    assert sorted(parts["seed"].unique()) == [1, 2]
    means = parts.groupby("id")["target"].mean()
    oof = pd.read_parquet(site.root / "oof" / "mean.parquet").set_index("id")["target"]
    np.testing.assert_allclose(oof, means.loc[oof.index], atol=1e-12)
    assert parts.groupby("id")["target"].std().max() > 1e-6


def test_only_and_folds_restrict_what_is_trained(make_site: Callable[..., Any]) -> None:
    site = make_site("binary")
    out = site.ok("train", "--only", "tfidf", "--folds", "1")
    assert "tfidf: 1 of 1 fits to do" in out
    assert "mean" not in out
    assert [place.split("/")[1:] for place in site.markers()] == [["tfidf", *place_of(site, "tfidf", 1)]]
    status = site.ok("status")
    assert "1/2" in status
    assert "0/2" in status


def place_of(site: Any, variant: str, fold: int) -> list[str]:
    [recipe] = (path for path in (site.root / "models" / variant).iterdir() if path.is_dir())
    return [recipe.name, "seed-0", f"fold-{fold}", "fit.json"]


def test_blending_one_fold_restricts_everything_to_it_and_says_so(make_site: Callable[..., Any]) -> None:
    site = make_site("binary", variants=TFIDF)
    site.ok("train", "--folds", "1")
    done = site.run("blend")
    assert done.code == 2
    assert "no member covers folds 0, 1: tfidf is left out: 1 of its 2 fits are done" in done.err
    out = site.ok("blend", "--folds", "1")
    assert "restricted to folds 1: members, scores and test means are of these alone" in out
    assert "subset_mean" not in out
    oof = pd.read_parquet(site.root / "oof" / "blend.parquet")
    assert set(oof["fold"]) == {1}
    [part] = (site.root / "models").rglob("tfidf.test-*.parquet")
    test = pd.read_parquet(site.root / "oof" / "blend.test.parquet")
    np.testing.assert_allclose(test["target"], pd.read_parquet(part)["target"], atol=1e-12)


def test_a_variant_half_trained_is_left_out_and_named(make_site: Callable[..., Any]) -> None:
    site = make_site("binary")
    site.ok("train", "--only", "tfidf")
    done = site.run("blend")
    assert done.code == 0
    assert "warning: mean is left out: it was not trained with this config\n" in done.err
    site.ok("train", "--only", "mean", "--folds", "0")
    assert "warning: mean is left out: 1 of its 2 fits are done\n" in site.run("blend").err


@pytest.mark.parametrize("variant", ["mean", "tfidf"])
def test_refits_on_every_row_take_the_place_of_the_fold_models_on_the_test_table(
    make_site: Callable[..., Any], variant: str
) -> None:
    site = make_site("binary", variants={variant: {**MEAN, **TFIDF}[variant]})
    refit = f"variants.{variant}.folds=all"
    out = site.ok("train", refit)
    assert f"{variant}: 1 of 1 fits to do" in out
    assert "every row trained on, no score" in out
    assert "is left out: 0 of its 2 fits are done" in site.run("blend", refit).err  # without OOF there is no member
    site.ok("train")
    site.ok("blend")
    folds = pd.read_parquet(site.root / "oof" / f"{variant}.test.parquet")
    site.ok("blend", refit)
    refits = pd.read_parquet(site.root / "oof" / f"{variant}.test.parquet")
    [part] = (site.root / "models").glob(f"*/*/*/fold-all/{variant}.test-*.parquet")
    np.testing.assert_allclose(refits["target"], pd.read_parquet(part)["target"], atol=1e-12)
    assert not np.allclose(refits["target"], folds["target"], atol=1e-6)
    assert not list((site.root / "models").glob("*/*/*/fold-all/*.valid.parquet"))


def test_a_new_test_table_is_predicted_not_trained_on(blended: Callable[[str], Any]) -> None:
    site = blended("binary")
    before = site.trained()
    rows = site.rows("test.csv")
    site.write("test.csv", [*rows, {"id": "900", "text": "a good good movie"}])
    site.write("sample_submission.csv", [{"id": row["id"], "target": 0.5} for row in site.rows("test.csv")])
    done = site.run("submit")
    assert done.code == 2
    assert "the test table is not the one that was blended: train, which only predicts it, then blend" in done.err
    kept = {path: path.read_bytes() for path in (site.root / "oof").iterdir()}
    done = site.run("blend")
    assert done.code == 2
    assert "member mean has no test predictions for this test table; train makes them" in done.err
    assert {path: path.read_bytes() for path in (site.root / "oof").iterdir()} == kept
    assert "the test table is new to some fits" in site.ok("status")
    assert "all 2 fits done, 2 to predict the new test table" in site.ok("train")
    assert site.trained() == before
    old = pd.read_parquet(site.root / "oof" / "blend.test.parquet")
    site.ok("blend")
    new = pd.read_parquet(site.root / "oof" / "blend.test.parquet")
    assert new["id"].tolist() == [*old["id"], "900"]
    np.testing.assert_allclose(new["target"][:-1], old["target"], atol=1e-6)
    site.ok("submit")
    assert site.rows("runs/r/submissions/submission.csv")[-1]["id"] == "900"


def test_of_two_backbones_under_one_name_the_last_trained_counts_whatever_the_times_of_files_say(
    make_site: Callable[..., Any], tiny_backbone: Callable[[str], str], tmp_path: Path
) -> None:
    backbone = tmp_path / "backbone"
    shutil.copytree(tiny_backbone("bert"), backbone)
    site = make_site("binary", variants={"mean": {"pooling": "mean"}}, training={"backbone": str(backbone)})
    site.ok("train")
    [first] = site.root.glob("models/mean/*/recipe.json")
    weights, kept = backbone / "model.safetensors", (backbone / "model.safetensors").read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    open_backbone.cache_clear()  # as another process would begin
    assert "backbone_sha256" in site.ok("train")
    [second] = {*site.root.glob("models/mean/*/recipe.json")} - {first}
    for path, used in ((second, 0), (first, 1)):  # the clock was set back in between, or the run was copied
        os.utime(path, (used, used))
    site.ok("blend")
    blended = {path.parent.name: read_recipe(path)[0] for path in (first, second)}
    site.ok("submit")
    assert recorded(site) == blended[second.parent.name]
    weights.write_bytes(kept)
    open_backbone.cache_clear()
    assert "all 2 fits done" in site.ok("train")
    assert recorded(site) == blended[first.parent.name]
    assert "the blend was made of other fits of mean" in site.run("submit").err


def recorded(site: Any) -> Recipe | None:
    run = open_run(read_config(site.folder / "config.yaml"), site.folder)
    return find_recorded_recipe(run.directory, run.competition, run.variants["mean"])
