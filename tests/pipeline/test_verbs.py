"""The verbs end to end, for every task: from tables to a graded submission, and to predictions of a new table."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score, root_mean_squared_error

import run
from oof.blends.blend_file import read_blend
from oof.blends.blend_registry import BLENDS
from oof.spec import Method
from pipeline.config.run_config import read_config

TASKS = ["binary", "multiclass", "multilabel", "regression", "ordinal"]
MakeSite = Callable[..., Any]
Blended = Callable[[str], Any]


def frame(site: Any, name: str) -> pd.DataFrame:
    return pd.read_csv(site.folder / name, dtype={"id": str})


def predicted_test(site: Any, member: str) -> pd.DataFrame:
    return pd.read_parquet(site.root / "oof" / f"{member}.test.parquet")


def score(task: str, solution: pd.DataFrame, submission: pd.DataFrame) -> float:
    """The task's metric, by scikit-learn alone."""
    merged = solution.merge(submission, on="id", suffixes=("", "_said"))
    if task == "binary":
        return float(roc_auc_score(merged["target"], merged["target_said"]))
    if task == "multiclass":
        classes = sorted(solution["kind"].unique())
        return float(log_loss(merged["kind"], merged[classes], labels=classes))
    if task == "multilabel":
        return float(np.mean([log_loss(merged[c], merged[f"{c}_said"], labels=[0, 1]) for c in ("old", "red")]))
    if task == "regression":
        return float(root_mean_squared_error(merged["score"], merged["score_said"]))
    return float(cohen_kappa_score(merged["grade"], merged["grade_said"], weights="quadratic"))


@pytest.mark.parametrize("task", TASKS)
def test_train_blend_submit_and_grade(blended: Blended, task: str) -> None:
    site = blended(task)
    out = site.ok("submit")
    path = site.root / "submissions" / "submission.csv"
    assert out == f"{path}: 12 rows, {CELLS[task]}; checked against the sample submission\n"
    submission, sample = frame(site, "runs/r/submissions/submission.csv"), frame(site, "sample_submission.csv")
    assert submission.columns.tolist() == sample.columns.tolist()
    assert submission["id"].tolist() == sample["id"].tolist()
    expected = score(task, frame(site, "solution.csv"), submission)
    out = site.ok("grade", "--solution", str(site.folder / "solution.csv"))
    assert f": submitted {site.config()['competition']['metric']} {expected:.5f} on 12 rows" in out


CELLS = {
    "binary": "the probability of 1, for roc_auc",
    "multiclass": "probabilities, a column for each of where, when, who",
    "multilabel": "probabilities, a column for each of red, old",
    "regression": "values",
    "ordinal": "labels, spelled 1, 2, 3, for qwk",
}


@pytest.mark.parametrize(
    ("task", "good"), [("binary", 0.9), ("multiclass", -0.6), ("multilabel", -0.6), ("ordinal", 0.8)]
)
def test_the_floor_learns_what_there_is_to_learn(blended: Blended, task: str, good: float) -> None:
    site = blended(task)
    site.ok("submit", "--member", "tfidf")
    value = score(task, frame(site, "solution.csv"), frame(site, "runs/r/submissions/tfidf.csv"))
    assert (value if good > 0 else -value) > good


@pytest.mark.parametrize("task", TASKS)
def test_predicting_the_test_table_gives_what_train_stored_for_it(blended: Blended, task: str, tmp_path: Path) -> None:
    site = blended(task)
    site.ok("submit")
    sample = str(site.folder / "sample_submission.csv")
    test = str(site.folder / "test.csv")
    site.ok("predict", "--test", test, "--sample", sample, "--output", str(tmp_path))
    for member in ("mean", "tfidf", "blend"):
        stored, found = predicted_test(site, member), pd.read_parquet(tmp_path / f"{member}.test.parquet")
        pd.testing.assert_frame_equal(stored, found, rtol=0, atol=1e-6, check_dtype=False)
    stored, found = frame(site, "runs/r/submissions/submission.csv"), frame(site, f"{tmp_path}/submission.csv")
    pd.testing.assert_frame_equal(stored, found, rtol=0, atol=1e-6)


