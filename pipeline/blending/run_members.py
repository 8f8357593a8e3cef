"""The members of a run: from the predictions of finished fits, and from a teammate's files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from oof.members.external import read_external_member
from oof.members.member import Member, drop_members, find_useless_members, join_parts, stack_members
from oof.members.prediction_files import read_part
from oof.members.rows import WantedRows, select_rows
from oof.spec import BlendSpec
from oof.types import Array
from pipeline.blending.external_tables import read_external_table
from pipeline.blending.saved_blend import hash_source
from pipeline.config.messages import suggest_nearest
from pipeline.data.competition import Competition
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.fits.open_run import OpenRun, format_folds_option


@dataclass(frozen=True)
class RunMembers:
    """The members that cover every wanted row, their training `seconds`, and a sentence for each member left out.

    Their OOF predictions are views of `P` (members, rows, columns). `offered` are all complete members, with those left
    out. By member, `fits` is a hash of what it was made of, and `variants` its variant. By variant, `predicting` is the
    seconds in which its fits predict 1,000 rows for all its members, or None where that was not timed.
    """

    rows: WantedRows
    members: list[Member]
    P: Array
    seconds: dict[str, float]
    variants: dict[str, str]
    predicting: dict[str, float | None]
    fits: dict[str, str]
    left_out: list[str]
    offered: list[str]


def gather_members(run: OpenRun) -> RunMembers:
    """Return all members that have OOF for the run's chosen folds, in the order of the config, then external ones.

    Raises PipelineError if there is none, or if `blend.members` names one that is not there.
    """
    competition = run.competition
    rows = select_rows(competition.ids, run.split.fold, run.folds)
    test_ids = np.array(competition.test.ids, dtype=object)
    trained, left_out = _find_trained(run)
    variants = {name: variant for variant in trained for name in run.variants[variant].members.values()}
    make: dict[str, Callable[[], Member]] = {
        name: partial(_read_own_member, name, trained[variant], competition, rows, test_ids)
        for name, variant in variants.items()
    }
    for name, files in run.blend.extra.items():
        oof, test = run.base / files.oof, run.base / files.test
        read = partial(read_external_table, extra=files, competition=competition)
        make[name] = partial(_read_external_member, name, oof, test, competition, rows, test_ids, read)
    names = _restrict_names(list(make), run.blend)
    if not names:
        raise PipelineError(_explain_no_member(run, left_out))
    bar = tqdm(names, "reading members", unit="member", delay=2, leave=False, disable=None)
    members, P = stack_members((make[name]() for name in bar), len(names), rows)
    useless = find_useless_members(members)
    if len(useless) == len(members):
        raise PipelineError(f"no member can be blended: {members[0].name} is of no use, {useless[members[0].name]}")
    left_out += [f"{name} is left out: {reason}" for name, reason in useless.items()]
    members, P = drop_members(members, P, useless)
    return RunMembers(
        rows=rows,
        members=members,
        P=P,
        seconds={name: trained[variant].seconds for name, variant in variants.items()},
        variants=variants,
        predicting={variant: fits.predicting for variant, fits in trained.items()},
        fits={member.name: hash_source(run, member.name, run.folds) for member in members},
        left_out=left_out,
        offered=list(make),
    )


@dataclass(frozen=True)
class _VariantFits:
    """The finished fits of a variant: those of the wanted folds, and those on all rows."""

    cv: list[Job]
    refits: list[Job]

    @property
    def seconds(self) -> float:
        """Training time in the wanted folds."""
        return float(sum(job.seconds or 0.0 for job in self.cv))

    @property
    def predicting(self) -> float | None:
        """Seconds in which the fits predict 1,000 rows; None if one was not timed."""
        used = self.refits or self.cv
        timed = [job.marker.provenance.predict_seconds for job in used if job.marker is not None]
        known = [seconds for seconds in timed if seconds is not None]
        return float(sum(known)) if len(known) == len(used) else None


def _find_trained(run: OpenRun) -> tuple[dict[str, _VariantFits], list[str]]:
    """Return the variants whose fits of the chosen folds are all done, and a sentence on each of the others."""
    trained: dict[str, _VariantFits] = {}
    left_out = []
    for variant in run.variants:
        own = [job for job in run.jobs if job.variant == variant]
        cv = [job for job in own if job.fold in run.folds]
        if cv and all(job.state != "fit" for job in cv):
            trained[variant] = _VariantFits(cv, [job for job in own if job.fold == "all"])
            continue
        done = sum(job.state != "fit" for job in cv)
        state = f"{done} of its {len(cv)} fits are done" if cv else "it was not trained with this config"
        left_out.append(f"{variant} is left out: {state}")
    return trained, left_out


def _explain_no_member(run: OpenRun, left_out: Sequence[str]) -> str:
    missing = {(job.variant, job.fold) for job in run.jobs if job.state == "fit"}
    names = dict.fromkeys(job.variant for job in run.jobs)
    covered = [[fold for fold in run.folds if (name, fold) not in missing] for name in names]
    most = max(covered, key=len, default=[])
    hint = f", or name the folds that one member covers:{format_folds_option(most)}" if most else ""
    wanted = ", ".join(map(str, run.folds))
    return f"no member covers folds {wanted}: {'; '.join(left_out)}; train first, {run.commands.format('train')}{hint}"


def _read_own_member(
    name: str, fits: _VariantFits, competition: Competition, rows: WantedRows, test_ids: npt.NDArray[np.object_]
) -> Member:
    columns, table = competition.targets.columns, competition.test.sha256
    predicted = all(job.state == "done" for job in fits.cv)
    member = join_parts(
        name,
        [read_part(job.check_part(name, None), columns) for job in fits.cv],
        [read_part(job.check_part(name, table), columns) for job in fits.cv] if predicted else [],
        rows,
        columns,
    )
    if fits.refits and all(job.state == "done" for job in fits.refits):
        # `folds: all`: the models trained on every row predict the test table, in place of the fold models
        wholes = [read_part(job.check_part(name, table), columns).set_index("id") for job in fits.refits]
        parts = [whole.loc[competition.test.ids, columns].to_numpy() for whole in wholes]
        return replace(member, test_ids=test_ids, test=np.mean(parts, axis=0)[None])
    if member.test is None:
        return member
    if not np.array_equal(member.test_ids, test_ids):
        raise PipelineError(f"the test predictions of {name} are not of this test table: train predicts it")
    return replace(member, test_ids=test_ids)  # ids of its own would take more room than what it predicts for them


def _read_external_member(
    name: str,
    oof: Path,
    test: Path,
    competition: Competition,
    rows: WantedRows,
    test_ids: npt.NDArray[np.object_],
    read: Callable[[Path], pd.DataFrame],
) -> Member:
    return read_external_member(
        name,
        oof,
        test,
        read=read,
        wanted=rows,
        columns=competition.targets.columns,
        task=competition.spec.task,
        test_ids=test_ids,
    )


def _restrict_names(whole: list[str], blend: BlendSpec) -> list[str]:
    """Return the members to blend, in their order."""
    for name in blend.members or ():
        if name not in whole:
            raise PipelineError(
                f"blend.members names {name!r}, which is not a finished member{suggest_nearest(name, whole)}; "
                f"finished are {', '.join(whole) or 'none'}"
            )
    return blend.members or whole
