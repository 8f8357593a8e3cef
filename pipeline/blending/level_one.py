"""Build the level-one problem from a run's members, its limits of cost, and check members from files.

Members from files that do not look out of fold are refused, unless the user trusts them.
"""

from collections.abc import Sequence

import numpy as np

from oof.blends.limits import Costs, Limits
from oof.blends.problem import Problem
from oof.members.leak_check import find_leak, find_mismatched_columns
from pipeline.blending.run_members import RunMembers
from pipeline.display import print_warnings
from pipeline.errors import PipelineError
from pipeline.fits.open_run import OpenRun


def build_problem(run: OpenRun, gathered: RunMembers) -> Problem:
    """Return members and truth on the rows that the members predict."""
    rows, competition = gathered.rows, run.competition
    return Problem(
        P=gathered.P,
        truth=competition.targets.truth[rows.positions],
        fold=rows.fold,
        task=competition.spec.task,
        metric=competition.metric,
        component=run.split.component[rows.positions],
    )


def compute_prediction_costs(gathered: RunMembers, test_rows: int) -> Costs:
    """Return the seconds in which each member's variant predicts `test_rows` rows; NaN where that was not timed."""
    groups = [gathered.variants.get(member.name, member.name) for member in gathered.members]
    names = list(dict.fromkeys(groups))
    timed = [gathered.predicting.get(name) for name in names]
    seconds = np.array([np.nan if per_thousand is None else per_thousand * test_rows / 1000 for per_thousand in timed])
    return Costs(np.array([names.index(group) for group in groups]), seconds)


def build_limits(run: OpenRun, gathered: RunMembers) -> Limits | None:
    """Return the limits of `blend.max_members` and `blend.max_seconds`; PipelineError if a member was not timed."""
    spec = run.blend
    costs = compute_prediction_costs(gathered, len(run.competition.test.ids))
    if spec.max_members is None and spec.max_seconds is None:
        return None
    groups = zip(gathered.members, costs.group, strict=True)
    unknown = [member.name for member, group in groups if np.isnan(costs.seconds[group])]
    if spec.max_seconds is not None and unknown:
        raise PipelineError(
            f"blend.max_seconds: the prediction time of {unknown[0]} is unknown; name the members to use in "
            f"blend.members without it, or limit blend.max_members instead"
        )
    return Limits(spec.max_members, spec.max_seconds, costs)


def check_external_members(
    gathered: RunMembers, problem: Problem, tests: Sequence[np.ndarray], trusted: Sequence[str]
) -> None:
    """Raise PipelineError for the first member from a file that does not look out of fold; warn of a trusted one.

    `tests` are test predictions (fits, rows, columns) by member. Members from files are compared with those of the
    run's own fits, which are out of fold by construction. Without any of these a harder test table looks like a leak,
    so then a suspicion is only a warning.
    """
    names = [member.name for member in gathered.members]
    external = [name for name in names if name not in gathered.variants]
    if unknown := sorted(set(trusted) - set(external)):
        available = (
            f"members from files are {', '.join(external)}" if external else "the blend has no member from a file"
        )
        raise PipelineError(f"--trust names {unknown[0]!r}, which is no member from a file; {available}")
    own = [number for number, name in enumerate(names) if name in gathered.variants]
    others = problem.P[own]
    others_test = np.stack([tests[number].mean(0) for number in own]) if own else np.empty((0, *tests[0].shape[1:]))
    for name in external:
        number = names.index(name)
        oof, test = problem.get_member(number), tests[number].mean(0)
        reason = find_mismatched_columns(oof, test, others, others_test, gathered.members[number].columns)
        reason = reason or find_leak(
            oof,
            test,
            problem.truth,
            problem.task,
            peers=others,
            peers_test=others_test,
            component=problem.component,
        )
        if reason and own and name not in trusted:
            raise PipelineError(f"{name} does not look out of fold: {reason}; if you know better, blend --trust {name}")
        if reason:
            print_warnings([f"{name} is used, though it does not look out of fold: {reason}"])
