"""The members of a run: from the parts of finished fits, and from a teammate's files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from oof.members.external import read_extra
from oof.members.member import Array, Member, idle, member_from_parts, stack, without
from oof.members.prediction_files import read_part
from oof.members.rows import Rows, rows_of
from pipeline.blending.saved_blend import source_of
from pipeline.config.messages import nearest
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.data.tables import read_table, row_ids
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.fits.plan import make_jobs
from pipeline.fits.recipes import members_of, recorded_recipe
from pipeline.storage.run_directory import RunDirectory


@dataclass(frozen=True)
class Gathered:
    """Members that cover every wanted row, their training seconds, and a sentence for each one left out.

    Their OOF are views of `P` (members, rows, columns). `offered` are all that were whole, those left out among them.
    `fits` names, by member, what it was made of; `variants` the variant, by whose fits its members are predicted
    together, in `predicting` seconds per 1,000 rows where that was timed.
    """

    rows: Rows
    members: list[Member]
    P: Array
    seconds: dict[str, float]
    variants: dict[str, str]
    predicting: dict[str, float | None]
    fits: dict[str, str]
    left_out: list[str]
    offered: list[str]


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
    rows, test_ids = rows_of(competition.ids, split.fold, folds), np.array(competition.test.ids, dtype=object)
    trained, left_out = _trained(jobs, config, folds)
    variants = {name: variant for variant in trained for name in members_of(config, variant).values()}
    make: dict[str, Callable[[], Member]] = {
        name: partial(_own_member, name, trained[variant], competition, rows, test_ids)
        for name, variant in variants.items()
    }
    for name, files in config.blend.extra.items():
        make[name] = partial(_extra, name, folder / files.oof, folder / files.test, competition, rows, test_ids)
    names = _restricted(list(make), config)
    if not names:
        raise PipelineError(_none_whole(config, jobs, folds, left_out))
    bar = tqdm(names, "reading members", unit="member", delay=2, leave=False, disable=None)
    members, P = stack((make[name]() for name in bar), len(names), rows)
    useless = idle(members)
    if len(useless) == len(members):
        raise PipelineError(f"no member can be blended: {members[0].name} is of no use, {useless[members[0].name]}")
    left_out += [f"{name} is left out: {reason}" for name, reason in useless.items()]
    members, P = without(members, P, useless)
    return Gathered(
        rows=rows,
        members=members,
        P=P,
        seconds={name: trained[variant].seconds for name, variant in variants.items()},
        variants=variants,
        predicting={variant: fits.predicting for variant, fits in trained.items()},
        fits={member.name: source_of(member.name, jobs, folds, config, folder) for member in members},
        left_out=left_out,
        offered=list(make),
    )


@dataclass(frozen=True)
class _Fits:
    """The finished fits of a variant: those of the wanted folds, and those on all rows."""

    cv: list[Job]
    refits: list[Job]

    @property
    def seconds(self) -> float:
        """Of training, in the wanted folds."""
        return float(sum((job.marker or {})["provenance"]["seconds"] for job in self.cv))

    @property
    def predicting(self) -> float | None:
        """Seconds in which they predict 1,000 rows; None if one was not timed."""
        used = self.refits or self.cv
        timed = [(job.marker or {}).get("provenance", {}).get("predict_seconds") for job in used]
        return None if None in timed else float(sum(timed))


def _trained(jobs: Sequence[Job], config: Config, folds: Sequence[int]) -> tuple[dict[str, _Fits], list[str]]:
    """The variants whose fits of the wanted folds are all done, and a sentence on each other one."""
    trained: dict[str, _Fits] = {}
    left_out = []
    for variant in config.variants:
        own = [job for job in jobs if job.variant == variant]
        cv = [job for job in own if job.fold in folds]
        if cv and all(job.state != "fit" for job in cv):
            trained[variant] = _Fits(cv, [job for job in own if job.fold == "all"])
            continue
        done = sum(job.state != "fit" for job in cv)
        state = f"{done} of its {len(cv)} fits are done" if cv else "it was not trained with this config"
        left_out.append(f"{variant} is left out: {state}")
    return trained, left_out


def _none_whole(config: Config, jobs: Sequence[Job], folds: Sequence[int], left_out: Sequence[str]) -> str:
    undone = {(job.variant, job.fold) for job in jobs if job.state == "fit"}
    names = dict.fromkeys(job.variant for job in jobs)
    covered = max(([fold for fold in folds if (name, fold) not in undone] for name in names), key=len, default=[])
    less = f", or name the folds that one covers: --folds {','.join(map(str, covered))}" if covered else ""
    wanted = ", ".join(map(str, folds))
    return f"no member covers folds {wanted}: {'; '.join(left_out)}; train first, {config.command('train')}{less}"


def _own_member(
    name: str, fits: _Fits, competition: Competition, rows: Rows, test_ids: npt.NDArray[np.object_]
) -> Member:
    columns, table = competition.targets.columns, competition.test.sha256
    predicted = all(job.state == "done" for job in fits.cv)
    member = member_from_parts(
        name,
        [read_part(job.part(name, None), columns) for job in fits.cv],
        [read_part(job.part(name, table), columns) for job in fits.cv] if predicted else [],
        rows,
        columns,
    )
    if fits.refits and all(job.state == "done" for job in fits.refits):
        # `folds: all`: the models trained on every row predict the test table, in place of the fold models
        wholes = [read_part(job.part(name, table), columns).set_index("id") for job in fits.refits]
        parts = [whole.loc[competition.test.ids, columns].to_numpy() for whole in wholes]
        return replace(member, test_ids=test_ids, test=np.mean(parts, axis=0)[None])
    if member.test is None:
        return member
    if not np.array_equal(member.test_ids, test_ids):
        raise PipelineError(f"the test predictions of {name} are not of this test table: train predicts it")
    return replace(member, test_ids=test_ids)  # ids of its own would take more room than what it predicts for them


def _extra(
    name: str, oof: Path, test: Path, competition: Competition, rows: Rows, test_ids: npt.NDArray[np.object_]
) -> Member:
    return read_extra(
        name,
        oof,
        test,
        read=_predictions,
        wanted=rows,
        columns=competition.targets.columns,
        task=competition.spec.task,
        test_ids=test_ids,
    )


def _predictions(path: Path) -> pd.DataFrame:
    table = read_table(path, "predictions")
    row_ids(table, "id", path, "predictions")
    return table


def _restricted(whole: list[str], config: Config) -> list[str]:
    """The members to blend, in their order."""
    for name in config.blend.members or ():
        if name not in whole:
            raise PipelineError(
                f"blend.members names {name!r}, which is not a finished member{nearest(name, whole)}; "
                f"finished are {', '.join(whole) or 'none'}"
            )
    return config.blend.members or whole
