"""The verb `init`: looks at a competition's folder and writes a commented config beside the data.

It says what it guessed. A guess is a start: the config is there to be read and corrected.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from oof.metrics.metric_registry import get_default_metric
from pipeline.data.table_readers import READERS
from pipeline.data.tables import read_table
from pipeline.display import print_line
from pipeline.errors import PipelineError
from pipeline.storage.files import write_atomically

MOST_GRADES = 20  # whole numbers with more distinct values than this are values, not grades

TEMPLATE = """\
# Written by `python run.py init`; every line here is a guess to check. All keys: python run.py schema
run: {run}

competition:
  train: {train}
  test: {test}
  sample_submission: {sample}
  id: {id}
  text: {text}   # one column, [two] for a pair, or a template: "{{title}} [SEP] {{body}}"
  target: {target}{classes}
  task: {task}   # binary, multiclass, multilabel, regression or ordinal
  metric: {metric}

folds:
  kind: {folds}   # group, stratified_group and time need a column: {{kind: group, group: author}}
  count: 5

training:              # defaults of every neural variant
  backbone: minilm     # an English model; any encoder of the hub, or a folder, goes here
  max_length: {max_length}
  epochs: 3
  batch_size: 16
  learning_rate: 5e-5
  layer_decay: 0.9

variants:              # each is trained on every fold, and blended
  mean: {{pooling: mean}}
  attention: {{pooling: attention}}
  layers: {{pooling: weighted_layer}}
  shared: {{poolings: {{cls: cls, max: max, mean_max: [mean, max]}}}}   # three heads on one encoder
  tfidf: {{model: tfidf}}

blend:
  method: auto         # climbs from equal weights while it pays
"""


@dataclass(frozen=True)
class CompetitionGuess:
    """What a folder looks like."""

    id: str
    text: str | list[str]
    target: str | list[str]
    task: str
    metric: str
    notes: list[str]
    classes: list[str] | None = None


def init(folder: Path) -> None:
    """Write `config.yaml` into a competition's folder. Raises PipelineError if it cannot, or one is there."""
    if not folder.is_dir():
        raise PipelineError(
            f"{folder} is no folder; init takes the folder with train, test and sample_submission tables"
        )
    path = folder / "config.yaml"
    if path.exists():
        raise PipelineError(f"{path} exists already; move it away to have another one written")
    train, test, sample = (
        _find_table(folder, "train"),
        _find_table(folder, "test"),
        _find_table(folder, "sample", ".csv"),
    )
    named = {"training table": train, "test table": test, "sample submission": sample}
    frames = [read_table(path, what) for what, path in named.items()]
    guess = guess_competition(*frames)
    words = frames[0][guess.text].agg(" ".join, axis=1) if isinstance(guess.text, list) else frames[0][guess.text]
    text = TEMPLATE.format(
        run=json.dumps(
            "".join(c if c.isascii() and c.isalnum() else "-" for c in folder.resolve().name).strip("-") or "run"
        ),
        train=json.dumps(train.name, ensure_ascii=False),
        test=json.dumps(test.name, ensure_ascii=False),
        sample=json.dumps(sample.name, ensure_ascii=False),
        id=json.dumps(guess.id, ensure_ascii=False),
        text=json.dumps(guess.text, ensure_ascii=False),
        target=json.dumps(guess.target, ensure_ascii=False),
        classes=f"\n  classes: {json.dumps(guess.classes, ensure_ascii=False)}" if guess.classes else "",
        task=guess.task,
        metric=guess.metric,
        folds="multilabel" if guess.task == "multilabel" else "stratified",
        max_length=_choose_max_length(words),
    )
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print_line(f"{path} written; guessed:")
    print_line(f"  id {guess.id}, text {guess.text}, target {guess.target}, task {guess.task}, metric {guess.metric}")
    for note in guess.notes + _describe_script(words):
        print_line(f"  {note}")
    print_line(f"check it, then: python run.py train --config {path}")