def test_new_rows_are_predicted_alike_alone_or_in_company(blended: Blended, tmp_path: Path) -> None:
    site = blended("multiclass")
    rows = site.rows("test.csv")
    one = site.write("one.csv", rows[4:5])
    sample = site.write("one_sample.csv", site.rows("sample_submission.csv")[4:5])
    site.ok("predict", "--test", str(one), "--sample", str(sample), "--output", str(tmp_path))
    alone = pd.read_parquet(tmp_path / "blend.test.parquet").set_index("id")
    pd.testing.assert_frame_equal(
        alone, predicted_test(site, "blend").set_index("id").loc[alone.index], atol=1e-6, rtol=0, check_dtype=False
    )


@pytest.mark.parametrize(
    ("folds", "overrides"), [(["--folds", "1"], []), ([], ["variants.mean.folds=all", "variants.tfidf.folds=all"])]
)
def test_predict_asks_the_fits_that_the_blend_is_made_of(
    blended: Blended, tmp_path: Path, folds: list[str], overrides: list[str]
) -> None:
    site = blended("multiclass")
    former = predicted_test(site, "blend")
    site.ok("train", *overrides)
    site.ok("blend", *folds, *overrides)
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path), *overrides)
    for member in ("mean", "tfidf", "blend"):
        found = pd.read_parquet(tmp_path / f"{member}.test.parquet")
        pd.testing.assert_frame_equal(predicted_test(site, member), found, rtol=0, atol=1e-6, check_dtype=False)
    assert (former["who"] != predicted_test(site, "blend")["who"]).any()


def test_predict_needs_the_run_alone_and_not_its_backbone(
    make_site: MakeSite, tiny_backbone: Callable[[str], str], tmp_path: Path
) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean", "extra_tokens": ["[NEW]"]}})
    backbone = Path(site.folder / "backbone")
    backbone.symlink_to(tiny_backbone("bert"))
    site.configure(training={"backbone": str(backbone)})
    site.ok("train")
    backbone.unlink()
    site.ok("blend")
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path))
    found = pd.read_parquet(tmp_path / "blend.test.parquet")
    np.testing.assert_allclose(found["target"], predicted_test(site, "blend")["target"], atol=1e-6)


