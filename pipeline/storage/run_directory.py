"""A run directory: where each leaf package's folder is, and the effective config of the run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.run_config import Config, effective_yaml
from pipeline.errors import PipelineError
from pipeline.storage.files import atomic

CONFIG = "config.yaml"
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


def run_directory(config: Config, folder: Path) -> RunDirectory:
    """The run directory of a config that lies in `folder`; nothing is created."""
    return RunDirectory(folder / "runs" / config.run)


def save_config(run: RunDirectory, config: Config) -> None:
    """Keep the effective config, defaults included, in the run, under a line that vouches for the others."""
    text = effective_yaml(config)
    with atomic(run.root / CONFIG) as temporary:
        temporary.write_text(_vouched(text), encoding="utf-8")


def check_config(path: Path) -> None:
    """Raise PipelineError if the config that a run keeps was changed since."""
    _, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    if path.read_bytes() != _vouched(text).encode():
        raise PipelineError(f"{path} is damaged or was changed since it was written: train writes it anew")


def _vouched(text: str) -> str:
    return f"# sha256 of the lines below: {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
