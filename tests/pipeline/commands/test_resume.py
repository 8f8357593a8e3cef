"""Resuming: what is finished stays, what was cut off is done again, and the end is the same byte for byte."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.fits.events import EpochEnded, Event
from pipeline.scheduling.scheduler import Scheduler

ROOT = Path(__file__).resolve().parents[3]
SEEDS = list(range(6))
VARIANTS = {"mean": {"pooling": "mean", "seeds": SEEDS}, "tfidf": {"model": "tfidf"}}
FITS = 2 * len(SEEDS) + 2
PROVENANCE = {"fit.json", "train.log"}  # they hold times


def content(site: Any) -> dict[str, bytes]:
    """The bytes of everything a run holds, but for what says when and where."""
    files = [path for path in site.root.rglob("*") if path.is_file() and path.name not in PROVENANCE]
    return {str(path.relative_to(site.root)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(make_site: Callable[..., Any]) -> Any:
    """A run that nothing interrupted."""
    site = make_site("multiclass", variants=VARIANTS, training={"epochs": 2})
    for verb in ("train", "blend", "submit"):
        site.ok(verb)
    return site


def killed_in_the_middle(site: Any) -> int:
    """Train in another process, kill it outright after the first finished fit; returns how many fits it finished."""
    command = [sys.executable, str(ROOT / "run.py"), "train", "--config", str(site.folder / "config.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not site.markers():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert process.stderr is not None
    process.stderr.close()
    return len(site.markers())


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(make_site: Callable[..., Any], whole: Any) -> None:
    site = make_site("multiclass", variants=VARIANTS, training={"epochs": 2})
    finished = killed_in_the_middle(site)
    assert 0 < finished < FITS
    before = site.markers()
    out = site.ok("train")
    assert f"[1/{FITS - finished}]" in out
    assert before.items() <= site.markers().items()
    for verb in ("blend", "submit"):
        site.ok(verb)
    found, wanted = content(site), content(whole)
    leftovers = {name for name in found if Path(name).name.startswith(".")}
    assert set(found) - leftovers == set(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def test_the_same_config_gives_the_same_bytes_in_another_folder(make_site: Callable[..., Any], whole: Any) -> None:
    site = make_site("multiclass", variants=VARIANTS, training={"epochs": 2})
    site.ok("train", "--only", "tfidf")  # another order, other fits in memory before
    site.ok("train", "--folds", "1")
    site.ok("train")
    found, wanted = content(site), content(whole)
    names = [name for name in wanted if name.startswith("models")]
    assert any(name.endswith("weights.safetensors") for name in names)
    assert [name for name in names if found[name] != wanted[name]] == []


def test_a_run_may_be_moved(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "moved")
    assert "nothing to do" in site.ok("train")
    site.ok("blend")
    site.ok("submit")
    assert content(site) == content(whole)


def test_a_fit_without_its_marker_never_happened(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    [victim] = (site.root / "models" / "mean").glob("*/seed-3/fold-1")
    (victim / "fit.json").unlink()
    (victim / "weights.safetensors").write_bytes(b"half of it")
    before = site.markers()
    out = site.ok("train")
    assert f"mean: 1 of {2 * len(SEEDS)} fits to do" in out
    assert before.items() <= site.markers().items()
    assert content(site) == content(whole)


def test_what_a_crash_left_behind_does_no_harm(whole: Any, tmp_path: Path) -> None:
    site = whole.copy(tmp_path / "copy")
    folders = [path for path in site.root.rglob("*") if path.is_dir()]
    for folder in folders:
        for name in (".folds.1.csv", ".fit.1.json", ".recipe.1.json", ".mean.valid.1.parquet", ".blend.1.json"):
            (folder / name).write_bytes(b"half")
    assert "nothing to do" in site.ok("train")
    for verb in ("blend", "status", "submit"):
        site.ok(verb)
    found, wanted = content(site), content(whole)
    assert {name: found[name] for name in wanted} == wanted


def test_a_damaged_file_of_a_finished_fit_is_one_sentence(whole: Any, tmp_path: Path) -> None:
    for name, verb in (("fit.json", "train"), ("mean.valid.parquet", "blend"), ("recipe.json", "status")):
        site = whole.copy(tmp_path / name)
        victim = next(site.root.rglob(f"mean/**/{name}"))
        victim.write_bytes(victim.read_bytes()[:20])
        done = site.run(verb)
        assert done.code == 2, name
        assert done.err.startswith("error: ")
        assert str(victim) in done.err


def test_a_backbone_of_pickled_weights_and_a_sentencepiece_model_trains_resumes_and_predicts_offline(
    make_site: Callable[..., Any], published_deberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shape of microsoft/deberta-v3-base; it is converted once, and not needed for predictions."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    backbone = Path(shutil.copytree(published_deberta, tmp_path / "deberta"))
    variants = {"mean": {"pooling": "mean"}, "attention": {"pooling": "attention"}}
    given = {"variants": variants, "training": {"backbone": str(backbone), "max_length": 24, "epochs": 3}}
    whole, site = (make_site("binary", **given) for _ in range(2))
    out = whole.ok("train")
    assert out.count("converting its files to safetensors and tokenizer.json, once") == 1
    seen, real = list[int](), Scheduler.handle_event

    def stop_in_the_middle(scheduler: Scheduler, number: int, event: Event) -> None:
        real(scheduler, number, event)
        if isinstance(event, EpochEnded) and not seen:
            seen.append(number)
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(Scheduler, "handle_event", stop_in_the_middle)
        assert site.run("train").code == 128 + signal.SIGTERM
    assert list(site.root.rglob("checkpoint.safetensors"))
    assert "converting" not in site.ok("train")
    assert content(site) == content(whole)
    site.ok("blend")
    shutil.rmtree(backbone)
    shutil.rmtree(tmp_path / "cache")
    site.ok("predict", "--test", str(site.folder / "test.csv"), "--output", str(tmp_path / "predictions"))
    assert (tmp_path / "predictions" / "blend.test.parquet").is_file()
