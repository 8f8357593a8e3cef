"""The members of a run: from the parts of finished fits, and from a teammate's files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.recipe import differences, digest
from models.store import test_part, valid_part
from oof.extra import read_extra
from oof.matrix import idle
from oof.member import Member, member_from_parts
from oof.parts import read_part
from pipeline.competition import Competition
from pipeline.config import Config
from pipeline.display import warn
from pipeline.errors import PipelineError
from pipeline.plan import Job, make_jobs, members_of, recorded_recipe
from pipeline.problems import nearest
from pipeline.run_directory import RunDirectory
from pipeline.splits import Folds


@dataclass(frozen=True)
class Gathered:
    """Members that cover every wanted fold, their training seconds, and a sentence for each one left out.

    `fits` names, by member, the fits it was made of; `variants` the variant, by whose fits its members are predicted
    together, in `predicting` seconds per 1,000 rows where that was timed.
    """

    members: list[Member]
    seconds: dict[str, float]
    variants: dict[str, str]
    predicting: dict[str, float | None]
    fits: dict[str, str]
    left_out: list[str]


def recorded_jobs(
    run: RunDirectory, config: Config, competition: Competition, split: Folds, test_sha256: str
) -> list[Job]:
    """Every fit of the config whose variant was trained, found without opening a backbone."""

    def recipe_of(variant: str) -> dict[str, object] | None:
        return recorded_recipe(run, config, competition, variant)

    return make_jobs(run, config, competition, split, recipe_of, test_sha256=test_sha256)


def gather(
    run: RunDirectory, config: Config, folder: Path, competition: Competition, split: Folds, folds: Sequence[int]
) -> Gathered:
    """All members that have OOF for `folds`, in the order of the config, then the extra ones.

    Raises PipelineError if there is none, or if `blend.members` names one that is not there.
    """
    jobs = recorded_jobs(run, config, competition, split, competition.test.sha256)
    members: list[Member] = []
    seconds: dict[str, float] = {}
    variants: dict[str, str] = {}
    predicting: dict[str, float | None] = {}
    left_out: list[str] = []
    for variant in config.variants:
        own = [job for job in jobs if job.variant == variant]
        cv = [job for job in own if job.fold in folds]
        if not cv or any(job.state == "fit" for job in cv):
            done = sum(job.state != "fit" for job in cv)
            state = f"{done} of its {len(cv)} fits are done" if cv else "it was not trained with this config"
            left_out.append(f"{variant} is left out: {state}")
            continue
        refits = [job for job in own if job.fold == "all"]
        predicting[variant] = _predicting(refits or cv)
        for name in members_of(config, variant).values():
            members.append(_own_member(name, cv, refits, competition, split, folds))
            variants[name] = variant
            seconds[name] = sum((job.marker or {})["provenance"]["seconds"] for job in cv)
    members += _extras(config, folder, competition, split, folds)
    members = _restricted(members, config)
    useless = idle(members)
    if len(useless) == len(members) > 0:
        raise PipelineError(f"no member can be blended: {members[0].name} is of no use, {useless[members[0].name]}")
    left_out += [f"{name} is left out: {reason}" for name, reason in useless.items()]
    members = [member for member in members if member.name not in useless]
    for member in members:
        if member.test is not None and member.test_ids.tolist() != competition.test.ids:
            raise PipelineError(f"the test predictions of {member.name} are not of this test table: train predicts it")
    if not members:
        raise PipelineError(
            f"no member covers folds {', '.join(map(str, folds))}; {'; '.join(left_out)}; train first, or blend --folds"
        )
    own_names = {member.name for member in members} - set(config.blend.extra)
    fits = {name: fits_of(jobs, name, folds) for name in sorted(own_names)}
    return Gathered(members, seconds, variants, predicting, fits, left_out)


def _predicting(jobs: Sequence[Job]) -> float | None:
    """Seconds in which these fits predict 1,000 rows; None if one was not timed."""
    timed = [(job.marker or {}).get("provenance", {}).get("predict_seconds") for job in jobs]
    return None if None in timed else float(sum(timed))


def fits_of(jobs: Sequence[Job], member: str, folds: Sequence[int]) -> str:
    """A hash of the fits that a member of these folds is made of; refits on every row are among them."""
    return digest([job.fingerprint for job in jobs if member in job.members.values() and job.fold in {*folds, "all"}])


def stale_member(blend: dict[str, Any], jobs: Sequence[Job]) -> str | None:
    """The first member of a blend that was trained with another recipe since; None if the blend is fresh."""
    stale = [name for name, fits in blend["fits"].items() if fits_of(jobs, name, blend["folds"]) != fits]
    return stale[0] if stale else None


def asked(config: Config) -> dict[str, Any]:
    """What a config asks of a blend, as plain values."""
    return {"metric": config.competition.model_dump()["metric"], **config.blend.model_dump()}


def check_fresh(blend: dict[str, Any], jobs: Sequence[Job], config: Config) -> None:
    """Raise PipelineError if the blend was made of other fits than the config's; warn if by other settings."""
    if changed := differences(blend["asked"], asked(config)):
        warn([f"the blend was made by other settings than this config's: {'; '.join(changed)}"])
    if member := stale_member(blend, jobs):
        raise PipelineError(f"the blend was made of other fits of {member} than this config's: train, then blend")


def _own_member(
    name: str, cv: Sequence[Job], refits: Sequence[Job], competition: Competition, split: Folds, folds: Sequence[int]
) -> Member:
    columns, table = competition.targets.columns, competition.test.sha256
    tests = [path for job in cv if (path := test_part(job.folder, name, table)).exists()]
    member = member_from_parts(
        name,
        [read_part(valid_part(job.folder, name), columns) for job in cv],
        [read_part(path, columns) for path in tests] if len(tests) == len(cv) else [],
        competition.ids,
        split.fold,
        folds,
        columns,
    )
    whole = [path for job in refits if (path := test_part(job.folder, name, table)).exists()]
    if whole and len(whole) == len(refits):
        # `folds: all`: the models trained on every row predict the test table, in place of the fold models
        parts = [
            read_part(path, columns).set_index("id").loc[competition.test.ids, columns].to_numpy() for path in whole
        ]
        member = replace(member, test_ids=np.array(competition.test.ids, object), test=np.mean(parts, axis=0)[None])
    return member


def _extras(config: Config, folder: Path, competition: Competition, split: Folds, folds: Sequence[int]) -> list[Member]:
    return [
        read_extra(
            name,
            folder / extra.oof,
            folder / extra.test,
            ids=competition.ids,
            fold=split.fold,
            folds_wanted=folds,
            columns=competition.targets.columns,
            task=competition.spec.task,
            test_ids=competition.test.ids,
        )
        for name, extra in config.blend.extra.items()
    ]


def _restricted(members: list[Member], config: Config) -> list[Member]:
    if config.blend.members is None:
        return members
    by_name = {member.name: member for member in members}
    for name in config.blend.members:
        if name not in by_name:
            raise PipelineError(
                f"blend.members names {name!r}, which is not a finished member{nearest(name, list(by_name))}; "
                f"finished are {', '.join(by_name) or 'none'}"
            )
    return [by_name[name] for name in config.blend.members]
