"""The format of a submission: the meaning of its cells, by the metric, the sample and the task together."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from submissions import SubmissionError
from submissions.names import find_positions, format_name, format_names, normalise_name, spell_classes

KINDS: dict[str, tuple[str, ...]] = {
    "binary": ("probabilities", "labels"),
    "multiclass": ("probabilities", "labels", "ranked"),
    "multilabel": ("probabilities", "labels"),
    "regression": ("values",),
    "ordinal": ("probabilities", "labels", "values"),
}
SEPARATORS = (" ", ",", ", ", ";", "; ", "|", " | ")  # between several answers in a cell


@dataclass(frozen=True)
class SubmissionFormat:
    """The id column, the task, the kind of the cells, and the names of what is predicted.

    `columns` are those of the predictions: the classes, labels or targets, for a binary task the one target. `classes`
    are the class names in code order; a multilabel or regression task has none. Kind ranked has at most `answers`
    classes in a cell, best first, with `separator` between them.
    """

    id: str
    task: str
    kind: str
    columns: Sequence[str]
    classes: Sequence[str] = ()
    answers: int = 0
    separator: str = " "

    @property
    def labels(self) -> Sequence[str]:
        """The labels that a cell of kind labels may hold, as the training table spells them."""
        return ["0", "1"] if self.task == "multilabel" else self.classes

    def is_negative_column(self, target: str) -> bool:
        """Return True if a binary task's one column of probabilities is named after the negative class."""
        if self.task != "binary" or self.kind != "probabilities" or normalise_name(target) == self._positive_name:
            return False
        return find_positions([target], self.classes) == [0]

    @property
    def _positive_name(self) -> str:
        return normalise_name(self.columns[0])


def infer_kind(
    task: str, sample: pd.DataFrame, *, id: str, classes: Sequence[str], needs: str = "probabilities", answers: int = 0
) -> str:
    """Return the kind that metric, sample submission (read as text) and task ask for together.

    `needs` is what the metric takes, and `answers` the number of best classes that it looks at, 0 for another metric.
    Regression: values. Multiclass in several columns: probabilities; in one: ranked where the metric looks at several
    answers or the sample shows several in a cell, else labels. Ordinal: the same without ranked. Binary (one column)
    and multilabel: labels if the metric scores labels and every cell of the sample is a label in some spelling, else
    probabilities: a host who scores an AUC often shows a sample of zeros.
    """
    targets = list_targets(sample, id)
    if task == "regression":
        return "values"
    if task in ("multiclass", "ordinal"):
        if len(targets) > 1:
            return "probabilities"
        if task == "multiclass" and (answers > 1 or shows_several(sample[targets[0]].tolist(), classes)):
            return "ranked"
        return "labels"
    if needs != "labels" or (task == "binary" and len(targets) > 1):
        return "probabilities"
    names = ["0", "1"] if task == "multilabel" else list(classes)
    shown = {str(cell) for target in targets for cell in sample[target]} - {""}  # cells that a long sample lacks
    return "labels" if -1 not in find_positions(sorted(shown), names) else "probabilities"


def describe_format(sample: pd.DataFrame, format: SubmissionFormat, metric: str) -> str:
    """Return what the cells of a submission hold, in a few words; `metric` is the name of what scores them."""
    targets = list_targets(sample, format.id)
    if format.kind == "ranked":
        return f"the {format.answers} best of {len(format.classes)} classes in a cell, best first, for {metric}"
    if format.kind == "labels":
        spelled = spell_classes(format.labels, sample[targets[0]].astype(str).tolist())
        return f"labels, spelled {format_names(spelled)}, for {metric}"
    if format.kind == "values":
        return "expected grades" if format.task == "ordinal" else "values"
    if format.task == "binary" and len(targets) == 1:
        answer = format.classes[0 if format.is_negative_column(targets[0]) else 1]
        return f"the probability of {format_name(answer)}, for {metric}"
    return f"probabilities, a column for each of {format_names(targets)}"


def require_kind(task: str, kind: str) -> None:
    """Raise SubmissionError if a task cannot be submitted as `kind`."""
    if kind not in KINDS[task]:
        raise SubmissionError(f"submission.kind must be {' or '.join(KINDS[task])} for task {task}. Got {kind} instead")


def list_targets(frame: pd.DataFrame, id: str) -> list[str]:
    """Return the columns of a frame except its id."""
    return [column for column in frame.columns if column != id]


def shows_several(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Return True if cells hold several names each."""
    return _find_shown_separator(cells, names) is not None


def choose_separator(cells: Sequence[str], names: Sequence[str]) -> str:
    """Return what separates several names in a cell: as the cells show it, else the first that is in no name.

    Raises SubmissionError if every separator is in a name.
    """
    shown = _find_shown_separator(cells, names)
    if shown is not None:
        return shown
    for separator in SEPARATORS:
        if not any(separator in name for name in names):
            return separator
    raise SubmissionError(
        f"several answers in a cell need a separator, but names such as {format_name(max(names, key=len))} hold all of "
        f"{' '.join(separator.strip() for separator in SEPARATORS[1:6:2])} and a space"
    )


def split_cell(cell: str, separator: str) -> list[str]:
    """Return the names in a cell, in order; an empty cell holds none."""
    return [name.strip() for name in cell.split(separator) if name.strip()]


def read_answers(cells: Sequence[str], separator: str, wanted: Sequence[str]) -> list[list[tuple[str, int]]]:
    """Return the names in each cell with their positions in `wanted`, -1 for a name that is none of them."""
    names = [split_cell(cell, separator) for cell in cells]
    distinct = list(dict.fromkeys(name for cell in names for name in cell))
    positions = dict(zip(distinct, find_positions(distinct, wanted), strict=True))
    return [[(name, positions[name]) for name in cell] for cell in names]


def _find_shown_separator(cells: Sequence[str], names: Sequence[str]) -> str | None:
    distinct = sorted(set(map(str, cells)))
    if -1 not in find_positions(distinct, names):
        return None  # each cell is one name
    for separator in sorted(SEPARATORS, key=len, reverse=True):  # ", " before ",", which both could be
        parts = [split_cell(cell, separator) for cell in distinct]
        several = max(map(len, parts)) > 1
        if several and all(parts) and -1 not in find_positions([name for cell in parts for name in cell], names):
            return separator
    return None
