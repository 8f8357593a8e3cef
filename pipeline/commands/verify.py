"""A whole run checked: every file is as it was written, none is missing, none is there that the run did not make."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.checkpoint import read_checkpoint
from models.store import CHECKPOINT, MARKER, RECIPE, read_json
from oof.blends.blend_file import read_blend
from pipeline.blending.saved_blend import BLEND
from pipeline.commands.compare import COMPARISON
from pipeline.data.fold_assignment import PROVENANCE, REMEDY, read_sealed
from pipeline.errors import PROBLEMS, PipelineError
from pipeline.fits.job import again
from pipeline.fits.recipes import ORDER, anew, read_order, read_recipe
from pipeline.scheduling.live_status import LIVE
from pipeline.storage.checksums import check_file, open_sealed
from pipeline.storage.files import PREFIX
from pipeline.storage.run_directory import CONFIG, REPORT_FOLDER, REPORT_RECORD, RunDirectory, check_config
from submissions.files import read_record

Read = Callable[[Path], dict[str, Any]]


@dataclass
class Findings:
    """Files that somebody vouches for, and a sentence on each that is not as it should be."""

    bar: "tqdm[Any]"
    known: set[Path] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def look(self, path: Path, check: Callable[[], Any]) -> Any:
        """What `check` gives for a file that may be there; None if it does not like it."""
        self.known.add(path)
        self.bar.update()
        try:
            return check()
        except PROBLEMS as problem:
            self.wrong.append(str(problem))
            return None


def check_run(run: RunDirectory) -> str:
    """Read every file of a run; returns a sentence. Raises PipelineError that lists what is damaged or foreign."""
    found = [path for path in sorted(run.root.rglob("*")) if path.is_file() and not _passing(path)]
    with tqdm(total=len(found), desc="checking", unit="file", delay=2, leave=False, disable=None) as bar:
        findings = Findings(bar)
        findings.look(run.root / CONFIG, lambda: check_config(run.root / CONFIG))
        for path, read, remedy in _seals(run):
            _check_sealed(findings, path, read, remedy)
        for folder in run.models.glob("*/*/seed-*/fold-*"):
            if not (folder / MARKER).exists():
                _check_unfinished(findings, folder)
    wrong = findings.wrong + [f"{path} is nothing that this run made" for path in found if path not in findings.known]
    if wrong:
        listed = "".join(f"\n  {line}" for line in wrong)
        raise PipelineError(f"run {run.root.name} is not as it should be:{listed}")
    size = sum(path.stat().st_size for path in found)
    return f"run {run.root.name}: {len(found)} files, {size / 2**20:.1f} MiB, all as they were written"


def _passing(path: Path) -> bool:
    """Whether a file is a lock, one that is just being written, or what a running `train` says of itself."""
    return path.suffix == ".lock" or path.name == LIVE or path.parent.name.startswith(PREFIX)


def _seals(run: RunDirectory) -> Iterator[tuple[Path, Read, str]]:
    """Files that vouch for others: how to read them, and what to do about damage."""
    yield run.folds / PROVENANCE, read_sealed, REMEDY
    for recipe in sorted(run.models.glob(f"*/*/{RECIPE}")):
        yield recipe, _read_recipe, anew(recipe)
    for order in sorted(run.models.glob(f"*/{ORDER}")):
        yield order, read_order, ""
    for marker in sorted(run.models.glob(f"*/*/seed-*/fold-*/{MARKER}")):
        yield _sealed(marker, read_json, again(marker.parent))
    for name, read, verb in ((BLEND, read_blend, "blend"), (COMPARISON, read_json, "compare")):
        if (path := run.oof / name).exists():
            yield _sealed(path, read, f"{verb} again")
    if (record := run.root / REPORT_FOLDER / REPORT_RECORD).exists():
        yield _sealed(record, read_json, "report again")
    for record in sorted(run.submissions.glob("*.json")):
        yield _sealed(record, read_record, "submit again")


def _sealed(path: Path, read: Read, remedy: str) -> tuple[Path, Read, str]:
    return path, lambda place: open_sealed(place, read, remedy), remedy


def _read_recipe(path: Path) -> dict[str, Any]:
    return {"files": read_recipe(path)[1]}


def _check_sealed(findings: Findings, path: Path, read: Read, remedy: str) -> None:
    sealed = findings.look(path, lambda: read(path))
    if sealed is None:  # nobody can say any more which files belong to it
        findings.known.update(path.parent.rglob("*"))
        return
    for name in sealed["files"]:
        file = Path(os.path.normpath(path.parent / name))  # the report's page lies beside its record's folder
        findings.look(file, partial(check_file, file, name, sealed["files"], remedy))


def _check_unfinished(findings: Findings, folder: Path) -> None:
    """What a fit had written before it was cut off counts for nothing, but its checkpoint is read again."""
    findings.known.update(folder.iterdir())
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        findings.look(checkpoint, lambda: read_checkpoint(checkpoint, None))
