"""A run directory: where each leaf package's folder is, and the effective config of the run."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config, write_config
from pipeline.files import atomic


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
    """Keep the effective config, defaults included, in the run."""
    with atomic(run.root / "config.yaml") as temporary:
        write_config(temporary, config)
