"""Guess the columns, the task and the metric of a competition from its tables, with a reason and a doubt for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from oof.metrics.metric_registry import get_default_metric
from pipeline.config.messages import join_names
from pipeline.data.class_names import join_spellings, put_positive_last
from pipeline.data.table_readers import list_suffixes
from pipeline.data.targets import holds_label_lists, parse_label_lists
from pipeline.errors import PipelineError
from submissions.formats import shows_several, split_cell
from submissions.host_form import JOINTS
from submissions.names import find_positions

MAX_GRADES = 20  # more distinct whole numbers are values of a regression
MAX_CONTEXTS = 200  # distinct values of a column that says where a phrase stands
SHORT = 40  # characters of a phrase, on average
GRADE_NAMES = ("score", "grade", "rating", "stars", "level", "quality", "severity", "rank")
CLASS_NAMES = ("label", "class", "category", "target", "type", "topic", "intent")


@dataclass(frozen=True)
class Doubt:
    """A question that the tables leave open, the answer that was taken, and the other one as a line of the config."""

    question: str
    taken: str
    other: str


@dataclass
class CompetitionGuess:
    """The columns, task and metric that the tables suggest; `notes` are the reasons, in sentences."""

    id: str
    text: str | list[str]
    target: str | list[str] = ""
    task: str = ""
    metric: str = ""
    notes: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    classes: list[str] | None = None


def find_tables(folder: Path) -> tuple[Path, Path, Path, Path | None]:
    """Return the training table, the test table, the sample submission, and a table of labels if there is one.

    Raises PipelineError for one that is not there.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_file() and _is_table(path))

    def find(what: str, *patterns: str) -> Path:
        for pattern in patterns:
            found = [path for path in paths if re.match(pattern, path.name.lower())]
            if found:
                return min(found, key=lambda path: (len(path.name), path.name))
        raise PipelineError(
            f"{folder} holds no table named {what}*: .csv, .tsv, .parquet or .jsonl, also packed as .gz or .zip"
        )

    train = find("train", r"train(?!.*label)", r"train")
    test = find("test", r"test(?!.*label)")
    labels = next((path for path in paths if re.match(r"train.*label", path.name.lower())), None)
    sample = find("sample", r"sample", r"submission_format", r".*submission")
    return train, test, sample, None if labels == train else labels


