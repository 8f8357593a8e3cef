"""Every `python run.py` command printed in the README runs, in its order, on a tiny encoder."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import run

ROOT = Path(__file__).resolve().parents[1]
TAKES_CONFIG = {"train", "blend", "submit", "status", "predict", "grade"}


def printed_commands() -> list[list[str]]:
    """The words after `python run.py` of each command in the README's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("python run.py ")]
    return [shlex.split(line, comments=True)[2:] for line in lines]


def write_competition(folder: Path) -> None:
    """A folder as a host hands it out."""
    folder.mkdir(parents=True)
    texts = [f"the {'kind and happy' if row % 2 else 'sad and broken'} story of number {row}" for row in range(40)]
    frame = pd.DataFrame({"id": range(40), "text": texts, "happy": [row % 2 for row in range(40)]})
    frame[:30].to_csv(folder / "train.csv", index=False)
    frame[30:].drop(columns="happy").to_csv(folder / "test.csv", index=False)
    frame[30:].drop(columns="text").assign(happy=0.5).to_csv(folder / "sample_submission.csv", index=False)


def test_every_command_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_backbone: Callable[[str], str]
) -> None:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    write_competition(tmp_path / "data" / "my-competition")
    monkeypatch.chdir(tmp_path)
    small = [f"training.backbone={tiny_backbone('bert')}", "training.epochs=1", "training.batch_size=64"]
    small.append("variants.layers.pooling=weighted_layer")  # the tiny encoder has no layer 4 to start from
    assert run.main(["sample"]) == 0
    commands = printed_commands()
    assert {command[0] for command in commands} == set(run.VERBS)
    for command in commands:
        assert run.main([*command, *(small if command[0] in TAKES_CONFIG else [])]) == 0, " ".join(command)
    assert (tmp_path / "runs/docstrings/submissions/submission.csv").is_file()
    assert (tmp_path / "data/my-competition/runs/my-competition/submissions/submission.csv").is_file()


def test_make_demo_runs_commands_of_the_readme() -> None:
    recipe = re.search(r"^demo:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe is not None
    made = [line.split("$(RUN)")[1].split() for line in recipe[1].splitlines()]
    assert [command for command in made if command not in printed_commands()] == []
