"""An open run: the typed parts of a config, the checked tables and folds, and the recorded fits, read once.

Every command that works on a run begins here. The config goes no further than this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from folds.spec import FoldSpec
from models.settings import Variant
from oof.spec import BlendSpec
from pipeline.config.run_config import CommandLine, RunConfig
from pipeline.data.competition import Competition, load_competition
from pipeline.data.fold_assignment import FoldAssignment, choose_folds, forecast_folds, open_folds
from pipeline.fits.job import Job
from pipeline.fits.plan import make_jobs
from pipeline.fits.recipes import find_recorded_recipe
from pipeline.storage.run_directory import RunDirectory, locate_run
from submissions.spec import SubmissionSpec

FoldSource = Literal["read", "make", "forecast"]


@dataclass(frozen=True)
class OpenRun:
    """A run and its competition. `folds` are those that the command is restricted to, of all in `split`.

    `base` is the folder that relative paths of the config start from.
    """

    base: Path
    directory: RunDirectory
    commands: CommandLine
    competition: Competition
    split: FoldAssignment
    folds: list[int]
    fold_spec: FoldSpec
    variants: Mapping[str, Variant]
    blend: BlendSpec
    submission: SubmissionSpec

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.directory.root.name

    @property
    def is_restricted(self) -> bool:
        """True if the command works on some of the folds only."""
        return len(self.folds) < len(self.split.numbers)

    @property
    def folds_option(self) -> str:
        """The option that restricts another command to the same folds; empty for all of them."""
        return format_folds_option(self.folds) if self.is_restricted else ""

    @cached_property
    def jobs(self) -> list[Job]:
        """Every fit of the variants that were trained, by their recorded recipes: no backbone is opened."""
        find_recipe = partial(find_recorded_recipe, self.directory, self.competition)
        return make_jobs(self.directory, list(self.variants.values()), self.competition, self.split, find_recipe)


def open_run(
    config: RunConfig, base: Path, *, folds: Sequence[int] | None = None, fold_source: FoldSource = "read"
) -> OpenRun:
    """Read and check the tables and folds of a config that lies in `base`.

    `fold_source`: read = the folds must be there; make = they are made where they are not; forecast = they are
    computed where they are not, and nothing is written. Raises PipelineError, FoldError or SubmissionError.
    """
    directory = locate_run(base, config.run)
    competition = load_competition(config.competition, config.submission, base)
    if fold_source == "forecast":
        split = forecast_folds(directory, config.folds, competition)
    else:
        split = open_folds(directory, config.folds, competition, make=fold_source == "make")
    return OpenRun(
        base=base,
        directory=directory,
        commands=config.command_line,
        competition=competition,
        split=split,
        folds=choose_folds(split, folds),
        fold_spec=config.folds,
        variants=config.build_variants(),
        blend=config.blend,
        submission=config.submission,
    )


def format_folds_option(folds: Sequence[int]) -> str:
    """Return the option for these folds, with a space before it."""
    return f" --folds {','.join(map(str, sorted(set(folds))))}"
