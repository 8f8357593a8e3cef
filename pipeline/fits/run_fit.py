"""One fit of a job: from what all fits share to what this one gives, wherever it is done.

Whoever does a fit: follows an order, says how it goes, and brings it home. Runs in any process, on any machine.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from models import ModelError
from models.checkpoint import Checkpoint
from models.device import gives_back, use_threads
from models.network import check_variant
from models.predict import predict
from models.saved import load_network, plain_weights, write_backbone
from models.store import BACKBONE, RECIPE, WEIGHTS, write_json
from models.tfidf import NUMBERS, TERMS, fit_linear, read_linear
from models.training.fit import fit, per_thousand, updates_per_epoch
from models.training.loop import LeftError, Pause, Step
from pipeline.data.competition import Competition, Table
from pipeline.errors import PipelineError
from pipeline.fits.caches import Caches, backbone_of
from pipeline.fits.events import EpochEnded, Event, Finished, Left, Order, Outcome, Saved, Stepped
from pipeline.fits.inputs import Shared
from pipeline.fits.job import Job
from pipeline.fits.outputs import Predictions, keep_test_predictions, told
from pipeline.fits.recipes import anew, read_recipe
from pipeline.fits.timing import Pace
from pipeline.storage.checksums import check_file, checksum, write_sealed
from pipeline.storage.files import atomic, plainly

OnStep = Callable[[Step], None]
OnEpoch = Callable[[dict[str, Any]], None]


def do_fit(
    job: Job,
    shared: Shared,
    on_step: OnStep,
    on_epoch: OnEpoch,
    pause: Pause,
    *,
    caches: Caches,
    save: Callable[[Checkpoint], None],
    start: Checkpoint | None,
) -> Outcome:
    """Train one job, from a checkpoint of it where there is one. `caches` are those of the process.

    Raises LeftError where `pause` asks to leave; the checkpoint went to `save` then.
    """
    if job.linear:
        return _fit_linear(job, shared)
    with use_threads(job.settings["threads"]):
        backbone = caches.backbone(job.settings)
        result = fit(
            backbone=backbone,
            poolings=job.poolings,
            training=job.settings,
            task=shared.task,
            columns=shared.columns,
            classes=shared.classes,
            tokens=caches.tokens(backbone, job.settings, shared.train),
            truth=shared.truth,
            row_weights=shared.weights,
            train_rows=shared.folds.train(job.fold),
            valid_rows=shared.folds.valid(job.fold),
            test=caches.tokens(backbone, job.settings, shared.test),
            seed=job.derived_seed,
            trunks=caches.trunks,
            score=shared.score,
            on_step=on_step,
            on_epoch=on_epoch,
            pause=pause,
            save=save,
            start=start,
        )
    weights = plain_weights(result.weights, job.settings["save_weights"])
    return Outcome(result.valid, result.test, result.epochs, result.provenance, result.looks, weights)


@gives_back()
def do_predict(job: Job, table: Table, caches: Caches, task: str, columns: int) -> Predictions:
    """Predict a table with a finished fit, from its saved weights. Raises ModelError if they are not there."""
    if job.linear:
        for name in (TERMS, NUMBERS):
            job.checked(name)
        return {"": read_linear(job.folder).predict(table.texts)}
    place = job.folder.parent.parent
    for name, _ in sorted((files := read_recipe(place / RECIPE)[1]).items()):
        check_file(place / name, name, files, anew(place / RECIPE))
    backbone = caches.saved_backbone(place / BACKBONE, job.settings["backbone"])
    if WEIGHTS in job.files:  # otherwise the network says that none were kept
        job.checked(WEIGHTS)
    with use_threads(job.settings["threads"]):
        network = load_network(job.folder / WEIGHTS, backbone, job.poolings, job.settings, task, columns)
        tokens = caches.tokens(backbone, job.settings, table)
        return predict(network, tokens, np.arange(len(tokens)), job.settings, backbone)


def record_recipe(job: Job) -> None:
    """Leave the recipe, and for a neural variant its backbone's configuration and tokenizer, at the recipe's place."""
    place = job.folder.parent.parent
    try:
        recipe, files = read_recipe(place / RECIPE)
        for name in files:
            check_file(place / name, name, files, "")
        if recipe == job.recipe:
            return
    except (
        PipelineError,
        ModelError,
    ):  # missing or damaged: it says what the place's name says, so it is written again
        pass
    files = {}
    if not job.linear:
        with plainly(place / BACKBONE):
            write_backbone(place / BACKBONE, backbone_of(job.settings))
        files = {f"{BACKBONE}/{path.name}": checksum(path) for path in (place / BACKBONE).iterdir()}
    with atomic(place / RECIPE) as temporary:
        write_sealed(temporary, write_json, {"recipe": job.recipe}, files)


def _fit_linear(job: Job, shared: Shared) -> Outcome:
    started, truth = time.perf_counter(), shared.truth
    train, valid_rows = shared.folds.train(job.fold), shared.folds.valid(job.fold)
    model = fit_linear(
        settings=job.settings,
        task=shared.task,
        columns=len(shared.columns),
        texts=shared.train.texts.take(train),
        truth=truth[train],
        row_weights=shared.weights[train],
        seed=job.derived_seed,
    )
    valid = model.predict(shared.train.texts.take(valid_rows)) if len(valid_rows) else np.zeros((0, 1))
    predicting = time.perf_counter()
    test = model.predict(shared.test.texts)
    predict_seconds = per_thousand(time.perf_counter() - predicting, len(test))
    scores = {"": shared.score(truth[valid_rows], valid)} if len(valid_rows) else {}
    provenance = {
        "seconds": round(time.perf_counter() - started, 2),
        "predict_seconds": predict_seconds,
        "device": "cpu",
    }
    return Outcome({"": valid}, {"": test}, [{"epoch": 1, "scores": scores}], provenance, linear=model)


def steps_of(job: Job, rows: int) -> int | None:
    """Optimizer steps of a fit on so many training rows; None for the linear variant, which has none."""
    return None if job.linear else job.settings["epochs"] * updates_per_epoch(rows, job.settings)


def check_job(job: Job, competition: Competition) -> None:
    """Refuse a variant whose settings its backbone cannot carry. Raises ModelError."""
    if not job.linear:
        check_variant(backbone_of(job.settings), job.poolings, job.settings, len(competition.texts[0]) == 2)


@gives_back()
def do_order(
    order: Order,
    shared: Shared,
    caches: Caches,
    *,
    tell: Callable[[Event], None],
    asked: Callable[[], bool],
    start: Callable[[], Checkpoint | None],
    save: Callable[[Checkpoint], bool],
    keep: Callable[[Outcome], dict[str, Any]],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do what is to be done of a job and tell how it goes; the last event is Finished, Left or Failed.

    Leaves as soon as it is `asked` to. `start` gives the checkpoint to go on from; `save` puts one into the run
    directory and returns whether it is there; `keep` puts what a fit gives there, and returns the marker. Raises
    OSError for what the machine refuses.
    """
    job, began = order.job, clock()
    saved, pace = began, Pace(order.load, order.steps, began)

    def on_step(step: Step) -> None:
        pace.step(clock())
        tell(Stepped(1, step.tokens, step.losses, pace))

    def on_epoch(epoch: dict[str, Any]) -> None:
        tell(EpochEnded(epoch))

    def pause() -> Literal["go on", "save", "leave"]:
        nonlocal saved
        if asked():
            return "leave"
        if clock() - saved < order.interval:
            return "go on"
        saved = clock()
        return "save"

    def on_save(checkpoint: Checkpoint) -> None:
        if save(checkpoint):
            tell(Saved())

    try:
        if job.state == "predict":
            marker = _predict_test_table(job, shared, caches)
        else:
            fit = partial(do_fit, caches=caches, save=on_save, start=start())
            marker = keep(fit(job, shared, on_step, on_epoch, pause))
    except LeftError:
        tell(Left(clock() - began))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other fits go on
        tell(told(error))
    else:
        tell(Finished(marker, clock() - began, pace.start))


def _predict_test_table(job: Job, shared: Shared, caches: Caches) -> dict[str, Any]:
    """Predict the test table with a finished fit."""
    predictions = do_predict(job, shared.test, caches, shared.task, len(shared.columns))
    keep_test_predictions(job, predictions, shared.test, shared.columns)
    return {}
