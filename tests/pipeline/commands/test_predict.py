"""`predict` goes fold by fold: seeds, refits and any blend come out as `train` and `blend` stored them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

MakeSite = Callable[..., Any]


@pytest.mark.parametrize("method", ["simplex", "geometric_mean"])  # one linear in the members, one that is not
@pytest.mark.parametrize("refitted", [[], ["tfidf"], ["mean", "tfidf"]])
def test_seeds_and_refits_are_averaged_as_in_training(
    method: str, refitted: list[str], make_site: MakeSite, tmp_path: Path
) -> None:
    variants: dict[str, Any] = {"mean": {"pooling": "mean", "seeds": [1, 2]}, "tfidf": {"model": "tfidf"}}
    overrides = [f"variants.{name}.folds=all" for name in refitted]
    site = make_site("multiclass", variants=variants, folds={"count": 3}, blend={"method": method})
    site.ok("train")
    site.ok("train", *overrides)
    site.ok("blend", *overrides)
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path), *overrides)
    for member in ("mean", "tfidf", "blend"):
        stored, found = (pd.read_parquet(f / f"{member}.test.parquet") for f in (site.root / "oof", tmp_path))
        pd.testing.assert_frame_equal(stored, found, rtol=0, atol=1e-6, check_dtype=False)


def test_a_submission_does_not_stay_beside_another_tables_predictions(
    blended: Callable[[str], Any], tmp_path: Path
) -> None:
    site = blended("multiclass")
    test, sample = str(site.folder / "test.csv"), str(site.folder / "sample_submission.csv")
    place = ["--test", test, "--output", str(tmp_path)]
    site.ok("predict", *place, "--sample", sample)
    (tmp_path / "mine.csv").write_text("mine")
    site.ok("predict", *place)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"blend.test.parquet", "mean.test.parquet", "mine.csv", "predictions.json", "tfidf.test.parquet"}
    site.ok("predict", *place, "--sample", sample)
    (tmp_path / "submission.csv").write_text("edited by hand")
    site.ok("predict", *place)
    assert (tmp_path / "submission.csv").read_text() == "edited by hand"


def test_predict_writes_over_nothing_that_is_not_its_own(blended: Callable[[str], Any], tmp_path: Path) -> None:
    site = blended("multiclass")
    test, sample = str(site.folder / "test.csv"), str(site.folder / "sample_submission.csv")
    table = (site.folder / "train.csv").read_bytes()
    asked = ["predict", "--test", test, "--sample", sample, "--output", str(site.folder), "submission.file=train.csv"]
    assert "train.csv exists, and predict did not write it: choose another --output" in site.run(*asked).err
    assert (site.folder / "train.csv").read_bytes() == table
    for place in ("oof", "models", "."):
        done = site.run("predict", "--test", test, "--output", str(site.root / place))
        assert (done.code, "is inside the folder of the runs" in done.err) == (2, True)
    assert "all as they were written" in site.ok("status", "--deep")


def test_predicting_training_rows_is_warned_of(blended: Callable[[str], Any], tmp_path: Path) -> None:
    site = blended("multiclass")
    done = site.run("predict", "--test", str(site.folder / "train.csv"), "--output", str(tmp_path))
    assert done.code == 0
    assert "48 of the 48 ids are training rows" in done.err
