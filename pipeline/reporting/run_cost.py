"""What a run cost: time, tokens a second, disk; and what it takes to make it again."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from models.store import BACKBONE, WEIGHTS
from models.tfidf import NUMBERS, TERMS
from pipeline.data.fold_assignment import PROVENANCE, read_sealed
from pipeline.fits.job import Job
from pipeline.reporting.sources import Sources

RATE = "train_tokens_per_second"
ENVIRONMENT = ("device", "precision", "threads", "torch")


@dataclass(frozen=True)
class Cost:
    """Of a variant's finished fits: how many, seconds of all, mean training tokens a second, and where they ran."""

    variant: str
    fits: int
    seconds: float
    rate: float | None
    environment: str


def costs(sources: Sources) -> list[Cost]:
    """By variant, in the order of the config."""
    names = dict.fromkeys(job.variant for job in sources.jobs)
    return [_cost(name, [job for job in sources.jobs if job.variant == name]) for name in names]


def disk(sources: Sources) -> dict[str, int]:
    """Bytes of the run by kind of file, the largest first; reports, which would count themselves, are left out."""
    root, sizes = sources.run.root, Counter[str]()
    for path in root.rglob("*"):
        kind = _kind(path.relative_to(root))
        if kind and path.is_file():
            sizes[kind] += path.stat().st_size
    return dict(sorted(sizes.items(), key=lambda one: (-one[1], one[0])))


def checksums(sources: Sources) -> dict[str, str]:
    """SHA-256 of what the run was made of."""
    files = read_sealed(sources.run.folds / PROVENANCE)["files"]
    found = {"training table": sources.competition.sha256, "test table": sources.competition.test.sha256}
    backbones = {str(job.recipe.get("backbone_sha256")): job for job in sources.jobs if not job.linear}
    found.update({f"backbone {job.settings['backbone']}": sha256 for sha256, job in backbones.items()})
    found.update({f"folds/{name}": sha256 for name, sha256 in files.items()})
    return found


def _cost(variant: str, jobs: list[Job]) -> Cost:
    ran = [(job.marker or {})["provenance"] for job in jobs]
    rates = [one[RATE] for one in ran if RATE in one]
    said = dict.fromkeys(", ".join(f"{key} {one[key]}" for key in ENVIRONMENT if key in one) for one in ran)
    rate = sum(rates) / len(rates) if rates else None
    return Cost(variant, len(jobs), float(sum(one["seconds"] for one in ran)), rate, "; ".join(said))


def _kind(path: Path) -> str | None:
    """What a file of the run is, None for one that comes and goes."""
    if path.parts[0].startswith(("report", ".")) or path.suffix == ".lock":
        return None
    if path.name in {WEIGHTS, TERMS, NUMBERS}:
        return "weights"
    if BACKBONE in path.parts:
        return "backbones: configuration and tokenizer"
    if path.parts[0] == "models":
        return "predictions of fits" if path.suffix == ".parquet" else "markers, recipes and checkpoints"
    return {"oof": "members and blend", "folds": "folds", "submissions": "submissions"}.get(path.parts[0], "config")
