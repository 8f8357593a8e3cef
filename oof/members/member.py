"""Members: predictions of one variant joined over its fits, and several members as one matrix.

A member is derived from the parts of its fits, never the only copy. Every wanted row has exactly one OOF prediction,
the mean over the seeds, made for the fold that the folds file gives that row. Test predictions stay one slice per fold
model, because a blend that is not linear is applied to each model before the mean. The matrix P is (members, rows,
columns), all rows in the order of the folds file.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from oof import OOFError
from oof.members.rows import WantedRows, check_complete, check_rows
from oof.types import Array, IdArray, IntArray


@dataclass(frozen=True, eq=False)
class Member:
    """Predictions of one member on the wanted rows, in the order of the folds file.

    `oof` is (rows, columns), `test` (fits, test rows, columns) or None: one slice per fold model, a single slice for an
    external member. `verified` is False for an external file that does not say which folds its OOF comes from.
    """

    name: str
    columns: tuple[str, ...]
    ids: IdArray
    fold: IntArray
    oof: Array
    test_ids: IdArray
    test: Array | None
    verified: bool = True


def join_parts(
    name: str,
    parts: Sequence[pd.DataFrame],
    test_parts: Sequence[pd.DataFrame],
    wanted: WantedRows,
    columns: Sequence[str],
) -> Member:
    """Return the member made of the parts of its fits; parts of other folds are ignored.

    Raises OOFError, naming the first id, for a gap in a wanted fold (for each seed), a repeated id, or an id or fold
    that differs from the folds file.
    """
    folds = np.unique(wanted.fold).tolist()
    if not parts:
        raise OOFError(f"member {name}: no fit is finished; train it first")
    rows = pd.concat(list(parts), ignore_index=True)
    rows = rows[rows["fold"].isin(folds)]
    check_rows(f"member {name}", rows["id"], wanted, rows["fold"], rows["seed"])
    for seed, of_seed in rows.groupby("seed"):
        check_complete(f"member {name}, seed {seed}", of_seed["id"], wanted)
    if rows.empty:
        check_complete(f"member {name}", rows["id"], wanted)
    means = rows.groupby("id", sort=False)[list(columns)].mean().loc[wanted.index]
    test_ids, test = _join_test_parts(name, test_parts, folds, rows["seed"].unique().tolist(), list(columns))
    return Member(
        name=name,
        columns=tuple(columns),
        ids=wanted.ids,
        fold=wanted.fold,
        oof=means.to_numpy(np.float64),
        test_ids=test_ids,
        test=test,
    )


def write_member(path_oof: Path, path_test: Path, member: Member) -> None:
    """Write id, fold and columns of the OOF, and id and columns of the test mean over fold models, both as parquet.

    The test file is not written for a member without test predictions.
    """
    frame = pd.DataFrame(member.oof, columns=list(member.columns))
    frame.insert(0, "id", pd.Series(member.ids, dtype="str"))
    frame.insert(1, "fold", member.fold)
    frame.to_parquet(path_oof, index=False)
    if member.test is not None:
        frame = pd.DataFrame(member.test.mean(0), columns=list(member.columns))
        frame.insert(0, "id", pd.Series(member.test_ids, dtype="str"))
        frame.to_parquet(path_test, index=False)


def stack_members(members: Iterable[Member], count: int, wanted: WantedRows) -> tuple[list[Member], Array]:
    """Return members whose `oof` are views of P, and P (count, rows, columns).

    `members` are consumed one after the other, so that memory never holds a second copy of more than one. Raises
    OOFError if members share a name, or differ in columns, rows or test rows.
    """
    views: list[Member] = []
    P = np.empty(0)
    for position, member in enumerate(members):
        if not views:
            P = np.empty((count, *member.oof.shape))  # memory is used only where it is written
        else:
            _check_alike(member, views[0])
        if any(member.name == other.name for other in views):
            raise OOFError(f"two members are named {member.name!r}; names must differ")
        _check_same_ids(f"member {member.name}: the OOF rows", member.ids, wanted.ids, "the folds file")
        P[position] = member.oof
        views.append(replace(member, oof=P[position]))
    if not views:
        raise OOFError("there is no member to blend")
    return views, P


def drop_members(members: Sequence[Member], P: Array, names: Container[str]) -> tuple[list[Member], Array]:
    """Return the members except those named, and their P."""
    kept = [position for position, member in enumerate(members) if member.name not in names]
    if len(kept) == len(members):
        return list(members), P
    P = P[kept]
    return [replace(members[old], oof=P[new]) for new, old in enumerate(kept)], P


def find_useless_members(members: Sequence[Member]) -> dict[str, str]:
    """Return members that add nothing, by name, with the reason: constant ones, and copies of an earlier member.

    Such a file is usually a mistake, and it makes the weights of the others arbitrary.
    """
    reasons: dict[str, str] = {}
    kept: list[Member] = []
    for member in members:
        twin = next((other.name for other in kept if _is_equal(member.oof, other.oof)), None)
        if not np.ptp(member.oof, axis=0).any():
            reasons[member.name] = "its OOF is the same for every row"
        elif twin:
            reasons[member.name] = f"its OOF equals that of {twin} in every row"
        else:
            kept.append(member)
    return reasons


def collect_test_predictions(members: Sequence[Member]) -> list[Array]:
    """Return each member's test predictions (fits, test rows, columns). Raises OOFError if one has none."""
    tests = []
    for member in members:
        if member.test is None:
            raise OOFError(f"member {member.name} has no test predictions for this test table; train makes them")
        tests.append(member.test)
    return tests