def test_fits_without_weights_cannot_predict_and_say_so(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean", "save_weights": "none"}})
    site.ok("train")
    site.ok("blend")
    assert not list(site.root.rglob("*.safetensors"))
    done = site.run("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path))
    assert done.code == 2
    assert "this fit was trained with save_weights none and cannot predict" in done.err
    assert list(tmp_path.iterdir()) == []


def test_predict_refuses_a_table_that_does_not_fit(blended: Blended, tmp_path: Path) -> None:
    site = blended("binary")
    other = site.write("other.csv", [{"id": "x", "body": "no text"}])
    for test, sample, sentence in [
        ("other.csv", None, "test table .*other.csv has no column 'text'"),
        ("test.csv", "train.csv", "the test table has no row for id 000 of the sample submission"),
        ("nowhere.csv", None, "test table .*nowhere.csv does not exist"),
    ]:
        more = [] if sample is None else ["--sample", str(site.folder / sample)]
        done = site.run("predict", "--test", str(other.with_name(test)), "--output", str(tmp_path), *more)
        assert done.code == 2
        assert re.search(sentence, done.err)
    assert list(tmp_path.iterdir()) == []


def test_several_poolings_on_one_encoder_join_every_blend_by_name(make_site: MakeSite) -> None:
    shared = {"poolings": {"cls": "cls", "pair": ["mean", "max"], "layers": "weighted_layer"}, "seeds": [1, 2]}
    site = make_site("binary", variants={"shared": shared, "tfidf": {"model": "tfidf"}})
    assert "shared: 4 of 4 fits to do" in site.ok("train")
    members = ["shared.cls", "shared.pair", "shared.layers", "tfidf"]
    for method in (one for one in get_args(Method) if one == "auto" or "binary" in BLENDS[one].tasks):
        out = site.ok("blend", f"blend.method={method}")
        assert all(f"\n{member} " in out for member in members)
        blend = read_blend(site.root / "oof" / "blend.json")
        assert blend.members == members
        assert method in ("auto", blend.method)
        assert "in-sample" in out
        assert "cross-fitted" in out
        for name in ("blend.parquet", "blend.test.parquet"):
            assert pd.read_parquet(site.root / "oof" / name)["target"].between(0, 1).all()
        site.ok("submit")
    predictions = [predicted_test(site, member)["target"].to_numpy() for member in members]
    assert all(not np.allclose(a, b) for at, a in enumerate(predictions) for b in predictions[:at])


def test_the_equal_mean_is_the_mean_of_the_members(blended: Blended) -> None:
    site = blended("regression")
    site.ok("blend", "blend.method=mean")
    for kind in ("parquet", "test.parquet"):
        read = [pd.read_parquet(site.root / "oof" / f"{name}.{kind}") for name in ("mean", "tfidf", "blend")]
        np.testing.assert_allclose((read[0]["score"] + read[1]["score"]) / 2, read[2]["score"], atol=1e-12)
        assert read[0]["id"].tolist() == read[2]["id"].tolist()


def test_blend_members_restricts_the_blend_and_names_what_is_not_there(blended: Blended) -> None:
    site = blended("binary")
    site.ok("blend", "blend.members=[tfidf]")
    assert read_blend(site.root / "oof" / "blend.json").members == ["tfidf"]
    done = site.run("blend", "blend.members=[tfid]")
    assert done.code == 2
    assert "blend.members names 'tfid', which is not a finished member; did you mean 'tfidf'?" in done.err


def test_a_member_is_submitted_by_name(blended: Blended) -> None:
    site = blended("binary")
    site.ok("submit", "--member", "mean")
    found = frame(site, "runs/r/submissions/mean.csv").set_index("id")["target"]
    stored = predicted_test(site, "mean").set_index("id")["target"]
    np.testing.assert_allclose(found, stored.loc[found.index], atol=1e-12)
    done = site.run("submit", "--member", "maen")
    assert done.code == 2
    assert "--member 'maen' is not in the blend; its members are mean, tfidf" in done.err


def friend(site: Any, folder: Path, *, fold: bool = True, suffix: str = "csv") -> dict[str, str]:
    """A teammate's files: the run's own member tfidf drawn to the middle, its rows in another order."""
    made = {}
    for kind, name in (("oof", "tfidf.parquet"), ("test", "tfidf.test.parquet")):
        table = pd.read_parquet(site.root / "oof" / name).iloc[::-1]
        outputs = table.columns.difference(["id", "fold"])
        table[outputs] = (table[outputs] + 1 / len(outputs)) / 2
        table = table if fold or kind == "test" else table.drop(columns="fold")
        path = folder / f"{kind}.{suffix}"
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
        made[kind] = str(path)
    return made


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_teammates_files_blend_beside_ours(blended: Blended, tmp_path: Path, suffix: str) -> None:
    site = blended("multiclass")
    site.configure(blend={"extra": {"friend": friend(site, tmp_path, suffix=suffix)}})
    done = site.run("blend", "blend.method=mean")
    assert (done.code, done.err) == (0, "")
    assert "\nfriend " in done.out
    own, found = (predicted_test(site, name).set_index("id") for name in ("tfidf", "friend"))
    pd.testing.assert_frame_equal(found, (own + 1 / 3) / 2)
    site.ok("submit")
    done = site.run("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path / "out"))
    assert done.code == 2
    assert "the blend holds 'friend', whose model is not here: blend without it to predict new tables" in done.err


def test_a_teammates_file_without_folds_is_called_unverified(blended: Blended, tmp_path: Path) -> None:
    site = blended("multiclass")
    site.configure(blend={"extra": {"friend": friend(site, tmp_path, fold=False)}})
    done = site.run("blend")
    assert done.code == 0
    assert done.err == "warning: friend is unverified: its file has no fold column\n"


def test_labels_are_submitted_with_a_fitted_threshold(make_site: MakeSite) -> None:
    site = make_site("binary", competition={"metric": "f1"}, variants={"tfidf": {"model": "tfidf"}})
    site.write("sample_submission.csv", [{"id": row["id"], "target": 0} for row in site.rows("test.csv")])
    rows = site.rows("train.csv")
    for row in rows[: len(rows) // 2]:
        row["target"] = 0  # half of the positives are hidden: a threshold of .5 would find none
    site.write("train.csv", rows)
    site.ok("train")
    site.ok("blend")
    blend = read_blend(site.root / "oof" / "blend.json")
    [threshold] = blend.thresholds
    assert 0 < threshold < 0.5
    assert " 12 rows, labels, " in site.ok("submit")
    found = frame(site, "runs/r/submissions/submission.csv")
    wanted = (predicted_test(site, "blend")["target"] >= threshold).astype(int)
    assert found["target"].tolist() == wanted.tolist()
    assert 0 < wanted.sum() < 12


def test_grades_are_submitted_as_the_sample_spells_them(blended: Blended) -> None:
    site = blended("ordinal")
    site.write("sample_submission.csv", [{"id": row["id"], "grade": "1.0"} for row in site.rows("test.csv")])
    site.ok("submit")
    assert {row["grade"] for row in site.rows("runs/r/submissions/submission.csv")} <= {"1.0", "2.0", "3.0"}
    site.ok("submit", "submission.kind=values")
    grades = frame(site, "runs/r/submissions/submission.csv")["grade"]
    assert grades.between(1, 3).all()
    assert grades.nunique() > 3


@pytest.mark.parametrize(
    ("values", "shown", "wanted"),
    [
        ([False, True], "False", {"False", "True"}),
        ([False, True], "true", {"false", "true"}),
        ([3, 20], "3", {"3", "20"}),
        (["ham", "spam"], "ham", {"ham", "spam"}),
    ],
)
def test_class_names_of_any_type_come_back_as_the_sample_names_them(
    linear_site: MakeSite, values: list[Any], shown: str, wanted: set[str]
) -> None:
    site = linear_site("binary", competition={"metric": "accuracy", "train": "train.parquet"})
    table = frame(site, "train.csv")
    table["target"] = [values[int(value)] for value in table["target"]]
    table.to_parquet(site.folder / "train.parquet")
    site.write("sample_submission.csv", [{"id": row["id"], "target": shown} for row in site.rows("test.csv")])
    site.ok("train")
    site.ok("blend")
    site.ok("submit", "submission.kind=labels")
    found = {row["id"]: row["target"] for row in site.rows("runs/r/submissions/submission.csv")}
    assert set(found.values()) == wanted
    solution = site.write(
        "solution.csv", [{**row, "target": values[int(row["target"])]} for row in site.rows("solution.csv")]
    )
    out = site.ok("grade", "--solution", str(solution), "submission.kind=labels")
    right = sum(found[row["id"]].lower() == row["target"].lower() for row in site.rows("solution.csv"))
    assert f"submitted accuracy {right / 12:.5f} on 12 rows" in out
    assert right > 8


def test_status_tells_what_is_done_what_is_to_do_and_what_comes_next(make_site: MakeSite) -> None:
    site = make_site("binary")
    config = f" --config {site.folder / 'config.yaml'}\n"  # a hint names the config that it is about
    assert site.ok("status") == f"run r has not started: python run.py train{config}"
    site.ok("train", "--only", "mean", "--folds", "0")
    out = site.ok("status")
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [["mean", "1/2"], ["tfidf", "0/2"]]
    assert "of training left, and variants that no fit has timed yet: python run.py train" in out
    site.ok("train")
    assert site.ok("status").endswith(f"every fit is done: python run.py blend{config}")
    shown = f"look at it: python run.py report{config}"
    assert site.ok("blend").endswith(f"\n{shown}submit next: python run.py submit{config}")
    assert site.ok("status").endswith(f"\n{shown}blended; 12 test rows: python run.py submit{config}")
    part = f"look at it: python run.py report{config.rstrip()} --folds 1\n"
    assert part in site.ok("blend", "--folds", "1")
    assert part in site.ok("status")


@pytest.mark.parametrize("task", TASKS)
def test_init_guesses_the_competition_and_what_it_writes_trains(make_site: MakeSite, task: str) -> None:
    site = make_site(task)
    right = read_config(site.folder / "config.yaml").competition
    (site.folder / "config.yaml").unlink()
    (site.folder / "solution.csv").unlink()
    import run

    assert run.main(["init", str(site.folder)]) == 0
    config = read_config(site.folder / "config.yaml")
    guessed = config.competition
    for key in ("train", "test", "sample_submission", "id", "text", "task"):
        assert getattr(guessed, key) == getattr(right, key), key
    assert sorted(guessed.targets) == sorted(right.targets)
    assert config.run == "competition"
    for verb in (["train", "--only", "tfidf"], ["blend"], ["submit"]):
        site.ok(*verb)


def test_init_says_what_it_guessed_and_overwrites_nothing(
    make_site: MakeSite, capsys: pytest.CaptureFixture[str]
) -> None:
    import run

    site = make_site("ordinal")
    assert run.main(["init", str(site.folder)]) == 2
    assert "config.yaml exists already; move it away" in capsys.readouterr().err
    (site.folder / "config.yaml").unlink()
    assert run.main(["init", str(site.folder)]) == 0
    out = capsys.readouterr().out
    assert "id id, text text, target grade, task ordinal, metric qwk" in out
    assert "3 distinct values in grade, taken for grades in order; if they are mere names, task is multiclass" in out
    assert "the texts are not English" in out


def test_the_effective_config_is_kept_in_the_run(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"tfidf": {"model": "tfidf"}})
    site.ok("train", "training.epochs=9")
    kept = read_config(site.root / "config.yaml")
    assert kept.model_dump() == read_config(site.folder / "config.yaml", ["training.epochs=9"]).model_dump()


def test_parquet_and_jsonl_give_the_same_predictions_as_csv(make_site: MakeSite) -> None:
    site = make_site("multiclass")
    oof = []
    for suffix in ("csv", "parquet", "jsonl"):
        for name in ("train", "test"):
            table = frame(site, f"{name}.csv")
            table.to_parquet(site.folder / f"{name}.parquet")
            table.to_json(site.folder / f"{name}.jsonl", orient="records", lines=True, force_ascii=False)
        files = [f"run={suffix}", f"competition.train=train.{suffix}", f"competition.test=test.{suffix}"]
        site.ok("train", *files)
        site.ok("blend", *files)
        names = ("mean.parquet", "mean.test.parquet", "blend.test.parquet")
        oof.append([(site.folder / "runs" / suffix / "oof" / name).read_bytes() for name in names])
    assert oof[0] == oof[1] == oof[2]


def test_texts_of_every_kind_train_and_are_predicted(make_site: MakeSite) -> None:
    site = make_site("binary")
    strange = [
        "",
        "   ",
        "🙂🙃",
        "中文 and 英文",
        "word " * 20_000,
        'two\nlines, "quoted"',
        "NA",
        "null",
        "\u200b",
        "é",
    ]
    for name in ("train.csv", "test.csv"):
        rows = site.rows(name)
        for row, text in zip(rows, strange, strict=False):
            row["text"] = text
        site.write(name, rows)
    done = site.run("train")
    assert done.code == 0, done.err
    assert "warning: train.csv: 2 of 48 rows have an empty text\n" in done.err
    site.ok("blend")
    site.ok("submit")
    assert len(site.rows("runs/r/submissions/submission.csv")) == 12


@pytest.mark.parametrize("variant", [{"model": "tfidf"}, {"poolings": {"idf": "idf", "mean": "mean"}}])
def test_a_fold_has_no_say_in_the_model_that_predicts_it(make_site: MakeSite, variant: dict[str, Any]) -> None:
    site = make_site("regression", variants={"v": variant}, folds={"kind": "predefined", "column": "given"})
    rows = [{**row, "given": at % 2} for at, row in enumerate(site.rows("train.csv"))]
    kinds = {"as it is": rows}
    kinds["targets"] = [
        {**row, "score": 1000 + at if row["given"] == 0 else row["score"]} for at, row in enumerate(rows)
    ]
    kinds["texts"] = [{**row, "text": "red red blue" if row["given"] == 0 else row["text"]} for row in rows]
    parts: dict[str, dict[str, bytes]] = {}
    for kind, changed in kinds.items():
        site.write("train.csv", changed)
        name = kind.replace(" ", "-")
        site.ok("train", f"run={name}")
        found = sorted((site.folder / "runs" / name / "models").glob("v/*/seed-*/fold-*/*.parquet"))
        parts[kind] = {str(path).split("/seed-")[1]: path.read_bytes() for path in found}
    first = parts["as it is"]
    of_first = [name for name in first if "fold-0/" in name]
    assert len(of_first) >= 2
    for name in of_first:  # fold 0 is predicted by the model of fold 1's rows
        assert parts["targets"][name] == first[name], name
        assert "valid" in name or parts["texts"][name] == first[name], name
    assert all(parts["targets"][name] != first[name] for name in first if "fold-1/" in name)


def test_row_weights_and_class_weights_have_a_say(make_site: MakeSite) -> None:
    site = make_site("multiclass", competition={"weight": "w"})
    site.write("train.csv", [{**row, "w": 1 + 9 * (row["kind"] == "who")} for row in site.rows("train.csv")])
    share = {}
    for run_, more in {
        "plain": ["competition.weight=null"],
        "rows": [],
        "classes": ["competition.weight=null", "variants.mean.class_weights={who: 10.0, where: 1.0, when: 1.0}"],
    }.items():
        site.ok("train", f"run={run_}", *more)
        site.ok("blend", f"run={run_}", *more)
        for member in ("mean", "tfidf"):
            path = site.folder / "runs" / run_ / "oof" / f"{member}.parquet"
            share[run_, member] = pd.read_parquet(path)["who"].mean()
    assert share["rows", "mean"] > share["plain", "mean"] + 0.01
    assert share["rows", "tfidf"] > share["plain", "tfidf"] + 0.01
    assert share["classes", "mean"] > share["plain", "mean"] + 0.01
    assert share["classes", "tfidf"] == share["plain", "tfidf"]


def test_values_are_clipped_and_the_file_is_named_as_asked(blended: Blended) -> None:
    site = blended("regression")
    site.ok("submit", "submission.clip=[2.2, 2.3]", "submission.file=clipped.csv")
    scores = frame(site, "runs/r/submissions/clipped.csv")["score"]
    assert scores.between(2.2, 2.3).all()
    assert scores.isin([2.2, 2.3]).any()
    assert not (site.root / "submissions" / "submission.csv").exists()


def test_the_scores_in_the_table_are_the_metric_on_the_pooled_oof(blended: Blended) -> None:
    site = blended("regression")
    out = site.ok("blend", "blend.method=mean")
    truth = frame(site, "train.csv").set_index("id")["score"]
    for member in ("mean", "tfidf"):
        oof = pd.read_parquet(site.root / "oof" / f"{member}.parquet").set_index("id")
        errors = (oof["score"] - truth.loc[oof.index]) ** 2
        folds = np.sqrt(errors.groupby(oof["fold"]).mean())
        line = next(line for line in out.splitlines() if line.startswith(f"{member} "))
        assert line.split()[1] == f"{np.sqrt(errors.mean()):.5f}"
        assert line.split()[2] == f"{folds.mean():.5f}"
        assert line.split()[4] == f"{folds.std(ddof=1):.5f}"


def test_a_blend_older_than_its_members_fits_is_told_by_status_and_refused_by_submit(blended: Blended) -> None:
    site = blended("binary")
    site.ok("train", "training.epochs=3")
    assert "the blend was made of other fits of" in site.ok("status", "training.epochs=3")
    assert "the blend was made of other fits of" in site.run("submit", "training.epochs=3").err
    site.ok("blend", "training.epochs=3")
    site.ok("submit", "training.epochs=3")


@pytest.mark.parametrize("override", ["blend.method=mean", "blend.members=[mean]", "competition.metric=log_loss"])
def test_submit_warns_of_a_blend_made_by_other_settings(blended: Blended, override: str) -> None:
    site = blended("binary")
    assert "was made by other settings" in site.run("submit", override).err
    site.ok("blend", override)
    assert site.run("submit", override).err == ""


def test_submit_says_that_a_blend_is_of_some_folds(blended: Blended) -> None:
    site = blended("binary")
    site.ok("blend", "--folds", "0")
    assert "restricted to the models of folds 0" in site.run("submit").err


def test_a_lost_recipe_is_recorded_again(blended: Blended) -> None:
    site = blended("binary")
    before = site.markers()
    for path in site.root.glob("models/*/*/recipe.json"):
        path.write_text("junk")
    site.ok("train")
    site.ok("blend")
    assert site.markers() == before


def test_folds_edited_by_hand_are_refused(blended: Blended) -> None:
    site = blended("binary")
    path = site.root / "folds" / "folds.csv"
    lines = path.read_text().splitlines()
    identifier, fold = lines[1].split(",")
    path.write_text("\n".join([lines[0], f"{identifier},{1 - int(fold)}", *lines[2:]]) + "\n")
    for verb in ("status", "train", "blend", "submit"):
        assert "folds.csv is damaged or was changed since it was written" in site.run(verb).err


def test_a_blend_edited_by_hand_is_refused(blended: Blended) -> None:
    site = blended("binary")
    path = site.root / "oof" / "blend.json"
    path.write_text(path.read_text().replace('"weights"', '"wieghts"'))
    assert "was changed since it was written" in site.run("submit").err


@pytest.mark.parametrize("name", ["blend", "mean.test"])
def test_a_member_cannot_take_the_name_of_another_file(blended: Blended, name: str) -> None:
    site = blended("binary")
    assert "cannot name a member" in site.run("blend", f"blend.extra={{{name}: {{oof: a.csv, test: b.csv}}}}").err


def test_overrides_may_stand_on_both_sides_of_an_option(blended: Blended) -> None:
    site = blended("binary")
    site.ok("train", "training.epochs=1", "--folds", "0", "training.learning_rate=3e-4")
    with pytest.raises(SystemExit) as stopped:
        site.run("train", "training.epochs=1", "--fold", "0")
    assert stopped.value.code == 2


def test_clip_is_refused_where_no_values_are_submitted(blended: Blended) -> None:
    site = blended("binary")
    assert "submission.clip bounds values" in site.run("submit", "submission.clip=[0.2, 0.5]").err


def test_init_lists_the_classes_that_no_training_row_has(make_site: MakeSite) -> None:
    site = make_site("multiclass")
    rows = site.rows("train.csv")
    site.write("train.csv", [row for row in rows if row["kind"] != rows[0]["kind"]])
    (site.folder / "config.yaml").unlink()
    assert run.main(["init", str(site.folder)]) == 0
    assert rows[0]["kind"] in (read_config(site.folder / "config.yaml").competition.classes or [])


def test_the_next_command_is_for_the_same_file_and_overrides(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"tfidf": {"model": "tfidf"}})
    other = site.folder / "other file.yaml"
    other.write_bytes((site.folder / "config.yaml").read_bytes())
    words = ["--config", str(other), "variants.tfidf.strength=3"]
    for verb, following in (("status", "train"), ("train", "blend"), ("blend", "submit")):
        assert f"python run.py {following} --config '{other}' variants.tfidf.strength=3" in site.ok(verb, *words)


def test_all_files_of_a_run_are_readable_alike(make_site: MakeSite) -> None:
    site = make_site("binary", variants={"mean": {"pooling": "mean"}, "tfidf": {"model": "tfidf"}})
    site.ok("train")
    modes = {path.stat().st_mode for path in (site.root / "models").rglob("fold-*/*")}
    assert len(modes) == 1


def test_running_out_of_memory_is_one_sentence(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*arguments: Any, **settings: Any) -> None:
        raise MemoryError

    site = make_site("binary", variants={"tfidf": {"model": "tfidf"}})
    monkeypatch.setattr("pipeline.fits.run_fit.fit_linear", greedy)
    done = site.run("train")
    assert done.code == 1
    assert "tfidf, seed 0, fold 1: memory ran out; a smaller backbone" in done.err
