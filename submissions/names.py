"""Names of columns, classes and labels: one rule by which training table, sample and solution are matched.

A name matches exactly; or by its normalised form: text without regard to case (True is true), numbers by value (1 is
1.0); or, where there are two classes that answer one question, by its answer (yes is True is 1). Two names with one
normalised form are told apart by exact spelling, or refused.
"""

import re
import reprlib
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from submissions import SubmissionError

NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,15})?", re.ASCII)
MAX_NAMES = 8  # in a message
# Spellings of no and yes, side by side. The plain ones come first: a sample that shows "no" means "yes" by the other.
ANSWERS = (("0", "1"), ("False", "True"), ("No", "Yes"), ("F", "T"), ("N", "Y"))


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
    by_answer = _find_answers(wanted)

    def find_position(name: str) -> int:
        if name in exact:
            return exact[name]
        candidates = normalised.get(normalise_name(name), [])
        if len(candidates) > 1:
            several = " and ".join(format_name(wanted[position]) for position in candidates)
            raise SubmissionError(f"{format_name(name)} could mean {several}; spell it as one of them")
        if candidates:
            return candidates[0]
        return by_answer.get(read_answer(name), -1)

    position_by_name = {name: find_position(name) for name in dict.fromkeys(names)}
    return [position_by_name[name] for name in names]


def normalise_name(name: str) -> str:
    """Return the form that all spellings of one name share."""
    text = name.strip()
    return f"{Decimal(text).normalize() + 0:f}" if NUMBER.fullmatch(text) else text.casefold()


def read_answer(name: str) -> int | None:
    """Return 0 for a spelling of no (0, False, N, ...), 1 for one of yes, None for any other name."""
    text = normalise_name(name)
    return next((pair.index(word) for pair in ANSWERS for word in pair if text == word.casefold()), None)


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
    for spell in [*STYLES.values(), *_list_answer_styles(classes)]:
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


def _find_answers(wanted: Sequence[str]) -> dict[int | None, int]:
    """Return the positions of no and yes where `wanted` are these two; else nothing."""
    answers: list[int | None] = [read_answer(name) for name in wanted]
    return {answer: answers.index(answer) for answer in (0, 1)} if set(answers) == {0, 1} and len(answers) == 2 else {}


def _list_answer_styles(classes: Sequence[str]) -> list[Callable[[str], str]]:
    """Return functions that spell two classes which are no and yes in another way."""
    if not _find_answers(classes):
        return []

    def make_style(pair: tuple[str, str], spell: Callable[[str], str]) -> Callable[[str], str]:
        return lambda name: spell(pair[read_answer(name) or 0])

    styles = [STYLES[name] for name in ("as in train", "lower", "upper", "decimal")]
    return [make_style(pair, style) for pair in ANSWERS for style in styles]


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
