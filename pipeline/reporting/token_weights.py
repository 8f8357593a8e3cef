"""The section on token weights: those of poolings on the tokens of some rows, which fits keep in `looks.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.store import LOOKS, read_json
from pipeline.fits.job import Job

MOST_ROWS = 6
MOST_TOKENS = 5  # named in words


@dataclass(frozen=True)
class PoolWeights:
    """The tokens of a row in order, each with the weight of one pool of a member; weights sum to one."""

    member: str
    pool: str
    tokens: list[tuple[str, float]]

    @property
    def most(self) -> list[tuple[str, float]]:
        """The tokens with the largest weights."""
        return sorted(self.tokens, key=lambda item: -item[1])[:MOST_TOKENS]

    @property
    def top(self) -> float:
        """The largest weight, above zero."""
        return max((weight for _, weight in self.tokens), default=1.0) or 1.0


def read_token_weights(jobs: Sequence[Job]) -> dict[str, list[PoolWeights]]:
    """Return token weights by row id, of one seed for each pool; rows with the most pools come first.

    Raises PipelineError or ModelError for a damaged file.
    """
    by_row: dict[str, list[PoolWeights]] = {}
    for job in jobs:
        if LOOKS in job.files:
            for row in read_json(job.check_file(LOOKS))["rows"]:
                of_row = by_row.setdefault(str(row["id"]), [])
                present = {(weights.member, weights.pool) for weights in of_row}
                of_row += [
                    new
                    for new in _read_row(job, row["tokens"], row["weights"])
                    if (new.member, new.pool) not in present
                ]
    order = sorted(by_row, key=lambda row: -len(by_row[row]))[:MOST_ROWS]
    return {row: by_row[row] for row in order if by_row[row]}


def _read_row(
    job: Job, tokens: Sequence[str], weights: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[PoolWeights]:
    return [
        PoolWeights(job.members[pooling], pool, list(zip(map(str, tokens), map(float, shares), strict=True)))
        for pooling, pools in weights.items()
        for pool, shares in pools.items()
    ]
