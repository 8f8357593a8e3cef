"""The command `init`: guess columns, task and metric from a competition's tables, and write a commented config.

It prints what it guessed, because a guess has to be checked: the user reads the config and corrects it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from oof.metrics.metric_registry import get_default_metric
from pipeline.data.table_readers import FORMATS
from pipeline.data.tables import read_table
from pipeline.display import print_line
from pipeline.errors import PipelineError
from pipeline.storage.files import write_atomically

MAX_GRADES = 20  # more distinct whole numbers are values of a regression

TEMPLATE = """\
# Written by `python run.py init`; every line here is a guess to check. All keys: python run.py schema
run: {run}

competition:
  train: {train}
  test: {test}
  sample_submission: {sample}
  id: {id}
  text: {text}   # one column, [two] for a pair, or a template: "{{title}} {{sep}} {{body}}"
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
  method: auto         # from equal weights to more complex blends, while the cross-fitted gain pays
"""


@dataclass(frozen=True)
class CompetitionGuess:
    """The columns, task and metric that the tables suggest; `notes` are sentences for the user."""

    id: str
    text: str | list[str]
    target: str | list[str]
    task: str
    metric: str
    notes: list[str]
    classes: list[str] | None = None


def init(folder: Path) -> None:
    """Write `config.yaml` into a competition's folder. Raises PipelineError if it cannot, or if there is one."""
    if not folder.is_dir():
        raise PipelineError(
            f"{folder} is no folder; init takes the folder with train, test and sample_submission tables"
        )
    path = folder / "config.yaml"
    if path.exists():
        raise PipelineError(f"{path} exists already; move it away to have another one written")
    paths = [_find_table(folder, "train"), _find_table(folder, "test"), _find_table(folder, "sample", ".csv")]
    tables = ("training table", "test table", "sample submission")
    train, test, sample = (read_table(source, table) for source, table in zip(paths, tables, strict=True))
    guess = guess_competition(train, test, sample)
    texts = train[guess.text].agg(" ".join, axis=1) if isinstance(guess.text, list) else train[guess.text]
    with write_atomically(path) as temporary:
        temporary.write_text(_fill_template(folder, guess, paths, _choose_max_length(texts)), encoding="utf-8")
    print_line(f"{path} written; guessed:")
    print_line(f"  id {guess.id}, text {guess.text}, target {guess.target}, task {guess.task}, metric {guess.metric}")
    for note in guess.notes + _describe_script(texts):
        print_line(f"  {note}")
    print_line(f"check it, then: python run.py train --config {path}")


