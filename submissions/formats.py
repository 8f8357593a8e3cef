"""Kinds: what the cells of a submission mean, by task and by what the sample submission shows.

Names: the same class or label as train, sample and solution each spell it.

A name matches exactly or else by its key: text up to case (True is true), numbers by value (1 is 1.0). Two names
with one key are told apart exactly or refused.
"""

import re
import reprlib
from collections.abc import Callable, Sequence
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


def require_kind(task: str, kind: str) -> None:
    """Raises SubmissionError if a task cannot be submitted as `kind`."""
    if kind not in KINDS[task]:
        raise SubmissionError(f"submission.kind must be {' or '.join(KINDS[task])} for task {task}. Got {kind} instead")


def targets_of(frame: pd.DataFrame, id: str) -> list[str]:
    """The columns of a frame but for its id."""
    return [column for column in frame.columns if column != id]


def infer_kind(task: str, sample: pd.DataFrame, *, id: str, classes: Sequence[str], labels_scored: bool) -> str:
    """The kind that the sample submission (read as text) asks for.

    Regression: values. Multiclass and ordinal: labels in one column, probabilities in several. Binary (one column) and
    multilabel: labels if the metric scores labels and every cell is a class name to the letter (`classes`; 0 and 1 for
    multilabel), else probabilities: a host who scores an AUC often shows a sample of zeros.
    """
    targets = targets_of(sample, id)
    if task == "regression":
        return "values"
    if task in ("multiclass", "ordinal"):
        return "labels" if len(targets) == 1 else "probabilities"
    if not labels_scored or (task == "binary" and len(targets) > 1):
        return "probabilities"
    names = ["0", "1"] if task == "multilabel" else list(classes)
    return "labels" if bool(sample[targets].isin(names).all(axis=None)) else "probabilities"


def plain(name: str) -> str:
    """A name in a message; one that would break the line, fill it or not be seen is quoted."""
    return name if name.isprintable() and 0 < len(name) < 60 else reprlib.repr(name)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a row."""
    return ", ".join(map(plain, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def key(name: str) -> str:
    """What two spellings of one name have in common."""
    text = name.strip()
    return f"{Decimal(text).normalize() + 0:f}" if NUMBER.fullmatch(text) else text.casefold()


def places(found: Sequence[str], known: Sequence[str]) -> list[int]:
    """Place in `known` of each name in `found`, -1 for none; SubmissionError if two could be meant."""
    exact = {name: place for place, name in enumerate(known)}
    by_key: dict[str, list[int]] = {}
    for place, name in enumerate(known):
        by_key.setdefault(key(name), []).append(place)

    def place_of(name: str) -> int:
        candidates = [exact[name]] if name in exact else by_key.get(key(name), [])
        if len(candidates) > 1:
            several = " and ".join(plain(known[place]) for place in candidates)
            raise SubmissionError(f"{plain(name)} could mean {several}; spell it as one of them")
        return candidates[0] if candidates else -1

    memory = {name: place_of(name) for name in dict.fromkeys(found)}
    return [memory[name] for name in found]


def match(found: Sequence[str], known: Sequence[str], what: str) -> npt.NDArray[np.int64]:
    """Place in `known` of each name in `found` (found,), one to one; SubmissionError names what is missing or extra.

    `what` says whose columns they are: "the sample submission".
    """
    place = places(found, known)
    extra = [name for name, at in zip(found, place, strict=True) if at < 0]
    taken = set(place)
    missing = [name for at, name in enumerate(known) if at not in taken]
    if extra or missing:
        problems = [f"lacks {listed(missing)}"] if missing else []
        problems += [f"has {listed(extra)}, which nothing predicts"] if extra else []
        raise SubmissionError(f"the columns of {what} must be the id and {listed(known)}: it {' and '.join(problems)}")
    if len(taken) < len(place):
        doubled = next(at for at in place if place.count(at) > 1)
        raise SubmissionError(f"{what} has more than one column for {plain(known[doubled])}")
    return np.array(place, dtype=np.int64)


def _whole(name: str) -> str:
    return key(name) if NUMBER.fullmatch(name) else name


def _decimal(name: str) -> str:
    return name + ".0" if re.fullmatch(r"[+-]?[0-9]+", name, re.ASCII) else name


# A sample often shows one constant, so the spelling of the labels that it does not show has to be derived.
STYLES: dict[str, Callable[[str], str]] = {
    "as in train": str,
    "lower": str.lower,
    "upper": str.upper,
    "capitalized": str.capitalize,
    "whole": _whole,
    "decimal": _decimal,
}


def spelled(classes: Sequence[str], shown: Sequence[str]) -> list[str]:
    """The classes as the sample, which shows the values `shown`, spells them; as in train where it shows none of them.

    Raises SubmissionError if the spelling of a class that the sample does not show cannot be derived.
    """
    values = sorted(set(shown))
    pairs = {classes[place]: value for value, place in zip(values, places(values, classes), strict=True) if place >= 0}
    for style in STYLES.values():
        if all(style(name) == value for name, value in pairs.items()):
            return [style(name) for name in classes]
    unseen = [name for name in classes if name not in pairs]
    if unseen:
        name, value = next((name, value) for name, value in pairs.items() if name != value)
        raise SubmissionError(
            f"the sample submission spells {plain(name)} as {plain(value)}; how it spells {plain(unseen[0])} is unclear"
        )
    return [pairs[name] for name in classes]
