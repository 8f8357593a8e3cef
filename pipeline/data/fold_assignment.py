"""The folds of a run: made once by `train`, verified at every later step, never recomputed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from folds.checks import moved_to_train, parted, rarity, train_rows, valid_folds, valid_rows
from folds.columns import flags
from folds.components import components
from folds.fold_file import align, read_folds, read_provenance, verify, write_folds, write_provenance
from folds.splitters import split
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.data.tables import need_columns
from pipeline.errors import PipelineError
from pipeline.storage.checksums import check_file, checksums, unseal, write_sealed
from pipeline.storage.files import together
from pipeline.storage.run_directory import RunDirectory

FOLDS, PROVENANCE = "folds.csv", "folds.json"
REMEDY = "restore it, or use another `run:` name"


@dataclass(frozen=True)
class Folds:
    """`fold` and `component` run along the training rows; `numbers` are the folds that have OOF."""

    fold: np.ndarray
    kind: str
    component: np.ndarray
    numbers: list[int]
    warnings: list[str]

    def train(self, fold: int | str) -> np.ndarray:
        """Indices of the training rows of a fold; of every row for "all"."""
        mask = np.ones(len(self.fold), bool) if isinstance(fold, str) else train_rows(self.fold, fold, self.kind)
        return np.flatnonzero(mask)

    def valid(self, fold: int | str) -> np.ndarray:
        """Indices of the validation rows of a fold; none for "all"."""
        return np.flatnonzero(valid_rows(self.fold, fold)) if isinstance(fold, int) else np.zeros(0, np.int64)


def open_folds(run: RunDirectory, config: Config, competition: Competition, *, make: bool) -> Folds:
    """Read the folds of a run and verify them; with `make`, make them first where there are none.

    Raises FoldError if they were made from other rows or by other settings, or if there are none.
    """
    spec, ids = config.folds, competition.ids
    provenance = {**spec.model_dump(), "rows": competition.sha256}
    csv, described = run.folds / FOLDS, run.folds / PROVENANCE
    component = _components(config, competition)
    if make and not csv.exists():
        fold = _split(config, competition, component)
        with together(described, csv) as (provenance_file, fold_file):
            write_folds(fold_file, ids, fold)
            write_sealed(provenance_file, write_provenance, provenance, checksums([fold_file]))
    frame, made = read_folds(csv), read_sealed(described)
    verify(made, provenance)
    check_file(csv, csv.name, made["files"], REMEDY)
    return _warned(config, competition, align(frame, ids, csv), component)


def foreseen_folds(run: RunDirectory, config: Config, competition: Competition) -> Folds:
    """The folds of a run, those that `train` would make where there are none. Writes nothing; raises FoldError."""
    if (run.folds / FOLDS).exists():
        return open_folds(run, config, competition, make=False)
    component = _components(config, competition)
    return _warned(config, competition, _split(config, competition, component), component)


def _components(config: Config, competition: Competition) -> np.ndarray:
    groups = _column(competition, config.folds.group)
    return components(
        ["\n".join(text) for text in competition.texts],
        None if groups is None else groups.tolist(),
        config.folds.together is not None,
    )


def _warned(config: Config, competition: Competition, fold: np.ndarray, component: np.ndarray) -> Folds:
    spec = config.folds
    train_only = _column(competition, spec.train_only)
    names = competition.targets.classes or competition.targets.columns
    found = rarity(competition.targets.truth, competition.spec.task, fold, names, spec.kind)
    if train_only is not None:
        found += moved_to_train(fold, flags(train_only))
    found += parted(fold, component) if spec.kind in {"predefined", "time"} else []
    return Folds(fold, spec.kind, component, valid_folds(fold, spec.kind), found)


def read_sealed(path: Path) -> dict[str, Any]:
    """How the folds were made, with the checksum of their file. Raises PipelineError if it was changed since."""
    return unseal(read_provenance(path), path, REMEDY)


def chosen_folds(folds: Folds, wanted: Sequence[int] | None) -> list[int]:
    """The folds that a command is restricted to, all for None. Raises PipelineError for one without OOF."""
    if wanted is None:
        return folds.numbers
    if unknown := sorted(set(wanted) - set(folds.numbers)):
        raise PipelineError(
            f"--folds names fold {unknown[0]}, but the folds of this run are {', '.join(map(str, folds.numbers))}"
        )
    return sorted(set(wanted))


def _split(config: Config, competition: Competition, component: np.ndarray) -> np.ndarray:
    spec = config.folds
    return split(
        spec.kind,
        count=spec.count,
        seed=spec.seed,
        task=competition.spec.task,
        truth=competition.targets.truth,
        component=component,
        time=_column(competition, spec.time),
        predefined=_column(competition, spec.column),
        train_only=_column(competition, spec.train_only),
    )


def _column(competition: Competition, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    need_columns(competition.frame, [column], Path(competition.spec.train), "training table")
    return competition.frame[column].to_numpy(dtype=object)
