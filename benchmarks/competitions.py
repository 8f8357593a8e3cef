"""Real competitions through the whole product: train, blend, submit, grade.

usage: python benchmarks/competitions.py DATA NAME [--rows N] [--folds 0,1] [--work FOLDER]

DATA/NAME holds train.csv, test.csv, sample_submission.csv and solution.csv. `--rows` takes a seeded sample of the
training rows. Runs resume: the same command goes on where it stopped.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import run

TOKEN_POOLS = [
    "cls",
    "mean",
    "max",
    "min",
    "mean_sqrt",
    "attention",
    "multi_head_attention",
    "idf",
    "token_weight",
    "gem",
]
ALL_POOLINGS = {**{name: name for name in [*TOKEN_POOLS, "last"]}, "weighted_layer": "weighted_layer"}
ONE_ENCODER = {"shared": {"poolings": ALL_POOLINGS}}
SINGLE = {"mean": {"pooling": "mean"}, "tfidf": {"model": "tfidf"}}
TUNED = {
    "learning_rate": 1e-4,
    "head_learning_rate": 3e-4,
    "epochs": 3,
    "batch_size": 32,
    "max_length": 64,
    "freeze_embeddings": True,
}

COMPETITIONS: dict[str, dict[str, Any]] = {
    "trec": {
        "competition": {"text": "question", "target": "label", "task": "multiclass", "metric": "log_loss"},
        "variants": {
            **ONE_ENCODER,
            "mean": {"pooling": "mean"},
            "attention": {"pooling": "attention"},
            "mean_max": {"pooling": ["mean", "max"]},
            "tfidf": {"model": "tfidf"},
        },
    },
    "stsb": {
        "competition": {
            "text": ["sentence1", "sentence2"],
            "target": "score",
            "task": "regression",
            "metric": "pearson",
        },
        "folds": {"kind": "stratified", "count": 3},
        "variants": ONE_ENCODER,
    },
    "sst5": {"competition": {"text": "sentence", "target": "stars", "task": "ordinal", "metric": "qwk"}},
    "irony": {"competition": {"text": "tweet", "target": "irony", "task": "binary", "metric": "f1"}},
    "goemotions": {
        "competition": {"text": "text", "task": "multilabel", "metric": "roc_auc"},
        "folds": {"kind": "multilabel", "count": 5},
    },
    "tnews_zh": {"competition": {"text": "title", "target": "channel", "task": "multiclass", "metric": "log_loss"}},
}


def main() -> int:
    """Run one competition; the exit code of the first verb that fails, or 0."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("name", choices=COMPETITIONS)
    options.add_argument("--rows", type=int, help="seeded sample of the training rows")
    options.add_argument("--folds", help="these folds only: 0,1")
    options.add_argument("--work", type=Path, default=Path("runs/competitions"))
    args = options.parse_args()
    config = write_config(args.data.resolve() / args.name, args.name, args.rows, args.work)
    at, folds = ["--config", str(config)], ["--folds", args.folds] if args.folds else []
    verbs = [
        ["train", *folds],
        ["blend", *folds],
        ["submit"],
        ["grade", "--solution", str(args.data / args.name / "solution.csv")],
    ]
    for verb in verbs:
        if code := run.main([*verb, *at]):
            return code
    return 0


def write_config(data: Path, name: str, rows: int | None, work: Path) -> Path:
    """Write the config of a competition, and the sampled training table where rows are limited."""
    folder = work / (name if rows is None else f"{name}-{rows}")
    folder.mkdir(parents=True, exist_ok=True)
    train = data / "train.csv"
    if rows is not None:
        table = pd.read_csv(train, dtype=str, keep_default_na=False)
        train = folder.resolve() / "train.csv"
        table.sample(min(rows, len(table)), random_state=0).to_csv(train, index=False)
    own = COMPETITIONS[name]
    sample = data / "sample_submission.csv"
    labels = list(pd.read_csv(sample, nrows=1).columns[1:])
    files = {"train": str(train), "test": str(data / "test.csv"), "sample_submission": str(sample)}
    config = {
        "run": name,
        "competition": {"target": labels, **own["competition"], **files},
        "folds": own.get("folds", {"kind": "stratified", "count": 5}),
        "training": {**TUNED, "save_weights": "none"},
        "variants": own.get("variants", SINGLE),
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
    return path


if __name__ == "__main__":
    sys.exit(main())
