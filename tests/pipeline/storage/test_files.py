"""Files are whole or not there, in company too, and the machine's refusals are its own."""

import errno
from pathlib import Path

import pandas as pd
import pytest
from safetensors import SafetensorError

from pipeline.errors import PipelineError
from pipeline.storage.files import PREFIX, raise_plain_errors, remove_temporaries, write_atomically, write_together


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.parquet"
    with write_atomically(path) as temporary:
        assert temporary.name == path.name  # writers choose a format by it
        pd.DataFrame({"a": [1]}).to_parquet(temporary)
        assert not path.exists()
    assert pd.read_parquet(path)["a"].tolist() == [1]
    assert names(tmp_path) == ["new", "table.parquet"]


def test_an_error_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    path.write_text("former")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert path.read_text() == "former"
    assert names(tmp_path) == ["fit.json"]


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "seal")]
    for path in paths:
        path.write_text("former")

    def fail() -> None:
        with write_together(*paths) as files:
            for file in files[:2]:
                file.write_text("new")
            raise ValueError("third")

    with pytest.raises(ValueError, match="third"):
        fail()
    assert [path.read_text() for path in paths] == ["former"] * 3
    with write_together(*paths) as files:
        for file in files:
            file.write_text("new")
    assert [path.read_text() for path in paths] == ["new"] * 3
    assert names(tmp_path) == ["a", "b", "seal"]


def test_the_last_of_several_files_takes_its_place_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, replace = list[str](), Path.replace

    def watched(self: Path, target: Path) -> Path:
        order.append(Path(target).name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    with write_together(tmp_path / "b", tmp_path / "a", tmp_path / "seal") as files:
        for file in files:
            file.write_text("x")
    assert order == ["b", "a", "seal"]


def test_everybody_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with write_atomically(tmp_path / "x") as temporary:
        temporary.chmod(0o600)
    assert (tmp_path / "x").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    "said",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
        OSError(errno.ENOSPC, "No space left on device", "/somewhere/.poolblend-x/weights"),
        Exception("No space left on device (os error 28)"),  # tokenizers
    ],
)
def test_a_full_disk_is_the_machines_own_error_whoever_reports_it(tmp_path: Path, said: Exception) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(OSError, match="No space left") as caught, write_atomically(path):
        raise said
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_what_is_no_refusal_of_the_machine_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError), raise_plain_errors(tmp_path):
        raise KeyError("a bug")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as caught, write_atomically(tmp_path / "file" / "x"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "x")


def test_a_sweep_takes_what_killed_processes_left_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / "deep" / f"{PREFIX}abc"
    left.mkdir(parents=True)
    (left / "weights.safetensors").touch()
    (left / ".tmp123").touch()
    (tmp_path / "deep" / "weights.safetensors").touch()
    remove_temporaries(tmp_path)
    remove_temporaries(tmp_path / "not there")
    assert names(tmp_path) == ["deep", "weights.safetensors"]
    assert (tmp_path / "deep" / "weights.safetensors").exists()


def test_a_message_of_ours_is_no_number_of_the_machines(tmp_path: Path) -> None:
    """An id called "errno 28" became "No space left on device"."""
    with pytest.raises(PipelineError, match="row 'errno 28' is unknown"), raise_plain_errors(tmp_path):
        raise PipelineError("row 'errno 28' is unknown")


def test_every_new_folder_of_a_chain_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("pipeline.storage.files.sync_to_disk", synced.append)
    with write_atomically(tmp_path / "a" / "b" / "file") as temporary:
        temporary.write_text("x")
    assert synced[:2] == [tmp_path, tmp_path / "a"]
    assert tmp_path / "a" / "b" in synced