def _join_test_parts(
    name: str, parts: Sequence[pd.DataFrame], folds: Sequence[int], seeds: Sequence[int], columns: list[str]
) -> tuple[IdArray, Array | None]:
    """Return ids and test predictions (folds, rows, columns), the mean over seeds, rows as in the first part."""
    if not parts:
        return np.empty(0, dtype=object), None
    by_fit = {(int(part["seed"].iloc[0]), int(part["fold"].iloc[0])): part.set_index("id")[columns] for part in parts}
    ids = next(iter(by_fit.values())).index
    slices = []
    for fold in sorted(folds):
        for seed in sorted(seeds):
            part = by_fit.get((seed, fold))
            if part is None:
                raise OOFError(f"member {name}: no test predictions of fold {fold}, seed {seed}")
            unshared = part.index.symmetric_difference(ids)
            if len(unshared):
                raise OOFError(f"member {name}: test id {unshared[0]!r} is not in the test predictions of every fit")
            slices.append(part.loc[ids].to_numpy(np.float64))
    shape = (len(folds), len(seeds), len(ids), len(columns))
    return ids.to_numpy(dtype=object), np.stack(slices).reshape(shape).mean(1)


def _check_alike(member: Member, first: Member) -> None:
    if member.columns != first.columns:
        raise OOFError(
            f"member {member.name} has the columns {', '.join(member.columns)}, "
            f"member {first.name} has {', '.join(first.columns)}"
        )
    if member.test is not None and first.test is not None:
        _check_same_ids(f"member {member.name}: the test rows", member.test_ids, first.test_ids, f"member {first.name}")


def _check_same_ids(subject: str, ids: IdArray, right: IdArray, source: str) -> None:
    if len(ids) != len(right):
        raise OOFError(f"{subject} are {len(ids)}, {source} has {len(right)}")
    wrong = np.flatnonzero(ids != right)
    if len(wrong):
        raise OOFError(f"{subject} have id {ids[wrong[0]]!r} where {source} has {right[wrong[0]]!r}")


def _is_equal(a: Array, b: Array) -> bool:
    """Return True if two members differ by rounding alone; a few rows are compared first, they settle most pairs."""
    return all(np.allclose(a[rows], b[rows], rtol=1e-9, atol=0) for rows in (slice(100), slice(None)))
