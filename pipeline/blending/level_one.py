"""From gathered members to the level-one problem, and to what its members cost."""

import numpy as np

from oof.blends.limits import Costs, Limits
from oof.blends.problem import Problem
from pipeline.blending.run_members import Gathered
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.errors import PipelineError


def level_one(gathered: Gathered, competition: Competition, split: Folds) -> Problem:
    """Members beside the truth, on the rows that they predict."""
    rows = gathered.rows
    return Problem(
        P=gathered.P,
        truth=competition.targets.truth[rows.at],
        fold=rows.fold,
        task=competition.spec.task,
        metric=competition.metric,
        component=split.component[rows.at],
    )


def costs(gathered: Gathered, test_rows: int) -> Costs:
    """Seconds in which the members' variants predict the test table; NaN where that was not timed."""
    groups = [gathered.variants.get(member.name, member.name) for member in gathered.members]
    names = list(dict.fromkeys(groups))
    timed = [gathered.predicting.get(name) for name in names]
    seconds = np.array([np.nan if one is None else one * test_rows / 1000 for one in timed])
    return Costs(np.array([names.index(group) for group in groups]), seconds)


def limits_of(config: Config, gathered: Gathered, test_rows: int) -> Limits | None:
    """What `blend.max_members` and `blend.max_seconds` ask for; PipelineError if a member was not timed."""
    spec, found = config.blend, costs(gathered, test_rows)
    if spec.max_members is None and spec.max_seconds is None:
        return None
    unknown = [m.name for m, at in zip(gathered.members, found.group, strict=True) if np.isnan(found.seconds[at])]
    if spec.max_seconds is not None and unknown:
        raise PipelineError(
            f"blend.max_seconds: nobody timed how long {unknown[0]} takes to predict; name the members to use in "
            f"blend.members without it, or limit blend.max_members instead"
        )
    return Limits(spec.max_members, spec.max_seconds, found)