def guess_competition(train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> CompetitionGuess:
    """Infer columns, task and metric from the three tables. Raises PipelineError where they give no hold."""
    shared = [str(c) for c in train.columns if c in test.columns]
    named = [c for c in sample.columns if c in shared] or shared
    id_column = str(named[0]) if named else ""
    if not id_column or train[id_column].duplicated().any():
        raise PipelineError(
            "no column is in train, test and sample submission and names each row: an id column is needed"
        )
    text = _guess_text_columns(train, [c for c in shared if c != id_column])
    outputs = [str(c) for c in sample.columns if c != id_column]
    if not outputs:
        raise PipelineError(f"the sample submission has no column besides {id_column}: nothing to predict")
    present = [c for c in outputs if c in train.columns]
    if len(present) == len(outputs) > 1:
        labels = all(set(train[c]) <= {"0", "1"} for c in outputs)
        task = "multilabel" if labels else "regression"
        return CompetitionGuess(
            id_column, text, outputs, task, get_default_metric(task).name, [f"{len(outputs)} target columns"]
        )
    candidates = present or [str(c) for c in train.columns if c not in test.columns]
    if len(outputs) > 1:  # one column per class: the target's values are the sample's columns
        candidates = [c for c in candidates if set(train[c]) <= set(outputs)] or candidates
        if candidates:
            note, seen = f"{len(outputs)} classes, a column each", set(train[candidates[0]])
            unseen = sorted(set(outputs) - seen) if seen < set(outputs) else []
            notes = [note, *([f"no training row has {', '.join(unseen)}: classes lists all"] if unseen else [])]
            listed = outputs if unseen else None
            return CompetitionGuess(id_column, text, candidates[0], "multiclass", "log_loss", notes, listed)
    if not candidates:
        raise PipelineError("the sample submission's columns match no column of the training table: no target found")
    return _guess_single_target(id_column, text, candidates[0], train[candidates[0]], sample[outputs[0]])


def _guess_single_target(
    id_column: str, text: str | list[str], target: str, values: pd.Series, shown: pd.Series
) -> CompetitionGuess:
    distinct = sorted(set(values) - {""})
    numbers = pd.to_numeric(pd.Series(distinct), errors="coerce")
    whole = bool(numbers.notna().all() and (numbers % 1 == 0).all())
    as_labels = bool(set(shown) <= set(distinct))
    if len(distinct) == 2:
        task, metric = "binary", "f1" if as_labels else "log_loss"
    elif numbers.isna().any():
        task, metric = "multiclass", "accuracy" if as_labels else "log_loss"
    elif whole and len(distinct) <= MOST_GRADES:
        task, metric = "ordinal", "qwk"
    else:
        task, metric = "regression", "rmse"
    note = f"{len(distinct)} distinct values in {target}"
    if task == "ordinal":
        note += ", taken for grades in order; if they are mere names, task is multiclass"
    return CompetitionGuess(id_column, text, target, task, metric, [note])


def _guess_text_columns(train: pd.DataFrame, columns: list[str]) -> str | list[str]:
    """The columns that read like text: long, and seldom the same; one or two."""
    lengths = {c: float(train[c].str.len().mean()) for c in columns}
    texts = [c for c in columns if lengths[c] >= 10 and train[c].nunique() > 0.2 * len(train)]
    texts = [c for c in texts if pd.to_numeric(train[c], errors="coerce").notna().mean() < 0.9]
    if not columns:
        raise PipelineError("train and test share no column besides the id: no text column found")
    if not texts:
        return max(columns, key=lambda c: lengths[c])
    longest = sorted(sorted(texts, key=lambda c: -lengths[c])[:2], key=columns.index)
    return longest[0] if len(longest) == 1 else longest


def _choose_max_length(words: pd.Series) -> int:
    """Tokens for 95 % of the texts, at about four characters a token, as a multiple of 32 up to 512."""
    tokens = float(words.str.len().quantile(0.95)) / 3.5
    return int(min(512, max(32, -(-tokens // 32) * 32)))


def _describe_script(words: pd.Series) -> list[str]:
    letters = [c for text in words.head(500) for c in text if c.isalpha()]
    if letters and sum(not c.isascii() for c in letters) > 0.3 * len(letters):
        return [
            "the texts are not English: a multilingual backbone (or one of their language) will do better than minilm"
        ]
    return []


def _find_table(folder: Path, what: str, *suffixes: str) -> Path:
    allowed = suffixes or tuple(READERS)
    found = sorted(p for p in folder.iterdir() if p.stem.lower().startswith(what) and p.suffix in allowed)
    if not found:
        raise PipelineError(f"{folder} holds no file named {what}* that ends in {' or '.join(allowed)}")
    return min(found, key=lambda p: (len(p.name), p.name))
