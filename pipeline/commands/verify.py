"""Verification of a whole run: every file is as it was written, none is missing, none is foreign."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.checkpoint import read_checkpoint
from models.store import CHECKPOINT, MARKER, RECIPE, read_json
from pipeline.blending.saved_blend import BLEND, COMPARISON
from pipeline.data.fold_assignment import PROVENANCE, REMEDY, read_fold_provenance
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.job import describe_remedy
from pipeline.fits.recipes import ORDER, describe_recipe_remedy, read_order, read_recipe
from pipeline.scheduling.live_status import STATUS_FILE
from pipeline.storage.checksums import ReadEntries, check_file, read_sealed
from pipeline.storage.files import PREFIX
from pipeline.storage.run_directory import CONFIG, LOG, REPORT_FOLDER, REPORT_RECORD, RunDirectory, check_config
from submissions.files import read_record


@dataclass
class FileChecks:
    """Files that a record vouches for, and a sentence on each that is not as it should be."""

    bar: "tqdm[Any]"
    known: set[Path] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def run_check(self, path: Path, check: Callable[[], Any]) -> Any:
        """Return the result of `check` on a file that may be there; None, and a problem more, if it raises one."""
        self.known.add(path)
        self.bar.update()
        try:
            return check()
        except PROBLEMS as problem:
            self.problems.append(str(problem))
            return None


@dataclass(frozen=True)
class SealedFile:
    """A JSON file that lists the checksums of others: how it is read, and what to do about damage."""

    path: Path
    read: ReadEntries
    remedy: str


def verify_run(directory: RunDirectory) -> str:
    """Read every file of a run and return a sentence. Raises PipelineError that lists damaged and foreign files."""
    root = directory.root
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and not _is_temporary(path)]
    with tqdm(total=len(paths), desc="checking", unit="file", delay=2, leave=False, disable=None) as bar:
        checks = FileChecks(bar)
        checks.run_check(root / CONFIG, lambda: check_config(root / CONFIG))
        checks.known.add(root / LOG)  # grows with every call of train, so it has no checksum
        for sealed in _list_sealed_files(directory):
            _check_sealed(checks, sealed)
        for folder in directory.models.glob("*/*/seed-*/fold-*"):
            if not (folder / MARKER).exists():
                _check_unfinished(checks, folder)
    foreign = [f"{path} is not a file of this run" for path in paths if path not in checks.known]
    problems = checks.problems + foreign
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise PipelineError(f"run {root.name} is damaged:{lines}")
    size = sum(path.stat().st_size for path in paths)
    return f"run {root.name}: {len(paths)} files, {size / 2**20:.1f} MiB, all as they were written"


def _is_temporary(path: Path) -> bool:
    """Return True for a lock, a file that is being written, and the status of a running `train`."""
    return path.suffix in (".lock", ".holder") or path.name == STATUS_FILE or path.parent.name.startswith(PREFIX)


def _list_sealed_files(directory: RunDirectory) -> Iterator[SealedFile]:
    """Yield the files that list the checksums of others."""
    yield SealedFile(directory.folds / PROVENANCE, read_fold_provenance, REMEDY)
    for recipe in sorted(directory.models.glob(f"*/*/{RECIPE}")):
        yield SealedFile(recipe, _read_recipe_files, describe_recipe_remedy(recipe))
    for order in sorted(directory.models.glob(f"*/{ORDER}")):
        yield SealedFile(order, read_order, "")
    for marker in sorted(directory.models.glob(f"*/*/seed-*/fold-*/{MARKER}")):
        yield _make_sealed(marker, read_json, describe_remedy(marker.parent))
    for name, command in ((BLEND, "blend"), (COMPARISON, "compare")):
        if (directory.oof / name).exists():
            yield _make_sealed(directory.oof / name, read_json, f"{command} again")
    report = directory.root / REPORT_FOLDER / REPORT_RECORD
    if report.exists():
        yield _make_sealed(report, read_json, "report again")
    for record in sorted(directory.submissions.glob("*.json")):
        yield _make_sealed(record, read_record, "submit again")


def _make_sealed(path: Path, read: ReadEntries, remedy: str) -> SealedFile:
    return SealedFile(path, lambda place: read_sealed(place, read, remedy), remedy)


def _read_recipe_files(path: Path) -> dict[str, Mapping[str, str]]:
    return {"files": read_recipe(path)[1]}


def _check_sealed(checks: FileChecks, sealed: SealedFile) -> None:
    """Check a sealed file and all files that it lists."""
    folder = sealed.path.parent
    content = checks.run_check(sealed.path, lambda: sealed.read(sealed.path))
    if content is None:  # which files belong to it is unknown
        checks.known.update(folder.rglob("*"))
        return
    for name in content["files"]:
        file = Path(os.path.normpath(folder / name))  # the report's page lies beside its record's folder
        checks.run_check(file, partial(check_file, file, name, content["files"], sealed.remedy))


def _check_unfinished(checks: FileChecks, folder: Path) -> None:
    """Check the checkpoint of an unfinished fit; its other files count for nothing."""
    checks.known.update(folder.iterdir())
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        checks.run_check(checkpoint, lambda: read_checkpoint(checkpoint, None))
