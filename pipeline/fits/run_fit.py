"""One fit: train it, predict with it, and execute a request for it.

Every engine calls `run_request`, in any process on any machine. Everything that a fit needs comes as arguments. A
linear fit imports no torch: what it needs is in `neural_fit`.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from models import ModelError
from models.checkpoint import Checkpoint
from models.device_errors import describe_lost_device, is_device_lost
from models.settings import TfidfSettings, count_steps_per_epoch
from models.store import BACKBONE, RECIPE, EpochLog, FitMarker, Provenance, convert_to_per_thousand, write_json
from models.tfidf import NUMBERS, TERMS, fit_linear, read_linear
from models.training.hooks import Decision, FitHooks, StepReport, TrainingInterruptedError
from pipeline.data.competition import Competition, TextTable
from pipeline.errors import PipelineError
from pipeline.fits.caches import Caches
from pipeline.fits.checkpoint_writer import CheckpointWriter
from pipeline.fits.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    FitFinished,
    FitInterrupted,
    FitLost,
    FitRequest,
    FitResult,
    StepsTaken,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import FitStorage, Predictions, describe_failure, save_test_predictions
from pipeline.fits.recipes import read_recipe
from pipeline.fits.timing import Pace
from pipeline.storage.checksums import check_file, compute_checksum, write_sealed
from pipeline.storage.files import raise_plain_errors, write_atomically


def run_request(
    request: FitRequest,
    inputs: FitInputs,
    caches: Caches,
    storage: FitStorage,
    *,
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Execute one fit request and save its result; the last event is FitFinished, FitInterrupted, FitFailed or FitLost.

    A fit starts from its checkpoint, saves one every `request.interval` seconds of `clock`, and stops with one as soon
    as `should_stop` returns True. After FitLost this process cannot use its GPU any more. Raises OSError for what the
    machine refuses, such as room on the disk.
    """
    job = request.job
    started = clock()
    pace = Pace(request.load, request.steps, started)
    writer = CheckpointWriter(storage.save_checkpoint, request.interval, clock, storage.saves_in_background)

    def report_step(step: StepReport) -> None:
        pace.note_step(clock())
        on_event(StepsTaken(1, step.tokens, step.losses, pace))

    def report_epoch(epoch: EpochLog) -> None:
        on_event(EpochEnded(epoch))

    def report_save(wait: bool = False) -> None:
        if writer.collect(wait):
            on_event(CheckpointSaved())

    def decide() -> Decision:
        report_save()
        if should_stop():
            return "stop"
        return "save" if writer.is_due() else "continue"

    def save_checkpoint(checkpoint: Checkpoint) -> None:
        report_save(wait=True)
        writer.write(checkpoint)

    marker: FitMarker | None = None  # stays None where only the test table is predicted
    try:
        with _release_memory_after(job):
            if job.state == "predict":
                predictions = predict_job(job, inputs.test, caches, inputs.task, len(inputs.columns))
                save_test_predictions(job, predictions, inputs.test, inputs.columns)
            else:
                hooks = FitHooks(report_step, report_epoch, decide, save_checkpoint)
                result = train_job(job, inputs, hooks, caches=caches, start=storage.load_checkpoint())
                report_save(wait=True)  # before the files of the fit, beside which there is no checkpoint
                marker = storage.save_result(result)
    except TrainingInterruptedError:
        report_save(wait=True)
        on_event(FitInterrupted(clock() - started))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the other fits continue after any error
        on_event(FitLost(describe_lost_device(error)) if is_device_lost(error) else describe_failure(error))
    else:
        on_event(FitFinished(marker, clock() - started, pace.start))
    finally:
        writer.close()


def train_job(job: Job, inputs: FitInputs, hooks: FitHooks, *, caches: Caches, start: Checkpoint | None) -> FitResult:
    """Train one job, from a checkpoint of it where there is one. `caches` are those of the process.

    Raises TrainingInterruptedError where the hooks stop it, after they saved its checkpoint.
    """
    if isinstance(job.settings, TfidfSettings):
        return _train_linear(job, job.settings, inputs)
    from pipeline.fits.neural_fit import train_network

    return train_network(job, inputs, hooks, caches=caches, start=start)


def predict_job(job: Job, table: TextTable, caches: Caches, task: str, columns: int) -> Predictions:
    """Predict a table with a finished fit, from its saved weights. Raises ModelError if they are not there."""
    if job.is_linear:
        for name in (TERMS, NUMBERS):
            job.check_file(name)
        return {"": read_linear(job.folder).predict(table.texts)}
    from pipeline.fits.neural_fit import predict_with_network

    with _release_memory_after(job):
        return predict_with_network(job, table, caches, task, columns)


def record_recipe(job: Job) -> None:
    """Write the recipe, and a neural variant's backbone configuration and tokenizer, into the recipe's folder."""
    folder = job.recipe_folder
    try:
        recipe, files = read_recipe(folder / RECIPE)
        for name in files:
            check_file(folder / name, name, files, "")
        if recipe == job.recipe:
            return
    except (PipelineError, ModelError):  # missing or damaged: it is written again below
        pass
    checksums = {}
    if not job.is_linear:
        from models.saved import write_backbone
        from pipeline.fits.caches import open_backbone_of

        with raise_plain_errors(folder / BACKBONE):
            write_backbone(folder / BACKBONE, open_backbone_of(job.training))
        checksums = {f"{BACKBONE}/{path.name}": compute_checksum(path) for path in (folder / BACKBONE).iterdir()}
    with write_atomically(folder / RECIPE) as temporary:
        write_sealed(temporary, write_json, {"recipe": job.recipe.values}, checksums)


def count_steps(job: Job, rows: int) -> int | None:
    """Return the optimizer steps of a fit on `rows` training rows; None for the linear model, which has none."""
    if job.is_linear:
        return None
    return job.training.epochs * count_steps_per_epoch(rows, job.training)


def check_job(job: Job, competition: Competition) -> None:
    """Raise ModelError for a variant whose settings its backbone cannot use."""
    if not job.is_linear:
        from pipeline.fits.neural_fit import check_network

        check_network(job, competition)


def _release_memory_after(job: Job) -> AbstractContextManager[None]:
    if job.is_linear:
        return nullcontext()
    from models.device import release_memory

    return release_memory()


def _train_linear(job: Job, settings: TfidfSettings, inputs: FitInputs) -> FitResult:
    started = time.perf_counter()
    train = inputs.folds.train(job.fold)
    valid_rows = inputs.folds.valid(job.fold)
    model = fit_linear(
        settings=settings,
        task=inputs.task,
        columns=len(inputs.columns),
        texts=inputs.train.texts.take(train),
        truth=inputs.truth[train] if inputs.soft is None else inputs.soft[train],
        row_weights=inputs.weights[train],
        seed=job.derived_seed,
    )
    valid = np.zeros((0, 1))
    scores = {}
    if len(valid_rows):
        valid = model.predict(inputs.train.texts.take(valid_rows))
        scores = {"": inputs.score(inputs.truth[valid_rows], valid)}
    predicting = time.perf_counter()
    test = model.predict(inputs.test.texts)
    now = time.perf_counter()
    predict_seconds = convert_to_per_thousand(now - predicting, len(test))
    provenance = Provenance(seconds=round(now - started, 2), device="cpu", predict_seconds=predict_seconds)
    return FitResult({"": valid}, {"": test}, [EpochLog(1, scores)], provenance, linear=model)
