"""The level-one matrix: members side by side, (members, rows, columns), after every check that makes it legal."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from oof import OOFError
from oof.members.member import Array, Member
from oof.members.rows import Rows


def stack(members: Iterable[Member], count: int, wanted: Rows) -> tuple[list[Member], Array]:
    """Members as views of P (count, rows, columns), and P; wanted rows in the order of the folds file.

    They are taken one after the other, so that memory holds no more than one of them twice. Raises OOFError if
    members share a name, or differ in columns, rows or test rows.
    """
    views: list[Member] = []
    P = np.empty(0)
    for at, member in enumerate(members):
        if not views:
            P = np.empty((count, *member.oof.shape))  # memory is taken where it is written
        else:
            _alike(member, views[0])
        if any(member.name == other.name for other in views):
            raise OOFError(f"two members are named {member.name!r}; names must differ")
        _same(f"member {member.name}: the OOF rows", member.ids, wanted.ids, "the folds file")
        P[at] = member.oof
        views.append(replace(member, oof=P[at]))
    if not views:
        raise OOFError("there is no member to blend")
    return views, P


def without(members: Sequence[Member], P: Array, names: Container[str]) -> tuple[list[Member], Array]:
    """The members but for those named, and their P."""
    kept = [at for at, member in enumerate(members) if member.name not in names]
    if len(kept) == len(members):
        return list(members), P
    P = P[kept]
    return [replace(members[at], oof=P[place]) for place, at in enumerate(kept)], P


def _alike(member: Member, first: Member) -> None:
    if member.columns != first.columns:
        raise OOFError(
            f"member {member.name} has the columns {', '.join(member.columns)}, "
            f"member {first.name} has {', '.join(first.columns)}"
        )
    if member.test is not None and first.test is not None:
        _same(f"member {member.name}: the test rows", member.test_ids, first.test_ids, f"member {first.name}")


def idle(members: Sequence[Member]) -> dict[str, str]:
    """Members that can add nothing, by name, and why: constant ones, and ones that equal a member before them.

    Such a file is mostly a mistake, and what equals or is constant makes the weights of others arbitrary.
    """
    reasons: dict[str, str] = {}
    kept: list[Member] = []
    for member in members:
        twin = next((other.name for other in kept if _equal(member.oof, other.oof)), None)
        if not np.ptp(member.oof, axis=0).any():
            reasons[member.name] = "its OOF is the same for every row"
        elif twin:
            reasons[member.name] = f"its OOF equals that of {twin} in every row"
        else:
            kept.append(member)
    return reasons


def _equal(a: Array, b: Array) -> bool:
    """Whether two members differ by rounding alone; a few rows tell most pairs apart."""
    return all(np.allclose(a[rows], b[rows], rtol=1e-9, atol=0) for rows in (slice(100), slice(None)))


def stack_tests(members: Sequence[Member]) -> list[Array]:
    """Each member's test predictions (fits, test rows, columns); OOFError if one has none."""
    tests = []
    for member in members:
        if member.test is None:
            raise OOFError(f"member {member.name} has no test predictions for this test table; train makes them")
        tests.append(member.test)
    return tests


def _same(what: str, found: npt.NDArray[np.object_], right: npt.NDArray[np.object_], where: str) -> None:
    if len(found) != len(right):
        raise OOFError(f"{what} are {len(found)}, {where} has {len(right)}")
    wrong = np.flatnonzero(found != right)
    if len(wrong):
        raise OOFError(f"{what} have id {found[wrong[0]]!r} where {where} has {right[wrong[0]]!r}")
