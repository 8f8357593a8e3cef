"""The sections on cost and reproduction: time, tokens per second, disk, and checksums of the inputs."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from models.store import BACKBONE, WEIGHTS, Provenance
from models.tfidf import NUMBERS, TERMS
from pipeline.data.fold_assignment import PROVENANCE, read_fold_provenance
from pipeline.fits.job import Job
from pipeline.reporting.report_inputs import ReportInputs
from pipeline.storage.run_directory import LOG


@dataclass(frozen=True)
class VariantCost:
    """The finished fits of a variant: how many, seconds of all, mean training tokens per second, and where they ran."""

    variant: str
    fits: int
    seconds: float
    rate: float | None
    environment: str


def compute_costs(inputs: ReportInputs) -> list[VariantCost]:
    """Return the cost of each variant, in the order of the config."""
    names = dict.fromkeys(job.variant for job in inputs.jobs)
    return [_compute_cost(name, [job for job in inputs.jobs if job.variant == name]) for name in names]


def measure_disk(inputs: ReportInputs) -> dict[str, int]:
    """Return bytes of the run by kind of file, the largest first, without the report itself."""
    root = inputs.run.directory.root
    sizes = Counter[str]()
    for path in root.rglob("*"):
        kind = _name_kind(path.relative_to(root))
        if kind and path.is_file():
            sizes[kind] += path.stat().st_size
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))


def list_checksums(inputs: ReportInputs) -> dict[str, str]:
    """Return the SHA-256 of the tables, backbones and folds that the run was made of."""
    files = read_fold_provenance(inputs.run.directory.folds / PROVENANCE)["files"]
    found = {"training table": inputs.run.competition.sha256, "test table": inputs.run.competition.test.sha256}
    backbones = {str(job.recipe.backbone_sha256): job for job in inputs.jobs if not job.is_linear}
    found.update({f"backbone {job.training.backbone}": sha256 for sha256, job in backbones.items()})
    found.update({f"folds/{name}": sha256 for name, sha256 in files.items()})
    return found


def _compute_cost(variant: str, jobs: list[Job]) -> VariantCost:
    provenances = [job.marker.provenance for job in jobs if job.marker is not None]
    measured = [provenance.train_tokens_per_second for provenance in provenances]
    rates = [rate for rate in measured if rate is not None]
    environments = dict.fromkeys(map(_describe_environment, provenances))
    return VariantCost(
        variant=variant,
        fits=len(jobs),
        seconds=float(sum(provenance.seconds for provenance in provenances)),
        rate=sum(rates) / len(rates) if rates else None,
        environment="; ".join(environments),
    )


def _describe_environment(provenance: Provenance) -> str:
    values = {"device": provenance.device, "precision": provenance.precision, "threads": provenance.threads}
    values["torch"] = provenance.torch
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)


def _name_kind(path: Path) -> str | None:
    """Return the kind of a file of the run; None for a temporary one or a report."""
    if path.parts[0].startswith(("report", ".")) or path.suffix == ".lock":
        return None
    if path.name in {WEIGHTS, TERMS, NUMBERS}:
        return "weights"
    if BACKBONE in path.parts:
        return "backbones: configuration and tokenizer"
    if path.parts[0] == "models":
        return "predictions of fits" if path.suffix == ".parquet" else "markers, recipes and checkpoints"
    kinds = {"oof": "members and blend", "folds": "folds", "submissions": "submissions", LOG: "log"}
    return kinds.get(path.parts[0], "config")
