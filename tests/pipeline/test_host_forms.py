"""Competitions in the forms that hosts give them, from tables to a graded submission."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

import run

RNG = np.random.default_rng(0)
WORDS = np.array(["red", "blue", "film", "story", "river", "city", "dog", "cat", "plot", "end"])
TRAIN, TEST = 60, 24
LETTERS = ["a", "b", "c"]


def texts(rows: int, signs: list[str]) -> list[str]:
    """Random words, with a word that tells the row's answer most of the time."""
    return [" ".join([*RNG.choice(WORDS, 6), signs[row] if row % 5 else "none", str(row)]) for row in range(rows)]


def answers(rows: int) -> list[str]:
    return [LETTERS[number] for number in RNG.integers(0, 3, rows)]


def play(folder: Path, competition: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[pd.DataFrame, str]:
    """Train, blend, submit and grade with TF-IDF; return the submission and what `grade` said."""
    names = {"train": "train.csv", "test": "test.csv", "sample_submission": "sample.csv", "text": "text"}
    config = {
        "run": "r",
        "competition": {**names, **competition},
        "folds": {"count": 2},
        "variants": {"tfidf": {"model": "tfidf"}},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    capsys.readouterr()
    for verb in ("train", "blend", "submit"):
        assert run.main([verb, "--config", str(path)]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert run.main(["grade", "--config", str(path), "--solution", str(folder / "solution.csv")]) == 0
    graded = capsys.readouterr().out
    return pd.read_csv(folder / "runs/r/submissions/submission.csv", dtype={"id": str}), graded


def write(folder: Path, **tables: dict[str, Any]) -> None:
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)


def test_the_three_best_answers_in_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, hidden, ids = answers(TRAIN), answers(TEST), [f"t{row}" for row in range(TEST)]
    write(
        tmp_path,
        train={"id": range(TRAIN), "text": texts(TRAIN, train), "answer": train},
        test={"id": ids, "text": texts(TEST, hidden)},
        sample={"id": ids, "prediction": "A B"},
        solution={"id": ids, "answer": hidden},
    )
    submission, said = play(tmp_path, {"target": "answer", "task": "multiclass", "metric": "map_at_2"}, capsys)
    ranked = [cell.split() for cell in submission["prediction"]]
    assert all(len(set(cell)) == 2 and set(cell) <= {"A", "B", "C"} for cell in ranked)
    pairs = zip(ranked, hidden, strict=True)
    expected = np.mean([1 / (cell.index(true.upper()) + 1) if true.upper() in cell else 0 for cell, true in pairs])
    assert f"submitted map_at_2 {expected:.5f} on {TEST} rows" in said


def test_a_long_sample_whose_solution_has_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = RNG.integers(0, 2, (TRAIN + TEST, 2))
    signs = [f"{'rude' if row[0] else ''} {'spam' if row[1] else ''}" for row in labels]
    ids = [f"t{row}" for row in range(TEST)]
    long_ids = [f"{name}_{label}" for name in ids for label in ("rude", "spam")]
    usage = np.where(np.arange(TEST) % 2, "Public", "Private")
    write(
        tmp_path,
        train={
            "id": range(TRAIN),
            "text": texts(TRAIN, signs[:TRAIN]),
            "rude": labels[:TRAIN, 0],
            "spam": labels[:TRAIN, 1],
        },
        test={"id": ids, "text": texts(TEST, signs[TRAIN:])},
        sample={"id": long_ids, "predicted": 0.5},
        solution={"id": long_ids, "predicted": labels[TRAIN:].ravel(), "Usage": np.repeat(usage, 2)},
    )
    competition = {"target": ["rude", "spam"], "task": "multilabel", "metric": "roc_auc"}
    submission, said = play(tmp_path, competition, capsys)
    assert submission["id"].tolist() == long_ids
    p = submission["predicted"].to_numpy().reshape(TEST, 2)
    for part, rows in (
        ("", np.ones(TEST, bool)),
        ("public part: ", usage == "Public"),
        ("private part: ", usage == "Private"),
    ):
        score = np.mean([roc_auc_score(labels[TRAIN:][rows, column], p[rows, column]) for column in (0, 1)])
        assert f"{part}{score:.5f} on {rows.sum()} rows" in said


def test_labels_in_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = RNG.integers(0, 2, (TRAIN + TEST, 3))
    cells = [" ".join(np.array(LETTERS)[row == 1]) for row in labels]
    signs = [" ".join(f"sign{letter}" for letter in cell.split()) for cell in cells]
    ids = [f"t{row}" for row in range(TEST)]
    write(
        tmp_path,
        train={"id": range(TRAIN), "text": texts(TRAIN, signs[:TRAIN]), "labels": cells[:TRAIN]},
        test={"id": ids, "text": texts(TEST, signs[TRAIN:])},
        sample={"id": ids, "labels": "a b"},
        solution={"id": ids, "labels": cells[TRAIN:]},
    )
    submission, said = play(tmp_path, {"target": "labels", "task": "multilabel", "metric": "f1"}, capsys)
    written = [[letter in str(cell).split() for letter in LETTERS] for cell in submission["labels"].fillna("")]
    score = np.mean([f1_score(labels[TRAIN:, n], np.array(written)[:, n], zero_division=0) for n in range(3)])
    assert f"submitted f1 {score:.5f} on {TEST} rows" in said


def test_a_column_for_the_negative_class_and_rows_of_one_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = np.where(RNG.integers(0, 2, TRAIN + TEST), "spam", "ham")
    ids = [f"t{row // 2}" for row in range(TEST)]
    hidden = kinds[TRAIN::2]
    write(
        tmp_path,
        train={"id": np.arange(TRAIN) // 2, "text": texts(TRAIN, list(kinds[:TRAIN])), "kind": kinds[:TRAIN]},
        test={"id": ids, "text": texts(TEST, list(np.repeat(hidden, 2)))},
        sample={"id": list(dict.fromkeys(ids)), "ham": 0.5},
        solution={"id": list(dict.fromkeys(ids)), "kind": hidden},
    )
    competition = {"target": "kind", "task": "binary", "metric": "log_loss", "repeated_ids": "average"}
    submission, said = play(tmp_path, competition, capsys)
    assert len(submission) == TEST // 2
    expected = log_loss(hidden == "ham", submission["ham"])
    assert f"submitted log_loss {expected:.5f} on {TEST // 2} rows" in said
    assert roc_auc_score(hidden == "ham", submission["ham"]) > 0.6
    folds = pd.read_csv(tmp_path / "runs/r/folds/folds.csv", dtype=str)
    assert folds.groupby(folds["id"].str.split(" ").str[0])["fold"].nunique().max() == 1


def test_classes_in_columns_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, hidden, ids = answers(TRAIN), answers(TEST), [f"t{row}" for row in range(TEST)]

    def one_hot(cells: list[str]) -> dict[str, list[int]]:
        return {f"winner_{letter}": [int(cell == letter) for cell in cells] for letter in LETTERS}

    write(
        tmp_path,
        train={"id": range(TRAIN), "text": texts(TRAIN, train), **one_hot(train)},
        test={"id": ids, "text": texts(TEST, hidden)},
        sample={"id": ids, **dict.fromkeys(one_hot([]), 0.3)},
        solution={"id": ids, **one_hot(hidden)},
    )
    competition = {"target": list(one_hot([])), "task": "multiclass", "metric": "log_loss"}
    submission, said = play(tmp_path, competition, capsys)
    p = submission[list(one_hot([]))].to_numpy()
    expected = log_loss([LETTERS.index(cell) for cell in hidden], p / p.sum(1, keepdims=True), labels=range(3))
    assert f"submitted log_loss {expected:.5f} on {TEST} rows" in said


def test_shares_between_0_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = RNG.integers(0, 11, TRAIN + TEST) / 10
    signs = ["toxic" if share >= 0.5 else "kind" for share in shares]
    ids = [f"t{row}" for row in range(TEST)]
    write(
        tmp_path,
        train={"id": range(TRAIN), "text": texts(TRAIN, signs[:TRAIN]), "target": shares[:TRAIN]},
        test={"id": ids, "text": texts(TEST, signs[TRAIN:])},
        sample={"id": ids, "target": 0.5},
        solution={"id": ids, "target": (shares[TRAIN:] >= 0.5).astype(int)},
    )
    submission, said = play(tmp_path, {"target": "target", "task": "binary", "metric": "roc_auc"}, capsys)
    expected = roc_auc_score(shares[TRAIN:] >= 0.5, submission["target"])
    assert f"submitted roc_auc {expected:.5f} on {TEST} rows" in said
    assert expected > 0.6
