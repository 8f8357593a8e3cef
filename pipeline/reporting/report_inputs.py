"""What a report is made of: the members, the blend and the comparison of a run, with what is missing and what fills it.

A blend or a comparison of other fits, folds or settings counts as missing; a damaged one is refused.
"""

from dataclasses import dataclass

from models.store import describe_differences, read_json
from oof.blends.blend_file import SavedBlend
from oof.blends.problem import Problem
from oof.comparison.comparison_file import Comparison
from oof.members.prediction_files import read_predictions
from oof.types import Array
from pipeline.blending.level_one import build_problem
from pipeline.blending.run_members import RunMembers, gather_members
from pipeline.blending.saved_blend import (
    BLEND,
    COMPARISON,
    check_blend_file,
    describe_request,
    find_changed_source,
    read_saved_blend,
)
from pipeline.errors import PipelineError
from pipeline.fits.job import Job
from pipeline.fits.open_run import OpenRun
from pipeline.storage.checksums import read_sealed


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made of.

    `jobs` are the finished fits of the run's chosen folds, and those on every row. `ensemble` (rows, columns) are the
    predictions of the blend, cross-fitted if possible, or without a blend of the equal mean; `subject` says which.
    `missing` says why "blend" or "comparison" is None, unless there is nothing to compare.
    """

    run: OpenRun
    gathered: RunMembers
    problem: Problem
    jobs: list[Job]
    blend: SavedBlend | None
    comparison: Comparison | None
    ensemble: Array
    missing: dict[str, str]

    @property
    def subject(self) -> str:
        """The name of what `ensemble` holds."""
        if self.blend is None:
            return "the equal mean of all members"
        return "the blend, cross-fitted" if len(self.run.folds) > 1 else "the blend"

    def format_command(self, verb: str) -> str:
        """Return the command line of another verb for the same config, folds and, for `train`, variants."""
        run = self.run
        whole = [variant for variant in run.variants if variant in self.gathered.variants.values()]
        options = ""
        if verb == "train" and 0 < len(whole) < len(run.variants):
            options += f" --only {','.join(whole)}"
        if verb != "submit":
            options += run.folds_option
        return run.commands.format(verb, options)


def read_inputs(run: OpenRun) -> ReportInputs:
    """Read and check a run. Raises PipelineError, or a leaf's error, for damaged files and without a whole member."""
    gathered = gather_members(run)
    problem = build_problem(run, gathered)
    blend, no_blend = _read_blend(run)
    comparison, no_comparison = _read_comparison(run, gathered)
    missing = {"blend": no_blend, "comparison": no_comparison}
    return ReportInputs(
        run=run,
        gathered=gathered,
        problem=problem,
        jobs=[job for job in run.jobs if job.marker is not None and job.fold in {*run.folds, "all"}],
        blend=blend,
        comparison=comparison,
        ensemble=problem.P.mean(0) if blend is None else _read_predictions(run, blend, gathered),
        missing={name: reason for name, reason in missing.items() if reason},
    )


def _read_blend(run: OpenRun) -> tuple[SavedBlend | None, str | None]:
    """Return the blend, or the reason why it is missing."""
    if not (run.directory.oof / BLEND).exists():
        return None, "there is no blend yet"
    blend = read_saved_blend(run.directory)
    if changed := describe_differences(blend.asked, describe_request(run)):
        return None, f"the blend was made by other settings than this config's ({'; '.join(changed)})"
    if source := find_changed_source(run, blend):
        return None, f"the blend is older than the {source}"
    if blend.folds != run.folds:
        return None, f"the blend is of folds {', '.join(map(str, blend.folds))}, this report is not"
    return blend, None


def _read_comparison(run: OpenRun, gathered: RunMembers) -> tuple[Comparison | None, str | None]:
    """Return the comparison, or the reason why it is missing; neither for a single member."""
    path = run.directory.oof / COMPARISON
    if not path.exists():
        return None, "the members have not been compared yet" if len(gathered.members) > 1 else None
    found = Comparison.from_json(read_sealed(path, read_json, "compare again"))
    if (found.fits, found.folds, found.metric) != (gathered.fits, run.folds, run.competition.metric.name):
        return None, "the members were compared when they were made of other fits or folds"
    return found, None


def _read_predictions(run: OpenRun, blend: SavedBlend, gathered: RunMembers) -> Array:
    path = check_blend_file(run.directory, blend, "blend.parquet")
    ids, predictions = read_predictions(path, run.competition.targets.columns)
    if ids != gathered.members[0].ids.tolist():
        raise PipelineError(f"{path} holds other rows than the members: blend again")
    return predictions
