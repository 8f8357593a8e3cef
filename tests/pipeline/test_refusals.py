"""Bad input: each is one clear sentence on standard error and exit code 2, never a traceback."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import run

Backbone = Callable[[str], str]
Change = Callable[[Any], None]


def config(**sections: Any) -> Change:
    return lambda site: site.configure(**sections)


def cell(name: str, column: str, value: Any, row: int = 3) -> Change:
    def change(site: Any) -> None:
        rows = site.rows(name)
        rows[row][column] = value
        site.write(name, rows)

    return change


def column(name: str, old: str, new: str) -> Change:
    def change(site: Any) -> None:
        site.write(name, [{new if key == old else key: value for key, value in row.items()} for row in site.rows(name)])

    return change


def text(name: str, content: str | bytes) -> Change:
    return lambda site: (site.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def without(name: str) -> Change:
    return lambda site: (site.folder / name).unlink()


def last_row_off(name: str) -> Change:
    return lambda site: site.write(name, site.rows(name)[:-1])


def nothing(site: Any) -> None:
    pass


HEADER = "id,text,target\n"

# task, what is done to a fresh competition, arguments, what the sentence must say
FRESH: dict[str, tuple[str, Change, list[str], str]] = {
    "config missing": ("binary", without("config.yaml"), ["train"], "config.yaml does not exist"),
    "train missing": ("binary", without("train.csv"), ["train"], "training table {site}/train.csv does not exist"),
    "test missing": ("binary", without("test.csv"), ["train"], "test table {site}/test.csv does not exist"),
    "sample missing": ("binary", without("sample_submission.csv"), ["train"], "sample_submission.csv does not exist"),
    "unknown suffix": (
        "binary",
        config(competition={"train": "config.yaml"}),
        ["train"],
        "config.yaml must be one of .csv, .tsv, .parquet, .jsonl, or one of them packed",
    ),
    "id column missing": (
        "binary",
        column("train.csv", "id", "idx"),
        ["train"],
        "train.csv has no column 'id'; did you mean 'idx'?; it has idx, text, target",
    ),
    "text column missing": (
        "binary",
        column("test.csv", "text", "texts"),
        ["train"],
        "test table {site}/test.csv has no column 'text'; did you mean 'texts'?",
    ),
    "target column missing": ("binary", column("train.csv", "target", "y"), ["train"], "has no column 'target'"),
    "fold column missing": (
        "binary",
        config(folds={"kind": "group", "group": "author"}),
        ["train"],
        "has no column 'author'",
    ),
    "weight column missing": ("binary", config(competition={"weight": "w"}), ["train"], "has no column 'w'"),
    "weight no number": (
        "binary",
        config(competition={"weight": "text"}),
        ["train"],
        "a weight must be a number from 0 up",
    ),
    "duplicate ids in train": (
        "binary",
        cell("train.csv", "id", "000"),
        ["train"],
        "train.csv has 1 duplicate id(s) in id, the first is '000'",
    ),
    "duplicate ids in test": ("binary", cell("test.csv", "id", "048"), ["train"], "test.csv has 1 duplicate id(s)"),
    "duplicate ids in the sample": (
        "binary",
        cell("sample_submission.csv", "id", "048"),
        ["train"],
        "the sample submission has more than one row for id 048",
    ),
    "empty id": ("binary", cell("train.csv", "id", ""), ["train"], "train.csv, row 4: id is empty"),
    "sample id absent from test": (
        "binary",
        last_row_off("test.csv"),
        ["train"],
        "the test table has no row for id 059 of the sample submission",
    ),
    "target NaN": (
        "regression",
        cell("train.csv", "score", "NaN"),
        ["train"],
        "train.csv, row '003': score is 'NaN'; a regression target must be a finite number",
    ),
    "target infinite": ("regression", cell("train.csv", "score", "-inf"), ["train"], "row '003': score is '-inf'"),
    "target missing": ("regression", cell("train.csv", "score", ""), ["train"], "row '003': score is missing"),
    "label not 0 or 1": ("multilabel", cell("train.csv", "red", "2"), ["train"], "row '003': red is '2'"),
    "three classes for binary": ("binary", cell("train.csv", "target", "2"), ["train"], "task binary takes 2"),
    "one class": (
        "binary",
        text("train.csv", HEADER + "1,a,0\n2,b,0\n"),
        ["train"],
        "column target holds one class only, '0'",
    ),
    "empty table": ("binary", text("train.csv", HEADER), ["train"], "train.csv has no rows"),
    "empty file": ("binary", text("train.csv", ""), ["train"], "train.csv cannot be read"),
    "empty test table": ("binary", text("test.csv", "id,text\n"), ["train"], "test.csv has no rows"),
    "ragged rows": ("binary", text("train.csv", HEADER + "1,a,0,9\n"), ["train"], "train.csv cannot be read"),
    "column twice": ("binary", text("train.csv", "id,text,id\n1,a,0\n"), ["train"], "has the column 'id' twice"),
    "not UTF-8": (
        "binary",
        text("train.csv", (HEADER + "1,文本文本文本,0\n").encode("gb18030")),
        ["train"],
        "train.csv cannot be read: it is not UTF-8 (line 2), nor a Western European text in cp1252: save it as UTF-8",
    ),
    "unknown key": ("binary", nothing, ["train", "training.epoch=2"], "training.epoch: unknown key; did you mean"),
    "wrong type": ("binary", nothing, ["train", "training.epochs=two"], "training.epochs: input should be a valid int"),
    "override": ("binary", nothing, ["train", "epochs"], "override 'epochs' must have the form key.path=value"),
    "unknown pooling": (
        "binary",
        nothing,
        ["train", "variants.x={pooling: means}"],
        "variants.x.pooling: 'means' is unknown; did you mean 'mean'?",
    ),
    "unknown metric": (
        "binary",
        nothing,
        ["train", "competition.metric=auc"],
        "competition.metric: unknown metric 'auc'",
    ),
    "metric of another task": (
        "regression",
        nothing,
        ["train", "competition.metric=f1"],
        "competition.metric: metric f1 does not fit task regression; fitting ones: rmse",
    ),
    "kind of another task": (
        "regression",
        nothing,
        ["train", "submission.kind=labels"],
        "submission.kind must be values for task regression",
    ),
    "template": (
        "binary",
        nothing,
        ["train", "competition.text='{text.__class__}'"],
        "train.csv has no column 'text.__class__'",
    ),
    "more folds than rows": (
        "binary",
        nothing,
        ["train", "folds.count=49"],
        "folds.count is 49 but only 48 rows can be split independently",
    ),
    "backbone not found": (
        "binary",
        config(variants={"x": {"pooling": "mean", "backbone": "./no/such/folder"}}),
        ["train"],
        "backbone './no/such/folder' not found",
    ),
    "layers that the backbone has not": (
        "binary",
        config(variants={"x": {"pooling": {"layers": {"kind": "concat", "count": 9}, "tokens": "mean"}}}),
        ["train"],
        "9",
    ),
    "heads that do not divide the width": (
        "binary",
        config(variants={"x": {"pooling": {"tokens": {"kind": "multi_head_attention", "heads": 5}}}}),
        ["train"],
        "5",
    ),
    "sample with other columns": (
        "multilabel",
        column("sample_submission.csv", "red", "green"),
        ["train"],
        "it lacks red and has green, which nothing predicts",
    ),
    "sample with other classes": (
        "multiclass",
        column("sample_submission.csv", "who", "why"),
        ["train"],
        "must be the id and when, where, who: it lacks who and has why, which nothing predicts",
    ),
    "sample without the id": (
        "binary",
        lambda site: site.write("sample_submission.csv", [{"row": "x", "target": "0"}, {"row": "y", "target": "0"}]),
        ["train"],
        "the sample submission has no id column id; its columns are row, target",
    ),
    "unknown variant": (
        "binary",
        nothing,
        ["train", "--only", "tfdif"],
        "--only names 'tfdif', which is no variant; did you mean 'tfidf'?",
    ),
    "unknown fold": ("binary", nothing, ["train", "--folds", "2"], "--folds names fold 2, but the folds of this run"),
    "blend before train": ("binary", nothing, ["blend"], "folds.csv does not exist; train makes it"),
    "submit before blend": ("binary", nothing, ["submit"], "folds.csv does not exist; train makes it"),
    "predict before train": ("binary", nothing, ["predict", "--test", "{site}/test.csv"], "train"),
    "grade before submit": (
        "binary",
        nothing,
        ["grade", "--solution", "{site}/solution.csv"],
        "submission.csv does not exist",
    ),
}


def sentence_of(site: Any, verb: str, *arguments: str) -> str:
    """Call what must be refused: exit code 2, nothing but the sentence on standard error."""
    done = site.run(verb, *arguments)
    assert done.code == 2, done.out
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert lines[0].startswith("error: ")
    assert len(lines) == 1 or "problem(s):" in lines[0]
    assert "Traceback" not in done.err
    return str(done.err)


@pytest.mark.parametrize("case", FRESH)
def test_bad_input_is_one_sentence(linear_site: Callable[..., Any], case: str) -> None:
    task, change, argv, fragment = FRESH[case]
    site = linear_site(task)
    change(site)
    argv = [argument.replace("{site}", str(site.folder)) for argument in argv]
    assert fragment.replace("{site}", str(site.folder)) in sentence_of(site, *argv)
    assert not site.markers()


def extra(change: Callable[[pd.DataFrame], pd.DataFrame], kind: str = "oof") -> Change:
    """Offer the run's own member tfidf as a teammate's files, one of them changed."""

    def configure(site: Any) -> None:
        paths = {"oof": site.folder / "friend.csv", "test": site.folder / "friend_test.csv"}
        for which, name in (("oof", "tfidf.parquet"), ("test", "tfidf.test.parquet")):
            table = pd.read_parquet(site.root / "oof" / name)
            (change(table) if which == kind else table).to_csv(paths[which], index=False)
        site.configure(blend={"extra": {"friend": {key: path.name for key, path in paths.items()}}})

    return configure


def in_folds_file(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    def rewrite(site: Any) -> None:
        path = site.root / "folds" / "folds.csv"
        change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)

    return rewrite


def flipped(folds: pd.DataFrame) -> pd.DataFrame:
    return folds.assign(fold=folds["fold"].map(lambda fold: 1 - int(fold)))


# what is done to a blended multiclass run, arguments, what the sentence must say
BLENDED: dict[str, tuple[Change, list[str], str]] = {
    "another competition": (
        cell("train.csv", "text", "another text altogether"),
        ["train"],
        "the training rows are not those that the folds were made from; restore it or use another `run:` name",
    ),
    "other settings of the folds": (
        nothing,
        ["train", "folds.count=3"],
        "folds.count is 2 in this run but 3 in the config",
    ),
    "other folds in the file": (
        in_folds_file(flipped),
        ["blend"],
        "folds.csv is damaged or was changed since it was written",
    ),
    "a folds file with a gap": (
        in_folds_file(lambda folds: folds[:-1]),
        ["blend"],
        "folds.csv is damaged or was changed",
    ),
    "an extra member that is not there": (
        config(blend={"extra": {"friend": {"oof": "no.csv", "test": "no.csv"}}}),
        ["blend"],
        "no.csv does not exist",
    ),
    "an extra member with a gap": (
        extra(lambda table: table[:-1]),
        ["blend"],
        "friend.csv: no OOF prediction for id '047' of fold",
    ),
    "an extra member with other folds": (extra(flipped), ["blend"], "friend.csv: id '0"),
    "an extra member with a foreign row": (
        extra(lambda table: table.replace({"id": {"003": "x"}})),
        ["blend"],
        "friend.csv: id 'x' is no training row of the folds file",
    ),
    "an extra member with a row twice": (
        extra(lambda table: pd.concat([table, table[3:4]])),
        ["blend"],
        "friend.csv has 1 duplicate id(s) in id, the first is '003'",
    ),
    "an extra member without a number": (
        extra(lambda table: table.assign(who=[None, *table["who"][1:]])),
        ["blend"],
        "friend.csv: the prediction of id '000', column 'who', is not a finite number",
    ),
    "an extra member without a column": (
        extra(lambda table: table.drop(columns="who")),
        ["blend"],
        "friend.csv: the column 'who' is missing",
    ),
    "an extra member of another test table": (
        extra(lambda table: table[:-1], "test"),
        ["blend"],
        "friend_test.csv: no prediction for test id '059'",
    ),
    "a blend that does not fit the task": (
        nothing,
        ["blend", "blend.method=rank_mean"],
        "blend rank_mean does not fit task multiclass; fitting ones: mean",
    ),
    "weights from one fold": (nothing, ["blend", "--folds", "0", "blend.method=simplex"], "fold"),
    "a fold that is not there": (nothing, ["blend", "--folds", "0,7"], "--folds names fold 7"),
    "a new sample with other ids": (
        nothing,
        ["predict", "--test", "{site}/test.csv", "--sample", "{site}/solution.csv", "--output", "{site}/out"],
        "the columns of the sample submission must be the id and when, where, who",
    ),
    "a recipe that was not trained": (
        nothing,
        ["predict", "--test", "{site}/test.csv", "--output", "{site}/out", "training.epochs=3"],
        "the blend was made of other fits of mean than this config's: train, then blend",
    ),
    "a solution without the target": (
        nothing,
        ["grade", "--solution", "{site}/test.csv", "--submission", "{site}/sample_submission.csv"],
        "which is not among the labels when, where, who",
    ),
    "a solution of other rows": (
        nothing,
        ["grade", "--solution", "{site}/train.csv", "--submission", "{site}/sample_submission.csv"],
        "the submission has no row for id 000 of the solution",
    ),
}


@pytest.mark.parametrize("case", BLENDED)
def test_what_does_not_fit_a_run_is_one_sentence(blended: Callable[[str], Any], case: str) -> None:
    change, argv, fragment = BLENDED[case]
    site = blended("multiclass")
    change(site)
    before = site.markers()
    argv = [argument.replace("{site}", str(site.folder)) for argument in argv]
    assert fragment in sentence_of(site, *argv)
    assert site.markers() == before
    assert not (site.folder / "out").exists()


def test_cls_on_a_causal_decoder_is_refused_before_any_fit(make_site: Callable[..., Any], tiny_backbone: Any) -> None:
    decoder = {"backbone": tiny_backbone("qwen2")}
    good, bad = {"pooling": "last", **decoder}, {"poolings": {"a": "mean", "b": ["max", "cls"]}, **decoder}
    site = make_site("binary", variants={"tfidf": {"model": "tfidf"}, "good": good, "bad": bad})
    said = sentence_of(site, "train")
    assert "pooling cls reads the first token, which on the causal decoder" in said
    assert "use last, mean or attention" in said
    assert not site.markers()
    site.ok("train", "--only", "good")


def test_a_length_without_room_is_refused(make_site: Callable[..., Any], tiny_backbone: Any) -> None:
    backbone = {"backbone": tiny_backbone("roberta"), "max_length": 4}
    site = make_site("regression", variants={"x": {"pooling": "mean", **backbone}})
    assert "training.max_length is 4, which leaves no room between the special tokens" in sentence_of(site, "train")


def test_a_pickled_backbone_is_refused(make_site: Callable[..., Any], tiny_backbone: Any) -> None:
    site = make_site("binary")
    shutil.copytree(tiny_backbone("bert"), site.folder / "pickled")
    (site.folder / "pickled" / "model.safetensors").rename(site.folder / "pickled" / "pytorch_model.bin")
    said = sentence_of(site, "train", f"training.backbone={site.folder / 'pickled'}")
    assert "safetensors" in said
    assert "pickled" in said


def test_a_text_column_of_numbers_warns_and_trains(linear_site: Callable[..., Any]) -> None:
    site = linear_site("binary")
    for name in ("train.csv", "test.csv"):
        site.write(name, [{**row, "text": f"{int(row['id']) * 37 % 101}.5"} for row in site.rows(name)])
    done = site.run("train")
    assert done.code == 0
    assert "warning: train.csv: text column text holds numbers; is it the right column?\n" in done.err
    assert "warning: test.csv: text column text holds numbers; is it the right column?\n" in done.err


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "holds no table named train*: .csv, .tsv, .parquet or .jsonl"),
        (["train.csv"], "holds no table named test*: .csv"),
        (["train.csv", "test.csv"], "holds no table named sample*: .csv"),
    ],
)
def test_init_needs_the_three_tables(
    linear_site: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    sentence: str,
) -> None:
    site = linear_site("binary")
    for name in names:
        shutil.copy(site.folder / name, tmp_path)
    assert run.main(["init", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err
    assert run.main(["init", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder; init takes the folder with" in capsys.readouterr().err
    assert not (tmp_path / "config.yaml").exists()


def test_texts_without_a_term_fail_that_variant_alone(linear_site: Callable[..., Any]) -> None:
    site = linear_site("multiclass")
    text("train.csv", "id,text,kind\n1,,who\n2, ,where\n3,!,when\n4,?,who\n")(site)
    done = site.run("train", "folds.together=null")
    assert done.code == 1
    assert "tfidf, seed 0, fold 0: tfidf finds no word and no character n-gram in the training texts" in done.err
