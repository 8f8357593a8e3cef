"""Members are stacked only if they predict the same rows."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from oof import OOFError
from oof.members.member import Member, collect_test_predictions, drop_members, find_useless_members, stack_members
from oof.members.rows import select_rows

ROWS = select_rows(["a", "b", "c"], np.array([0, 1, -1]), [0, 1])


@pytest.fixture
def pair():
    first = Member(
        name="first",
        columns=("y",),
        ids=np.array(["a", "b"], dtype=object),
        fold=np.array([0, 1]),
        oof=np.array([[1.0], [2.0]]),
        test_ids=np.array(["t", "u"], dtype=object),
        test=np.ones((2, 2, 1)),
    )
    return first, replace(first, name="second", oof=np.array([[3.0], [4.0]]))


def test_the_matrix_is_members_by_rows_by_columns(pair):
    members, P = stack_members(iter(pair), 2, ROWS)
    assert P.shape == (2, 2, 1)
    assert P[1, :, 0].tolist() == [3, 4]
    assert all(np.shares_memory(member.oof, P) for member in members)
    assert members[1].oof.tolist() == [[3], [4]]


def test_no_more_than_one_member_is_in_memory_twice(pair):
    made = []

    def one_after_the_other():
        for member in [*pair, replace(pair[0], name="third")]:
            assert sum(there() is not None for there in made) <= 1
            fresh = replace(member, oof=member.oof.copy())
            made.append(weakref.ref(fresh.oof))
            yield fresh
            del fresh

    stack_members(one_after_the_other(), 3, ROWS)
    assert len(made) == 3


def test_after_members_are_dropped_the_others_are_views_of_the_new_matrix(pair):
    members, P = stack_members([*pair, replace(pair[0], name="third", oof=np.array([[5.0], [6.0]]))], 3, ROWS)
    same, whole = drop_members(members, P, [])
    assert whole is P
    assert [member.name for member in same] == ["first", "second", "third"]
    rest, P = drop_members(members, P, {"second"})
    assert [member.name for member in rest] == ["first", "third"]
    assert P[:, :, 0].tolist() == [[1, 2], [5, 6]]
    assert all(np.shares_memory(member.oof, P[at]) for at, member in enumerate(rest))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": "first"}, "two members are named 'first'"),
        ({"columns": ("z",)}, "member second has the columns z, member first has y"),
        (
            {"ids": np.array(["b", "a"], dtype=object)},
            "member second: the OOF rows have id 'b' where the folds file has 'a'",
        ),
        ({"ids": np.array(["a"], dtype=object)}, "member second: the OOF rows are 1, the folds file has 2"),
        (
            {"test_ids": np.array(["t", "v"], dtype=object)},
            "member second: the test rows have id 'v' where member first has 'u'",
        ),
    ],
)
def test_members_that_differ_are_refused(pair, changed, sentence):
    with pytest.raises(OOFError, match=sentence):
        stack_members([pair[0], replace(pair[1], **changed)], 2, ROWS)


def test_nothing_to_blend_is_refused():
    with pytest.raises(OOFError, match="there is no member to blend"):
        stack_members([], 0, ROWS)


def test_members_that_add_nothing_are_named(pair):
    constant = replace(pair[0], name="flat", oof=np.full((2, 1), 0.5))
    twin = replace(pair[1], name="twin", oof=pair[1].oof.copy())
    assert find_useless_members([*pair, constant, twin]) == {
        "flat": "its OOF is the same for every row",
        "twin": "its OOF equals that of second in every row",
    }
    assert find_useless_members(pair) == {}
    half = replace(pair[0], columns=("y", "z"), oof=np.array([[0.5, 0.1], [0.5, 0.2]]))
    assert find_useless_members([half]) == {}


def test_test_predictions_must_be_there_for_all(pair):
    assert [test.shape for test in collect_test_predictions(pair)] == [(2, 2, 1), (2, 2, 1)]
    with pytest.raises(OOFError, match="member second has no test predictions"):
        collect_test_predictions([pair[0], replace(pair[1], test=None)])
