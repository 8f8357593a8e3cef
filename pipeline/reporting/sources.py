"""What a report is made of: the members, the blend and the comparison of a run, with what is missing and what fills it.

A blend or a comparison of other fits, folds or settings counts as missing; a damaged one is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.store import differences, read_json
from oof.blends.problem import Problem
from oof.members.prediction_files import read_frame
from oof.metrics.functions import Array
from pipeline.blending.level_one import level_one
from pipeline.blending.run_members import Gathered, gather, recorded_jobs
from pipeline.blending.saved_blend import BLEND, asked, blended_file, changed_source, read_blended
from pipeline.commands.compare import COMPARISON
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import Folds, chosen_folds, open_folds
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.storage.checksums import open_sealed
from pipeline.storage.run_directory import RunDirectory, run_directory

Plain = dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """`ensemble` (rows, columns) are predictions of the blend, cross-fitted where they can be, or of the equal mean of
    members where there is no blend, as `of` says.

    `jobs` are the finished fits of `folds`, refits on every row among them; `all_jobs` those of the whole config.
    `missing` says why "blend" or "comparison" is None, unless there is nothing to compare.
    """

    config: Config
    folder: Path
    run: RunDirectory
    competition: Competition
    split: Folds
    folds: list[int]
    gathered: Gathered
    problem: Problem
    jobs: list[Job]
    all_jobs: list[Job]
    blend: Plain | None
    comparison: Plain | None
    ensemble: Array
    missing: dict[str, str]

    @property
    def of(self) -> str:
        """What `ensemble` holds."""
        if self.blend is None:
            return "the equal mean of all members"
        return "the blend, cross-fitted" if len(self.folds) > 1 else "the blend"

    def command(self, verb: str) -> str:
        """The command line of another verb for the same config, folds and, for `train`, variants."""
        whole = [variant for variant in self.config.variants if variant in self.gathered.variants.values()]
        only = verb == "train" and 0 < len(whole) < len(self.config.variants)
        restricted = verb != "submit" and len(self.folds) < len(self.split.numbers)
        line = self.config.command(verb) + (f" --only {','.join(whole)}" if only else "")
        return line + (f" --folds {_listed(self.folds)}" if restricted else "")


def read_sources(config: Config, folder: Path, wanted: Sequence[int] | None) -> Sources:
    """Read and check a run. Raises PipelineError, or a leaf's error, for what is damaged, and if no member is whole."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    folds = chosen_folds(split, wanted)
    jobs = recorded_jobs(run, config, competition, split, competition.test.sha256)
    gathered = gather(run, config, folder, competition, split, folds)
    problem = level_one(gathered, competition, split)
    blend, no_blend = _blend(run, config, folder, jobs, folds)
    comparison, no_comparison = _comparison(run, gathered, folds, competition.metric.name)
    missing = {"blend": no_blend, "comparison": no_comparison}
    return Sources(
        config=config,
        folder=folder,
        run=run,
        competition=competition,
        split=split,
        folds=folds,
        gathered=gathered,
        problem=problem,
        jobs=[job for job in jobs if job.marker is not None and job.fold in {*folds, "all"}],
        all_jobs=jobs,
        blend=blend,
        comparison=comparison,
        ensemble=problem.P.mean(0) if blend is None else _predictions(run, blend, competition, gathered),
        missing={name: said for name, said in missing.items() if said},
    )


def _listed(folds: Sequence[int]) -> str:
    return ",".join(map(str, folds))


def _blend(
    run: RunDirectory, config: Config, folder: Path, jobs: Sequence[Job], folds: Sequence[int]
) -> tuple[Plain | None, str | None]:
    if not (run.oof / BLEND).exists():
        return None, "there is no blend yet"
    blend = read_blended(run)
    if changed := differences(blend["asked"], asked(config)):
        return None, f"the blend was made by other settings than this config's ({'; '.join(changed)})"
    if source := changed_source(blend, jobs, config, folder):
        return None, f"the blend is older than the {source}"
    if blend["folds"] != folds:
        return None, f"the blend is of folds {', '.join(map(str, blend['folds']))}, this report is not"
    return blend, None


def _comparison(
    run: RunDirectory, gathered: Gathered, folds: Sequence[int], metric: str
) -> tuple[Plain | None, str | None]:
    path = run.oof / COMPARISON
    if not path.exists():
        return None, "nobody has compared the members yet" if len(gathered.members) > 1 else None
    found = open_sealed(path, read_json, "compare again")
    if (found["fits"], found["folds"], found["metric"]) != (gathered.fits, folds, metric):
        return None, "the members were compared when they were made of other fits or folds"
    return found, None


def _predictions(run: RunDirectory, blend: Plain, competition: Competition, gathered: Gathered) -> Array:
    path = blended_file(run, blend, "blend.parquet")
    ids, predictions = read_frame(path, competition.targets.columns)
    if ids != gathered.members[0].ids.tolist():
        raise PipelineError(f"{path} holds other rows than the members: blend again")
    return predictions
