"""Trace members to their fits: their variant and recipe, their predictions by seed, and the cost of their fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.settings import PoolingPart, PoolingSettings
from models.store import WEIGHTS, digest
from models.tfidf import NUMBERS, TERMS
from oof.comparison.comparison_file import AddedValue
from oof.comparison.seed_noise import ComparedMember
from oof.members.member import Member, join_parts
from oof.members.prediction_files import read_part
from oof.members.rows import WantedRows
from oof.types import Array
from pipeline.fits.job import Job

PLAIN_MEAN = PoolingSettings(PoolingPart("last"), (PoolingPart("mean"),))


@dataclass(frozen=True)
class MemberSource:
    """A member to compare, with its part of the cost of its fits; None for one from a file, or without saved weights.

    `shared` is the number of members that these fits give. `minutes` and `megabytes` are divided by it.
    """

    member: ComparedMember
    variant: str | None
    minutes: float | None
    megabytes: float | None
    shared: int

    def add_costs(self, added: AddedValue) -> AddedValue:
        """Return what the member adds to the equal mean, with the costs filled in."""
        return replace(added, minutes=self.minutes, megabytes=self.megabytes, shared=self.shared)


def trace_members(members: Sequence[Member], rows: WantedRows, jobs: Sequence[Job]) -> list[MemberSource]:
    """Return the source of each member; `rows` are what the members predict, `jobs` the fits of their folds."""
    sources = []
    for member in members:
        fits = [job for job in jobs if member.name in job.members.values()]
        sources.append(_trace_member(member, rows, fits))
    return sources


def _trace_member(member: Member, rows: WantedRows, jobs: Sequence[Job]) -> MemberSource:
    if not jobs:
        return MemberSource(ComparedMember(member.name, None), None, None, None, 1)
    job = jobs[0]
    shared = len(job.members)
    seconds = sum(job.seconds or 0.0 for job in jobs)
    size = sum(_measure_weights(job) for job in jobs)
    compared = ComparedMember(member.name, job.variant)
    if not job.is_linear:
        compared = ComparedMember(
            member.name,
            job.variant,
            recipe=_hash_recipe(job),
            plain_mean=job.poolings[_find_pooling(job, member.name)] == PLAIN_MEAN,
            singles=_read_seeds(member, rows, jobs),
        )
    return MemberSource(compared, job.variant, seconds / 60 / shared, size / 1e6 / shared if size else None, shared)


def _find_pooling(job: Job, name: str) -> str:
    return next(pooling for pooling, member in job.members.items() if member == name)


def _hash_recipe(job: Job) -> str:
    """Return a hash that is the same for variants that differ in their pooling alone.

    Members of one encoder share a hash of their own.
    """
    alike = {key: value for key, value in job.recipe.values.items() if key != "poolings"}
    return digest([alike, job.variant if len(job.members) > 1 else None])


def _measure_weights(job: Job) -> int:
    paths = [job.folder / name for name in (WEIGHTS, TERMS, NUMBERS)]
    return sum(path.stat().st_size for path in paths if path.exists())


def _read_seeds(member: Member, rows: WantedRows, jobs: Sequence[Job]) -> list[Array]:
    """Return a member's predictions by seed, each as if it were the only one."""
    seeds = sorted({job.seed for job in jobs})
    columns = member.columns
    if len(seeds) == 1:
        return [member.oof]
    predictions = []
    for seed in seeds:
        parts = [read_part(job.check_part(member.name, None), columns) for job in jobs if job.seed == seed]
        name = f"{member.name}, seed {seed}"
        predictions.append(join_parts(name, parts, [], rows, columns).oof)
    return predictions
