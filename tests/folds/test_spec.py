from typing import get_args

import pytest
from pydantic import ValidationError

from folds.spec import FoldKind, FoldSpec
from folds.splitters import SPLITTERS


def test_the_kinds_of_the_spec_are_those_of_the_registry() -> None:
    assert set(get_args(FoldKind)) == set(SPLITTERS)


def test_every_key_is_described() -> None:
    assert all(field.description for field in FoldSpec.model_fields.values())


def test_defaults_round_trip() -> None:
    assert FoldSpec.model_validate(FoldSpec().model_dump()) == FoldSpec(kind="stratified", count=5, seed=42)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "group"}, "folds.group must name a column when folds.kind is group"),
        ({"kind": "stratified_group"}, "folds.group must name a column when folds.kind is stratified_group"),
        ({"kind": "predefined"}, "folds.column must name a column when folds.kind is predefined"),
        ({"kind": "time"}, "folds.time must name a column when folds.kind is time"),
        (
            {"group": "g"},
            "folds.group has an effect only when folds.kind is group or .* or multilabel_group, not stratified",
        ),
        ({"kind": "kfold", "column": "c"}, "folds.column has an effect only when folds.kind is predefined, not kfold"),
        ({"time": "t"}, "folds.time has an effect only when folds.kind is time, not stratified"),
        ({"count": 1}, "greater than or equal to 2"),
        ({"count": "5"}, "valid integer"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"kind": "leave_one_out"}, "'stratified', 'kfold'"),
        ({"together": "group"}, "'duplicates'"),
        ({"shuffle": True}, "Extra inputs are not permitted"),
    ],
)
def test_impossible_folds_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FoldSpec.model_validate(config)
