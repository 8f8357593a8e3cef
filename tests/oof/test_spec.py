"""The section `blend` of the config is strict."""

import pytest
from pydantic import ValidationError

from oof.spec import BlendSpec


def test_the_default_is_auto_over_all_members():
    spec = BlendSpec()
    assert (spec.method, spec.members, spec.extra) == ("auto", None, {})


@pytest.mark.parametrize("name", ["mate", "shared.cls", "a-b_c.2"])
def test_extras_have_names_that_are_file_names(name):
    spec = BlendSpec.model_validate({"extra": {name: {"oof": "a.csv", "test": "b.csv"}}})
    assert spec.extra[name].test == "b.csv"


@pytest.mark.parametrize(
    "section",
    [
        {"method": "magic"},
        {"weights": [1]},
        {"members": []},
        {"members": ["a", "a"]},
        {"members": ["../a"]},
        {"extra": {"../a": {"oof": "a.csv", "test": "b.csv"}}},
        {"extra": {".a": {"oof": "a.csv", "test": "b.csv"}}},
        {"extra": {"a\n": {"oof": "a.csv", "test": "b.csv"}}},
        {"extra": {"a": {"oof": "a.csv"}}},
        {"extra": {"a": {"oof": "", "test": "b.csv"}}},
    ],
)
def test_a_contradictory_section_is_refused(section):
    with pytest.raises(ValidationError):
        BlendSpec.model_validate(section)


def test_every_field_is_described_in_the_schema():
    schema = BlendSpec.model_json_schema()
    assert all(field.get("description") for field in schema["properties"].values())
    assert all(field.get("description") for field in schema["$defs"]["ExtraSpec"]["properties"].values())
