"""The sample competition is prose, balanced, deterministic, and does not tell its answers."""

import csv
import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import sample
from pipeline.errors import PipelineError

WORDS = tuple(f"{first}{last}" for first in ("al", "be", "ga", "de") for last in ("pha", "tor", "mma", "lta", "nix"))
LONG = " ".join(WORDS).capitalize() + " and more of it."


def prose(seed: int) -> str:
    """Return a sentence of 25 words, another one for every seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=25)).capitalize() + "."


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two invented libraries of 12 files and 5 docstrings a file; importing one of them is an error."""
    for number, library in enumerate(("aaa_library", "bbb_library")):
        package = tmp_path / library
        (package / "tests").mkdir(parents=True)
        (package / "__init__.py").write_text("raise AssertionError('the sample imported a library')\n")
        (package / "tests" / "test_it.py").write_text(f'"""Hidden {LONG}"""\n')
        for file in range(12):
            functions = [
                f'def f{k}():\n    """{prose(1000 * number + 10 * file + k)} In {library[:3]} module{file:02}."""\n'
                for k in range(5)
            ]
            (package / f"m{file}.py").write_text("\n".join(functions))
    monkeypatch.setattr(sample, "LIBRARIES", ("aaa_library", "bbb_library"))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_fit_together(site: Path) -> None:
    sample.write_sample(site / "out", train_rows=21, test_rows=10, seed=0)
    train, test, blank, solution = (
        read(site / "out" / f"{name}.csv") for name in ("train", "test", "sample_submission", "solution")
    )
    assert [list(table[0]) for table in (train, test, blank, solution)] == [
        ["id", "text", "library"],
        ["id", "text"],
        ["id", "aaa_library", "bbb_library"],
        ["id", "library"],
    ]
    assert [row["id"] for row in test] == [row["id"] for row in blank] == [row["id"] for row in solution]
    assert len({row["id"] for row in train + test}) == 31
    assert sorted(row["library"] for row in train) == ["aaa_library"] * 11 + ["bbb_library"] * 10
    assert all(float(row["aaa_library"]) == 0.5 for row in blank)
    for row in train:  # the label belongs to the text
        assert f"In {row['library'][:3]} module" in row["text"]
    for row, answer in zip(test, solution, strict=True):
        assert f"In {answer['library'][:3]} module" in row["text"]


def test_no_source_file_gives_both_train_and_test_rows(site: Path) -> None:
    sample.write_sample(site / "out", train_rows=40, test_rows=20, seed=0)
    train, test = ({row["text"][-16:] for row in read(site / "out" / f"{name}.csv")} for name in ("train", "test"))
    assert train
    assert test
    assert not train & test


def test_same_seed_gives_the_same_bytes_and_another_seed_another_sample(site: Path) -> None:
    def written(seed: int) -> list[bytes]:
        sample.write_sample(site / "out", train_rows=20, test_rows=10, seed=seed)
        return [path.read_bytes() for path in sorted((site / "out").iterdir())]

    assert written(1) == written(1)
    assert written(1) != written(2)


def test_too_many_rows_is_one_clear_sentence(site: Path) -> None:
    with pytest.raises(PipelineError, match=r"aaa_library fill only \d+ of its 250 rows; ask for fewer than 500 train"):
        sample.write_sample(site / "out", train_rows=500, test_rows=10, seed=0)


def test_copied_docstrings_come_once(site: Path) -> None:
    for file in range(12):
        (site / "aaa_library" / f"m{file}.py").write_text(f'"""{LONG.upper() if file % 2 else LONG} Copy {file}."""\n')
    with pytest.raises(PipelineError, match="aaa_library fill only 0 of its 5 rows"):
        sample.write_sample(site / "out", train_rows=10, test_rows=2, seed=0)


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        (LONG, LONG),
        (f"{LONG}\n\nParameters\n----------\nx : int", LONG),
        (f"{LONG}\n\nArgs:\n    x: what it is", LONG),
        (f"{LONG}\n\n>>> f(1)\n2", LONG),
        (f"{LONG}\n\nFor example:\n\n* one", LONG),
        (f"{LONG[:-1]} as ``code`` in :class:`it <there>`, *see* [here](there) [1]_.", None),
        (
            f"{LONG[:-1]} as ``code`` in :class:`it <there>`, see [here](there) [1]_.",
            f"{LONG[:-1]} as code in it, see here.",
        ),
        (f"Short of a stop\n\n{LONG}", f"Short of a stop. {LONG}"),
        (f"{LONG} {LONG}", LONG),
        ("Too short to tell.", None),
        (f"{LONG} It is x = y.", None),
        (f"{LONG} It is scipy.", None),
        (f"{LONG} It is a NumpyArray.", None),
        (f"{LONG} It is np of course.", None),
    ],
)
def test_only_plain_prose_that_names_no_library_is_left(docstring: str, text: str | None) -> None:
    assert sample.clean_docstring(docstring) == text


def test_the_real_libraries_fill_a_small_sample_without_being_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pipeline.commands.sample import LIBRARIES, write_sample;"
        f"write_sample(Path({str(tmp_path)!r}), train_rows=16, test_rows=8, seed=0);"
        "print(sorted(set(LIBRARIES) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert len(read(tmp_path / "train.csv")) == 16
    assert {row["library"] for row in read(tmp_path / "solution.csv")} == set(sample.LIBRARIES)
