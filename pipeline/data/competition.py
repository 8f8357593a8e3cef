"""A competition in memory: training rows, test rows and the sample submission, checked."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from oof.metrics.custom_metric import TableNames, load_custom_metric, rehearse_metric
from oof.metrics.metric_registry import Metric, find_metric, weigh_by_grades
from pipeline.config.competition_spec import CompetitionSpec
from pipeline.config.messages import quote
from pipeline.data.sample_submission import SampleSubmission, read_sample
from pipeline.data.tables import join_labels, number_repeated_ids, read_ids, read_table, require_columns
from pipeline.data.targets import Targets, find_uneven_grades, read_targets
from pipeline.data.texts import Texts, find_text_warnings
from pipeline.errors import PipelineError
from submissions.spec import SubmissionSpec

BLOCK = 10_000  # rows hashed at once


@dataclass(frozen=True)
class TextTable:
    """The rows that a model reads: ids, texts, and the hash that names the table."""

    ids: list[str]
    texts: Texts
    sha256: str


@dataclass(frozen=True)
class TestTable(TextTable):
    """Rows to predict; `named` are the ids of the host where several rows have the same, else None."""

    warnings: list[str]
    named: list[str] | None = None

    @property
    def submitted_ids(self) -> list[str]:
        """The ids that a submission holds, each once."""
        return self.ids if self.named is None else list(dict.fromkeys(self.named))

    def average_rows(self, predictions: np.ndarray) -> np.ndarray:
        """Return the mean prediction (ids, columns) of the rows of each id, in the order of `submitted_ids`."""
        if self.named is None:
            return predictions
        codes, names = pd.factorize(np.array(self.named, dtype=object))
        sums = np.zeros((len(names), predictions.shape[1]))
        np.add.at(sums, codes, predictions)
        means: np.ndarray = sums / np.bincount(codes)[:, None]
        return means


@dataclass(frozen=True)
class Competition:
    """A competition: `frame` is the training table as text, `sha256` names its rows."""

    spec: CompetitionSpec
    metric: Metric
    frame: pd.DataFrame
    ids: list[str]
    texts: Texts
    targets: Targets
    weights: np.ndarray  # (rows,)
    sha256: str
    test: TestTable
    sample: SampleSubmission
    warnings: list[str]
    named: list[str] | None = None  # ids as the table has them, where several rows have the same


def load_competition(spec: CompetitionSpec, submission: SubmissionSpec, base: Path) -> Competition:
    """Read and check the tables of a competition, whose paths start from `base`.

    Raises PipelineError, or SubmissionError for the sample, in one sentence: file, row or column, and what is right.
    """
    path = base / spec.train
    notes: list[str] = []
    frame = read_table(path, "training table", notes)
    if spec.labels is not None:
        labels = base / spec.labels
        frame = join_labels(frame, read_table(labels, "table of labels", notes), labels, spec.id)
    frame, named = _name_rows(frame, spec, path, "training table")
    ids = read_ids(frame, spec.id, path, "training table")
    texts = Texts(frame, spec.text, path, "training table")
    sample_path = base / spec.sample_submission
    original = read_table(sample_path, "sample submission", notes)
    targets = read_targets(frame, spec, ids, path, original)
    test = load_test(spec, base / spec.test)
    metric = _build_metric(spec, base, targets)
    sample = read_sample(original, spec, submission, targets, metric, test.submitted_ids)
    weights = _read_weights(frame, spec, ids, path)
    return Competition(
        spec=spec,
        metric=metric,
        frame=frame,
        ids=ids,
        texts=texts,
        targets=targets,
        weights=weights,
        sha256=_hash_table(frame),
        test=test,
        sample=sample,
        warnings=[
            *notes,
            *targets.warnings,
            *find_text_warnings(frame, spec.text, path),
            *test.warnings,
            *sample.list_warnings(sample_path, spec.id),
        ],
        named=named,
    )


def load_test(spec: CompetitionSpec, path: Path) -> TestTable:
    """Read and check a test table."""
    notes: list[str] = []
    frame = read_table(path, "test table", notes)
    frame, named = _name_rows(frame, spec, path, "test table")
    ids = read_ids(frame, spec.id, path, "test table")
    texts = Texts(frame, spec.text, path, "test table")
    return TestTable(ids, texts, _hash_table(frame), notes + find_text_warnings(frame, spec.text, path), named)


def _name_rows(
    frame: pd.DataFrame, spec: CompetitionSpec, path: Path, what: str
) -> tuple[pd.DataFrame, list[str] | None]:
    """Return the table with an id for each row, and the ids as they were where some were repeated."""
    if spec.repeated_ids == "refuse":
        return frame, None
    require_columns(frame, [spec.id], path, what)
    named = frame[spec.id].tolist()
    return (number_repeated_ids(frame, spec.id), named) if len(set(named)) < len(named) else (frame, None)


def describe_score(competition: Competition) -> list[str]:
    """Return sentences on what the score counts, where that could be understood in two ways."""
    spec, targets, metric = competition.spec, competition.targets, competition.metric
    lines = []
    if spec.task == "binary":
        lines.append(f"positive class: {targets.classes[1]} (the other is {targets.classes[0]})")
    if metric.name == "qwk" and find_uneven_grades(targets.classes) is not None:
        lines.append(f"qwk weighs the distance between the numbers {', '.join(targets.classes)}")
    if metric.name == "accuracy" and spec.task == "multilabel":
        lines.append("accuracy is the mean over all cells; exact_match scores whole rows")
    if spec.weight is not None:
        lines.append(f"{spec.weight} weighs the training; scores count each row once")
    return lines


def _build_metric(spec: CompetitionSpec, base: Path, targets: Targets) -> Metric:
    own = spec.metric
    if isinstance(own, str):
        metric = find_metric(own, spec.task)
        grades = find_uneven_grades(targets.classes) if spec.task == "ordinal" else None
        return metric if grades is None else weigh_by_grades(metric, grades)
    higher = own.direction == "higher"
    names = TableNames(spec.targets[0], tuple(targets.columns), tuple(targets.classes))
    scored = load_custom_metric(
        base / own.file, own.function, higher_is_better=higher, needs=own.needs, task=spec.task, tables=names
    )
    rehearse_metric(scored, spec.task, targets.truth, len(targets.columns))
    return scored


def _read_weights(frame: pd.DataFrame, spec: CompetitionSpec, ids: list[str], path: Path) -> np.ndarray:
    if spec.weight is None:
        return np.ones(len(frame))
    require_columns(frame, [spec.weight], path, "training table")
    weights = pd.to_numeric(frame[spec.weight], errors="coerce").to_numpy(np.float64)
    if (wrong := ~(np.isfinite(weights) & (weights >= 0))).any():
        row = int(wrong.argmax())
        raise PipelineError(
            f"{path}, row {quote(ids[row])}: {spec.weight} is {quote(frame[spec.weight].iloc[row])}; "
            "a weight must be a number from 0 up"
        )
    if not weights.any():
        raise PipelineError(f"{path}: every {spec.weight} is 0; some rows must count")
    return weights


def _hash_table(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of the table as canonical JSON, {"column":["cell",...],...}, hashed in blocks of rows."""
    sha = hashlib.sha256()
    for place, column in enumerate(sorted(frame.columns)):
        sha.update(f"{',' if place else '{'}{_dump_json(column)}:[".encode())
        for start in range(0, len(frame), BLOCK):
            cells = _dump_json(frame[column].iloc[start : start + BLOCK].tolist())[1:-1]
            sha.update(f"{',' if start else ''}{cells}".encode())
        sha.update(b"]")
    sha.update(b"}")
    return sha.hexdigest()


def _dump_json(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
