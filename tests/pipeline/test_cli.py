"""The command line: help with examples, exit codes, and no torch where nothing is trained."""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "tokenizers")
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
import run
for argv in {calls!r}:
    try:
        code = run.main(argv)
    except SystemExit as done:
        code = done.code
    assert not code, argv
print("loaded:", *[name for name in {heavy!r} if name in sys.modules])
"""


def loaded(*calls: list[str]) -> str:
    """The heavy libraries that these calls, in a fresh process, have imported."""
    program = PROGRAM.format(root=str(ROOT), calls=calls, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("loaded:").strip()


def test_blending_submitting_and_looking_load_no_torch(blended: Callable[[str], Any]) -> None:
    site = blended("multiclass")
    config = ["--config", str(site.folder / "config.yaml")]
    solution = ["--solution", str(site.folder / "solution.csv")]
    (site.folder / "init").mkdir()
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        (site.folder / "init" / name).write_bytes((site.folder / name).read_bytes())
    calls = [[verb, *config] for verb in ("status", "blend", "compare", "submit")]
    calls += [["grade", *config, *solution], ["init", str(site.folder / "init")], ["schema"], ["--help"]]
    assert loaded(*calls) == ""


def test_training_loads_torch_for_networks_only(site: Any) -> None:
    train = ["train", "--config", str(site.folder / "config.yaml"), "--only"]
    assert loaded([*train, "tfidf"]) == ""
    assert "torch" in loaded([*train, "mean"])


def test_help_imports_nothing_but_the_standard_library() -> None:
    program = "import sys, run\ntry:\n    run.main(['--help'])\nexcept SystemExit:\n    pass\n"
    program += "print(*[name for name in ('numpy', 'pandas', 'pydantic', 'pipeline') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def subparsers() -> dict[str, argparse.ArgumentParser]:
    [action] = [a for a in run.build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


@pytest.mark.parametrize("verb", list(run.VERBS))
def test_each_verb_has_help_with_an_example_that_it_accepts(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.main([verb, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    example = re.search(r"example: python run\.py (.*)", out)
    assert example is not None
    argv = example[1].split(" > ")[0].split()
    assert run.build_parser().parse_args(argv).verb == verb == argv[0]


def test_every_verb_is_listed_and_described() -> None:
    assert set(subparsers()) == set(run.VERBS)
    assert all(parser.description for parser in subparsers().values())


def test_a_verb_or_option_that_is_not_there_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        [],
        ["trian"],
        ["train", "--onyl", "mean"],
        ["train", "--folds", "0,a"],
        ["predict"],
        ["train", "--only", ","],
    ):
        with pytest.raises(SystemExit) as left:
            run.main(argv)
        assert left.value.code == 2
    assert "must be fold numbers such as 0,1, got '0,a'" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["schema"]) == 0
    assert '"properties"' in capsys.readouterr().out


def test_an_interrupted_call_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(run.VERBS, "schema", interrupted)
    assert run.main(["schema"]) == 130
    assert "stopped; finished fits are kept" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(args: argparse.Namespace) -> None:
        raise OSError(28, "No space left on device", "runs/r/fit.json")

    monkeypatch.setitem(run.VERBS, "schema", full)
    assert run.main(["schema"]) == 2
    assert capsys.readouterr().err == (
        "error: No space left on device: runs/r/fit.json; make room, then the same command continues\n"
    )


def test_a_bug_is_no_problem_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: argparse.Namespace) -> None:
        raise ValueError("a bug")

    monkeypatch.setitem(run.VERBS, "schema", broken)
    with pytest.raises(ValueError, match="a bug"):
        run.main(["schema"])


def test_the_version_is_that_of_the_changelog_and_names_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run.main(["--version"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert out.startswith(f"poolblend {newest[1]}, Python ")
    assert re.search(r"^  torch [0-9.]+", out, re.MULTILINE)
