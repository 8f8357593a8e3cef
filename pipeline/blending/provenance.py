"""Where members come from: their variant and recipe, their predictions by seed, and what their fits cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.store import WEIGHTS, digest
from models.tfidf import NUMBERS, TERMS
from oof.comparison.seed_noise import Entrant
from oof.members.member import Member, member_from_parts
from oof.members.prediction_files import read_part
from oof.members.rows import Rows
from oof.metrics.functions import Array
from pipeline.fits.job import Job

PLAIN_MEAN = {"layers": {"kind": "last"}, "tokens": [{"kind": "mean"}]}


@dataclass(frozen=True)
class Origin:
    """An entrant with its share of the cost of its fits; None for a teammate's, or where no weights are kept.

    `shared`: how many members these fits give. `minutes` and `megabytes` are divided by it.
    """

    entrant: Entrant
    variant: str | None
    minutes: float | None
    megabytes: float | None
    shared: int


def origins(members: Sequence[Member], rows: Rows, jobs: Sequence[Job]) -> list[Origin]:
    """The origin of each member; `rows` are what the members predict, `jobs` the fits for the folds of these."""
    return [_origin(one, rows, [job for job in jobs if one.name in job.members.values()]) for one in members]


def _origin(member: Member, rows: Rows, jobs: Sequence[Job]) -> Origin:
    if not jobs:
        return Origin(Entrant(member.name, None), None, None, None, 1)
    job, shared = jobs[0], len(jobs[0].members)
    seconds = sum(float((job.marker or {})["provenance"]["seconds"]) for job in jobs)
    size = sum(_weights(job) for job in jobs)
    entrant = Entrant(member.name, job.variant)
    if not job.linear:
        entrant = Entrant(
            member.name,
            job.variant,
            _recipe(job),
            job.poolings[_pooling(job, member.name)] == PLAIN_MEAN,
            _singles(member, rows, jobs),
        )
    return Origin(entrant, job.variant, seconds / 60 / shared, size / 1e6 / shared if size else None, shared)


def _pooling(job: Job, name: str) -> str:
    return next(pooling for pooling, member in job.members.items() if member == name)


def _recipe(job: Job) -> str:
    """What is alike in variants that differ in their pooling alone; those of one encoder are alike by themselves."""
    alike = {key: value for key, value in job.recipe.items() if key != "poolings"}
    return digest([alike, job.variant if len(job.members) > 1 else None])


def _weights(job: Job) -> int:
    paths = [job.folder / name for name in (WEIGHTS, TERMS, NUMBERS)]
    return sum(path.stat().st_size for path in paths if path.exists())


def _singles(member: Member, rows: Rows, jobs: Sequence[Job]) -> list[Array]:
    """A member's predictions by seed, each as if there were no other."""
    seeds, columns = sorted({job.seed for job in jobs}), member.columns
    if len(seeds) == 1:
        return [member.oof]
    found = []
    for seed in seeds:
        parts = [read_part(job.part(member.name, None), columns) for job in jobs if job.seed == seed]
        name = f"{member.name}, seed {seed}"
        found.append(member_from_parts(name, parts, [], rows, columns).oof)
    return found
