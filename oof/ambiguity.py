"""Why the equal mean is better than its members: loss of the mean = mean loss of the members - ambiguity.

For squared errors the ambiguity is the members' variance around their mean (Krogh and Vedelsby 1995). For log loss it
is the same gap, which Jensen's inequality keeps from being negative. A metric that is no such loss has no such sum, so
the task's own loss is taken.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import mean_squared_error

from oof.blends.problem import Problem
from oof.metrics.functions import log_loss


@dataclass(frozen=True)
class Ambiguity:
    """`ensemble` = `members` - `ambiguity`, means over rows and columns of `loss`: squared_error or log_loss."""

    loss: str
    members: float
    ambiguity: float
    ensemble: float


def ambiguity(problem: Problem) -> Ambiguity:
    """The decomposition for the equal mean of all members."""
    regression = problem.task == "regression"
    loss = mean_squared_error if regression else log_loss
    members = float(np.mean([loss(problem.truth, problem.member(at)) for at in range(problem.members)]))
    ensemble = float(loss(problem.truth, problem.take_all().mean(0)))
    return Ambiguity("squared_error" if regression else "log_loss", members, members - ensemble, ensemble)
