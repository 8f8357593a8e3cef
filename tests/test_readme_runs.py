"""Every `python run.py` command printed in the README and in the docs runs, in its order, on a tiny encoder."""

import json
import re
import runpy
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

import run
from models.pooling import token_pools
from tests.models.pooling import test_pooling_contract as contract

ROOT = Path(__file__).resolve().parents[1]
TAKES_CONFIG = {"train", "blend", "submit", "status", "predict", "grade"}
RUN = "data/my-competition/runs/my-competition"
LEAVES = {  # a file that exists at the end of a guide only if all of it was done
    "first-competition.md": "kaggle/working/submission.csv",
    "choosing-poolings.md": f"{RUN}/oof/compare.json",
    "reading-the-report.md": f"{RUN}/report.html",
    "blending-with-teammates.md": f"{RUN}/oof/bert.parquet",
    "extending.md": f"{RUN}/oof/blend.json",
    "scale.md": f"{RUN}/folds/folds.csv",
}
GUIDES = list(LEAVES)
LISTS = ("README.md", "docs/commands.md")  # pages of commands that are run one after the other in one folder
SOURCES = ("models/", "tests/")  # what a guide shows of the repository is no file of the competition


def printed_commands(*pages: str) -> list[list[str]]:
    """Return the words after `python run.py` of each command in the bash blocks of pages."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages]
    lines = [
        line for text in texts for language, block in blocks(text) if language == "bash" for line in block.splitlines()
    ]
    return [shlex.split(line, comments=True)[2:] for line in lines if line.startswith("python run.py ")]


def write_competition(folder: Path) -> None:
    """Write the folder of a competition as a host publishes it."""
    folder.mkdir(parents=True)
    texts = [f"the {'kind and happy' if row % 2 else 'sad and broken'} story of number {row}" for row in range(60)]
    frame = pd.DataFrame({"id": range(60), "text": texts, "target": [row // 2 % 5 > row % 2 * 2 for row in range(60)]})
    frame = frame.astype({"target": int})
    frame[:48].to_csv(folder / "train.csv", index=False)
    frame[48:].drop(columns="target").to_csv(folder / "test.csv", index=False)
    frame[48:].drop(columns="text").assign(target=0.5).to_csv(folder / "sample_submission.csv", index=False)
    frame[48:].drop(columns="text").to_csv(folder / "solution.csv", index=False)


def test_every_command_in_the_readme_and_in_the_list_of_commands_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_backbone: Callable[[str], str]
) -> None:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    write_competition(tmp_path / "data" / "my-competition")
    monkeypatch.chdir(tmp_path)
    small = [f"training.backbone={tiny_backbone('bert')}", "training.epochs=1", "training.batch_size=64"]
    small.append("variants.layers.pooling=weighted_layer")  # the tiny encoder has no layer 4 to start from
    assert run.main(["sample"]) == 0
    commands = printed_commands(*LISTS)
    assert {command[0] for command in commands} == set(run.VERBS)
    for command in commands:
        assert run.main([*command, *(small if command[0] in TAKES_CONFIG else [])]) == 0, " ".join(command)
    assert (tmp_path / "runs/docstrings/submissions/submission.csv").is_file()
    assert (tmp_path / "data/my-competition/runs/my-competition/submissions/submission.csv").is_file()


def test_no_page_prints_a_command_that_no_test_runs() -> None:
    pages = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    run_here = {*LISTS, *(f"docs/{guide}" for guide in GUIDES)}
    known = printed_commands(*run_here)
    other = {page: printed_commands(page) for page in pages if page not in run_here}
    assert [(page, command) for page, found in other.items() for command in found if command not in known] == []


def test_make_demo_runs_commands_that_are_printed() -> None:
    recipe = re.search(r"^demo:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe is not None
    made = [line.split("$(RUN)")[1].split() for line in recipe[1].splitlines()]
    assert [command for command in made if command not in printed_commands(*LISTS)] == []


def blocks(markdown: str) -> list[tuple[str, str]]:
    """Return language and text of the fenced blocks of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", markdown, re.M | re.S)


def put_config(config: Path, text: str) -> None:
    """Put the keys of a config that is shown into the reader's, section by section; variants replace theirs."""
    yaml = YAML(typ="safe")
    values = yaml.load(config)
    for name, section in yaml.load(text).items():
        values[name] = section if name == "variants" else {**values.get(name, {}), **section}
    config.write_text(json.dumps(values), encoding="utf-8")


def follow(line: str, place: Path, overrides: list[str]) -> None:
    """Execute one line of a bash block; Kaggle's folders are in `place`."""
    words = shlex.split(line.replace("/kaggle", str(place / "kaggle")), comments=True)
    match words:
        case ["python", "run.py", verb, *_]:
            assert run.main([*words[2:], *(overrides if verb != "init" else [])]) == 0, line
        case ["python", script]:
            runpy.run_path(script)
        case ["cp" | "mkdir", *_]:
            subprocess.run(words, check=True)
        case _:
            assert words in ([], ["make", "test"]), f"no test can follow {line!r}"


@pytest.mark.parametrize("guide", GUIDES)
def test_every_guide_can_be_followed(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_backbone: Callable[[str], str]
) -> None:
    for folder in ("data/my-competition", "kaggle/input/my-competition"):
        write_competition(tmp_path / folder)
    (tmp_path / "kaggle/working").mkdir()
    (tmp_path / "kaggle/input/my-run").symlink_to(tmp_path / "kaggle/working")
    monkeypatch.chdir(tmp_path)
    if "run.py init" not in (text := (ROOT / "docs" / guide).read_text(encoding="utf-8")):
        assert run.main(["init", "data/my-competition"]) == 0
    small = [f"training.backbone={tiny_backbone('bert')}", "training.epochs=1", "training.batch_size=64"]
    small += ["training.threads=1", "folds.count=2"]
    for language, block in blocks(text):
        head, _, rest = block.partition("\n")
        file = Path(head.removeprefix("# "))
        if language == "bash":
            for line in block.splitlines():
                follow(line, tmp_path, small)
        elif language == "yaml":
            put_config(file, rest)
        elif not str(file).startswith(SOURCES):
            file.write_text(block, encoding="utf-8")
    assert (tmp_path / LEAVES[guide]).is_file()


def test_the_pool_of_the_guide_keeps_its_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    shown = dict(block.split("\n", 1) for language, block in blocks(text) if language == "python")
    made = dict(vars(token_pools))
    exec(shown["# models/pooling/token_pools.py"], made)
    references = eval(f"{{{shown['# tests/models/pooling/test_pooling_contract.py']}}}", vars(contract))
    monkeypatch.setitem(token_pools.TOKEN_POOLS, "midrange", made["MidrangePool"])
    monkeypatch.setitem(contract.POOL_REFERENCES, "midrange", references["midrange"])
    for check in contract.CHECKS.values():
        check(contract.build("weighted", "midrange"), "weighted", "midrange")
