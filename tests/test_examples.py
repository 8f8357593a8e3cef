"""Each example fits a table of the shape it names: it trains, blends and submits."""

import csv
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import run

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WORDS = [
    "the",
    "a",
    "good",
    "bad",
    "movie",
    "story",
    "plot",
    "actor",
    "very",
    "small",
    "red",
    "blue",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "who",
    "what",
    "where",
    "when",
]
HANZI = "中国人民大学生的是不了在有我他这为之来以个"
ROWS, HIDDEN = 60, 12
Cells = dict[str, object]
Make = Callable[[random.Random, int], Cells]

SCORES = ("cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions")
TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
EMOTIONS = (
    "admiration",
    "amusement",
    "anger",
    "curiosity",
    "gratitude",
    "joy",
    "love",
    "sadness",
    "surprise",
    "neutral",
)


def words(rng: random.Random, number: int, count: int = 8) -> str:
    return " ".join([*rng.choices(WORDS, k=count), str(number)])


# For each example: what a row holds, which of its columns are answers, and the sample's cells beside the id.
SHAPES: dict[str, tuple[Make, tuple[str, ...], Cells]] = {
    "essay_scores": (
        lambda rng, n: {
            "text_id": f"E{n}",
            "full_text": words(rng, n, 30),
            **{s: 1 + rng.randrange(9) / 2 for s in SCORES},
        },
        SCORES,
        dict.fromkeys(SCORES, 3.0),
    ),
    "toxic_comments": (
        lambda rng, n: {
            "id": f"{n:08x}",
            "comment_text": words(rng, n),
            **{t: (n >> k) & 1 for k, t in enumerate(TOXIC)},
        },
        TOXIC,
        dict.fromkeys(TOXIC, 0.5),
    ),
    "phrase_similarity": (
        lambda rng, n: {
            "id": f"{n:x}p",
            "anchor": WORDS[n % 11],
            "target": words(rng, n, 2),
            "context": f"A{n % 5}",
            "score": rng.randrange(5) / 4,
        },
        ("score",),
        {"score": 0},
    ),
    "author_identification": (
        lambda rng, n: {"id": f"id{n:05d}", "text": words(rng, n), "author": ("EAP", "HPL", "MWS")[n % 3]},
        ("author",),
        {"EAP": 0.4, "HPL": 0.3, "MWS": 0.3},
    ),
    "disaster_tweets": (
        lambda rng, n: {"id": n, "keyword": "fire" * (n % 2), "location": "", "text": words(rng, n), "target": n % 2},
        ("target",),
        {"target": 0},
    ),
    "emotions": (
        lambda rng, n: {
            "id": f"r{n}",
            "text": words(rng, n),
            **{e: int(n % 10 == k or n % 7 == k) for k, e in enumerate(EMOTIONS)},
        },
        EMOTIONS,
        dict.fromkeys(EMOTIONS, 0.1),
    ),
    "chinese_headlines": (
        lambda rng, n: {"id": n, "sentence": "".join(rng.choices(HANZI, k=9)) + str(n), "label": 100 + n % 15},
        ("label",),
        {"label": 100},
    ),
}


def write(path: Path, rows: list[Cells]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_every_example_has_a_shape() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_an_example_trains_blends_and_submits(
    name: str, tmp_path: Path, tiny_backbone: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    make, answers, sample = SHAPES[name]
    rng = random.Random(0)
    rows = [make(rng, number) for number in range(ROWS + HIDDEN)]
    shown = [{key: cell for key, cell in row.items() if key not in answers} for row in rows[ROWS:]]
    identifier = next(iter(rows[0]))
    write(tmp_path / "train.csv", rows[:ROWS])
    write(tmp_path / "test.csv", shown)
    write(tmp_path / "sample_submission.csv", [{identifier: row[identifier], **sample} for row in shown])
    shutil.copy(EXAMPLES / f"{name}.yaml", config := tmp_path / "config.yaml")
    small = [
        f"training.backbone={tiny_backbone('bert')}",
        "training.epochs=1",
        "training.max_length=32",
        "folds.count=2",
    ]
    for verb in ("train", "blend", "submit"):
        assert run.main([verb, "--config", str(config), *small]) == 0, capsys.readouterr().err
    [submission] = (tmp_path / "runs").glob("*/submissions/submission.csv")
    assert len(submission.read_text(encoding="utf-8").splitlines()) == HIDDEN + 1


def test_the_columns_that_an_example_names_are_those_of_its_comment() -> None:
    for path in EXAMPLES.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        make, _, _ = SHAPES[path.stem]
        told = re.sub(r"\n# *", " ", text[: text.index("\nrun:")])
        if path.stem != "emotions":  # its list is long, and in the config
            assert [column for column in make(random.Random(0), 0) if column not in told] == [], path.name
