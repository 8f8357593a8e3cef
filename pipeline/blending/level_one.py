"""From gathered members to the level-one problem, and to what its members cost.

Members from files that are not out of fold are refused, unless the user trusts them.
"""

from collections.abc import Sequence

import numpy as np

from oof.blends.limits import Costs, Limits
from oof.blends.problem import Problem
from oof.members.leak_check import suspicion, turned
from pipeline.blending.run_members import Gathered
from pipeline.config.run_config import Config
from pipeline.data.competition import Competition
from pipeline.data.fold_assignment import Folds
from pipeline.display import warn
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


def check_extras(gathered: Gathered, problem: Problem, tests: Sequence[np.ndarray], trusted: Sequence[str]) -> None:
    """Raise PipelineError for the first member from a file whose OOF knows more than it can; warn of a trusted one.

    Members from this run's own fits are known to be honest, and the files are judged beside them. Without any of those
    a harder test table looks like a leak, so then it is only a warning.
    """
    names = [member.name for member in gathered.members]
    extras = [name for name in names if name not in gathered.variants]
    if strange := sorted(set(trusted) - set(extras)):
        known = f"members from files are {', '.join(extras)}" if extras else "the blend has no member from a file"
        raise PipelineError(f"--trust names {strange[0]!r}, which is no member from a file; {known}")
    own = [at for at, name in enumerate(names) if name in gathered.variants]
    others = problem.P[own]
    others_test = np.stack([tests[at].mean(0) for at in own]) if own else np.empty((0, *tests[0].shape[1:]))
    for name in extras:
        at = names.index(name)
        oof, test = problem.member(at), tests[at].mean(0)
        reason = turned(oof, test, others, others_test, gathered.members[at].columns) or suspicion(
            oof,
            test,
            problem.truth,
            problem.task,
            others=others,
            others_test=others_test,
            component=problem.component,
        )
        if reason and own and name not in trusted:
            raise PipelineError(f"{name} does not look out of fold: {reason}; if you know better, blend --trust {name}")
        if reason:
            warn([f"{name} is used, though it does not look out of fold: {reason}"])
