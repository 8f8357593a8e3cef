"""A run directory: the folder of each leaf package, and the effective config of the run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.storage.files import write_atomically

CONFIG, LOG = "config.yaml", "train.log"
REPORT_PAGE, REPORT_FOLDER = "report.html", "report"
REPORT_RECORD = "report.json"  # in the folder, although the page lies beside it


@dataclass(frozen=True)
class RunDirectory:
    """`runs/<run>` beside the config file."""

    root: Path

    @property
    def folds(self) -> Path:
        """The folder of the package `folds`."""
        return self.root / "folds"

    @property
    def models(self) -> Path:
        """The folder of the package `models`."""
        return self.root / "models"

    @property
    def oof(self) -> Path:
        """The folder of the package `oof`."""
        return self.root / "oof"

    @property
    def submissions(self) -> Path:
        """The folder of the package `submissions`."""
        return self.root / "submissions"


def locate_run(base: Path, name: str) -> RunDirectory:
    """Return the directory of a run beside its config, which lies in `base`; nothing is created."""
    return RunDirectory(base / "runs" / name)


def save_config(directory: RunDirectory, text: str) -> None:
    """Write the effective config, defaults included, into the run, under a line with the checksum of the others."""
    with write_atomically(directory.root / CONFIG) as temporary:
        temporary.write_text(_add_checksum_line(text), encoding="utf-8")


def check_config(path: Path) -> None:
    """Raise PipelineError if the config in a run was changed since it was written."""
    _, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    if path.read_bytes() != _add_checksum_line(text).encode():
        raise PipelineError(f"{path} is damaged or was changed since it was written: train writes it again")


def _add_checksum_line(text: str) -> str:
    return f"# sha256 of the lines below: {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
