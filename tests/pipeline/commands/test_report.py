"""The verb `report`: a complete page that escapes untrusted text and names what is missing."""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from models.store import write_json
from pipeline.config.run_config import read_config
from pipeline.fits.open_run import open_run
from pipeline.reporting.blend_verdict import draw_weights
from pipeline.reporting.calibration import compute_reliability
from pipeline.reporting.hard_rows import _find_doubtful_rows
from pipeline.reporting.html_page import _capitalise
from pipeline.reporting.report_inputs import read_inputs
from pipeline.reporting.svg_figure import COLOURS, draw_figure
from pipeline.reporting.train_test_shift import Shift, compute_shift
from pipeline.storage.checksums import compute_checksum, verify_sealed, write_sealed
from pipeline.storage.locks import hold_lock

Blended = Callable[[str], Any]
MakeSite = Callable[..., Any]
TASKS = ["binary", "multiclass", "multilabel", "regression", "ordinal"]
VOID = {"meta", "link", "br", "hr", "img", "input"}
ATTACK = "<script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """A page taken apart: an element that is left open, or closed out of turn, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def ids(self) -> list[str]:
        return [value for name, value in self.attributes if name == "id"]

    @property
    def text(self) -> str:
        """What a reader sees, on one line."""
        seen = (data for tag, data in self.texts if tag not in {"script", "style"})
        return " ".join(" ".join(seen).split())


def page(site: Any, *arguments: str) -> Page:
    site.ok("report", *arguments)
    return Page((site.root / "report.html").read_text(encoding="utf-8"))


def figures(site: Any) -> set[str]:
    return {path.stem for path in (site.root / "report").glob("*.svg")}


