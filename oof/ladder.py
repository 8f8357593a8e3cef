"""`auto`: climb from the equal mean while it pays; `single`: one blend that the user asked for.

Rungs in order of what they learn: mean, subset_mean, simplex, stacker. A rung is left for a later one only if the
paired cross-fitted gain exceeds one standard error of that gain. Equal weights win often; then it says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.blends import blend
from oof.measures import Array, Truth
from oof.metrics import Metric
from oof.scores import Blended, Gain, Score, cross_fitted, in_sample, paired_gain, score

RUNGS = ("mean", "subset_mean", "simplex", "stacker")


@dataclass(frozen=True, eq=False)
class Rung:
    """One blend that was tried: fitted on all rows, scored twice, and its gain over the rung held at that moment."""

    method: str
    fitted: Blended
    in_sample: Score
    crossed: Blended | None
    cross_fitted: Score | None
    over: str | None
    gain: Gain | None


@dataclass(frozen=True, eq=False)
class Climb:
    """All rungs, the method chosen, and the sentence that says why."""

    rungs: list[Rung]
    chosen: str
    sentence: str


def auto(
    P: Array,
    truth: Truth,
    fold: npt.NDArray[np.int64],
    component: npt.NDArray[np.int64] | None,
    task: str,
    metric: Metric,
    repeats: int = 200,
    seed: int = 0,
    on_rung: Callable[[str], None] = lambda method: None,
) -> Climb:
    """Climb the ladder on P (members, rows, columns); `component` marks rows that are resampled together.

    `on_rung` is told each blend's name before it is tried, since on many rows a rung takes a while.

    With one fold only the equal mean is offered, without a cross-fitted score; with one member there is nothing to
    climb.
    """
    crossing = len(np.unique(fold)) > 1
    on_rung("mean")
    held = _rung("mean", P, truth, fold, task, metric, crossing)
    rungs = [held]
    for method in RUNGS[1:] if crossing and len(P) > 1 else ():
        on_rung(method)
        rung = _rung(method, P, truth, fold, task, metric, crossing)
        assert rung.crossed is not None
        assert held.crossed is not None
        gain = paired_gain(metric, truth, rung.crossed.decided, held.crossed.decided, component, repeats, seed)
        rung = Rung(method, rung.fitted, rung.in_sample, rung.crossed, rung.cross_fitted, held.method, gain)
        rungs.append(rung)
        if gain.gain > gain.standard_error:
            held = rung
    return Climb(rungs, held.method, _sentence(rungs, held, metric, crossing))


def single(method: str, P: Array, truth: Truth, fold: npt.NDArray[np.int64], task: str, metric: Metric) -> Climb:
    """One named blend as a ladder of one rung, scored like any other and compared with none.

    Raises OOFError for a blend that does not fit the task or the metric, and with one fold for any but the mean.
    """
    crossing = len(np.unique(fold)) > 1
    if not crossing and method != "mean":
        blend(method, task, metric)
        raise OOFError(f"blend {method} cannot be cross-fitted on one fold; with one fold only mean is offered")
    rung = _rung(method, P, truth, fold, task, metric, crossing)
    return Climb([rung], method, f"{method}, as asked: no other blend was tried")


def _rung(
    method: str, P: Array, truth: Truth, fold: npt.NDArray[np.int64], task: str, metric: Metric, crossing: bool
) -> Rung:
    rule = blend(method, task, metric)
    fitted = in_sample(rule, P, truth, task, metric)
    crossed = cross_fitted(rule, P, truth, fold, task, metric) if crossing else None
    return Rung(
        method=method,
        fitted=fitted,
        in_sample=score(metric, truth, fitted.decided, fold),
        crossed=crossed,
        cross_fitted=score(metric, truth, crossed.decided, fold) if crossed else None,
        over=None,
        gain=None,
    )


def _sentence(rungs: list[Rung], held: Rung, metric: Metric, crossing: bool) -> str:
    if not crossing:
        return "equal weights: with one fold nothing can be cross-fitted, so no other blend is offered"
    if len(rungs) == 1:
        return "equal weights: there is one member, so there is nothing to weigh"
    if held.gain is not None:
        return (
            f"{held.method} wins: its cross-fitted gain in {metric.name} over {held.over}, {_said(held)}, "
            f"exceeds one standard error"
        )
    tried = ", ".join(f"{rung.method} {_said(rung)}" for rung in rungs[1:])
    return f"equal weights win: no cross-fitted gain in {metric.name} exceeds one standard error ({tried})"


def _said(rung: Rung) -> str:
    assert rung.gain is not None
    return f"{rung.gain.gain:+.2g} ± {rung.gain.standard_error:.2g}"
