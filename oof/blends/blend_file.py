"""`oof/blend.json`: a fitted blend as numbers, its scores, and what it was made of.

`SavedBlend` documents the file. To apply it takes `method`, `members`, `numbers`, `finish` and `thresholds`; the other
keys say how good it is and whether it is out of date.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from oof import OOFError
from oof.blends.blend_registry import BLENDS
from oof.blends.calibration import apply_finish
from oof.types import Array, Numbers

BLOCK_ROWS = 2**16  # rows that a blend is applied to at a time, so that memory holds no second copy of all predictions


@dataclass(frozen=True)
class BlendScores:
    """Scores of a blend by the metric; None where there are too few folds or nothing was chosen.

    `in_sample` is on the rows that chose the blend, `cross_fitted` on rows of folds that did not; `interval` is the
    95 % bootstrap interval of the latter. `corrected` is `cross_fitted` less what choosing the best candidate adds.
    """

    in_sample: float
    cross_fitted: float | None
    interval: tuple[float, float] | None
    corrected: float | None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object under `scores`."""
        return {
            "in-sample": self.in_sample,
            "cross-fitted": self.cross_fitted,
            "95 % interval": self.interval,
            "corrected for the choice": self.corrected,
        }

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "BlendScores":
        """Return the scores that `to_json` gave."""
        return cls(
            in_sample=entries["in-sample"],
            cross_fitted=entries["cross-fitted"],
            interval=_read_interval(entries["95 % interval"]),
            corrected=entries["corrected for the choice"],
        )


@dataclass(frozen=True)
class TriedBlend:
    """One candidate: its method, with ", finished" if a finish follows it, and its scores.

    `gain` is cross-fitted, over the candidate selected until then, positive for the better one; `error` is its
    standard error. Both are None for the first candidate.
    """

    method: str
    in_sample: float
    cross_fitted: float | None
    interval: tuple[float, float] | None
    gain: float | None
    error: float | None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object in the list `rungs`."""
        return {
            "method": self.method,
            "in-sample": self.in_sample,
            "cross-fitted": self.cross_fitted,
            "interval": self.interval,
            "gain": self.gain,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "TriedBlend":
        """Return the candidate that `to_json` gave."""
        return cls(
            method=entries["method"],
            in_sample=entries["in-sample"],
            cross_fitted=entries["cross-fitted"],
            interval=_read_interval(entries["interval"]),
            gain=entries["gain"],
            error=entries["error"],
        )


@dataclass(frozen=True, kw_only=True)
class SavedBlend:
    """The content of `oof/blend.json`, its keys in the order of the fields; those with a default may be missing.

    method, numbers     name of the blend, and what its `fit` returned
    members             names of the members it uses, in the order in which `numbers` takes them
    finish              numbers of `oof.blends.calibration`, applied after the blend; None without a finish
    thresholds          of `oof.metrics.thresholds`; None for the default decision
    scores              by `metric`
    rungs               the candidates, in the order in which they were tried
    metric, task        names as the config has them
    columns             names of the prediction columns
    folds               numbers of the folds that were blended
    sentence            why this candidate was selected
    test_table          SHA-256 of the test table that the members predicted
    fits                by member, a hash of the fits or files that it is made of
    offered             names of all members that could be used
    asked               the metric and the section `blend` of the config at the time
    files               SHA-256 of the files that belong to this blend, by name
    sha256              SHA-256 of the file itself, with zeros in this place
    """

    method: str
    members: Sequence[str]
    numbers: Numbers
    finish: Numbers | None
    thresholds: Sequence[float] | None
    scores: BlendScores
    rungs: Sequence[TriedBlend] | None = None
    metric: str
    task: str
    columns: Sequence[str]
    folds: Sequence[int]
    sentence: str | None = None
    test_table: str
    fits: Mapping[str, str]
    offered: Sequence[str]
    asked: Mapping[str, object]
    files: Mapping[str, str] | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object; keys with a default are left out where they are None."""
        entries = {field.name: getattr(self, field.name) for field in fields(self)}
        entries["scores"] = self.scores.to_json()
        entries["rungs"] = None if self.rungs is None else [candidate.to_json() for candidate in self.rungs]
        missing = [field.name for field in fields(self) if field.default is None and entries[field.name] is None]
        return {key: value for key, value in entries.items() if key not in missing}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "SavedBlend":
        """Return the blend that `to_json` gave; other keys are ignored. Raises OOFError if a key is missing."""
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        missing = [key for key in needed if key not in entries]
        if missing:
            raise OOFError(f"is no blend, the key {missing[0]!r} is missing")
        known = {field.name: entries[field.name] for field in fields(cls) if field.name in entries}
        known["scores"] = BlendScores.from_json(entries["scores"])
        if "rungs" in entries:
            known["rungs"] = [TriedBlend.from_json(candidate) for candidate in entries["rungs"]]
        return cls(**known)


def write_blend(path: Path, blend: SavedBlend) -> None:
    """Write a blend as JSON."""
    text = json.dumps(blend.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_blend(path: Path) -> SavedBlend:
    """Read a blend. Raises OOFError for a file that is missing, damaged, or no blend of this library."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OOFError(f"{path}: there is no blend yet; blend first") from error
    except (OSError, ValueError, RecursionError) as error:
        raise OOFError(f"{path}: not a readable JSON file; blend again") from error
    try:
        blend = SavedBlend.from_json(entries if isinstance(entries, dict) else {})
    except OOFError as error:
        raise OOFError(f"{path}: {error}; blend again") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise OOFError(f"{path}: its scores or rungs are not those of a blend; blend again") from error
    if blend.method not in BLENDS:
        raise OOFError(f"{path}: unknown blend {blend.method!r}; known ones: {', '.join(BLENDS)}")
    return blend


def apply_blend(blend: SavedBlend, tests: Sequence[Array]) -> Array:
    """Return predictions (rows, columns) from each member's test predictions (fits, rows, columns).

    `tests` are in the order of the blend's members. A linear blend without a finish is applied to the means over fold
    models. Any other is applied to each fold model, then averaged; a member with a single slice takes part in each.
    Raises OOFError for another number of members, or different numbers of fold models.
    """
    if len(tests) != len(blend.members):
        raise OOFError(f"the blend has {len(blend.members)} members, there are predictions of {len(tests)}")
    counts = {len(test) for test in tests} - {1} or {1}
    if len(counts) > 1 and not _is_applied_to_means(blend):
        raise OOFError(f"members have different numbers of fold models: {', '.join(map(str, sorted(counts)))}")
    starts = range(0, tests[0].shape[1], BLOCK_ROWS)
    blocks = ([test[:, start : start + BLOCK_ROWS] for test in tests] for start in starts)
    return np.concatenate([_apply_to_block(blend, block, max(counts)) for block in blocks])


def _is_applied_to_means(blend: SavedBlend) -> bool:
    return BLENDS[blend.method].linear and blend.finish is None


def _apply_to_block(blend: SavedBlend, tests: Sequence[Array], fits: int) -> Array:
    apply = BLENDS[blend.method].apply
    if _is_applied_to_means(blend):
        return apply(blend.numbers, np.stack([test.mean(0) for test in tests]))
    members = (np.stack([test[fit if len(test) > 1 else 0] for test in tests]) for fit in range(fits))
    mean: Array = np.mean([apply_finish(blend.finish, apply(blend.numbers, P)) for P in members], axis=0)
    return mean


def _read_interval(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])
