"""A job: one fit of a run, what it is made of, where it lies, and whether its files are as they were written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.checkpoint import read_share_done
from models.settings import PoolingSettings, TfidfSettings, TrainingSettings
from models.store import CHECKPOINT, FitMarker, Recipe, derive_seed, locate_test_part, locate_valid_part
from pipeline.storage.checksums import check_file

State = Literal["done", "predict", "fit"]


@dataclass(frozen=True)
class Job:
    """One fit: (variant, seed, fold) with its recipe, its folder and its state.

    `members` maps a pooling's name to the member it gives. `state`: fit = to be trained, predict = trained, but
    without predictions of this test table. `marker` is None for a fit that is not done.
    """

    variant: str
    seed: int
    fold: int | str
    settings: TrainingSettings | TfidfSettings
    poolings: Mapping[str, PoolingSettings]
    members: Mapping[str, str]
    recipe: Recipe
    folder: Path
    fingerprint: str
    marker: FitMarker | None
    state: State

    @property
    def is_linear(self) -> bool:
        """True for the linear model, False for an encoder."""
        return isinstance(self.settings, TfidfSettings)

    @property
    def training(self) -> TrainingSettings:
        """The settings of an encoder's training; not for a linear model."""
        assert isinstance(self.settings, TrainingSettings)
        return self.settings

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return self.settings.epochs if isinstance(self.settings, TrainingSettings) else 1

    @property
    def derived_seed(self) -> int:
        """The seed to set inside the fit."""
        return derive_seed(self.seed, self.variant, self.fold)

    @property
    def title(self) -> str:
        """The name of this fit in messages."""
        return f"{self.variant}, seed {self.seed}, fold {self.fold}"

    @property
    def recipe_folder(self) -> Path:
        """The folder of its recipe, which all seeds and folds share."""
        return self.folder.parent.parent

    @property
    def run_folder(self) -> Path:
        """The run directory."""
        return self.folder.parents[4]

    @property
    def seconds(self) -> float | None:
        """Seconds that the finished fit took; None if it is not done."""
        return None if self.marker is None else self.marker.provenance.seconds

    @property
    def share_done(self) -> float:
        """The share of its steps that its checkpoint has taken; 0 without one."""
        return read_share_done(self.folder / CHECKPOINT, self.fingerprint)

    @property
    def files(self) -> Mapping[str, str]:
        """The checksums of the files that the finished fit left, by name."""
        return {} if self.marker is None else self.marker.files

    def check_file(self, name: str) -> Path:
        """Return a file of the finished fit. Raises PipelineError if it is missing or not as it was written."""
        return check_file(self.folder / name, name, self.files, describe_remedy(self.folder))

    def check_part(self, member: str, table: str | None) -> Path:
        """Return a member's file of predictions, checked: of the test table with that hash, or of validation rows."""
        folder = self.folder
        path = locate_valid_part(folder, member) if table is None else locate_test_part(folder, member, table)
        return self.check_file(path.name)


def describe_remedy(folder: Path) -> str:
    """Return what to do about a damaged fit."""
    return f"remove {folder} and train again: only that fit is repeated"
