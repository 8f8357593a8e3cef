"""The local engine: does one fit after the other in this process and leaves each in the run directory.

A fit is written weights, parts, marker; the marker last, so that whatever a crash leaves before it never happened.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError
from models.backbone import Backbone, open_backbone
from models.build import check_variant
from models.course import Pause, Step
from models.device import use_threads
from models.fit import Fit, fit, per_thousand, updates_per_epoch
from models.linear import NUMBERS, TERMS, fit_linear, read_linear, write_linear
from models.memory import gives_back
from models.predict import predict
from models.saved import load_network, write_backbone, write_weights
from models.store import BACKBONE, CHECKPOINT, FAILURE, RECIPE, WEIGHTS, write_json
from pipeline.artefacts import Predictions, keep_checkpoint, left_off, write_looks, write_marker, write_parts
from pipeline.caches import Caches
from pipeline.competition import Competition, TestTable
from pipeline.errors import PipelineError
from pipeline.files import atomic, plainly, together
from pipeline.job import Job
from pipeline.recipes import anew, read_recipe
from pipeline.seals import check_file, checksum, checksums, write_sealed
from pipeline.splits import Folds

Score = Callable[[np.ndarray, np.ndarray], float | None]
OnStep = Callable[[Step], None]
OnEpoch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Shared:
    """What all fits of a run have in common."""

    competition: Competition
    folds: Folds
    score: Score
    caches: Caches


def backbone_of(settings: dict[str, Any]) -> Backbone:
    """The backbone that a neural variant starts from."""
    return open_backbone(settings["backbone"], tuple(settings["extra_tokens"]))


@gives_back()
def do_fit(job: Job, shared: Shared, on_step: OnStep, on_epoch: OnEpoch, pause: Pause) -> dict[str, Any]:
    """Train one job, from its checkpoint if it has one, write all it gives, and return its marker.

    Raises LeftError where `pause` asks to leave; the checkpoint is saved then.
    """
    competition, table = shared.competition, shared.competition.test
    if job.linear:
        valid, test, marker, files = _fit_linear(job, shared)
    else:
        with use_threads(job.settings["threads"]):
            result = _fit_neural(job, shared, on_step, on_epoch, pause)
        valid, test, files = result.valid, result.test, []
        marker = {"provenance": result.provenance, "epochs": result.epochs}
        files += write_looks(job, result.looks, competition.ids)
        if job.settings["save_weights"] != "none":
            with atomic(job.folder / WEIGHTS) as temporary:
                write_weights(temporary, result.weights, job.settings["save_weights"])
            files.append(job.folder / WEIGHTS)
    rows = shared.folds.valid(job.fold)
    if len(rows):
        files += write_parts(job, valid, [competition.ids[row] for row in rows], competition.targets.columns, None)
    files += write_parts(job, test, table.ids, competition.targets.columns, table.sha256)
    marker = {"fingerprint": job.fingerprint, "variant": job.variant, "seed": job.seed, "fold": job.fold, **marker}
    write_marker(job, marker, checksums(files))
    for left in (CHECKPOINT, FAILURE):
        (job.folder / left).unlink(missing_ok=True)
    return marker


@gives_back()
def do_predict(job: Job, table: TestTable, caches: Caches, task: str, columns: int) -> Predictions:
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
        tokens = caches.tokens(backbone, job.settings, table.texts, table.ids, table.sha256)
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


def _fit_neural(job: Job, shared: Shared, on_step: OnStep, on_epoch: OnEpoch, pause: Pause) -> Fit:
    competition, folds, caches = shared.competition, shared.folds, shared.caches
    backbone, test = backbone_of(job.settings), competition.test
    return fit(
        backbone=backbone,
        poolings=job.poolings,
        training=job.settings,
        task=competition.spec.task,
        columns=competition.targets.columns,
        classes=competition.targets.classes,
        tokens=caches.tokens(backbone, job.settings, competition.texts, competition.ids, competition.sha256),
        truth=competition.targets.truth,
        row_weights=competition.weights,
        train_rows=folds.train(job.fold),
        valid_rows=folds.valid(job.fold),
        test=caches.tokens(backbone, job.settings, test.texts, test.ids, test.sha256),
        seed=job.derived_seed,
        trunks=caches.trunks,
        score=shared.score,
        on_step=on_step,
        on_epoch=on_epoch,
        pause=pause,
        save=lambda checkpoint: keep_checkpoint(job, checkpoint),
        start=left_off(job),
    )


def _fit_linear(job: Job, shared: Shared) -> tuple[Predictions, Predictions, dict[str, Any], list[Path]]:
    started, competition, truth = time.perf_counter(), shared.competition, shared.competition.targets.truth
    train, valid_rows = shared.folds.train(job.fold), shared.folds.valid(job.fold)
    model = fit_linear(
        settings=job.settings,
        task=competition.spec.task,
        columns=len(competition.targets.columns),
        texts=[competition.texts[row] for row in train],
        truth=truth[train],
        row_weights=competition.weights[train],
        seed=job.derived_seed,
    )
    valid = model.predict([competition.texts[row] for row in valid_rows]) if len(valid_rows) else np.zeros((0, 1))
    predicting = time.perf_counter()
    test = model.predict(competition.test.texts)
    predict_seconds = per_thousand(time.perf_counter() - predicting, len(test))
    files = [job.folder / TERMS, job.folder / NUMBERS]
    with together(*files) as (terms, numbers):
        write_linear(terms, numbers, model)
    scores = {"": shared.score(truth[valid_rows], valid)} if len(valid_rows) else {}
    marker = {
        "provenance": {
            "seconds": round(time.perf_counter() - started, 2),
            "predict_seconds": predict_seconds,
            "device": "cpu",
        },
        "epochs": [{"epoch": 1, "scores": scores}],
    }
    return {"": valid}, {"": test}, marker, files


def steps_of(job: Job, rows: int) -> int | None:
    """Optimizer steps of a fit on so many training rows; None for the linear variant, which has none."""
    return None if job.linear else job.settings["epochs"] * updates_per_epoch(rows, job.settings)


def check_job(job: Job, competition: Competition) -> None:
    """Refuse a variant whose settings its backbone cannot carry. Raises ModelError."""
    if not job.linear:
        check_variant(backbone_of(job.settings), job.poolings, job.settings, len(competition.texts[0]) == 2)
