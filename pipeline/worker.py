"""Whoever does a fit: follows an order, says how it goes, and brings it home. Runs in any process, on any machine."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from models.checkpoint import Checkpoint
from models.memory import gives_back
from models.training.loop import LeftError, Step
from pipeline.failures import told
from pipeline.fits import run_fit
from pipeline.fits.caches import Caches
from pipeline.fits.events import EpochEnded, Event, Finished, Left, Order, Outcome, Saved, Stepped
from pipeline.fits.inputs import Shared
from pipeline.fits.job import Job
from pipeline.fits.outputs import keep_test_predictions
from pipeline.pace import Pace


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
            marker = _predict(job, shared, caches)
        else:
            fit = partial(run_fit.do_fit, caches=caches, save=on_save, start=start())
            marker = keep(fit(job, shared, on_step, on_epoch, pause))
    except LeftError:
        tell(Left(clock() - began))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other fits go on
        tell(told(error))
    else:
        tell(Finished(marker, clock() - began, pace.start))


def _predict(job: Job, shared: Shared, caches: Caches) -> dict[str, Any]:
    """Predict the test table with a finished fit."""
    predictions = run_fit.do_predict(job, shared.test, caches, shared.task, len(shared.columns))
    keep_test_predictions(job, predictions, shared.test, shared.columns)
    return {}
