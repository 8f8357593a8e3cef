"""Imports go one way, only `models` imports torch, importing has no effects, and the lock pins all requirements."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LEAVES = ("folds", "models", "oof", "submissions")
PACKAGES = ("pipeline", *LEAVES)
MAY_IMPORT = {"run": {"pipeline"}, "pipeline": set(PACKAGES), **{leaf: {leaf} for leaf in LEAVES}}
TORCH = ("torch", "transformers", "safetensors.torch", "tokenizers", "sentence_transformers")
NEVER_TORCH = ("models", "models.spec", "models.store", "models.tfidf")
ENGINES = ("pipeline.fits.neural_fit",)  # calls what trains and predicts; imported inside functions alone


class Import(NamedTuple):
    """A module named by an import statement; `at_once` if importing the importer imports it too."""

    target: str
    at_once: bool


def modules() -> dict[str, str]:
    """Return the source of every module of the product by its dotted name."""
    paths = [ROOT / "run.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]
    return {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path.read_text(
            encoding="utf-8"
        )
        for path in paths
    }


@cache
def imports(source: str) -> frozenset[Import]:
    """Return what a module imports, with `from a import b` as both `a` and `a.b`, since `b` may be a module."""

    def walk(node: ast.AST, at_once: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides its direction"
            yield Import(str(node.module), at_once)
            yield from (Import(f"{node.module}.{alias.name}", at_once) for alias in node.names)
        elif isinstance(node, ast.Call) and re.fullmatch(
            r"(importlib\.)?(import_module|__import__)", ast.unparse(node.func)
        ):
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}: an import of a computed name"
            yield Import(str(node.args[0].value), at_once)
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        )
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_once and not late)

    return frozenset(walk(ast.parse(source), True))


def is_torch(target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in TORCH)


def loads_torch(module: str, sources: dict[str, str]) -> bool:
    """Say whether importing `module` imports torch, by itself or through modules of the product."""
    seen: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if is_torch(name):
            return True
        if name in sources and name not in seen:
            seen.add(name)
            left += [name[: match.start()] for match in re.finditer(r"\.", name)]
            left += [item.target for item in imports(sources[name]) if item.at_once]
    return False


def wrong_arrows(sources: dict[str, str]) -> list[str]:
    """Return one sentence for each import that goes against the plan."""
    wrong = []
    for module, source in sources.items():
        package = module.split(".")[0]
        for target, at_once in sorted(imports(source)):
            to = target.split(".")[0]
            if to in MAY_IMPORT and to not in MAY_IMPORT[package]:
                wrong.append(f"{module} imports {target}")
            if is_torch(target) and (package != "models" or module in NEVER_TORCH):
                wrong.append(f"{module} imports {target}")
            if (
                package != "models"
                and module not in ENGINES
                and at_once
                and target in sources
                and loads_torch(target, sources)
            ):
                wrong.append(f"{module} imports {target}, which loads torch, outside a function")
    return wrong + [f"{module} loads torch" for module in NEVER_TORCH if loads_torch(module, sources)]


def test_imports_go_one_way_and_only_models_imports_torch() -> None:
    assert wrong_arrows(modules()) == []


PLAN = {
    "run": "from pipeline import cli",
    "pipeline": "",
    "pipeline.cli": "import folds\ndef train() -> None:\n    from models import fit",
    "folds": "import numpy",
    "models": "",
    "models.spec": "import pydantic",
    "models.store": "import json",
    "models.tfidf": "from models import spec",
    "models.fit": "import torch\nfrom models.spec import Spec",
}


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("run", "import folds", "run imports folds"),
        ("folds", "from pipeline.cli import x", "folds imports pipeline.cli"),
        ("folds", "def f():\n    import oof.metrics", "folds imports oof.metrics"),
        ("folds", "import importlib\nimportlib.import_module('oof')", "folds imports oof"),
        ("pipeline.cli", "def f():\n    import torch.nn", "pipeline.cli imports torch.nn"),
        ("pipeline.cli", "from safetensors.torch import save", "pipeline.cli imports safetensors.torch"),
        ("pipeline.cli", "from models import fit", "pipeline.cli imports models.fit, which loads torch"),
        ("models.spec", "def f():\n    import transformers", "models.spec imports transformers"),
        ("models.tfidf", "import models.fit", "models.tfidf loads torch"),
        ("models", "from models.fit import fit", "models.spec loads torch"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, source: str, found: str) -> None:
    assert wrong_arrows(PLAN) == []
    assert found in "\n".join(wrong_arrows(PLAN | {module: source}))


def test_importing_everything_but_training_loads_no_torch_and_prints_nothing() -> None:
    sources = modules()
    light = [
        module
        for module in sources
        if module not in ENGINES and not (module.startswith("models.") and loads_torch(module, sources))
    ]
    assert set(NEVER_TORCH) < set(light)
    program = f"import sys, {', '.join(light)}\nassert not {{'torch', 'transformers'}} & set(sys.modules), 'torch'"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_lock_pins_every_requirement() -> None:
    def names(file: str) -> set[str]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
        return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}

    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    assert [line for line in lock if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert names("requirements.txt") | names("requirements-dev.txt") <= names("requirements.lock")


def test_the_requirements_hold_both_sets_of_tested_versions() -> None:
    def pins(file: str) -> dict[str, str]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()[1:]
        return {name.lower(): version for name, version in (line.split("==") for line in lines)}

    locked, lowest = pins("requirements.lock"), pins("requirements-lowest.lock")
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line.split("#")[0])
            for pinned in (locked, {**locked, **lowest}):
                version = pinned[requirement.name.lower()]
                assert requirement.specifier.contains(version), (line, version)
    assert lowest.keys() >= {"numpy", "pandas", "pyarrow", "scikit-learn", "transformers"}
