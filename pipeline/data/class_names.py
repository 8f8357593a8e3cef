"""Names of classes as a table spells them: one name for each class, and which of two classes is the positive one."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.config.messages import join_names, quote
from submissions.names import normalise_name

# The usual names of what a detector does not look for. Of two classes, the other one is then the positive.
NEGATIVE_NAMES = frozenset(
    [
        "no",
        "not",
        "none",
        "negative",
        "neg",
        "false",
        "normal",
        "neutral",
        "ham",
        "benign",
        "clean",
        "safe",
        "legit",
        "legitimate",
        "other",
        "non",
        "nontoxic",
    ]
)
NEGATION = re.compile(r"(not|non|no|un)[\W_]*(.+)")
MAX_SENTENCES = 5


def join_spellings(cells: Iterable[str], preferred: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Return the class name of each spelling, and a sentence for each class with several.

    Spellings that differ by case and space alone, or are one number (1 and 1.0), are one class. Its name is the one of
    `preferred`, else the most frequent one.
    """
    counts = Counter(cells)
    spellings: dict[str, list[str]] = {}
    for name in counts:
        spellings.setdefault(_fold(name), []).append(name)
    wanted = {_fold(name): name for name in reversed(preferred)}
    names: dict[str, str] = {}
    sentences = []
    for key, found in spellings.items():
        best = found[0]
        if len(found) > 1:
            best = wanted.get(key) or min(found, key=lambda name: (-counts[name], name)).strip()
            sentences.append(
                f"{join_names(sorted(found))} are one class, {quote(best)}; competition.classes would keep them apart"
            )
        names.update(dict.fromkeys(found, best))
    more = len(sentences) - MAX_SENTENCES
    return names, [*sentences[:MAX_SENTENCES], *([f"and {more} more such classes"] if more > 0 else [])]


def match_spellings(cells: Iterable[str], classes: Sequence[str]) -> Mapping[str, str]:
    """Return the class of each spelling: the same text, else the only class of that name by case, space or number."""
    by_key: dict[str, list[str]] = {}
    for name in classes:
        by_key.setdefault(_fold(name), []).append(name)
    found = {}
    for cell in set(cells):
        candidates = [cell] if cell in classes else by_key.get(_fold(cell), [])
        if len(candidates) == 1:
            found[cell] = candidates[0]
    return found


def put_positive_last(classes: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """Return two classes with the positive one last: by their words, else as given.

    `asked` are the sample submission's columns. Where words say nothing, a column with the name of one class is for
    that class.
    """
    first, second = classes
    if _is_negative(second, first) and not _is_negative(first, second):
        return [second, first]
    if _is_negative(first, second):
        return [first, second]
    columns = {_fold(column) for column in asked}
    return [second, first] if _fold(first) in columns and _fold(second) not in columns else [first, second]


def _is_negative(name: str, other: str) -> bool:
    """Return True if a class is the absence of the other, by its words: no, ham, not_spam beside spam."""
    text = _fold(name)
    if re.sub(r"[\W_]", "", text) in NEGATIVE_NAMES:
        return True
    negated = NEGATION.fullmatch(text)
    return negated is not None and negated[2] == _fold(other)


def _fold(name: str) -> str:
    return normalise_name(" ".join(name.split()))
