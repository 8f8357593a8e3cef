"""A metric of one's own, from the config to the grade; and each thing wrong with it, told before training."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import run

MakeSite = Callable[..., Any]

FILE = """\
import numpy as np


def my_log_loss(truth, predictions):
    return -np.log(predictions[np.arange(len(truth)), truth].clip(1e-15)).mean()


def my_brier(truth, predictions):
    return ((predictions - truth) ** 2).mean()


def my_accuracy(truth, labels):
    return (truth == labels).mean()


def my_rmse(truth, predictions):
    assert truth.shape == predictions.shape
    return np.sqrt(((truth - predictions) ** 2).mean())


def broken(truth, predictions):
    raise ValueError("no such luck")


def nan(truth, predictions):
    return float("nan")
"""


def with_own(linear_site: MakeSite, task: str, function: str, direction: str, **more: Any) -> Any:
    """A competition whose config names a function of FILE, with a second linear variant."""
    variants = {"tfidf": {"model": "tfidf"}, "weak": {"model": "tfidf", "strength": 0.001}}
    metric = {"file": "my_metric.py", "function": function, "direction": direction, **more}
    site = linear_site(task, competition={"metric": metric}, variants=variants)
    (site.folder / "my_metric.py").write_text(FILE, encoding="utf-8")
    return site


@pytest.mark.parametrize(
    ("task", "function", "direction", "needs", "known"),
    [
        ("multiclass", "my_log_loss", "lower", None, "log_loss"),
        ("multiclass", "my_accuracy", "higher", "labels", "accuracy"),
        ("ordinal", "my_accuracy", "higher", "labels", "accuracy"),
        ("multilabel", "my_accuracy", "higher", "labels", "accuracy"),
        ("regression", "my_rmse", "lower", None, "rmse"),
    ],
)
def test_every_verb_takes_it_and_scores_as_the_known_one_does(
    linear_site: MakeSite, task: str, function: str, direction: str, needs: str | None, known: str
) -> None:
    site = with_own(linear_site, task, function, direction, **({"needs": needs} if needs else {}))

    def scores(name: str, *override: str) -> list[str]:
        """The score of each member on the training table, and of the first one on the solution."""
        site.ok("train", *override)
        members = re.findall(r"^(?:tfidf|weak) +(\S+)", site.ok("blend", *override), re.M)
        path = site.ok("submit", "--member", "tfidf", *override).split(":")[0]
        graded = site.ok("grade", "--solution", str(site.folder / "solution.csv"), "--submission", path, *override)
        return [*members, *re.findall(rf"submitted {name} (\S+)", graded)]

    own, fits = scores(function), site.markers()
    assert scores(known, f"competition.metric={known}") == own
    assert len(own) == 3
    assert site.markers() == fits  # a metric has no say in training


def test_its_direction_decides_the_blend(linear_site: MakeSite) -> None:
    site = with_own(linear_site, "multilabel", "my_brier", "lower")
    assert len(re.findall(r": my_brier 0\.\d+", site.ok("train"))) == 4
    better = site.ok("blend", "blend.method=subset_mean")
    worse = site.ok("blend", "blend.method=subset_mean", "competition.metric.direction=higher")
    assert "weights: tfidf 1.000\n" in better
    assert "weights: weak 1.000\n" in worse
    assert "was made by other settings" in site.run("submit").err


def test_an_edited_file_retrains_nothing(linear_site: MakeSite) -> None:
    site = with_own(linear_site, "regression", "my_rmse", "lower")
    site.ok("train")
    fits, first = site.markers(), site.ok("blend")
    (site.folder / "my_metric.py").write_text(FILE.replace("np.sqrt", "7 * np.sqrt"), encoding="utf-8")
    site.ok("train")
    assert site.markers() == fits
    assert site.ok("blend") != first


def test_the_run_keeps_the_mapping_with_its_defaults(linear_site: MakeSite) -> None:
    site = with_own(linear_site, "regression", "my_rmse", "lower")
    site.ok("train")
    site.ok("blend")
    whole = {"file": "my_metric.py", "function": "my_rmse", "direction": "lower", "needs": "values"}
    assert json.loads((site.root / "oof" / "blend.json").read_text(encoding="utf-8"))["asked"]["metric"] == whole
    assert "    needs: values\n" in (site.root / "config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("file=other.py", "metric file {site}/other.py does not exist"),
        ("file=train.csv", "metric file {site}/train.csv: raised SyntaxError: "),
        ("function=mine", "has no function 'mine'; it has my_log_loss, my_brier, my_accuracy, my_rmse, broken, nan"),
        ("function=broken", "metric file {site}/my_metric.py, function broken: raised ValueError: no such luck"),
        ("function=nan", "metric file {site}/my_metric.py, function nan: returned nan; it must return a finite number"),
        ("fucntion=x", "competition.metric.fucntion: unknown key; did you mean 'function'?; known ones: direction, f"),
        ("function=3", "competition.metric.function: input should be a valid string, got 3"),
        ("direction=up", "competition.metric.direction: 'up' is unknown; known ones: higher, lower"),
        ("needs=probability", "competition.metric.needs: 'probability' is unknown; did you mean 'probabilities'?"),
        ("needs=labels", "competition.metric: a metric of task regression cannot need labels; it gets values or ranks"),
    ],
)
def test_what_is_wrong_is_told_before_training(linear_site: MakeSite, override: str, sentence: str) -> None:
    site = with_own(linear_site, "regression", "my_rmse", "lower")
    done = site.run("train", f"competition.metric.{override}")
    assert done.code == 2
    assert sentence.format(site=site.folder) in done.err
    assert len(done.err.splitlines()) == (2 if "competition.metric" in sentence else 1)
    assert not site.markers()


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("3", "competition.metric: must be the name of a metric, or keys file, function and direction for one of your"),
        ("[rmse]", "competition.metric: must be the name of a metric, or keys file, function and direction for one of"),
        ("{file: a.py, function: f}", "competition.metric.direction: this key is required"),
    ],
)
def test_what_is_no_metric_is_told_once(linear_site: MakeSite, metric: str, sentence: str) -> None:
    done = linear_site("regression").run("train", f"competition.metric={metric}")
    assert done.code == 2
    assert " has 1 problem(s):\n" in done.err
    assert sentence in done.err
    assert len(done.err.splitlines()) == 2


def test_the_schema_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["schema"]) == 0
    known = json.loads(capsys.readouterr().out)["$defs"]
    assert sorted(known["CustomMetricSpec"]["properties"]) == ["direction", "file", "function", "needs"]