def guess_competition(train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> CompetitionGuess:
    """Infer columns, task and metric from the three tables. Raises PipelineError where they do not suffice."""
    shared = [str(column) for column in train.columns if column in test.columns]
    id_columns = [str(column) for column in sample.columns if column in shared] or shared
    if not id_columns or train[id_columns[0]].duplicated().any():
        raise PipelineError(
            "no column is in train, test and sample submission and names each row: an id column is needed"
        )
    id_column = id_columns[0]
    text = _guess_text_columns(train, [column for column in shared if column != id_column])
    outputs = [str(column) for column in sample.columns if column != id_column]
    if not outputs:
        raise PipelineError(f"the sample submission has no column besides {id_column}: nothing to predict")
    present = [column for column in outputs if column in train.columns]
    if len(present) == len(outputs) > 1:
        is_multilabel = all(set(train[column]) <= {"0", "1"} for column in outputs)
        task = "multilabel" if is_multilabel else "regression"
        metric = get_default_metric(task).name
        return CompetitionGuess(id_column, text, outputs, task, metric, [f"{len(outputs)} target columns"])
    candidates = present or [str(column) for column in train.columns if column not in test.columns]
    if len(outputs) > 1:  # one column for each class: the target's values are the sample's columns
        candidates = [column for column in candidates if set(train[column]) <= set(outputs)] or candidates
        if candidates:
            return _guess_classes(id_column, text, candidates[0], set(train[candidates[0]]), outputs)
    if not candidates:
        raise PipelineError("the sample submission's columns match no column of the training table: no target found")
    return _guess_single_target(id_column, text, candidates[0], train[candidates[0]], sample[outputs[0]])


def _guess_classes(
    id_column: str, text: str | list[str], target: str, values: set[str], outputs: list[str]
) -> CompetitionGuess:
    """Return a multiclass competition whose sample has a column for each class."""
    notes = [f"{len(outputs)} classes, a column each"]
    unseen = sorted(set(outputs) - values) if values < set(outputs) else []
    if unseen:
        notes.append(f"no training row has {', '.join(unseen)}: classes lists all")
    return CompetitionGuess(id_column, text, target, "multiclass", "log_loss", notes, outputs if unseen else None)


def _guess_single_target(
    id_column: str, text: str | list[str], target: str, values: pd.Series, shown: pd.Series
) -> CompetitionGuess:
    """Return a competition with one target and one column in the sample, which shows the values `shown`."""
    distinct = sorted(set(values) - {""})
    numbers = pd.to_numeric(pd.Series(distinct), errors="coerce")
    is_whole = bool(numbers.notna().all() and (numbers % 1 == 0).all())
    shows_labels = set(shown) <= set(distinct)
    if len(distinct) == 2:
        task, metric = "binary", "f1" if shows_labels else "log_loss"
    elif numbers.isna().any():
        task, metric = "multiclass", "accuracy" if shows_labels else "log_loss"
    elif is_whole and len(distinct) <= MAX_GRADES:
        task, metric = "ordinal", "qwk"
    else:
        task, metric = "regression", "rmse"
    note = f"{len(distinct)} distinct values in {target}"
    if task == "ordinal":
        note += ", taken for grades in order; if they are mere names, task is multiclass"
    return CompetitionGuess(id_column, text, target, task, metric, [note])


def _guess_text_columns(train: pd.DataFrame, columns: list[str]) -> str | list[str]:
    """Return the columns that look like text, one or two: long, mostly distinct, and mostly not numbers."""
    if not columns:
        raise PipelineError("train and test share no column besides the id: no text column found")
    lengths = {column: float(train[column].str.len().mean()) for column in columns}
    texts = [
        column
        for column in columns
        if lengths[column] >= 10
        and train[column].nunique() > 0.2 * len(train)
        and pd.to_numeric(train[column], errors="coerce").notna().mean() < 0.9
    ]
    if not texts:
        return max(columns, key=lambda column: lengths[column])
    longest = sorted(texts, key=lambda column: -lengths[column])[:2]
    return longest[0] if len(longest) == 1 else sorted(longest, key=columns.index)


def _choose_max_length(texts: pd.Series) -> int:
    """Return tokens for 95 % of the texts, at about 3.5 characters a token, as a multiple of 32 up to 512."""
    tokens = float(texts.str.len().quantile(0.95)) / 3.5
    return int(min(512, max(32, -(-tokens // 32) * 32)))


def _describe_script(texts: pd.Series) -> list[str]:
    """Return a sentence if many letters are not ASCII."""
    letters = [character for text in texts.head(500) for character in text if character.isalpha()]
    if letters and sum(not letter.isascii() for letter in letters) > 0.3 * len(letters):
        return [
            "the texts are not English: a multilingual backbone (or one of their language) will do better than minilm"
        ]
    return []


def _fill_template(folder: Path, guess: CompetitionGuess, paths: list[Path], max_length: int) -> str:
    train, test, sample = (_quote(path.name) for path in paths)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.resolve().name)
    return TEMPLATE.format(
        run=_quote(name.strip("-") or "run"),
        train=train,
        test=test,
        sample=sample,
        id=_quote(guess.id),
        text=_quote(guess.text),
        target=_quote(guess.target),
        classes=f"\n  classes: {_quote(guess.classes)}" if guess.classes else "",
        task=guess.task,
        metric=guess.metric,
        folds="multilabel" if guess.task == "multilabel" else "stratified",
        max_length=max_length,
    )


def _quote(value: str | list[str]) -> str:
    """Return a value as JSON, which is YAML."""
    return json.dumps(value, ensure_ascii=False)


def _find_table(folder: Path, prefix: str, *suffixes: str) -> Path:
    """Return the file with the shortest name that begins with `prefix`, in a format that can be read."""
    allowed = suffixes or FORMATS
    paths = [path for path in folder.iterdir() if path.stem.lower().startswith(prefix) and path.suffix in allowed]
    if not paths:
        raise PipelineError(f"{folder} holds no file named {prefix}* that ends in {' or '.join(allowed)}")
    return min(paths, key=lambda path: (len(path.name), path.name))
