"""What poolings look at: the weights that they give to the tokens of real rows, kept by fits in `looks.json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.store import LOOKS, read_json
from pipeline.fits.job import Job

ROWS, TOKENS = 6, 5  # rows shown, and tokens named in words


@dataclass(frozen=True)
class Look:
    """The tokens of a row as one pool of a member weighs them, in order; weights sum to one."""

    member: str
    pool: str
    tokens: list[tuple[str, float]]

    @property
    def most(self) -> list[tuple[str, float]]:
        """The tokens with the largest weights."""
        return sorted(self.tokens, key=lambda one: -one[1])[:TOKENS]

    @property
    def top(self) -> float:
        """The largest weight, above zero."""
        return max((weight for _, weight in self.tokens), default=1.0) or 1.0


def looks(jobs: Sequence[Job]) -> dict[str, list[Look]]:
    """The looks at some rows by id, first those at which most poolings looked; of one seed each.

    Raises PipelineError or ModelError for a damaged file.
    """
    found: dict[str, list[Look]] = {}
    for job in jobs:
        if LOOKS in job.files:
            for row in read_json(job.checked(LOOKS))["rows"]:
                known = found.setdefault(str(row["id"]), [])
                seen = {(look.member, look.pool) for look in known}
                known += [look for look in _looks(job, row) if (look.member, look.pool) not in seen]
    most = sorted(found, key=lambda row: -len(found[row]))[:ROWS]
    return {row: found[row] for row in most if found[row]}


def _looks(job: Job, row: dict[str, Any]) -> list[Look]:
    return [
        Look(job.members[pooling], pool, list(zip(map(str, row["tokens"]), map(float, weights), strict=True)))
        for pooling, pools in row["weights"].items()
        for pool, weights in pools.items()
    ]
