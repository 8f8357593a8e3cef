"""A job: one fit, what it is made of, where it lives, and whether what it left is as it was written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.checkpoint import share_done
from models.store import CHECKPOINT, derive_seed, test_part, valid_part
from pipeline.storage.checksums import check_file

State = Literal["done", "predict", "fit"]


@dataclass(frozen=True)
class Job:
    """One fit: (variant, seed, fold), what it is made of and where it lives.

    `members` maps a pooling's name to the member it gives. `state`: fit = to be trained, predict = trained, but
    without predictions of this test table.
    """

    variant: str
    seed: int
    fold: int | str
    settings: dict[str, Any]
    poolings: dict[str, dict[str, Any]]
    members: dict[str, str]
    recipe: dict[str, Any]
    folder: Path
    fingerprint: str
    marker: dict[str, Any] | None
    state: State

    @property
    def linear(self) -> bool:
        """Whether the variant is the linear one."""
        return "model" in self.settings

    @property
    def derived_seed(self) -> int:
        """The seed to set inside the fit."""
        return derive_seed(self.seed, self.variant, self.fold)

    @property
    def title(self) -> str:
        """What messages call this fit."""
        return f"{self.variant}, seed {self.seed}, fold {self.fold}"

    @property
    def share_done(self) -> float:
        """The share of the steps that its checkpoint has behind it, if it was left in the middle."""
        return share_done(self.folder / CHECKPOINT, self.fingerprint)

    @property
    def files(self) -> dict[str, str]:
        """The checksums of what the finished fit left, by name."""
        found: dict[str, str] = (self.marker or {}).get("files", {})
        return found

    def checked(self, name: str) -> Path:
        """A file of the finished fit. Raises PipelineError if it is missing or not as it was written."""
        return check_file(self.folder / name, name, self.files, again(self.folder))

    def part(self, member: str, table: str | None) -> Path:
        """The part of a member, checked: of the test table with that hash, or for None of the validation rows."""
        path = valid_part(self.folder, member) if table is None else test_part(self.folder, member, table)
        return self.checked(path.name)


def again(folder: Path) -> str:
    """What to do about a damaged fit."""
    return f"remove {folder} and train again, which does that fit alone"
