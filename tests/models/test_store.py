from pathlib import Path

import pytest

from models import ModelError
from models.store import (
    MARKER,
    RECIPE,
    Recipe,
    count_finished_fits,
    locate_fit,
    locate_recipe,
    locate_test_part,
    locate_valid_part,
    read_json,
    read_marker,
    write_json,
)

locate_test_part.__test__ = False  # a path, for all its name
OLD, NEW = Recipe({"epochs": 1}), Recipe({"epochs": 2})


def finish(root: Path, recipe: Recipe, fold: int, fingerprint: str = "f") -> Path:
    folder = locate_fit(root, "mean", recipe, 1, fold)
    folder.mkdir(parents=True)
    write_json(locate_recipe(root, "mean", recipe) / RECIPE, recipe.values)
    write_json(folder / MARKER, {"fingerprint": fingerprint})
    return folder


def test_an_edited_recipe_finds_its_own_place_and_a_reverted_one_the_former(tmp_path: Path) -> None:
    old, new = (locate_fit(tmp_path, "mean", recipe, 7, 3) for recipe in (OLD, NEW))
    assert old != new
    assert old == locate_fit(tmp_path, "mean", Recipe(dict(OLD.values)), 7, 3)
    assert old.relative_to(tmp_path).parts[0] == "mean"
    assert old.relative_to(locate_recipe(tmp_path, "mean", OLD)) == Path("seed-7/fold-3")
    assert len(locate_recipe(tmp_path, "mean", OLD).name) == 8
    assert locate_fit(tmp_path, "mean", OLD, 7, "all").name == "fold-all"


def test_parts_are_named_by_member_and_table(tmp_path: Path) -> None:
    assert locate_valid_part(tmp_path, "shared.cls").name == "shared.cls.valid.parquet"
    assert locate_test_part(tmp_path, "shared.cls", "0123456789abcdef").name == "shared.cls.test-01234567.parquet"


def test_a_fit_without_a_marker_never_happened(tmp_path: Path) -> None:
    folder = locate_fit(tmp_path, "mean", OLD, 1, 0)
    assert read_marker(folder, "f") is None
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"whole")
    assert read_marker(folder, "f") is None


def test_a_marker_is_read_back(tmp_path: Path) -> None:
    assert read_marker(finish(tmp_path, OLD, 0), "f") == {"fingerprint": "f"}


def test_the_marker_of_another_fit_is_refused(tmp_path: Path) -> None:
    folder = finish(tmp_path, OLD, 0)
    with pytest.raises(ModelError, match=r"fit\.json belongs to another fit.*move that folder away"):
        read_marker(folder, "g")


@pytest.mark.parametrize("content", [b"", b'{"fingerprint": "f"', b"[1]", b"\xff\xfe", b"null"])
def test_a_damaged_marker_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    folder = finish(tmp_path, OLD, 0)
    (folder / MARKER).write_bytes(content)
    with pytest.raises(ModelError, match=r"fit\.json is damaged") as caught:
        read_marker(folder, "f")
    assert "\n" not in str(caught.value)


def test_only_fits_with_a_marker_are_finished(tmp_path: Path) -> None:
    record = locate_recipe(tmp_path, "mean", OLD) / RECIPE
    assert count_finished_fits(record) == 0
    for fold in (0, 1):
        folder = finish(tmp_path, OLD, fold)
    assert count_finished_fits(record) == 2
    (folder / MARKER).unlink()
    assert count_finished_fits(record) == 1


def test_json_is_readable_and_the_same_each_time(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "中文"}
    path = tmp_path / "x.json"
    write_json(path, value)
    assert read_json(path) == value
    assert "中文" in path.read_text(encoding="utf-8")
    assert path.read_bytes().endswith(b"}\n")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"loss": float("nan")})
