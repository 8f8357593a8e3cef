"""The job that all contenders of a benchmark do: rows, folds and recipe. Imports no torch.

A job is plain values. `options` are the training settings in which one contender differs from the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from sklearn.metrics import log_loss, root_mean_squared_error

from folds.components import find_components
from folds.duplicates import link_duplicates
from folds.fold_file import write_folds
from folds.splitters import split_rows
from models.spec import NeuralVariantSpec

Job = dict[str, Any]
FOLDS = 5


def write_rows(frame: pd.DataFrame, folder: Path, job: Job, folds: Path | None, words: list[int] | None) -> Job:
    """Write the table and the folds of a job to `folder`; returns the job with their paths.

    `frame` holds text. With a `folds` file, its first column holds the ids. Raises SystemExit for a missing column.
    """
    columns = [*job["text"], job["target"]]
    if missing := [column for column in columns if column not in frame]:
        raise SystemExit(f"the table has no column {missing[0]!r}; it has {', '.join(frame.columns)}")
    ids = [f"row{place}" for place in range(len(frame))] if folds is None else frame.iloc[:, 0].tolist()
    table = pd.DataFrame({"id": ids, **{column: frame[column].to_numpy() for column in columns}})
    if words:
        table[columns[0]] = recut_texts(table[columns[0]].tolist(), *words)
    table.to_csv(folder / "table.csv", index=False)
    if folds is None:
        folds = folder / "folds.csv"
        numbers, codes = job["task"] == "regression", pd.factorize(table[job["target"]], sort=True)[0]
        truth = table[[job["target"]]].to_numpy(np.float64) if numbers else codes
        parts = {name: table[name].tolist() for name in job["text"]}
        whole = ["\n".join(texts) for texts in zip(*parts.values(), strict=True)]
        alike = find_components(len(table), link_duplicates(whole, parts))
        write_folds(
            folds, ids, split_rows("stratified", count=FOLDS, seed=42, task=job["task"], truth=truth, component=alike)
        )
    return {**job, "table": str(folder / "table.csv"), "folds": str(folds), "rows": len(table)}


def recut_texts(texts: list[str], least: int, most: int) -> list[str]:
    """Return texts of `least` to `most` words, lengths uniform on a logarithmic scale, from the words of all texts."""
    words = " ".join(texts).split()
    lengths = np.exp(np.random.default_rng(0).uniform(np.log(least), np.log(most + 1), len(texts))).astype(int)
    ends = np.cumsum(lengths)
    stream = words * (1 + int(ends[-1]) // len(words))
    return [" ".join(stream[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def build_spec(job: Job, options: Mapping[str, Any]) -> NeuralVariantSpec:
    """Return Poolblend's settings for a job, with the Trainer's defaults where they differ from Poolblend's.

    Raises SystemExit for an unknown option.
    """
    recipe = {
        "pooling": job["pooling"],
        "backbone": job["backbone"],
        "max_length": job["max_length"],
        "epochs": job["epochs"],
        "batch_size": job["batch"],
        "learning_rate": job["lr"],
        "precision": job["precision"],
        "weight_decay": 0.0,
        "dropout": 0.0,
    }
    try:
        return NeuralVariantSpec.model_validate({**recipe, **options})
    except ValidationError as error:
        raise SystemExit(f"--options: {error}") from error


class Table:
    """The rows of a job for Poolblend: ids, texts, truth, classes, training and validation rows."""

    def __init__(self, job: Job) -> None:
        frame = pd.read_csv(job["table"], na_filter=False)
        fold = pd.read_csv(job["folds"]).set_index("id")["fold"].loc[frame["id"]].to_numpy()
        self.ids = frame["id"].astype(str).tolist()
        self.texts = list(zip(*(frame[column].astype(str) for column in job["text"]), strict=True))
        self.train, self.valid = np.flatnonzero(fold != job["fold"]), np.flatnonzero(fold == job["fold"])
        self.regression = job["task"] == "regression"
        if self.regression:
            self.truth, self.classes = frame[[job["target"]]].to_numpy(np.float64), list[str]()
        else:
            self.truth, names = pd.factorize(frame[job["target"]], sort=True)
            self.classes = [str(name) for name in names]

    def score(self, predicted: np.ndarray) -> float:
        """Return the root mean squared error, or the log loss, of the validation rows."""
        if self.regression:
            return float(root_mean_squared_error(self.truth[self.valid], predicted))
        return float(log_loss(self.truth[self.valid], predicted, labels=range(len(self.classes))))
