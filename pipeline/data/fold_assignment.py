"""The folds of a run: made once by `train`, verified at every later step, never recomputed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from folds import FoldError
from folds.checks import (
    describe_chain,
    describe_moved_rows,
    describe_rare_classes,
    describe_split_duplicates,
    describe_uneven_folds,
    list_valid_folds,
    select_train_rows,
    select_valid_rows,
)
from folds.columns import parse_flags
from folds.components import find_components
from folds.duplicates import encode_values, link_column, link_duplicates, normalise_texts
from folds.fold_file import align_folds, read_folds, read_provenance, verify_provenance, write_folds, write_provenance
from folds.spec import FoldSpec
from folds.splitters import split_rows
from pipeline.data.competition import Competition
from pipeline.data.tables import require_columns
from pipeline.data.texts import list_text_columns
from pipeline.errors import PipelineError
from pipeline.storage.checksums import check_file, compute_checksums, verify_sealed, write_sealed
from pipeline.storage.files import write_together
from pipeline.storage.run_directory import RunDirectory

FOLDS, PROVENANCE = "folds.csv", "folds.json"
REMEDY = "restore it, or use another `run:` name"


@dataclass(frozen=True)
class FoldAssignment:
    """The fold and the component of each training row (rows,); `numbers` are the folds that have OOF."""

    fold: np.ndarray
    kind: str
    component: np.ndarray
    numbers: list[int]
    warnings: list[str]

    def train(self, fold: int | str) -> np.ndarray:
        """Return the indices of the training rows of a fold; of every row for "all"."""
        mask = np.ones(len(self.fold), bool) if isinstance(fold, str) else select_train_rows(self.fold, fold, self.kind)
        return np.flatnonzero(mask)

    def valid(self, fold: int | str) -> np.ndarray:
        """Return the indices of the validation rows of a fold; none for "all"."""
        return np.flatnonzero(select_valid_rows(self.fold, fold)) if isinstance(fold, int) else np.zeros(0, np.int64)


def open_folds(directory: RunDirectory, spec: FoldSpec, competition: Competition, *, make: bool) -> FoldAssignment:
    """Read the folds of a run and verify them; with `make`, make them first where there are none.

    Raises FoldError if they were made from other rows or by other settings, or if there are none.
    """
    wanted = {**spec.model_dump(), "rows": competition.sha256}
    csv, provenance = directory.folds / FOLDS, directory.folds / PROVENANCE
    component = _find_components(spec, competition)
    if make and not csv.exists():
        fold = _split_or_explain(spec, competition, component)
        with write_together(provenance, csv) as (provenance_file, fold_file):
            write_folds(fold_file, competition.ids, fold)
            write_sealed(provenance_file, write_provenance, wanted, compute_checksums([fold_file]))
    frame = read_folds(csv)
    recorded = read_fold_provenance(provenance)
    verify_provenance(recorded, wanted)
    check_file(csv, csv.name, recorded["files"], REMEDY)
    return _assign(spec, competition, align_folds(frame, competition.ids, csv), component)


def forecast_folds(directory: RunDirectory, spec: FoldSpec, competition: Competition) -> FoldAssignment:
    """Return the folds of a run, or those that `train` would make. Writes nothing; raises FoldError."""
    if (directory.folds / FOLDS).exists():
        return open_folds(directory, spec, competition, make=False)
    component = _find_components(spec, competition)
    return _assign(spec, competition, _split_or_explain(spec, competition, component), component)


def read_fold_provenance(path: Path) -> Mapping[str, Any]:
    """Return how the folds were made, with the checksum of their file. Raises PipelineError if it was changed since."""
    return verify_sealed(read_provenance(path), path, REMEDY)


def choose_folds(folds: FoldAssignment, wanted: Sequence[int] | None) -> list[int]:
    """Return the folds that a command is restricted to, all for None. Raises PipelineError for one without OOF."""
    if wanted is None:
        return folds.numbers
    unknown = sorted(set(wanted) - set(folds.numbers))
    if unknown:
        raise PipelineError(
            f"--folds names fold {unknown[0]}, but the folds of this run are {', '.join(map(str, folds.numbers))}"
        )
    return sorted(set(wanted))


def describe_test_duplicates(competition: Competition) -> list[str]:
    """Return a sentence if texts of the test table are also in the training table."""
    known = set(normalise_texts(["\n".join(text) for text in competition.texts])) - {""}
    texts = normalise_texts(["\n".join(text) for text in competition.test.texts])
    found = sum(text in known for text in texts)
    return [f"{found:,} of {len(texts):,} test rows have the text of a training row"] if found else []


def _find_components(spec: FoldSpec, competition: Competition) -> np.ndarray:
    groups = _get_column(competition, spec.group)
    return find_components(
        len(competition.ids), _link_rows(spec, competition), None if groups is None else groups.tolist()
    )


def _link_rows(spec: FoldSpec, competition: Competition) -> list[np.ndarray]:
    """Return the codes (rows,) of what `folds.together` keeps in one fold."""
    rows = [] if competition.named is None else [encode_values(competition.named)]
    if spec.together is None:
        return rows
    if spec.together != "duplicates":
        return rows + [link_column(_read_column(competition, column).tolist()) for column in spec.together]
    text = competition.spec.text
    parts = {column: competition.frame[column].tolist() for column in list_text_columns(text)}
    return rows + link_duplicates(
        ["\n".join(texts) for texts in competition.texts], parts, is_pair=isinstance(text, list) and len(parts) == 2
    )


def _split_or_explain(spec: FoldSpec, competition: Competition, component: np.ndarray) -> np.ndarray:
    """Return the fold of each row. Raises FoldError, which names a text that chains groups."""
    try:
        return _split(spec, competition, component)
    except FoldError as error:
        if chain := _describe_chain(spec, competition, component):
            raise FoldError(f"{error}: {chain[0]}") from error
        raise


def _describe_chain(spec: FoldSpec, competition: Competition, component: np.ndarray) -> list[str]:
    groups = _get_column(competition, spec.group)
    if groups is None:
        return []
    texts = ["\n".join(texts) for texts in competition.texts]
    return describe_chain(texts, groups.tolist(), _link_rows(spec, competition), component, spec.count)


def _split(spec: FoldSpec, competition: Competition, component: np.ndarray) -> np.ndarray:
    return split_rows(
        spec.kind,
        count=spec.count,
        seed=spec.seed,
        task=competition.spec.task,
        truth=competition.targets.truth,
        component=component,
        time=_get_column(competition, spec.time),
        predefined=_get_column(competition, spec.column),
        train_only=_get_column(competition, spec.train_only),
    )


def _assign(spec: FoldSpec, competition: Competition, fold: np.ndarray, component: np.ndarray) -> FoldAssignment:
    """Return the folds with sentences on what is rare in them or was moved."""
    names = competition.targets.classes or competition.targets.columns
    warnings = describe_rare_classes(competition.targets.truth, competition.spec.task, fold, names, spec.kind)
    train_only = _get_column(competition, spec.train_only)
    if train_only is not None:
        warnings += describe_moved_rows(fold, parse_flags(train_only))
    if spec.kind in {"predefined", "time"}:
        warnings += describe_split_duplicates(fold, component)
    elif uneven := describe_uneven_folds(fold, component):
        warnings += [*_describe_chain(spec, competition, component), *uneven]
    return FoldAssignment(fold, spec.kind, component, list_valid_folds(fold, spec.kind), warnings)


def _get_column(competition: Competition, column: str | None) -> np.ndarray | None:
    return None if column is None else _read_column(competition, column)


def _read_column(competition: Competition, column: str) -> np.ndarray:
    require_columns(competition.frame, [column], Path(competition.spec.train), "training table")
    return competition.frame[column].to_numpy(dtype=object)
