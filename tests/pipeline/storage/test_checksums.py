"""A flipped bit is named, in every kind of artefact, by the verb that reads it and by `status --deep`."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.flips import ARTEFACTS, flip
from benchmarks.sites import contents
from models import ModelError
from models.store import read_json, write_json
from pipeline.errors import PipelineError
from pipeline.fits import run_fit
from pipeline.storage.checksums import (
    LISTED,
    check_file,
    compute_checksum,
    compute_checksums,
    read_sealed,
    verify_sealed,
    write_sealed,
)
from pipeline.storage.run_directory import LOG

FLIPS = 3
VALUE = {"method": "mean", "numbers": [0.25, 1], "none": None}


@pytest.fixture(scope="module")
def whole(make_site: Callable[..., Any]) -> Any:
    """A run with every kind of artefact but a checkpoint."""
    site = make_site("binary")
    for verb in ("train", "blend", "submit", "compare"):
        site.ok(verb)
    return site


@pytest.fixture(scope="module")
def left(make_site: Callable[..., Any]) -> Any:
    """A run that was stopped in its first fit."""
    site = make_site("binary")
    with pytest.MonkeyPatch.context() as patched:
        real = run_fit.train_job

        def stopped(*arguments: Any, **more: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return real(*arguments, **more)

        patched.setattr(run_fit, "train_job", stopped)
        assert site.run("train").code == 128 + signal.SIGINT
    return site


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_a_flipped_bit_is_named(kind: str, whole: Any, left: Any, tmp_path: Path) -> None:
    site = (left if kind == "checkpoint" else whole).copy(tmp_path / "copy")
    before = contents(site.root)
    rng = np.random.default_rng(list(ARTEFACTS).index(kind))
    for _ in range(FLIPS):
        done = flip(site, kind, "mean", rng)
        assert done.missed == [], done
    assert contents(site.root) == before


def test_every_file_of_a_run_is_of_a_kind_that_is_flipped(whole: Any, left: Any) -> None:
    """But for what the tokenizer has beside its main file, which the same seal holds."""
    names = {"member": "*"}
    known = {
        path
        for site in (whole, left)
        for pattern, _ in ARTEFACTS.values()
        for path in site.root.glob(pattern.format_map(names))
    }
    files = {path for site in (whole, left) for path in site.root.rglob("*") if path.is_file()}
    assert {path.name for path in files - known} <= {
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
        LOG,
    }


def test_a_missing_and_a_foreign_file_are_found(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    [part, *_] = sorted(site.root.rglob("mean.valid.parquet"))
    part.rename(part.with_name("other.parquet"))
    (site.root / "oof" / "notes.txt").write_text("mine")
    said = site.run("status", "--deep").err
    assert f"{part} is missing: remove {part.parent} and train again" in said
    for name in (part.with_name("other.parquet"), site.root / "oof" / "notes.txt"):
        assert f"{name} is not a file of this run" in said
    assert f"{part} is missing" in site.run("blend").err


def test_a_file_of_another_run_is_not_taken_for_this_ones(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    first, second = sorted(site.root.rglob("mean.valid.parquet"))
    first.write_bytes(second.read_bytes())
    assert f"{first} is damaged or was changed since it was written" in site.run("blend").err


def test_damage_is_mended_as_the_sentence_says(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    [part, *_] = sorted(site.root.rglob("mean.valid.parquet"))
    part.write_bytes(b"")
    assert f"remove {part.parent} and train again: only that fit is repeated" in site.run("blend").err
    for path in sorted(part.parent.iterdir()):
        path.unlink()
    part.parent.rmdir()
    assert "mean: 1 of 2 fits to do" in site.ok("train")
    assert contents(site.root) == contents(whole.root)


def test_what_is_sealed_comes_back_and_not_one_bit_can_change(tmp_path: Path) -> None:
    file, record = tmp_path / "a", tmp_path / "record.json"
    file.write_bytes(b"abc")
    write_sealed(record, write_json, VALUE, compute_checksums([file]))
    whole = record.read_bytes()
    assert verify_sealed(read_json(record), record, "") == {**VALUE, "files": {"a": compute_checksum(file)}}
    for place in range(len(whole)):
        for bit in range(8):
            record.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises((PipelineError, ModelError), match=r"record\.json is damaged"):
                verify_sealed(read_json(record), record, "mend it")


@pytest.mark.parametrize("changed", ["{}", '{"sha256": ""}', '{"sha256": 1, "files": {}}', '{"files": {}}'])
def test_what_has_no_seal_is_refused(changed: str, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(changed)
    with pytest.raises(PipelineError, match=r"record\.json is damaged or was changed since it was written: mend it"):
        verify_sealed(read_json(record), record, "mend it")


def test_a_file_is_held_against_its_seal(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert check_file(file, "a", compute_checksums([file]), "") == file
    with pytest.raises(PipelineError, match="is not a file that this run wrote: mend it"):
        check_file(file, "a", {}, "mend it")
    with pytest.raises(PipelineError, match="b is missing: mend it"):
        check_file(tmp_path / "b", "b", {"b": ""}, "mend it")


def test_a_submission_edited_by_hand_is_graded_only_by_its_name(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    path = site.root / "submissions" / "submission.csv"
    path.write_text(path.read_text().replace("0.", "0.0"))
    solution = ["--solution", str(site.folder / "solution.csv")]
    assert f"{path} is damaged or was changed since it was written: submit again" in site.run("grade", *solution).err
    assert "submitted roc_auc" in site.ok("grade", *solution, "--submission", str(path))


ELSEWHERE = ["../../../victim.txt", "{folder}/victim.txt", "sub/victim.txt", "..", "backbone/../../victim.txt", "a\\b"]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_forged_list_removes_and_reads_no_file_of_another_folder(whole: Any, tmp_path: Path, name: str) -> None:
    """A run from somebody else: its records have right checksums and list a file outside of it."""
    site = whole.copy(tmp_path / "copy")
    name = name.format(folder=tmp_path)
    victims = [tmp_path / "victim.txt", site.root / "oof" / "sub" / "victim.txt", site.folder / "victim.txt"]
    for victim in victims:
        victim.parent.mkdir(exist_ok=True)
        victim.write_text("mine", encoding="utf-8")
    records = [site.root / "oof" / "blend.json", *site.root.glob("report/report.json")]
    for record in records:
        value = json.loads(record.read_text(encoding="utf-8"))
        files = {**value.pop("files"), name: compute_checksum(victims[0])}
        write_sealed(record, write_json, {key: entry for key, entry in value.items() if key != "sha256"}, files)
        with pytest.raises(PipelineError, match="a file of another folder, so this program did not write it"):
            read_sealed(record, read_json, "")
    for verb in ("blend", "report"):
        site.run(verb)
    assert all(victim.read_text(encoding="utf-8") == "mine" for victim in victims)


def test_names_of_files_that_runs_list_are_taken() -> None:
    for name in ("mean.valid.parquet", "backbone/tokenizer.json", "../report.html", "shared.cls.test.parquet"):
        assert LISTED.fullmatch(name)
    for name in ("../other.html", "backbone/a/b", "/etc/passwd", "C:file", "a/../b"):
        assert not LISTED.fullmatch(name)
