import pytest
from pydantic import ValidationError

from submissions.formats import KINDS
from submissions.spec import SubmissionSpec


def test_every_key_is_described() -> None:
    assert all(field.description for field in SubmissionSpec.model_fields.values())


def test_every_kind_of_a_task_can_be_configured() -> None:
    for kind in {kind for kinds in KINDS.values() for kind in kinds}:
        assert SubmissionSpec.model_validate({"kind": kind}).kind == kind


def test_defaults_round_trip() -> None:
    assert SubmissionSpec.model_validate(SubmissionSpec(clip=[0, 5]).model_dump()).clip == [0.0, 5.0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"file": "a/b.csv"}, "submission.file must be a bare name that ends in .csv"),
        ({"file": "..\\b.csv"}, "bare name"),
        ({"file": "submission.txt"}, "bare name"),
        ({"file": ".csv"}, "bare name"),
        ({"clip": [1.0, 1.0]}, "submission.clip must be .* low < high"),
        ({"clip": [float("nan"), 1.0]}, "low < high"),
        ({"clip": [1.0]}, "at least 2 items"),
        ({"kind": "labels", "clip": [0.0, 1.0]}, "submission.clip has an effect only on values"),
        ({"kind": "ranks"}, "'probabilities', 'labels', 'values' or 'ranked'"),
        ({"decimals": 3}, "Extra inputs"),
    ],
)
def test_impossible_submissions_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SubmissionSpec.model_validate(config)
