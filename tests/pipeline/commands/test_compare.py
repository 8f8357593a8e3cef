"""The verb `compare` end to end, on a tiny encoder with several seeds, and what it says where something is missing."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from oof.comparison.comparison_file import Comparison
from oof.selection.bootstrap import BootstrapDraws
from pipeline.blending.blend_summary import format_correlation
from pipeline.blending.compare_summary import describe_comparison

MakeSite = Callable[..., Any]
CLASSES = ["when", "where", "who"]
VARIANTS = {
    "mean": {"pooling": "mean", "seeds": [0, 1]},
    "max": {"pooling": "max", "seeds": [0, 1]},
    "cls": {"pooling": "cls", "seeds": [5]},
    "both": {"poolings": {"cls": "cls", "mean": "mean"}, "seeds": [0, 1]},
    "tfidf": {"model": "tfidf"},
}
ORDER = ["mean", "max", "cls", "both.cls", "both.mean", "tfidf"]


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Any:
    made = make_site("multiclass", variants=VARIANTS)
    made.ok("train")
    return made


def comparison(site: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.root / "oof" / "compare.json").read_text(encoding="utf-8"))
    return found


def parts(site: Any, variant: str, member: str, seed: int) -> pd.DataFrame:
    """A member's out-of-fold predictions of one seed, read from the fits' own files."""
    files = sorted((site.root / "models" / variant).glob(f"*/seed-{seed}/fold-*/{member}.valid.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files]).set_index("id").sort_index()[CLASSES]


def truth(site: Any) -> list[str]:
    return list(pd.read_csv(site.folder / "train.csv", dtype=str).set_index("id").sort_index()["kind"])


def test_every_section_is_printed_and_the_verdict_comes_first(site: Any) -> None:
    out = site.ok("compare")
    assert out.startswith("Pooling ")
    places = [out.index(part) for part in ("member  ", "seed noise: two", "error correlation", "equal mean: log loss")]
    assert places == sorted(places)
    assert "shared: both.cls, both.mean each have a part" in out
    assert "control: seeds of" in out
    assert re.search(r"^member +adds to the equal mean .* training +per training minute +MB +per MB$", out, re.M)


def test_scores_are_those_of_the_parts_seed_by_seed_and_averaged(site: Any) -> None:
    site.ok("compare")
    members = {one["name"]: one for one in comparison(site)["members"]}
    assert list(members) == ORDER
    answers = truth(site)
    for variant, member, seeds in [("mean", "mean", [0, 1]), ("both", "both.mean", [0, 1]), ("cls", "cls", [5])]:
        singles = [parts(site, variant, member, seed) for seed in seeds]
        assert members[member]["seed_scores"] == pytest.approx([log_loss(answers, one) for one in singles])
        assert members[member]["score"] == pytest.approx(log_loss(answers, sum(singles) / len(singles)))
    assert members["tfidf"]["seed_scores"] == []


def test_members_are_held_against_the_mean_pooling_of_their_own_recipe(site: Any) -> None:
    site.ok("compare")
    over = {one["name"]: one["over_mean_pooling"] for one in comparison(site)["members"]}
    assert over["mean"] is None
    assert over["both.mean"] is None
    assert {name: over[name]["over"] for name in ("max", "cls", "both.cls", "tfidf")} == {
        "max": "mean",
        "cls": "mean",
        "both.cls": "both.mean",
        "tfidf": "mean",
    }


def test_verdicts_compare_poolings_of_one_recipe_only(site: Any) -> None:
    site.ok("compare")
    groups = [one["poolings"] for one in comparison(site)["verdicts"]]
    assert groups == [["mean", "max", "cls"], ["both.cls", "both.mean"]]
    first, second = describe_comparison(Comparison.from_json(comparison(site))).splitlines()[:2]
    assert " among 3 variants with fits of their own (mean, max, cls): " in first
    assert " among 2 heads of one encoder (both.cls, both.mean): " in second


def test_a_correlation_below_one_never_reads_as_one() -> None:
    known = {0.994: "0.99", 0.9951: "0.995", 0.99999: "0.999", -0.9996: "-0.999", 1.0: "1.00", 1 - 1e-12: "1.00"}
    assert {value: format_correlation(value) for value in known} == known


def test_seeds_of_one_pooling_are_held_against_as_many_poolings(site: Any) -> None:
    site.ok("compare")
    control = {one["name"]: one for one in comparison(site)["control"]}
    assert list(control) == ["mean", "max"]  # those on one encoder cost one fit, and are no fair control
    answers = truth(site)
    fits = {(v, s): parts(site, v, v, s) for v, s in [("mean", 0), ("mean", 1), ("max", 0), ("max", 1), ("cls", 5)]}
    pairs = [(a, b) for a in fits for b in fits if a < b and a[0] != b[0]]
    mixes = [log_loss(answers, (fits[a] + fits[b]) / 2) for a, b in pairs]
    seeds = log_loss(answers, (fits["mean", 0] + fits["mean", 1]) / 2)
    assert control["mean"]["choices"] == [1, len(pairs)]
    assert control["mean"]["seeds"] == pytest.approx(seeds)
    assert control["mean"]["mix"] == pytest.approx(np.mean(mixes))
    assert control["mean"]["gain"] == pytest.approx(seeds - np.mean(mixes))


def test_costs_are_the_fits_and_shared_by_the_members_of_an_encoder(site: Any) -> None:
    site.ok("compare")
    adds = {one["name"]: one for one in comparison(site)["adds"]}
    for variant, member, shared in [("mean", "mean", 1), ("both", "both.cls", 2), ("tfidf", "tfidf", 1)]:
        folder = site.root / "models" / variant
        markers = [json.loads(path.read_text()) for path in folder.rglob("fit.json")]
        size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        size += sum(path.stat().st_size for path in folder.rglob("linear.json"))
        assert adds[member]["shared"] == shared
        assert adds[member]["minutes"] == pytest.approx(sum(m["provenance"]["seconds"] for m in markers) / 60 / shared)
        assert adds[member]["megabytes"] == pytest.approx(size / 1e6 / shared)


def test_the_front_grows_by_a_member_at_a_time_and_counts_each_fit_once(site: Any) -> None:
    out = site.ok("compare")
    points = comparison(site)["front"]
    assert [len(one["members"]) for one in points] == [1, 2, 3, 4, 5, 6]
    assert all(one["members"] == two["members"][:-1] for one, two in pairwise(points))
    assert points[0]["members"] == ["tfidf"]
    assert points[0]["score"] == pytest.approx(comparison(site)["members"][-1]["score"])  # on every fold the same one
    every = [json.loads(path.read_text())["provenance"] for path in (site.root / "models").rglob("fit.json")]
    assert points[-1]["seconds"] == pytest.approx(sum(one["predict_seconds"] for one in every))
    sizes = [path.stat().st_size for path in (site.root / "models").rglob("*.safetensors")]
    sizes += [path.stat().st_size for path in (site.root / "models").rglob("linear.json")]
    assert points[-1]["megabytes"] == pytest.approx(sum(sizes) / 1e6)
    assert re.search(r"^1: tfidf .*\n2: \+ ", out, re.M)


def test_rows_of_one_text_are_drawn_together(linear_site: MakeSite) -> None:
    variants = {"a": {"model": "tfidf"}, "b": {"model": "tfidf", "strength": 0.1}}
    site = linear_site("binary", variants=variants, competition={"metric": "log_loss"})
    rows = site.rows("train.csv")
    for one, two in zip(rows[::4] + rows[1::4], rows[2::4] + rows[3::4], strict=True):
        two["text"] = one["text"]  # of the same class
    site.write("train.csv", rows)
    site.ok("train")
    site.ok("compare")
    answers = np.array([int(row["target"]) for row in rows])
    said = {}
    for name in variants:
        files = (site.root / "models" / name).rglob("*.valid.parquet")
        frame = pd.concat([pd.read_parquet(file) for file in files]).set_index("id").sort_index()
        said[name] = frame["target"].to_numpy()
    draws = BootstrapDraws(48, pd.factorize(np.array([row["text"] for row in rows]))[0])
    taken = [np.repeat(np.arange(48), counts.astype(int)) for counts in draws]
    gains = [log_loss(answers[i], said["a"][i]) - log_loss(answers[i], said["b"][i]) for i in taken]
    members = comparison(site)["members"]
    worse = next(one["over_best"] for one in members if one["over_best"])
    sign = 1 if worse["over"] == "a" else -1
    assert draws.groups == 24
    assert worse["interval"] == pytest.approx(sorted(sign * np.quantile(gains, [0.025, 0.975])))


def test_some_folds_are_compared_alone(site: Any) -> None:
    out = site.ok("compare", "--folds", "1")
    assert out.startswith("restricted to folds 1\n")
    found = comparison(site)
    assert found["folds"] == [1]
    assert found["rows"] == 24
    assert found["front"] == []  # nothing to cross-fit the choice on


def test_one_member_is_a_sentence(site: Any) -> None:
    out = site.ok("compare", "blend.members=[tfidf]")
    score = comparison(site)["members"][0]["score"]
    told = "there is no other member to compare it with"
    assert out == f"tfidf: OOF log_loss {score:.5f}; {told}\nno seed yardstick: no variant has several seeds\n"


def test_a_teammates_member_takes_part_without_costs(site: Any, make_site: MakeSite) -> None:
    site.ok("blend")
    for kind in ("", ".test"):
        frame = pd.read_parquet(site.root / "oof" / f"tfidf{kind}.parquet")
        outputs = frame.columns.difference(["id", "fold"])
        frame[outputs] = (frame[outputs] + 1 / len(outputs)) / 2
        frame.to_csv(site.folder / f"theirs{kind}.csv", index=False)
    extra = "blend.extra={theirs: {oof: theirs.csv, test: theirs.test.csv}}"
    out = site.ok("compare", extra)
    found = comparison(site)
    assert found["adds"][-1]["name"] == "theirs"
    assert (found["adds"][-1]["minutes"], found["adds"][-1]["megabytes"]) == (None, None)
    assert found["members"][-1]["over_mean_pooling"]["seed_limit"] is None
    [line] = [line for line in out.splitlines() if line.startswith("theirs") and line.endswith("-")][-1:]
    assert line.split()[-4:] == ["-"] * 4
    assert (found["front"][-1]["seconds"], found["front"][-1]["megabytes"]) == (None, None)


def test_without_several_seeds_there_is_no_yardstick_and_the_command_that_makes_one_works(make_site: MakeSite) -> None:
    variants = {"mean": {"pooling": "mean"}, "max": {"pooling": "max"}, "tfidf": {"model": "tfidf"}}
    site = make_site("binary", variants=variants, folds={"count": 3})
    site.ok("train", "--folds", "0,1")
    out = site.ok("compare", "--folds", "0,1")
    assert "no seed yardstick" in out
    override = "variants.mean.seeds=[42,43]"
    assert f"--only mean --folds 0,1 '{override}'\n" in out
    former = site.markers()
    site.ok("train", "--only", "mean", "--folds", "0,1", override)
    assert former.items() < site.markers().items()
    assert f"  python run.py compare --config {site.folder / 'config.yaml'} --folds 0,1 '{override}'\n" in out
    out = site.ok("compare", "--folds", "0,1", override)
    assert "no seed yardstick" not in out
    assert [one["name"] for one in comparison(site)["control"]] == ["mean"]


def test_without_a_second_pooling_it_says_what_would_be_needed(linear_site: MakeSite) -> None:
    site = linear_site("regression", variants={"a": {"model": "tfidf"}, "b": {"model": "tfidf", "strength": 1.0}})
    site.ok("train")
    out = site.ok("compare")
    assert out.startswith("This run cannot tell whether pooling matters: no two members differ in their pooling alone.")
    assert "no member pools by the mean over the last layer" in out
    assert re.search(r"^equal mean: squared error .*; rmse has no such sum$", out, re.M)
    assert "it needs two variants that differ in their pooling alone" in out


@pytest.mark.parametrize(
    ("finding", "limit", "said"),
    [
        (
            "matters",
            0.02,
            r"Pooling matters among {group}: max over cls \+0.10000 \(\+0.05000 to \+0.15000\) log_loss, and seeds",
        ),
        (
            "within seed noise",
            0.2,
            "Pooling is not shown to matter among {group}: max over cls .*, but seeds alone can make 0.20000",
        ),
        ("no seed yardstick", None, "Pooling may matter among {group}: .* but there is no seed yardstick"),
        ("not told apart", 0.2, "Pooling is not shown to matter among {group}: these rows do not tell them apart"),
        ("not told apart", None, "these rows do not tell them apart .* There is no seed yardstick"),
    ],
)
def test_each_finding_is_a_sentence(site: Any, finding: str, limit: float | None, said: str) -> None:
    site.ok("compare")
    found = comparison(site)
    verdict = {**found["verdicts"][0], "better": "max", "worse": "cls", "gain": 0.1, "interval": [0.05, 0.15]}
    found["verdicts"] = [{**verdict, "finding": finding, "seed_limit": limit}]
    first = describe_comparison(Comparison.from_json(found)).splitlines()[0]
    assert re.search(said.replace("{group}", re.escape("3 variants with fits of their own (mean, max, cls)")), first)
    assert first.endswith("This holds for all pairs of the 3 at once.")


def test_of_many_members_the_pairs_most_and_least_alike_are_shown(site: Any) -> None:
    site.ok("compare")
    found = comparison(site)
    names = [f"m{at}" for at in range(12)]
    found["members"] = [{**found["members"][0], "name": name} for name in names]
    rng = np.random.default_rng(0)
    alike = np.triu(rng.uniform(size=(12, 12)), 1)
    found["error_correlations"] = (alike + alike.T).tolist()
    shown = re.findall(r"^(m\d+), (m\d+) +(\d\.\d\d)$", describe_comparison(Comparison.from_json(found)), re.M)
    values = np.sort(alike[np.triu_indices(12, 1)])[::-1]
    assert [value for *_, value in shown] == [f"{value:.2f}" for value in [*values[:5], *values[-5:]]]
    assert all(f"{alike[int(a[1:]), int(b[1:])]:.2f}" == value for a, b, value in shown)


@pytest.mark.parametrize("task", ["multilabel", "ordinal"])
def test_every_task_is_compared(make_site: MakeSite, task: str) -> None:
    site = make_site(task, variants={"mean": {"pooling": "mean", "seeds": [0, 1]}, "max": {"pooling": "max"}})
    site.ok("train")
    assert site.ok("compare").startswith("Pooling ")
    assert comparison(site)["ambiguity"]["ambiguity"] >= 0
