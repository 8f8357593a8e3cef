"""The format of a submission: the meaning of its cells, and the spelling of its columns and labels.

Training table, sample and solution may spell one class or label differently. A name matches exactly, or else by its
normalised form: text without regard to case (True is true), numbers by value (1 is 1.0). Two names with one normalised
form are told apart by exact spelling, or refused.
"""

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from submissions import SubmissionError

KINDS: dict[str, tuple[str, ...]] = {
    "binary": ("probabilities", "labels"),
    "multiclass": ("probabilities", "labels"),
    "multilabel": ("probabilities", "labels"),
    "regression": ("values",),
    "ordinal": ("probabilities", "labels", "values"),
}
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?", re.ASCII)
MAX_NAMES = 8  # in a message


@dataclass(frozen=True)
class SubmissionFormat:
    """The id column, the task, the kind of the cells, and the names of what is predicted.

    `columns` are those of the predictions: the classes, labels or targets, for a binary task the one target. `classes`
    are the class names in code order; a multilabel or regression task has none.
    """

    id: str
    task: str
    kind: str
    columns: Sequence[str]
    classes: Sequence[str] = ()

    @property
    def labels(self) -> Sequence[str]:
        """The labels that a cell of kind labels may hold, as the training table spells them."""
        return ["0", "1"] if self.task == "multilabel" else self.classes


def infer_kind(task: str, sample: pd.DataFrame, *, id: str, classes: Sequence[str], labels_scored: bool) -> str:
    """Return the kind that the sample submission (read as text) asks for.

    Regression: values. Multiclass and ordinal: labels in one column, probabilities in several. Binary (one column) and
    multilabel: labels if the metric scores labels and every cell is exactly a class name (`classes`; 0 and 1 for
    multilabel), else probabilities: a host who scores an AUC often shows a sample of zeros.
    """
    targets = list_targets(sample, id)
    if task == "regression":
        return "values"
    if task in ("multiclass", "ordinal"):
        return "labels" if len(targets) == 1 else "probabilities"
    if not labels_scored or (task == "binary" and len(targets) > 1):
        return "probabilities"
    names = ["0", "1"] if task == "multilabel" else list(classes)
    return "labels" if bool(sample[targets].isin(names).all(axis=None)) else "probabilities"


def require_kind(task: str, kind: str) -> None:
    """Raise SubmissionError if a task cannot be submitted as `kind`."""
    if kind not in KINDS[task]:
        raise SubmissionError(f"submission.kind must be {' or '.join(KINDS[task])} for task {task}. Got {kind} instead")


def list_targets(frame: pd.DataFrame, id: str) -> list[str]:
    """Return the columns of a frame except its id."""
    return [column for column in frame.columns if column != id]


def match_names(names: Sequence[str], wanted: Sequence[str], owner: str) -> npt.NDArray[np.int64]:
    """Return the position in `wanted` of each name (names,), one to one; SubmissionError for a missing or extra name.

    `owner` says whose columns the names are: "the sample submission".
    """
    positions = find_positions(names, wanted)
    taken = set(positions)
    extra = [name for name, position in zip(names, positions, strict=True) if position < 0]
    missing = [name for position, name in enumerate(wanted) if position not in taken]
    if extra or missing:
        problems = [f"lacks {format_names(missing)}"] if missing else []
        if extra:
            problems.append(f"has {format_names(extra)}, which nothing predicts")
        expected = f"the columns of {owner} must be the id and {format_names(wanted)}"
        raise SubmissionError(f"{expected}: it {' and '.join(problems)}")
    if len(taken) < len(positions):
        doubled = next(position for position in positions if positions.count(position) > 1)
        raise SubmissionError(f"{owner} has more than one column for {format_name(wanted[doubled])}")
    return np.array(positions, dtype=np.int64)


def find_positions(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the position in `wanted` of each name, -1 for none; SubmissionError if a name matches two."""
    exact = {name: position for position, name in enumerate(wanted)}
    normalised: dict[str, list[int]] = {}
    for position, name in enumerate(wanted):
        normalised.setdefault(normalise_name(name), []).append(position)

    def find_position(name: str) -> int:
        if name in exact:
            return exact[name]
        candidates = normalised.get(normalise_name(name), [])
        if len(candidates) > 1:
            several = " and ".join(format_name(wanted[position]) for position in candidates)
            raise SubmissionError(f"{format_name(name)} could mean {several}; spell it as one of them")
        return candidates[0] if candidates else -1

    position_by_name = {name: find_position(name) for name in dict.fromkeys(names)}
    return [position_by_name[name] for name in names]


def normalise_name(name: str) -> str:
    """Return the form that all spellings of one name share."""
    text = name.strip()
    return f"{Decimal(text).normalize() + 0:f}" if NUMBER.fullmatch(text) else text.casefold()


def spell_classes(classes: Sequence[str], shown: Sequence[str]) -> list[str]:
    """Return the classes as the sample, which shows the values `shown`, spells them; unchanged if it shows none.

    Raises SubmissionError if the spelling of a class that the sample does not show cannot be derived.
    """
    values = sorted(set(shown))
    spellings = {
        classes[position]: value
        for value, position in zip(values, find_positions(values, classes), strict=True)
        if position >= 0
    }
    for spell in STYLES.values():
        if all(spell(name) == value for name, value in spellings.items()):
            return [spell(name) for name in classes]
    unseen = [name for name in classes if name not in spellings]
    if unseen:
        name, value = next((name, value) for name, value in spellings.items() if name != value)
        raise SubmissionError(
            f"the sample submission spells {format_name(name)} as {format_name(value)}; "
            f"how it spells {format_name(unseen[0])} is unclear"
        )
    return [spellings[name] for name in classes]


def _spell_whole(name: str) -> str:
    return normalise_name(name) if NUMBER.fullmatch(name) else name


def _spell_decimal(name: str) -> str:
    return name + ".0" if re.fullmatch(r"[+-]?[0-9]+", name, re.ASCII) else name


# A sample often shows one constant, so the spelling of the labels that it does not show has to be derived.
STYLES: dict[str, Callable[[str], str]] = {
    "as in train": str,
    "lower": str.lower,
    "upper": str.upper,
    "capitalized": str.capitalize,
    "whole": _spell_whole,
    "decimal": _spell_decimal,
}


def format_names(names: Sequence[str]) -> str:
    """Return names for a message, separated by commas; after eight of them there is a count."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(map(format_name, names[:MAX_NAMES])) + more


def format_name(name: str) -> str:
    """Return a name for a message, quoted if it is empty, long, or not printable."""
    return name if name.isprintable() and 0 < len(name) < 60 else reprlib.repr(name)
