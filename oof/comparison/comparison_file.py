"""`oof/compare.json`: the comparison of a run's members. The fields of the classes below are its keys, in this order.

A gain is positive where the first is better, in either direction of the metric. An interval covers 95 % over other
rows; it is None where too few draws can be scored.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from oof import OOFError
from oof.comparison.diversity import Ambiguity
from oof.comparison.paired import Interval
from oof.comparison.seed_noise import SeedNoise, Verdict


@dataclass(frozen=True)
class ReferenceGain:
    """Gain of a member over the member `over`, fit for fit.

    It is beyond seed noise if larger than `seed_limit`, which is None where no variant has several seeds.
    """

    over: str
    gain: float
    interval: Interval | None
    seed_limit: float | None


@dataclass(frozen=True)
class MemberComparison:
    """A member: `score` of the mean over its seeds, the score of each seed and their mean, `fit_score`.

    The gains are None for the reference itself, and `over_mean_pooling` also where no member pools by the mean.
    """

    name: str
    score: float
    seed_scores: list[float]
    fit_score: float
    over_best: ReferenceGain | None
    over_mean_pooling: ReferenceGain | None


@dataclass(frozen=True)
class AddedValue:
    """Gain of the equal mean of all members over that without this one, and the cost of this one.

    `shared` members come from the same fits; `minutes` and `megabytes` are divided by it, and None where unknown.
    """

    name: str
    gain: float
    interval: Interval | None
    minutes: float | None = None
    megabytes: float | None = None
    shared: int = 1


@dataclass(frozen=True)
class ControlResult:
    """Equal means of `size` poolings with a seed each (`mix`) against `size` seeds of one pooling (`seeds`).

    `gain` is that of the mix; `choices` says over how many sets of fits each side is averaged.
    """

    name: str
    size: int
    seeds: float
    mix: float
    gain: float
    interval: Interval | None
    choices: tuple[int, int]


@dataclass(frozen=True)
class CostPoint:
    """The best equal mean of a number of members: cross-fitted score; seconds for 1,000 rows, megabytes, if known."""

    members: list[str]
    score: float
    seconds: float | None
    megabytes: float | None


@dataclass(frozen=True)
class Comparison:
    """The content of `oof/compare.json`.

    `seed_noise` is None where no variant has several seeds. `verdicts` are one for each group of members that differ in
    their pooling alone. `error_correlations` is (members, members), `ambiguity` of the equal mean. `front` has a point
    for the best equal mean of one member, of two, and so on. `fits` are hashes of what each member was made of, as in a
    blend. `missing_control` says why `control` is empty.
    """

    metric: str
    higher_is_better: bool
    rows: int
    draws: int
    members: list[MemberComparison]
    seed_noise: SeedNoise | None
    verdicts: list[Verdict]
    error_correlations: list[list[float]]
    ambiguity: Ambiguity
    adds: list[AddedValue]
    control: list[ControlResult]
    front: list[CostPoint] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    fits: dict[str, str] = field(default_factory=dict)
    missing_control: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, object]) -> "Comparison":
        """Return the comparison of a JSON object; other keys are ignored. Raises OOFError if one is missing."""
        try:
            return TypeAdapter(cls).validate_python(entries)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise OOFError(f"this is no comparison that this version wrote ({where}): compare again") from error


def write_comparison(path: Path, entries: Mapping[str, object]) -> None:
    """Write `Comparison.to_json()`, with any more keys, as JSON."""
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
