"""The blend as it stands in a run: whether it is whole, and whether it is still that of the config and its fits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.store import differences, digest
from oof.blends.blend_file import read_blend
from pipeline.config.run_config import Config
from pipeline.display import warn
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.fits.recipes import members_of
from pipeline.storage.checksums import check_file, checksum, unseal
from pipeline.storage.run_directory import RunDirectory

BLEND, TEST = "blend.json", "blend.test.parquet"


def read_blended(run: RunDirectory) -> dict[str, Any]:
    """The blend of a run, with the checksums of its `files`. Raises OOFError or PipelineError if it is no whole one."""
    path = run.oof / BLEND
    return unseal(read_blend(path), path, "blend again")


def blended_file(run: RunDirectory, blend: dict[str, Any], name: str) -> Path:
    """A file that the blend vouches for. Raises PipelineError if it is missing or not as it was written."""
    return check_file(run.oof / name, name, blend["files"], "blend again")


def asked(config: Config) -> dict[str, Any]:
    """What a config asks of a blend, as plain values."""
    return {"metric": config.competition.model_dump()["metric"], **config.blend.model_dump()}


def source_of(member: str, jobs: Sequence[Job], folds: Sequence[int], config: Config, folder: Path) -> str:
    """A hash of what a member of these folds is made of: its fits, refits on every row among them, or its files."""
    if extra := config.blend.extra.get(member):
        return digest([checksum(path) for path in (folder / extra.oof, folder / extra.test) if path.is_file()])
    return digest([job.fingerprint for job in jobs if member in job.members.values() and job.fold in {*folds, "all"}])


def changed_source(blend: dict[str, Any], jobs: Sequence[Job], config: Config, folder: Path) -> str | None:
    """What the blend was made of that is something else by now: "fits of mean"; None if the blend is fresh.

    A teammate's files need not be here any more.
    """
    own = {member for variant in config.variants for member in members_of(config, variant).values()}
    for name, source in blend["fits"].items():
        extra = config.blend.extra.get(name)
        if extra is None and name not in own:
            return f"members than the config's: {name} is no longer one"
        here = extra is None or ((folder / extra.oof).is_file() and (folder / extra.test).is_file())
        if here and source_of(name, jobs, blend["folds"], config, folder) != source:
            return f"{'files' if extra else 'fits'} of {name} than this config's"
    return None


def not_offered(blend: dict[str, Any], jobs: Sequence[Job], config: Config) -> list[str]:
    """Members that are whole by now, or in files, and were not when the blend was made."""
    done: dict[str, bool] = {}
    for job in jobs:
        if job.fold in blend["folds"]:
            for member in job.members.values():
                done[member] = done.get(member, True) and job.state != "fit"
    whole = [*(name for name, all_done in done.items() if all_done), *config.blend.extra]
    return [name for name in whole if name not in blend["offered"]]


def check_fresh(blend: dict[str, Any], jobs: Sequence[Job], config: Config, folder: Path) -> None:
    """Raise PipelineError if the blend was made of other fits or files than the config's; warn if by other settings."""
    if changed := differences(blend["asked"], asked(config)):
        warn([f"the blend was made by other settings than this config's: {'; '.join(changed)}"])
    if source := changed_source(blend, jobs, config, folder):
        raise PipelineError(f"the blend was made of other {source}: train, then blend")
    if new := not_offered(blend, jobs, config):
        warn([f"the blend does not know {', '.join(new)}: blend again to offer it"])