def guess_competition(train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> CompetitionGuess:
    """Infer columns, task and metric from the three tables. Raises PipelineError where they do not suffice."""
    id_column, sample_id, note = _guess_id(train, test, sample)
    shared = [str(column) for column in train.columns if column in test.columns and column != id_column]
    guess = CompetitionGuess(id_column, _guess_text(train, shared), notes=[note] if note else [])
    outputs = [str(column) for column in sample.columns if column != sample_id]
    if not outputs:
        raise PipelineError(f"the sample submission has no column besides {sample_id}: nothing to predict")
    labels = _read_long_labels(sample, sample_id, set(test[id_column]), outputs)
    if labels:
        guess.notes.append(f"each row of the sample is an id and one of {join_names(labels)}")
        outputs = labels
    hidden = [str(column) for column in train.columns if column not in test.columns]
    if len(outputs) > 1 and all(column in train.columns for column in outputs):
        _guess_columns(guess, train, outputs)
    elif len(outputs) > 1:
        _guess_class_columns(guess, train, outputs, hidden)
    else:
        _guess_target(guess, train, sample, outputs[0], hidden)
    _describe_text(guess, train, shared)
    return guess


def _is_table(path: Path) -> bool:
    format, packing = list_suffixes(path)
    return bool(format) or packing == ".zip"


def _guess_id(train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> tuple[str, str, str]:
    """Return the id column of train and test, that of the sample, and a note on it."""
    unique = [str(name) for name in test.columns if name in train.columns and not test[name].duplicated().any()]
    named = [name for name in unique if not train[name].duplicated().any()]
    pairs = [(name, column) for name in [*named, *unique] for column in map(str, sample.columns)]
    # A column of both tables' name goes first; a constant column of zeros holds no ids, even where 0 is one.
    for name, column in sorted(pairs, key=lambda pair: pair[0] != pair[1]):
        known = set(test[name])
        varies = len(known) > 1 and (sample[column].nunique() > 1 or len(sample) == 1)
        if not varies or not (set(sample[column]) <= known or _is_long(sample[column], known)):
            continue
        if name not in named:
            raise PipelineError(
                f"{name} names the rows of the sample submission, but the training table has "
                f"{int(train[name].duplicated().sum())} rows with the {name} of another: give each row an id"
            )
        note = "" if column == name else f"{column} of the sample submission holds the values of {name}"
        return name, column, note
    both = [str(name) for name in sample.columns if name in test.columns and name in train.columns]
    if both and (repeated := int(test[both[0]].duplicated().sum() + train[both[0]].duplicated().sum())):
        raise PipelineError(
            f"{repeated} rows of train and test have the {both[0]} of another row: give each row an id of its own, and "
            f"average the predictions of a {both[0]} afterwards"
        )
    raise PipelineError("no column is in train, test and sample submission and names each row: an id column is needed")


def _is_long(values: pd.Series, known: set[str]) -> bool:
    """Return True if each value is an id, a joint, and something else."""
    return all(_split_long(value, known) is not None for value in values.head(50))


def _split_long(value: str, known: set[str]) -> tuple[str, str] | None:
    places = [place for place, sign in enumerate(value) if sign in JOINTS and 0 < place < len(value) - 1]
    for place in reversed(places):
        if value[:place] in known:
            return value[:place], value[place + 1 :]
    return next(((value[p + 1 :], value[:p]) for p in places if value[p + 1 :] in known), None)


def _read_long_labels(sample: pd.DataFrame, column: str, known: set[str], outputs: list[str]) -> list[str]:
    """Return the labels in the ids of a long sample, or in a column beside them; nothing for a wide one."""
    if len(outputs) == 2 and sample[column].duplicated().any():
        key = min(outputs, key=lambda name: sample[name].nunique())
        return sorted(set(sample[key]))
    if len(outputs) != 1 or set(sample[column]) <= known:
        return []
    parts = [_split_long(value, known) for value in sample[column]]
    return list(dict.fromkeys(part[1] for part in parts if part is not None))


def _guess_columns(guess: CompetitionGuess, train: pd.DataFrame, outputs: list[str]) -> None:
    """Fill in the task of several target columns."""
    guess.target = outputs
    cells = train[outputs].apply(pd.to_numeric, errors="coerce")
    if not cells.isin([0, 1]).all(axis=None):
        guess.task, guess.metric = "regression", "mcrmse"
        guess.notes.append(f"{len(outputs)} target columns of numbers")
    elif (cells.sum(axis=1) == 1).all():
        guess.task, guess.metric = "multiclass", "log_loss"
        guess.notes.append(f"each row has exactly one 1 in {len(outputs)} target columns: classes, a column each")
    else:
        guess.task, guess.metric = "multilabel", get_default_metric("multilabel").name
        guess.notes.append(f"{len(outputs)} target columns of 0 and 1, several in a row")


def _guess_class_columns(guess: CompetitionGuess, train: pd.DataFrame, outputs: list[str], hidden: list[str]) -> None:
    """Fill in a competition whose sample has a column for each class."""
    for column in hidden:
        values = sorted(set(train[column]) - {""})
        if values and len(values) <= len(outputs) and -1 not in find_positions(values, outputs):
            break
    else:
        raise PipelineError(
            f"the sample submission has the columns {join_names(outputs)}, but no column of the training table that "
            "the test table lacks holds them: no target found"
        )
    guess.target = column
    guess.notes.append(f"{len(outputs)} classes, a column each")
    if len(outputs) == 2:
        guess.task, guess.metric = "binary", "log_loss"
        return
    guess.task, guess.metric = "multiclass", "log_loss"
    if len(values) < len(outputs):
        positions = find_positions(values, outputs)
        unseen = [name for place, name in enumerate(outputs) if place not in positions]
        guess.classes = [values[positions.index(p)] if p in positions else name for p, name in enumerate(outputs)]
        guess.notes.append(f"no training row has {', '.join(unseen)}: classes lists all")


def _guess_target(
    guess: CompetitionGuess, train: pd.DataFrame, sample: pd.DataFrame, output: str, hidden: list[str]
) -> None:
    """Fill in a competition with one target and one column in the sample."""
    shown = sample[output] if output in sample else pd.Series(["0.5"], dtype=str)
    candidates = [output] if output in train.columns else hidden
    if not candidates:
        raise PipelineError("the sample submission's columns match no column of the training table: no target found")
    if len(candidates) > 1:
        values = sorted(set(shown))
        holding = [name for name in candidates if -1 not in find_positions(values, sorted(set(train[name])))]
        candidates = sorted(candidates, key=lambda name: (name not in holding, name.lower() not in CLASS_NAMES))
        guess.doubts.append(
            Doubt("the target may be " + join_names(candidates), candidates[0], f"competition.target: {candidates[1]}")
        )
    guess.target = target = candidates[0]
    cells = train[target]
    spellings, _ = join_spellings(cells[cells != ""], shown.tolist())
    distinct = sorted(set(spellings.values()))
    if holds_label_lists(cells) and not pd.to_numeric(cells, errors="coerce").notna().all():
        _guess_label_lists(guess, cells)
        if guess.task:
            return
    numbers = pd.to_numeric(pd.Series(distinct), errors="coerce")
    is_whole = bool(numbers.notna().all() and (numbers % 1 == 0).all())
    shows_labels = -1 not in find_positions(sorted(set(shown)), distinct)
    guess.notes.append(f"{len(distinct)} distinct values in {target}")
    if len(distinct) == 2:
        guess.task, guess.metric = "binary", "f1" if shows_labels else "log_loss"
        negative, positive = put_positive_last(distinct, [str(name) for name in sample.columns])
        guess.classes = [negative, positive] if [negative, positive] != distinct else None
        guess.notes.append(f"positive class {positive}, the other is {negative}")
    elif numbers.isna().any():
        guess.task, guess.metric = "multiclass", "accuracy" if shows_labels else "log_loss"
        if shows_several(shown.tolist(), distinct):
            most = max(len(split_cell(cell, " ")) for cell in shown)
            guess.metric = f"map_at_{most}"
            guess.notes.append(f"the sample shows {most} answers in a cell, best first")
    elif is_whole and len(distinct) <= MAX_GRADES:
        _guess_grades(guess, target, distinct)
    else:
        guess.task, guess.metric = "regression", "rmse"
        is_pair = isinstance(guess.text, list) or guess.text.count("{sep}") > 1
        if is_pair and numbers.between(0, 5).all():
            guess.metric = "pearson"
            guess.notes.append("a score of two texts is often judged by its correlation")


def _guess_grades(guess: CompetitionGuess, target: str, distinct: Sequence[str]) -> None:
    """Fill in the task of a few whole numbers: grades in order, or numbers for names."""
    name = target.lower()
    grades, classes = ("ordinal", "qwk"), ("multiclass", "accuracy")
    if any(word in name for word in GRADE_NAMES):
        guess.task, guess.metric = grades
        guess.notes[-1] += ", taken for grades in order; if they are mere names, task is multiclass"
        return
    is_class = any(word in name for word in CLASS_NAMES)
    (guess.task, guess.metric), (other, metric) = (classes, grades) if is_class else (grades, classes)
    shown = join_names(list(distinct[:5])) + (" and more" if len(distinct) > 5 else "")
    guess.doubts.append(
        Doubt(
            f"{target} holds {shown}: numbers for names (multiclass), or grades in order (ordinal)?",
            f"task {guess.task}, metric {guess.metric}",
            f"competition.task: {other}, competition.metric: {metric}",
        )
    )


def _guess_label_lists(guess: CompetitionGuess, cells: pd.Series) -> None:
    """Fill in a multilabel task if the cells hold lists of a few labels that occur again and again."""
    lists, _ = parse_label_lists(cells)
    labels = {name for names in lists for name in names}
    several = sum(len(names) > 1 for names in lists)
    if 2 <= len(labels) <= max(10, len(cells) // 4) and several >= 0.05 * len(lists):
        guess.task, guess.metric = "multilabel", "f1"
        guess.notes.append(f"{guess.target} lists labels, {len(labels)} in all")


def _guess_text(train: pd.DataFrame, columns: list[str]) -> str | list[str]:
    """Return the column that looks like text, the pair, or a template of two phrases and their context."""
    worded = [name for name in columns if pd.to_numeric(train[name], errors="coerce").notna().mean() < 0.9]
    if not worded:
        if not columns:
            raise PipelineError("train and test share no column besides the id: no text column found")
        return max(columns, key=lambda name: float(train[name].str.len().mean()))
    lengths = {name: float(train[name].str.len().mean()) for name in worded}
    texts = [name for name in worded if train[name].nunique() > 0.2 * len(train) and lengths[name] >= 10]
    longest = max(worded, key=lambda name: lengths[name])
    texts = texts or [longest]
    alike = [name for name in worded if lengths[name] >= 3 and lengths[longest] < 4 * lengths[name]]
    phrases = [name for name in alike if train[name].nunique() > max(2, 0.02 * len(train))]
    if lengths[longest] < SHORT and len(phrases) >= 2:
        pair = sorted(sorted(phrases, key=lambda name: -train[name].nunique())[:2], key=columns.index)
        contexts = [name for name in worded if name not in pair and _is_context(train[name])]
        if contexts:
            return " {sep} ".join(f"{{{name}}}" for name in [*pair, *contexts[:1]])
        return pair
    chosen = sorted(texts, key=lambda name: -lengths[name])[:2]
    return chosen[0] if len(chosen) == 1 else sorted(chosen, key=columns.index)


def _is_context(cells: pd.Series) -> bool:
    """Return True for a column of a few values that occur again and again."""
    return 1 < cells.nunique() <= min(MAX_CONTEXTS, 0.5 * len(cells))


def _describe_text(guess: CompetitionGuess, train: pd.DataFrame, shared: list[str]) -> None:
    """Add notes on columns of both tables that are left out, which a template could join."""
    used = guess.text if isinstance(guess.text, list) else re.findall(r"\{(.+?)\}", guess.text) or [guess.text]
    left = [
        name for name in shared if name not in used and pd.to_numeric(train[name], errors="coerce").notna().mean() < 0.9
    ]
    if left:
        guess.notes.append(
            f"{join_names(left)} {'is' if len(left) == 1 else 'are'} left out; a template joins columns: "
            f'"{{{left[0]}}} {{sep}} {{{used[0]}}}"'
        )
