"""Cheap diversity: what several poolings, several seeds, one shared encoder and frozen layers cost and give.

usage: python benchmarks/diversity.py DATA [--names trec,sst5,stsb] [--rows 3000] [--work FOLDER]

DATA/NAME holds a competition. Trains fold 0 of three (2,000 rows train, 1,000 are predicted) in every way, mixes each
way's members with equal weights, and compares the mixes on the same rows with 95 % intervals of a paired bootstrap.
Runs resume: the same command goes on where it stopped.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import run

POOLINGS = ["cls", "mean", "max", "attention", "gem", "weighted_layer"]
SIX = {"poolings": {name: name for name in POOLINGS}}
TRAINING = {"learning_rate": 1e-4, "head_learning_rate": 3e-4, "epochs": 2, "max_length": 64, "save_weights": "none"}
VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"pooling": name} for name in POOLINGS},
    "seeds": {"pooling": "mean", "seeds": [1, 2, 3, 4, 5]},
    "shared": SIX,
    **{f"frozen_{name}": {"pooling": name, "freeze_layers": 4} for name in POOLINGS},
    "frozen_shared": {**SIX, "freeze_layers": 4},
}
ONE, SEEDS = "mean pooling, one fit", "mean pooling, six seeds"
# Each way: the variants whose members it mixes.
WAYS: dict[str, list[str]] = {
    ONE: ["mean"],
    "six poolings, six fits": POOLINGS,
    SEEDS: ["mean", "seeds"],
    "six poolings on one encoder": ["shared"],
    "six fits on frozen layers": [f"frozen_{name}" for name in POOLINGS],
    "one encoder on frozen layers": ["frozen_shared"],
    "six fits and six seeds": [*POOLINGS, "seeds"],
    "six fits and the shared encoder": [*POOLINGS, "shared"],
}
COMPETITIONS: dict[str, dict[str, Any]] = {
    "trec": {"text": "question", "target": "label", "task": "multiclass", "metric": "log_loss"},
    "sst5": {"text": "sentence", "target": "stars", "task": "multiclass", "metric": "log_loss"},
    "stsb": {"text": ["sentence1", "sentence2"], "target": "score", "task": "regression", "metric": "rmse"},
    "irony": {"text": "tweet", "target": "irony", "task": "binary", "metric": "log_loss"},
}


def main() -> int:
    """Train and compare; returns the exit code of a `train` that fails, or 0."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--names", default="trec,sst5,stsb")
    options.add_argument("--rows", type=int, default=3000)
    options.add_argument("--work", type=Path, default=Path("runs/diversity"))
    args = options.parse_args()
    names = args.names.split(",")
    if unknown := set(names) - set(COMPETITIONS):
        options.error(f"--names knows {', '.join(COMPETITIONS)}, not {sorted(unknown)[0]!r}")
    for name in names:
        folder = args.work / name
        config = write_config(args.data.resolve() / name, name, args.rows, folder)
        if code := run.main(["train", "--config", str(config), "--folds", "0"]):
            return code
        print(f"\n{name}\n{compare(folder, name)}\n", flush=True)
    return 0


def write_config(data: Path, name: str, rows: int, folder: Path) -> Path:
    """Write a sample of the training table and the config of all variants."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(data / "train.csv", dtype=str, keep_default_na=False)
    table.sample(min(rows, len(table)), random_state=0).to_csv(folder / "train.csv", index=False)
    test = pd.read_csv(data / "test.csv", dtype=str, keep_default_na=False)
    test.head(10).to_csv(folder / "test.csv", index=False)  # not what is measured
    pd.read_csv(data / "sample_submission.csv").head(10).to_csv(folder / "sample_submission.csv", index=False)
    files = {part: f"{part}.csv" for part in ("train", "test", "sample_submission")}
    config = {
        "run": "diversity",
        "competition": {**COMPETITIONS[name], **files},
        "folds": {"kind": "stratified", "count": 3},
        "training": TRAINING,
        "variants": VARIANTS,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def compare(folder: Path, name: str) -> str:
    """Return the table of a competition: seconds, score and difference to one fit for each way."""
    models = folder / "runs" / "diversity" / "models"
    truth = pd.read_csv(folder / "train.csv", dtype=str, keep_default_na=False).set_index("id")
    target = truth[COMPETITIONS[name]["target"]]
    losses, seconds = {}, {}
    for way, variants in WAYS.items():
        fits = [fit for variant in variants for fit in sorted((models / variant).glob("*/seed-*/fold-0"))]
        parts = [pd.read_parquet(p) for fit in fits for p in sorted(fit.glob("*.valid.parquet"))]
        members = [part.set_index("id").drop(columns=["fold", "seed"]) for part in parts]
        blend = sum(member.loc[members[0].index] for member in members) / len(members)
        losses[way] = compute_row_losses(blend, target.loc[blend.index], COMPETITIONS[name]["task"])
        provenance = [json.loads((fit / "fit.json").read_text())["provenance"] for fit in fits]
        seconds[way] = sum(p["seconds"] for p in provenance)
    return format_ways(losses, seconds, COMPETITIONS[name]["metric"])


def compute_row_losses(blend: pd.DataFrame, target: pd.Series, task: str) -> np.ndarray:
    """Return the (rows,) log loss or squared error."""
    if task == "regression":
        squared: np.ndarray = (blend.iloc[:, 0].to_numpy() - target.astype(float).to_numpy()) ** 2
        return squared
    if task == "binary":
        chance = blend.iloc[:, 0].to_numpy()
        return np.asarray(-np.log(np.where(target.to_numpy() == "1", chance, 1 - chance).clip(1e-15)))
    columns = blend.columns.get_indexer(target)
    return -np.log(blend.to_numpy()[np.arange(len(blend)), columns].clip(1e-15))


def format_ways(losses: dict[str, np.ndarray], seconds: dict[str, float], metric: str) -> str:
    """Format the table, one way a row; differences with 95 % intervals, negative is better."""
    rows = len(losses[ONE])
    draws = np.random.default_rng(0).integers(0, rows, (2000, rows))

    def score(loss: np.ndarray) -> np.ndarray:
        mean: np.ndarray = loss.mean(-1)
        return np.sqrt(mean) if metric == "rmse" else mean

    def difference(way: str, other: str) -> str:
        if way == other:
            return ""
        low, high = np.quantile(score(losses[way][draws]) - score(losses[other][draws]), [0.025, 0.975])
        return f"{score(losses[way]) - score(losses[other]):+.4f} ({low:+.4f} to {high:+.4f})"

    lines = [f"| way | seconds | cost | {metric} | against one fit | against six seeds |", "|---|---|---|---|---|---|"]
    for way, loss in losses.items():
        cost = f"{seconds[way]:.0f} | {seconds[way] / seconds[ONE]:.1f}"
        lines.append(f"| {way} | {cost} | {score(loss):.4f} | {difference(way, ONE)} | {difference(way, SEEDS)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
