"""The part of a fit that needs torch: a network trained, and used to predict."""

import numpy as np

from models.checkpoint import Checkpoint
from models.device import use_threads
from models.encoder.backbone import Backbone
from models.network import NetworkDesign, check_design
from models.predict import predict
from models.saved import convert_weights, load_network
from models.store import BACKBONE, RECIPE, WEIGHTS
from models.training.fit import FitData, fit
from models.training.hooks import FitHooks
from pipeline.data.competition import Competition, TextTable
from pipeline.fits.caches import Caches, open_backbone_of
from pipeline.fits.events import FitResult
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import Predictions
from pipeline.fits.recipes import describe_recipe_remedy, read_recipe
from pipeline.storage.checksums import check_file


def train_network(
    job: Job, inputs: FitInputs, hooks: FitHooks, *, caches: Caches, start: Checkpoint | None
) -> FitResult:
    """Train the network of a job, from a checkpoint of it where there is one. `caches` are those of the process.

    Raises TrainingInterruptedError where the hooks stop it, after they saved its checkpoint.
    """
    settings = job.training
    with use_threads(settings.threads):
        backbone = caches.open_backbone(settings)
        data = FitData(
            tokens=caches.encode_table(backbone, settings, inputs.train),
            truth=inputs.truth,
            row_weights=inputs.weights,
            train_rows=inputs.folds.train(job.fold),
            valid_rows=inputs.folds.valid(job.fold),
            test=caches.encode_table(backbone, settings, inputs.test),
            columns=inputs.columns,
            classes=inputs.classes,
            score=inputs.score,
            soft=inputs.soft,
        )
        result = fit(
            _make_design(job, backbone, inputs.task, len(inputs.columns)),
            data,
            seed=job.derived_seed,
            hooks=hooks,
            state_cache=caches.frozen_states,
            start=start,
        )
    return FitResult(
        valid=result.valid,
        test=result.test,
        epochs=result.epochs,
        provenance=result.provenance,
        token_weights=result.token_weights,
        weights=convert_weights(result.weights, settings.save_weights),
    )


def predict_with_network(job: Job, table: TextTable, caches: Caches, task: str, columns: int) -> Predictions:
    """Predict a table with the saved network of a finished fit. Raises ModelError if it was not saved."""
    settings = job.training
    folder = job.recipe_folder
    _, files = read_recipe(folder / RECIPE)
    for name in sorted(files):
        check_file(folder / name, name, files, describe_recipe_remedy(folder / RECIPE))
    backbone = caches.read_saved_backbone(folder / BACKBONE, settings.backbone)
    if WEIGHTS in job.files:  # if they were not kept, `load_network` says so
        job.check_file(WEIGHTS)
    with use_threads(settings.threads):
        network = load_network(job.folder / WEIGHTS, _make_design(job, backbone, task, columns))
        tokens = caches.encode_table(backbone, settings, table)
        return predict(network, tokens, np.arange(len(tokens)))


def check_network(job: Job, competition: Competition) -> None:
    """Raise ModelError for a variant whose settings its backbone cannot use."""
    columns = len(competition.targets.columns)
    design = _make_design(job, open_backbone_of(job.training), competition.spec.task, columns)
    check_design(design, is_pair=len(competition.texts[0]) == 2)


def _make_design(job: Job, backbone: Backbone, task: str, columns: int) -> NetworkDesign:
    return NetworkDesign(backbone, job.poolings, job.training, task, columns)
