"""What there is to do of jobs, how much that is, and whether it can be done at all."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.fits.job import Job
from pipeline.fits.timing import Load, loads_of


def check_jobs(jobs: Sequence[Job], competition: Competition) -> None:
    """Refuse what cannot train before the first fit starts, not after the last. Raises ModelError."""
    from pipeline.fits import run_fit

    for job in {job.variant: job for job in jobs if job.state == "fit"}.values():  # all fits of a variant are alike
        run_fit.check_job(job, competition)


def loads_to_do(
    jobs: Sequence[Job], competition: Competition, split: Folds
) -> tuple[list[Load], list[tuple[Job, Load]]]:
    """The loads of all jobs as whole fits, and of those that are not done what is left of them."""
    loads = loads_of(jobs, competition, split, _token_size)
    return loads, [(job, _rest(job, load)) for job, load in zip(jobs, loads, strict=True) if job.state != "done"]


def _rest(job: Job, load: Load) -> Load:
    """What is to be done of a job: of one that is trained the test table, of one that was left the steps after that."""
    if job.state == "predict":
        return replace(load, train=0.0, valid=0.0)
    return replace(load, train=load.train * (1 - job.share_done))


def _token_size(job: Job) -> float:
    """What a token costs in the backbone of a neural job: the matrix products of the layers that are not frozen."""
    from pipeline.fits.caches import backbone_of

    backbone = backbone_of(job.settings)
    layers = backbone.layers - 1 - (job.settings["freeze_layers"] or 0)
    return float(layers * backbone.config.hidden_size**2)
