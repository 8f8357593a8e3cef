"""`init` on tables in the shapes of well-known competitions: guessed right, or held with the two choices."""

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import run
from pipeline.config.run_config import read_config
from pipeline.data.guess_competition import find_tables, guess_competition

WORDS = "red blue good bad film story river city dog cat plot end house tree".split()  # noqa: SIM905 - shorter
RNG = random.Random(0)
TRAIN = [f"a{number}" for number in range(60)]
TEST = [f"b{number}" for number in range(20)]


def text(words: int = 9) -> str:
    return " ".join(RNG.choices(WORDS, k=words)) + f" {RNG.randrange(10**6)}"


def texts(rows: int, words: int = 9) -> list[str]:
    return [text(words) for _ in range(rows)]


def pick(*values: str) -> list[str]:
    return [values[number % len(values)] for number in range(60)]


def bits(*shares: float) -> list[list[str]]:
    return [[str(int(RNG.random() < share)) for _ in range(60)] for share in shares]


def tables(
    train: dict[str, list[str]], sample: dict[str, list[str]], test: dict[str, list[str]] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    train = {"id": TRAIN, "text": texts(60), **train}
    test = {"id": TEST, "text": texts(20), **(test or {})}
    frames = [pd.DataFrame(cells, dtype=str) for cells in (train, test, {"id": TEST, **sample})]
    return frames[0], frames[1], frames[2]


def guess(*given: Any) -> Any:
    return guess_competition(*tables(*given))


ONES = [["1" if number % 3 == column else "0" for number in range(60)] for column in range(3)]
SHAPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "toxic comments": (
        (
            dict(zip(["toxic", "obscene"], bits(0.4, 0.3), strict=True)),
            {"toxic": ["0.5"] * 20, "obscene": ["0.5"] * 20},
        ),
        {"task": "multilabel", "target": ["toxic", "obscene"], "text": "text"},
    ),
    "essay scores": (
        ({"score": pick("1", "2", "3", "4", "5", "6")}, {"score": ["3"] * 20}),
        {"task": "ordinal", "metric": "qwk"},
    ),
    "human preference, one-hot": (
        (
            dict(zip(["winner_a", "winner_b", "winner_tie"], ONES, strict=True)),
            dict.fromkeys(["winner_a", "winner_b", "winner_tie"], ["0.3"] * 20),
        ),
        {"task": "multiclass", "target": ["winner_a", "winner_b", "winner_tie"], "metric": "log_loss"},
    ),
    "authors": (
        ({"author": pick("EAP", "HPL", "MWS")}, dict.fromkeys(["EAP", "HPL", "MWS"], ["0.3"] * 20)),
        {"task": "multiclass", "target": "author", "metric": "log_loss"},
    ),
    "exam questions, three answers": (
        ({"answer": pick("A", "B", "C", "D")}, {"prediction": ["A B C"] * 20}),
        {"task": "multiclass", "target": "answer", "metric": "map_at_3"},
    ),
    "labels in a cell": (
        ({"labels": pick("a b", "b", "a c", "c")}, {"labels": ["a b"] * 20}),
        {"task": "multilabel", "target": "labels"},
    ),
    "hate or not": (
        ({"label": pick("nothate", "hate", "hate")}, {"label": ["nothate"] * 20}),
        {"task": "binary", "classes": ["nothate", "hate"]},
    ),
    "readability": (
        ({"target": [f"{RNG.uniform(-3, 2):.6f}" for _ in range(60)]}, {"target": ["0.0"] * 20}),
        {"task": "regression", "metric": "rmse"},
    ),
    "language skills": (
        (
            {name: [f"{RNG.randrange(2, 11) / 2}" for _ in range(60)] for name in ("cohesion", "syntax")},
            {"cohesion": ["3.0"] * 20, "syntax": ["3.0"] * 20},
        ),
        {"task": "regression", "metric": "mcrmse", "target": ["cohesion", "syntax"]},
    ),
    "disaster tweets": (
        (
            {"keyword": pick("fire", "flood", "storm"), "target": pick("0", "1", "1")},
            {"target": ["0"] * 20},
            {"keyword": ["fire"] * 20},
        ),
        {"task": "binary", "text": "text", "target": "target"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shapes_of_known_competitions_are_guessed(shape: str) -> None:
    given, right = SHAPES[shape]
    found = guess(*given)
    assert {key: getattr(found, key) for key in right} == right
    assert found.doubts == []
    assert found.notes


def test_phrases_and_their_context_are_a_template() -> None:
    cells = {"anchor": texts(60, 1), "target": texts(60, 2), "context": pick("A47", "B01", "H02")}
    train = pd.DataFrame({"id": TRAIN, **cells, "score": pick("0.0", "0.25", "0.5", "1.0")}, dtype=str)
    test = pd.DataFrame({"id": TEST, **{name: column[:20] for name, column in cells.items()}}, dtype=str)
    found = guess_competition(train, test, pd.DataFrame({"id": TEST, "score": ["0"] * 20}, dtype=str))
    assert (found.text, found.target) == ("{anchor} {sep} {target} {sep} {context}", "score")
    assert (found.task, found.metric) == ("regression", "pearson")


def test_two_long_texts_are_a_pair_and_other_columns_are_named() -> None:
    cells = {"premise": texts(60, 12), "lang": pick("en", "fr")}
    train, test, sample = tables(
        {**cells, "label": pick("yes", "no", "maybe")},
        {"label": ["no"] * 20},
        {name: column[:20] for name, column in cells.items()},
    )
    found = guess_competition(train, test, sample)
    assert (found.text, found.task) == (["text", "premise"], "multiclass")
    assert any(note.startswith("lang is left out; a template joins columns") for note in found.notes)


def test_a_long_sample_and_another_name_of_the_id() -> None:
    labels = dict(zip(["toxic", "rude"], bits(0.5, 0.4), strict=True))
    train, test, _ = tables(labels, {})
    ids = [f"{name}_{label}" for name in TEST for label in labels]
    found = guess_competition(train, test, pd.DataFrame({"id": ids, "predicted": "0.5"}, dtype=str))
    assert (found.id, found.task, found.target) == ("id", "multilabel", ["toxic", "rude"])
    train, test, sample = tables({"Sentiment": pick("0", "1")}, {"Sentiment": ["0"] * 20})
    renamed = [frame.rename(columns={"id": "ItemID"}) for frame in (train, test)]
    found = guess_competition(*renamed, sample.rename(columns={"id": "Id"}))
    assert (found.id, found.target, found.task) == ("ItemID", "Sentiment", "binary")
    assert "Id of the sample submission holds the values of ItemID" in found.notes


def write(folder: Path, *frames: pd.DataFrame, names: tuple[str, ...] = ("train", "test", "sample_submission")) -> Path:
    for name, frame in zip(names, frames, strict=True):
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder / "config.yaml"


def test_what_is_doubtful_stops_with_both_choices_and_yes_takes_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, *tables({"label": pick("0", "1", "2")}, {"label": ["0"] * 20}))
    assert run.main(["init", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "label holds 0, 1, 2: numbers for names (multiclass), or grades in order (ordinal)?" in said
    assert "it takes task multiclass, metric accuracy, or else competition.task: ordinal" in said
    assert not path.exists()
    assert run.main(["init", str(tmp_path), "--yes"]) == 0
    assert "check this: label holds 0, 1, 2" in capsys.readouterr().out
    assert read_config(path).competition.task == "multiclass"


def test_two_columns_that_may_be_the_target_are_a_doubt() -> None:
    found = guess({"source": texts(60, 1), "outcome": pick("0", "1")}, {"prediction": ["0.5"] * 20})
    assert len(found.doubts) == 1
    assert found.doubts[0].question.startswith("the target may be ")


def test_labels_in_a_table_of_their_own_are_joined_and_train(tmp_path: Path) -> None:
    train, test, sample = tables({"target": pick("0", "1")}, {"target": ["0"] * 20})
    labels = train[["id", "target"]].iloc[::-1]
    names = ("train_values", "train_labels", "test_values", "submission_format")
    path = write(tmp_path, train.drop(columns="target"), labels, test, sample, names=names)
    assert [found and found.name for found in find_tables(tmp_path)] == [
        "train_values.csv",
        "test_values.csv",
        "submission_format.csv",
        "train_labels.csv",
    ]
    assert run.main(["init", str(tmp_path)]) == 0
    assert read_config(path).competition.labels == "train_labels.csv"
    arguments = ["--config", str(path)]
    assert run.main(["train", *arguments, "--only", "tfidf"]) == 0
    assert run.main(["blend", *arguments]) == 0
    assert run.main(["submit", *arguments]) == 0


def test_rows_of_one_id_are_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test, sample = tables({"target": pick("0", "1")}, {"target": ["0"] * 20})
    write(tmp_path, train.assign(id=train["id"].str[:2]), test.assign(id=test["id"].str[:2]), sample)
    assert run.main(["init", str(tmp_path)]) == 2
    assert (
        "rows of train and test have the id of another row: give each row an id of its own" in capsys.readouterr().err
    )


def test_escape_sequences_of_a_header_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test, sample = tables({"target": pick("0", "1")}, {"target": ["0"] * 20})
    name = "te\x1b[2Jxt"
    write(tmp_path, train.rename(columns={"text": name}), test.rename(columns={"text": name}), sample)
    run.main(["init", str(tmp_path)])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err


def test_an_index_beside_the_ids_is_no_id() -> None:
    train, test, sample = tables({"label": pick("0", "1")}, {"label": ["0"] * 20})
    for frame in (train, test):
        frame.insert(0, "Unnamed: 0", [str(row) for row in range(len(frame))])
    found = guess_competition(train, test, sample)
    assert (found.id, found.target, found.task) == ("id", "label", "binary")
    numbered = test.assign(id=[str(row) for row in range(20)])
    sample = pd.DataFrame({"label": "0", "id": numbered["id"]})
    found = guess_competition(train, numbered, sample)
    assert (found.id, found.target) == ("id", "label")


def test_spellings_are_counted_as_training_counts_them() -> None:
    for values in (("spam", "SPAM", " spam", "ham"), ("0", "0.0", "1", "1.0")):
        assert guess({"label": pick(*values)}, {"label": [values[-1]] * 20}).task == "binary"


def test_two_columns_with_one_answer_a_row_are_classes() -> None:
    ones = [str(row % 2) for row in range(60)]
    others = [str(1 - row % 2) for row in range(60)]
    found = guess({"ham": ones, "spam": others}, {"ham": ["0.5"] * 20, "spam": ["0.5"] * 20})
    assert found.task == "multiclass"
