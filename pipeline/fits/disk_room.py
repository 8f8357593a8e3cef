"""The room that fits need on the disk, known before they start: hours of training are lost where it is not there."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.fits.caches import open_backbone_of
from pipeline.fits.job import Job

WEIGHT_BYTES = {"fp32": 4, "fp16": 2, "none": 0}  # of a parameter, by training.save_weights
CHECKPOINT_BYTES = 12  # of a parameter: its weight and the two moments of AdamW
GIB = 2**30


def estimate_room(jobs: Sequence[Job], at_once: int) -> tuple[int, int]:
    """Return the bytes of the weights that fits will leave, and of the checkpoints while `at_once` of them run.

    A checkpoint is written beside the former one. Predictions, logs and tokenizers are small.
    """
    parameters = [open_backbone_of(job.training).parameters for job in jobs if not job.is_linear]
    weights = sum(
        count * WEIGHT_BYTES[job.training.save_weights]
        for count, job in zip(parameters, (job for job in jobs if not job.is_linear), strict=True)
    )
    largest = sorted(parameters, reverse=True)[:at_once]
    return weights, 2 * CHECKPOINT_BYTES * sum(largest)


def check_room(jobs: Sequence[Job], folder: Path, at_once: int) -> None:
    """Raise PipelineError if the disk of the run's folder has less room than fits that are not done need."""
    weights, checkpoints = estimate_room([job for job in jobs if job.state == "fit"], at_once)
    free = shutil.disk_usage(folder).free
    if weights + checkpoints <= free:
        return
    needed, parts = weights + checkpoints, f"{weights / GIB:.2f} for weights, {checkpoints / GIB:.2f} for checkpoints"
    raise PipelineError(
        f"{folder} has {free / GIB:.2f} GiB free, but the fits that are left need about {needed / GIB:.2f}: {parts} "
        "while they run; training.save_weights: fp16 halves the weights, none keeps predictions only"
    )
