"""One fit, wherever it runs: train it, predict with it, and execute a request for it.

`run_request` is what every engine calls, in any process on any machine. Everything a fit needs comes as arguments.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from models import ModelError
from models.checkpoint import Checkpoint
from models.device import gives_back, use_threads
from models.network import check_variant
from models.predict import predict
from models.saved import load_network, plain_weights, write_backbone
from models.settings import TfidfSettings
from models.store import BACKBONE, RECIPE, WEIGHTS, EpochLog, FitMarker, Provenance, TokenWeights, write_json
from models.tfidf import NUMBERS, TERMS, fit_linear, read_linear
from models.training.fit import fit, per_thousand, updates_per_epoch
from models.training.loop import LeftError, Pause, Step
from pipeline.data.competition import Competition, TextTable
from pipeline.errors import PipelineError
from pipeline.fits.caches import Caches, open_backbone_of
from pipeline.fits.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    FitFinished,
    FitInterrupted,
    FitRequest,
    FitResult,
    StepsTaken,
)
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import FitStorage, Predictions, describe_failure, save_test_predictions
from pipeline.fits.recipes import describe_recipe_remedy, read_recipe
from pipeline.fits.timing import Pace
from pipeline.storage.checksums import check_file, compute_checksum, write_sealed
from pipeline.storage.files import raise_plain_errors, write_atomically

OnStep = Callable[[Step], None]
OnEpoch = Callable[[EpochLog], None]


@gives_back()
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
    """Execute one fit request and save its result; the last event is FitFinished, FitInterrupted or FitFailed.

    A fit starts from its checkpoint, saves one every `request.interval` seconds of `clock`, and stops with one as soon
    as `should_stop` says so. Raises OSError for what the machine refuses, such as room on the disk.
    """
    job = request.job
    started = clock()
    last_saved = started
    pace = Pace(request.load, request.steps, started)

    def report_step(step: Step) -> None:
        pace.note_step(clock())
        on_event(StepsTaken(1, step.tokens, step.losses, pace))

    def report_epoch(epoch: EpochLog) -> None:
        on_event(EpochEnded(epoch))

    def decide_pause() -> Literal["go on", "save", "leave"]:
        nonlocal last_saved
        if should_stop():
            return "leave"
        if clock() - last_saved < request.interval:
            return "go on"
        last_saved = clock()
        return "save"

    def save(checkpoint: Checkpoint) -> None:
        if storage.save_checkpoint(checkpoint):
            on_event(CheckpointSaved())

    try:
        if job.state == "predict":
            marker = _predict_test_table(job, inputs, caches)
        else:
            train = partial(train_job, caches=caches, save=save, start=storage.load_checkpoint())
            marker = storage.save_result(train(job, inputs, report_step, report_epoch, decide_pause))
    except LeftError:
        on_event(FitInterrupted(clock() - started))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other fits go on
        on_event(describe_failure(error))
    else:
        on_event(FitFinished(marker, clock() - started, pace.start))


def train_job(
    job: Job,
    inputs: FitInputs,
    on_step: OnStep,
    on_epoch: OnEpoch,
    pause: Pause,
    *,
    caches: Caches,
    save: Callable[[Checkpoint], None],
    start: Checkpoint | None,
) -> FitResult:
    """Train one job, from a checkpoint of it where there is one. `caches` are those of the process.

    Raises LeftError where `pause` asks to leave, after the checkpoint went to `save`.
    """
    if isinstance(job.settings, TfidfSettings):
        return _train_linear(job, job.settings, inputs)
    settings = job.training
    with use_threads(settings.threads):
        backbone = caches.backbone(settings)
        result = fit(
            backbone=backbone,
            poolings={name: pooling.to_json() for name, pooling in job.poolings.items()},
            training=settings.to_json(),
            task=inputs.task,
            columns=inputs.columns,
            classes=inputs.classes,
            tokens=caches.tokens(backbone, settings, inputs.train),
            truth=inputs.truth,
            row_weights=inputs.weights,
            train_rows=inputs.folds.train(job.fold),
            valid_rows=inputs.folds.valid(job.fold),
            test=caches.tokens(backbone, settings, inputs.test),
            seed=job.derived_seed,
            trunks=caches.trunks,
            score=inputs.score,
            on_step=on_step,
            on_epoch=lambda epoch: on_epoch(EpochLog.from_json(epoch)),
            pause=pause,
            save=save,
            start=start,
        )
    return FitResult(
        valid=result.valid,
        test=result.test,
        epochs=[EpochLog.from_json(epoch) for epoch in result.epochs],
        provenance=Provenance.from_json(result.provenance),
        token_weights=[TokenWeights(**row) for row in result.looks],
        weights=plain_weights(result.weights, settings.save_weights),
    )


@gives_back()
def predict_job(job: Job, table: TextTable, caches: Caches, task: str, columns: int) -> Predictions:
    """Predict a table with a finished fit, from its saved weights. Raises ModelError if they are not there."""
    if job.is_linear:
        for name in (TERMS, NUMBERS):
            job.check_file(name)
        return {"": read_linear(job.folder).predict(table.texts)}
    settings = job.training
    folder = job.recipe_folder
    _, files = read_recipe(folder / RECIPE)
    for name in sorted(files):
        check_file(folder / name, name, files, describe_recipe_remedy(folder / RECIPE))
    backbone = caches.saved_backbone(folder / BACKBONE, settings.backbone)
    if WEIGHTS in job.files:  # without weights the network says that none were kept
        job.check_file(WEIGHTS)
    poolings = {name: pooling.to_json() for name, pooling in job.poolings.items()}
    with use_threads(settings.threads):
        network = load_network(job.folder / WEIGHTS, backbone, poolings, settings.to_json(), task, columns)
        tokens = caches.tokens(backbone, settings, table)
        return predict(network, tokens, np.arange(len(tokens)), settings.to_json(), backbone)


def record_recipe(job: Job) -> None:
    """Write the recipe, and a neural variant's backbone configuration and tokenizer, into the recipe's folder."""
    folder = job.recipe_folder
    try:
        recipe, files = read_recipe(folder / RECIPE)
        for name in files:
            check_file(folder / name, name, files, "")
        if recipe == job.recipe:
            return
    except (PipelineError, ModelError):  # missing or damaged: the folder's name says which recipe it is
        pass
    checksums = {}
    if not job.is_linear:
        with raise_plain_errors(folder / BACKBONE):
            write_backbone(folder / BACKBONE, open_backbone_of(job.training))
        checksums = {f"{BACKBONE}/{path.name}": compute_checksum(path) for path in (folder / BACKBONE).iterdir()}
    with write_atomically(folder / RECIPE) as temporary:
        write_sealed(temporary, write_json, {"recipe": job.recipe.values}, checksums)


def count_steps(job: Job, rows: int) -> int | None:
    """Return the optimizer steps of a fit on `rows` training rows; None for the linear model, which has none."""
    if job.is_linear:
        return None
    return job.training.epochs * updates_per_epoch(rows, job.training.to_json())


def check_job(job: Job, competition: Competition) -> None:
    """Raise ModelError for a variant whose settings its backbone cannot use."""
    if not job.is_linear:
        poolings = {name: pooling.to_json() for name, pooling in job.poolings.items()}
        is_pair = len(competition.texts[0]) == 2
        check_variant(open_backbone_of(job.training), poolings, job.training.to_json(), is_pair)


def _train_linear(job: Job, settings: TfidfSettings, inputs: FitInputs) -> FitResult:
    started = time.perf_counter()
    train = inputs.folds.train(job.fold)
    valid_rows = inputs.folds.valid(job.fold)
    model = fit_linear(
        settings=settings.to_json(),
        task=inputs.task,
        columns=len(inputs.columns),
        texts=inputs.train.texts.take(train),
        truth=inputs.truth[train],
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
    predict_seconds = per_thousand(now - predicting, len(test))
    provenance = Provenance(seconds=round(now - started, 2), device="cpu", predict_seconds=predict_seconds)
    return FitResult({"": valid}, {"": test}, [EpochLog(1, scores)], provenance, linear=model)


def _predict_test_table(job: Job, inputs: FitInputs, caches: Caches) -> FitMarker | None:
    """Predict the test table with a finished fit; its marker is written, and None returned."""
    predictions = predict_job(job, inputs.test, caches, inputs.task, len(inputs.columns))
    save_test_predictions(job, predictions, inputs.test, inputs.columns)
    return None
