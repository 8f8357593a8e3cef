"""The files of a run's blend, and checks that it is complete and still of the config and its fits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.store import describe_differences, digest
from oof.blends.blend_file import SavedBlend, read_blend
from pipeline.display import print_warnings
from pipeline.errors import PipelineError
from pipeline.fits.open_run import OpenRun
from pipeline.storage.checksums import check_file, compute_checksum, verify_sealed
from pipeline.storage.run_directory import RunDirectory
from submissions.files import read_record

BLEND = "blend.json"
TEST = "blend.test.parquet"
COMPARISON = "compare.json"


def read_saved_blend(run: RunDirectory) -> SavedBlend:
    """Read the blend of a run, with the checksums of its `files`. Raises OOFError or PipelineError if it is damaged."""
    path = run.oof / BLEND
    blend = read_blend(path)
    verify_sealed(blend.to_json(), path, "blend again")
    return replace(blend, sha256=None)


def check_blend_file(run: RunDirectory, blend: SavedBlend, name: str) -> Path:
    """Return the path of a file of the blend. Raises PipelineError if it is missing or was changed."""
    return check_file(run.oof / name, name, blend.files or {}, "blend again")


def describe_request(run: OpenRun) -> dict[str, object]:
    """Return the settings that a blend is asked for with, as plain values."""
    return {"metric": run.competition.spec.model_dump()["metric"], **run.blend.model_dump()}


def hash_source(run: OpenRun, member: str, folds: Sequence[int]) -> str:
    """Return a hash of what a member is made of: its fits of these folds and on every row, or its files."""
    extra = run.blend.extra.get(member)
    if extra is not None:
        paths = [run.base / extra.oof, run.base / extra.test]
        sums = [compute_checksum(path) for path in paths if path.is_file()]
        return digest(sums if (extra.id, extra.form) == (None, "probabilities") else [*sums, extra.id, extra.form])
    fits = [job for job in run.jobs if member in job.members.values() and job.fold in {*folds, "all"}]
    return digest([job.fingerprint for job in fits])


def find_changed_source(run: OpenRun, blend: SavedBlend) -> str | None:
    """Return what has changed that the blend was made of ("fits of mean than this config's"), or None.

    A teammate's files may be gone: the blend holds their predictions.
    """
    own = {member for variant in run.variants.values() for member in variant.members.values()}
    for name, source in blend.fits.items():
        extra = run.blend.extra.get(name)
        if extra is None and name not in own:
            return f"members than the config's: {name} is no longer one"
        is_here = extra is None or ((run.base / extra.oof).is_file() and (run.base / extra.test).is_file())
        if is_here and hash_source(run, name, blend.folds) != source:
            return f"{'files' if extra else 'fits'} of {name} than this config's"
    return None


def list_new_members(run: OpenRun, blend: SavedBlend) -> list[str]:
    """Return the members that are complete now, or in files, and were not when the blend was made."""
    done: dict[str, bool] = {}
    for job in run.jobs:
        if job.fold in blend.folds:
            for member in job.members.values():
                done[member] = done.get(member, True) and job.state != "fit"
    whole = [*(name for name, all_done in done.items() if all_done), *run.blend.extra]
    return [name for name in whole if name not in blend.offered]


def check_fresh(run: OpenRun, blend: SavedBlend) -> None:
    """Raise PipelineError if the blend was made of other fits or files than the config's; warn if by other settings."""
    if changed := describe_differences(blend.asked, describe_request(run)):
        print_warnings([f"the blend was made by other settings than this config's: {'; '.join(changed)}"])
    if source := find_changed_source(run, blend):
        raise PipelineError(f"the blend was made of other {source}: train, then blend")
    if new := list_new_members(run, blend):
        print_warnings([f"the blend does not know {', '.join(new)}: blend again to offer it"])


def read_submission_record(path: Path) -> dict[str, Any] | None:
    """Return the record of what the submission at `path` was made of; None if `submit` wrote none there.

    Raises PipelineError or SubmissionError if file or record were changed since.
    """
    record, remedy = path.with_suffix(".json"), "submit again"
    if not (path.is_file() and record.is_file()):
        return None
    sealed = verify_sealed(read_record(record), record, remedy)
    check_file(path, path.name, sealed["files"], remedy)
    return sealed