EVERYWHERE = {"rungs", "correlations", "folds", "losses", "scores"}
OF_TASK = {
    "binary": {"reliability", "confusion"},
    "multiclass": {"reliability", "confusion"},
    "multilabel": {"reliability"},
    "regression": {"residuals"},
    "ordinal": {"confusion"},
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gives_a_complete_page_that_loads_nothing(blended: Blended, task: str) -> None:
    site = blended(task)
    site.ok("compare")
    found = page(site)
    assert len(found.ids) == len(set(found.ids))
    targets = {value for name, value in found.attributes if name in {"href", "xlink:href"}}
    assert {target for target in targets if not target.startswith("#")} == set()
    assert {target[1:] for target in targets} <= set(found.ids)
    assert {name for name, _ in found.attributes} & {"src", "srcset", "action", "data", "poster"} == set()
    others = [value for name, value in found.attributes if not name.startswith("xmlns")]
    styles = [data for tag, data in found.texts if tag in {"style", "script"}]
    assert [text for text in others + styles if re.search(r"https?:|//\w|url\((?!#)|@import", text)] == []
    numbers = json.loads((site.root / "oof" / "blend.json").read_text())["numbers"]
    assert figures(site) == EVERYWHERE | OF_TASK[task] | ({"weights"} & set(numbers))
    assert "none yet" not in found.text
    assert site.ok("status", "--deep").startswith("run r: ")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_page_says_what_the_blend_and_the_comparison_hold(blended: Blended, task: str) -> None:
    site = blended(task)
    site.ok("compare")
    text = page(site).text
    blend, compared = (json.loads((site.root / "oof" / f"{name}.json").read_text()) for name in ("blend", "compare"))
    assert blend["sentence"][1:] in text
    scores = blend["scores"]
    known = [scores["in-sample"], scores["cross-fitted"], scores["corrected for the choice"], *scores["95 % interval"]]
    assert [value for value in known if f"{value:.5f}" not in text] == []
    assert [one for one in compared["adds"] if f"{one['gain']:+.5f}" not in text] == []


def test_the_blend_keeps_the_candidates_it_was_selected_from(blended: Blended) -> None:
    site = blended("multiclass")
    blend = json.loads((site.root / "oof" / "blend.json").read_text())
    candidates = {entry["method"]: entry for entry in blend["rungs"]}
    assert [name for name in candidates if "finished" not in name] == [
        "mean",
        "subset_mean",
        "shrunk",
        "simplex",
        "stacker",
    ]
    selected = candidates[f"{blend['method']}, finished" if blend["finish"] else blend["method"]]
    assert selected["in-sample"] == blend["scores"]["in-sample"]
    assert selected["cross-fitted"] == blend["scores"]["cross-fitted"]
    assert selected["interval"] == blend["scores"]["95 % interval"]
    assert candidates["mean"]["gain"] is None
    assert candidates["stacker"]["error"] > 0


def test_headings_come_in_order_and_every_table_says_what_it_holds(blended: Blended) -> None:
    found = page(blended("multiclass"))
    levels = [int(tag[1]) for tag in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert found.tags.count("table") == found.tags.count("caption")
    assert found.tags.count("svg") == found.tags.count("figure") == len([i for i in found.ids if i.endswith("-title")])
    assert found.tags.count("th") == [name for name, _ in found.attributes].count("scope")


def test_the_same_run_gives_the_same_bytes(blended: Blended) -> None:
    site = blended("multilabel")

    def made() -> dict[str, str]:
        site.ok("report")
        paths = [site.root / "report.html", *(site.root / "report").iterdir()]
        return {path.name: compute_checksum(path) for path in paths}

    assert made() == made()


def test_a_script_in_a_text_a_class_an_id_or_a_label_is_shown_and_not_run(linear_site: MakeSite) -> None:
    site = linear_site("multiclass")
    train, sample = site.rows("train.csv"), site.rows("sample_submission.csv")
    for number, row in enumerate(train):
        row.update(id=f"{ATTACK}{number}", text=f'{row["text"]} {ATTACK} "onload=alert(2) \x1b[31m می\u200cروم \u202e')
        row["kind"] = row["kind"].replace("who", f"{ATTACK}&$x^2$ #0072b2")
    site.write("train.csv", train)
    site.write(
        "sample_submission.csv",
        [{f"{ATTACK}&$x^2$ #0072b2" if k == "who" else k: v for k, v in row.items()} for row in sample],
    )
    site.ok("train")
    site.ok("blend")
    html = page(site)
    assert html.tags.count("script") == 1
    assert {name for name, _ in html.attributes if name.startswith("on")} == set()
    assert f"{ATTACK}&$x^2$ #0072b2" in html.text
    assert f"{ATTACK}0" in html.text or f"{ATTACK}1" in html.text
    assert r"\x1b[31m" in html.text
    assert "می\u200cروم" in html.text
    assert not {"\x1b", "\u202e"} & set(html.text)
    for file in (site.root / "report").glob("*.svg"):
        tree = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        assert [one.tag for one in tree.iter() if one.tag in {f"{SVG}script", "script"}] == []
    confusion = ElementTree.fromstring((site.root / "report" / "confusion.svg").read_text(encoding="utf-8"))
    assert "<script>a… #0072b2" in list(confusion.itertext())


def test_the_pages_policy_lets_its_own_script_run_alone(blended: Blended) -> None:
    found = page(blended("binary"))
    [script] = [data for tag, data in found.texts if tag == "script"]
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [value for name, value in found.attributes if name == "content" and "script-src" in value]
    assert f"script-src 'sha256-{known}'" in policy
    assert policy.startswith("default-src 'none'")


def test_what_is_missing_is_said_with_the_command_that_fills_it(linear_site: MakeSite) -> None:
    site = linear_site("binary", variants={"one": {"model": "tfidf"}, "two": {"model": "tfidf", "strength": 1.0}})
    done = site.run("report")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "train" in done.err
    assert not (site.root / "report.html").exists()
    site.ok("train")
    text = page(site).text
    for said, verb in (("here is no blend yet", "blend"), ("he members have not been compared yet", "compare")):
        assert said in text
        assert f"python run.py {verb} --config" in text
    assert "No member learns in epochs" in text
    assert figures(site) == {"correlations", "folds", "reliability", "confusion"}


def test_a_single_member_is_not_to_be_compared(linear_site: MakeSite) -> None:
    site = linear_site("binary")
    site.ok("train")
    text = page(site).text
    assert "There is one member only" in text
    assert "have not been compared" not in text


def test_without_a_complete_member_the_folds_that_one_covers_are_named(make_site: MakeSite) -> None:
    site = make_site("binary", folds={"count": 3})
    site.ok("train", "--only", "tfidf", "--folds", "0,2")
    site.ok("train", "--folds", "1", "--only", "mean")
    train = f"python run.py train --config {site.folder / 'config.yaml'}"
    less = f"; train first, {train}, or name the folds that one member covers: --folds"
    for verb in ("report", "blend", "compare"):
        said = site.run(verb).err
        assert "no member covers folds 0, 1, 2: mean is left out: 1 of its 3 fits are done; " in said
        assert f"{less} 0,2\n" in said
    assert page(site, "--folds", "0,2")
    assert f"{less} 1\n" in site.run("report", "--folds", "0,1").err


def commands_of_page(site: Any) -> list[list[str]]:
    """The words of the commands that the page gives to reproduce the run."""
    html = (site.root / "report.html").read_text(encoding="utf-8")
    [block] = re.findall(r'<h2 id="reproduce-h">.*?<code>(.*?)</code>', html, re.S)
    return [shlex.split(unescape(line))[2:] for line in block.splitlines()]


@pytest.mark.parametrize("part", [[], ["--folds", "1"]])
def test_the_commands_of_the_page_make_what_is_in_the_run_and_no_more(make_site: MakeSite, part: list[str]) -> None:
    site = make_site("binary")
    override = "variants.tfidf.strength=2.0"
    site.ok("train", "--only", "tfidf", *part, override)
    site.ok("report", *part, override)
    assert [words[0] for words in commands_of_page(site)] == ["train", "report"]
    for verb in ("blend", "submit"):
        site.ok(verb, *(part if verb == "blend" else []), override)
    site.ok("report", *part, override)
    assert f"run.py status --config {site.folder / 'config.yaml'} {override} --deep" in page(site, *part, override).text
    commands = commands_of_page(site)
    assert [words[0] for words in commands] == ["train", "blend", "submit", "report"]
    for verb, *words in commands:
        site.ok(verb, *words[2:], "run=again")
    assert "r -> again: the same config; the same fits and members" in site.ok("runs", "--diff", "r", "again")


def steps(site: Any) -> str:
    """The next steps of the page."""
    site.ok("report")
    html = (site.root / "report.html").read_text(encoding="utf-8")
    [block] = re.findall(r'<ol class="steps">(.*?)</ol>', html, re.S)
    return " ".join(re.sub("<.*?>", "", block).split())


def test_the_next_step_is_the_one_that_is_next(make_site: MakeSite) -> None:
    site = make_site("binary")
    command = f"python run.py {{}} --config {site.folder / 'config.yaml'}"
    site.ok("train", "--only", "tfidf")
    found = steps(site)
    assert f"mean is not trained yet: {command.format('train')}" in found
    assert command.format("submit") not in found
    site.ok("blend")
    assert command.format("submit") in steps(site)
    site.ok("train")
    found = steps(site)
    assert f"The blend does not know mean: {command.format('blend')}" in found
    assert command.format("submit") not in found
    site.ok("blend")
    site.ok("submit")
    assert "The blend is submitted: hand in submission.csv." in steps(site)
    assert command.format("submit") not in steps(site)
    (site.root / "submissions" / "submission.csv").write_text("id,target\n")
    assert command.format("submit") in steps(site)


def test_a_score_is_called_optimistic_only_where_rows_have_chosen(blended: Blended) -> None:
    site = blended("binary")
    for arguments in (["--folds", "0"], ["blend.members=[tfidf]"], ["blend.method=mean", "blend.finish=false"]):
        site.ok("blend", *arguments)
        text = page(site, *arguments).text
        assert "Equal weights, which were not fitted on any row, so it is not optimistic" in text
        assert "tends to be optimistic" not in text
        assert "No other blend than mean was tried" in text
    site.ok("blend", "blend.method=simplex", "blend.finish=false")
    text = page(site, "blend.method=simplex", "blend.finish=false").text
    assert "On the rows that chose the weights, so it tends to be optimistic" in text
    assert "The weights chosen on the other folds" in text


@pytest.mark.parametrize(
    ("task", "truth", "size"),
    [
        ("binary", "Class", "Log loss"),
        ("multilabel", "Labels", "Log loss, mean over labels"),
        ("regression", "Value", "Error, in standard deviations of the target"),
        ("ordinal", "Grade", "Error, in grades"),
    ],
)
def test_the_worst_rows_are_headed_by_what_they_show(blended: Blended, task: str, truth: str, size: str) -> None:
    found = page(blended(task))
    start = found.texts.index(("caption", "The rows with the largest " + size.split(",")[0].lower().split()[-1]))
    headings = [data for tag, data in found.texts[start:] if tag == "th"]
    assert headings[:6] == ["Id", truth, "Prediction", "Text", size, "Fold"]


def test_a_weak_model_doubts_no_label(linear_site: MakeSite) -> None:
    site = linear_site("binary")
    site.ok("train")
    assert "The model itself is right for 100.0 % of them (the commonest class would be for 50.0 %)" in page(site).text
    assert "too weak to doubt" not in page(site).text
    rows = site.rows("train.csv")
    for at, row in enumerate(rows):
        row["target"] = at // 2 % 2  # nothing that a text tells
    site.write("train.csv", rows)
    site.ok("train", "run=weak")
    site.ok("report", "run=weak")
    found = Page((site.root.parent / "weak" / "report.html").read_text(encoding="utf-8")).text
    assert "The model is too weak to doubt a label: of 48 labels it is right for" in found
    assert "most in doubt" not in found


def test_of_many_doubts_most_are_said_to_be_the_models_own(
    linear_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = linear_site("binary")
    rows = site.rows("train.csv")
    for row in rows[:15:5]:
        row["target"] = 1 - int(row["target"])
    site.write("train.csv", rows)
    site.ok("train")
    few = page(site).text
    monkeypatch.setattr("pipeline.reporting.hard_rows.HIGHEST_SHARE", 0.01)
    many = page(site).text
    said = ("may be a mistake of the model as well as of the label", "most of these doubts are mistakes of the model")
    assert [one in text for text in (few, many) for one in said] == [True, False, False, True]


def test_a_sentence_has_a_capital_and_a_name_has_its_own() -> None:
    names = {"subset_mean", "tfidf", "both.cls"}
    sentences = ["subset_mean wins: 3", "equal weights win", "tfidf, as asked", "both.cls is left out", "2 fits"]
    assert [_capitalise(one, names) for one in sentences] == [sentences[0], "Equal weights win", *sentences[2:]]


def test_weights_are_counted_in_words_that_fit() -> None:
    assert draw_weights({"a": 0.6, "b": 0.4}).text == "The largest weight is 0.600, of a."
    assert draw_weights({"a": 1.0}).text == "There is one member only."
    assert draw_weights({"a": 0.5, "b": 0.5}).text == "The 2 members have the same weight."
    assert draw_weights({"a": 0.0, "b": 1.0}).text == "The largest weight is 1.000, of b; 1 of 2 members has weight 0."


def test_a_blend_or_a_comparison_of_other_fits_counts_as_missing(blended: Blended) -> None:
    site = blended("binary")
    site.ok("compare")
    assert "have not been compared" not in page(site).text
    site.configure(variants={"tfidf": {"model": "tfidf", "word_ngrams": 1}, "mean": {"pooling": "mean"}})
    site.ok("train")
    text = page(site).text
    assert "he blend is older than the fits of tfidf" in text
    assert "of other fits or folds" in text
    assert "the equal mean of all members" in text
    assert "weights" not in figures(site)  # the former report's figure is gone
    assert site.ok("status", "--deep")


def test_one_fold_gives_a_report_that_says_what_it_lacks(blended: Blended) -> None:
    site = blended("multiclass")
    text = page(site, "--folds", "0").text
    assert "There is one fold only" in text
    assert "he blend is of folds 0, 1, this report is not" in text
    assert "blend --config" in text
    assert "--folds 0" in text
    site.ok("blend", "--folds", "0")
    assert "equal weights: with one fold"[1:] in page(site, "--folds", "0").text


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("tfidf.valid.parquet", 100),
        ("../../../../../oof/blend.parquet", 100),
        ("../../../../../oof/compare.json", 0),
        ("../../../../../oof/compare.json", 40),
    ],
)
def test_a_damaged_file_is_refused(blended: Blended, name: str, where: int) -> None:
    site = blended("binary")
    site.ok("compare")
    [folder] = (site.root / "models" / "tfidf").glob("*/seed-0/fold-1")
    with (folder / name).resolve().open("r+b") as file:
        file.seek(where)
        file.write(b"#")
    done = site.run("report")
    assert done.code == 2
    assert "is damaged or" in done.err
    assert done.err.count("\n") == 1
    assert ("compare again" in done.err) == ("compare" in name)


def test_a_changed_or_foreign_file_of_a_report_is_named(blended: Blended) -> None:
    site = blended("binary")
    site.ok("report")
    with (site.root / "report.html").open("a") as file:
        file.write("<!-- -->")
    (site.root / "report" / "mine.svg").write_text("<svg/>")
    err = site.run("status", "--deep").err
    assert "report.html is damaged or was changed since it was written: report again" in err
    assert "mine.svg is not a file of this run" in err
    (site.root / "report" / "report.json").write_text("{")
    assert "report.json is damaged or unreadable: report again" in site.run("status", "--deep").err
    site.ok("report")
    (site.root / "report" / "mine.svg").unlink()
    assert site.ok("status", "--deep")


TOKEN_WEIGHTS = {"id": "001", "tokens": ["[CLS]", "good", ATTACK], "weights": {"": {"attention": [0.1, 0.7, 0.2]}}}


def save_token_weights(site: Any) -> Path:
    """Save the token weights of a fit as its training does."""
    [marker] = (site.root / "models" / "mean").glob("*/seed-*/fold-0/fit.json")
    path = marker.parent / "looks.json"
    path.write_text(json.dumps({"rows": [TOKEN_WEIGHTS]}))
    body = verify_sealed(json.loads(marker.read_text()), marker, "")
    write_sealed(marker, write_json, body, {**body["files"], path.name: compute_checksum(path)})
    return path


def test_token_weights_are_shaded_and_named_in_words(blended: Blended) -> None:
    site = blended("binary")
    assert "Token weights" not in page(site).text
    path = save_token_weights(site)
    found = page(site)
    assert "Token weights" in found.text
    assert "Most weight: good 70.0 %, <script>alert(1)</script> 20.0 %, [CLS] 10.0 %" in found.text.replace(
        " ,", ","
    ).replace(" %", " %")
    assert ("style", "--w:1.00") in found.attributes
    assert ("style", "--w:0.14") in found.attributes
    path.write_text(path.read_text().replace("good", "bad!"))
    assert "looks.json is damaged" in site.run("report").err


def test_two_reports_at_once_are_refused(blended: Blended) -> None:
    site = blended("binary")
    with hold_lock(site.root, "report"):
        assert "`report` already works on run r" in site.run("report").err


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_calibration_is_that_of_a_slow_loop(blended: Blended, task: str) -> None:
    site = blended(task)
    sources = read_inputs(open_run(read_config(site.folder / "config.yaml"), site.folder))
    rows = list(zip(sources.ensemble.tolist(), sources.problem.truth.tolist(), strict=True))
    if task == "multiclass":
        events = [(max(p) / sum(p), p.index(max(p)) == own) for p, own in rows]
    else:
        events = [(one, bool(hit)) for p, own in rows for one, hit in zip(p, np.ravel(own), strict=True)]
    bins = [[event for event in events if min(int(event[0] * 10), 9) == at] for at in range(10)]
    apart = [abs(sum(p for p, _ in held) - sum(hit for _, hit in held)) for held in bins]
    found = compute_reliability(sources)
    assert found is not None
    assert found.counts.tolist() == [len(held) for held in bins]
    assert found.error == pytest.approx(sum(apart) / len(events))


def test_labels_in_doubt_are_those_of_confident_learning() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    P = rng.dirichlet(np.ones(3), 200) + 0.5 * np.eye(3)[labels]
    P /= P.sum(1, keepdims=True)
    expected = []
    for at, own in enumerate(labels):
        confident = [k for k in range(3) if P[at, k] >= P[labels == k, k].mean()]
        likely = max(confident, key=lambda k, at=at: P[at, k], default=own)
        if likely != own and P[at, likely] > P[at, own]:
            expected.append((at, likely))
    places, other = _find_doubtful_rows(P, labels)
    assert len(expected) > 3
    assert list(zip(places.tolist(), other.tolist(), strict=True)) == expected


def test_a_flipped_label_stands_first_among_those_in_doubt(linear_site: MakeSite) -> None:
    site = linear_site("binary", training={})
    rows = site.rows("train.csv")
    rows[7]["target"] = "0" if rows[7]["target"] == "1" else "1"
    site.write("train.csv", rows)
    site.ok("train")
    html = (page(site), (site.root / "report.html").read_text())[1]
    table = html[html.index("The labels most in doubt") :]
    first = re.search(r'<tr><th scope="row">(\w+)</th>', table)
    assert first is not None
    assert first[1] == rows[7]["id"]


def test_shift_tells_other_words_from_the_same_ones() -> None:
    rng = np.random.default_rng(0)

    def texts(words: str, rows: int) -> list[tuple[str, ...]]:
        return [(" ".join(rng.choice(words.split(), 8)),) for _ in range(rows)]

    same = compute_shift(texts("the cat sat on a mat and ran", 300), texts("the cat sat on a mat and ran", 200))
    other = compute_shift(texts("the cat sat on a mat", 300), texts("the cat sat on a mat 中国", 200))
    assert same is not None
    assert other is not None
    assert "no difference is shown" in same.meaning
    assert "differ strongly" in other.meaning
    assert set(other.test[:2]) <= {"中", "国"}
    assert compute_shift([("",)] * 5, [("",)] * 5) is None


@pytest.mark.parametrize(
    ("auc", "said"),
    [
        (0.51, "no difference is shown"),
        (0.54, "hardly any difference"),
        (0.6, "differ a little"),
        (0.737, "differ clearly"),
        (0.9, "differ strongly"),
    ],
)
def test_a_shift_is_named_by_its_size(auc: float, said: str) -> None:
    assert said in Shift(auc, 0.01, 1000, [], []).meaning


def test_a_figure_has_plain_colours_in_its_file_and_the_themes_in_the_page() -> None:
    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.bar([0], [1], color=COLOURS["one"])
        axes.set_title("url(#a) #0072b2 $x$ 中")

    made = draw_figure("bars", "Bars & more", "<b>", draw, height=2, header=["a"], rows=[["b"]])
    assert "#0072b2" in made.file
    assert "var(--" not in made.file
    assert "fill: var(--one)" in made.inline
    assert "url(#a) #0072b2 $x$ 中" in "".join(ElementTree.fromstring(made.inline).itertext())
    assert [one.text for one in ElementTree.fromstring(made.file)][:2] == ["Bars & more", "<b>"]
    assert not re.search(r'id="(?!bars-)', made.file)
