"""Members from files that are not out of fold are refused, unless the user trusts them."""

from collections.abc import Sequence

import numpy as np

from oof.blends.problem import Problem
from oof.members.leak_check import suspicion
from oof.turned import turned
from pipeline.blending.run_members import Gathered
from pipeline.display import warn
from pipeline.errors import PipelineError


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
