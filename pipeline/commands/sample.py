"""The command `sample`: write the sample competition, in which a docstring's library is to be predicted.

Its texts are real English that is in every installation: the docstrings of eight libraries that Poolblend requires.
The sources are parsed, the libraries never imported. The same libraries, seed and rows give the same bytes.
"""

import ast
import csv
import importlib.util
import random
import re
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import PipelineError
from pipeline.storage.files import write_atomically

Row = tuple[str, str]  # text, library
LIBRARIES = ("networkx", "numpy", "pandas", "scipy", "sklearn", "sympy", "torch", "transformers")

TEXTS_PER_FILE = 12  # a file has one subject; more files make the competition harder and more varied
WORDS = range(20, 46)
FOREIGN_FOLDERS = {"test", "tests", "testing", "externals", "vendored"}  # tests, and code copied from other libraries

SECTION = re.compile(r"\n[^\n]*\n[-=~^]{3,}|\n\s*(>>>|```|\.\. |\w+( \w+)?:\s*\n)")
PROSE = re.compile(r"[A-Z`][^\n]*(\n[^\s*+|\-][^\n]*)*")
MARKUP = (
    (re.compile(r"\[([^]]*)\]\([^)]*\)"), r"\1"),  # [text](address)
    (re.compile(r":[\w:]+:`([^`<]*?)\s*(?:<[^`]*)?`"), r"\1"),  # :func:`text <target>`
    (re.compile(r"\s*\[[\w, ]+\]_"), ""),  # citations: [1]_
    (re.compile(r"`+_*|\*\*|~|!(?=\w)"), ""),
)
CODE = re.compile(r"[^\w\s.,;:()'\"/%+?!-]|[a-zA-Z_]\.[a-zA-Z_]{2}|http|::|\.py\b")
GIVEAWAY = re.compile(
    r"networkx|numpy|pandas|scipy|scikit|sklearn|sympy|torch|transformers|hugging|npy|\b(nx|np|pd|sp|sk|hf)\b",
    re.IGNORECASE,
)


def write_sample(folder: Path, *, train_rows: int, test_rows: int, seed: int) -> None:
    """Write train.csv (id, text, library), test.csv (id, text), sample_submission.csv (id, one column a library)
    and solution.csv (id, library) into `folder`.

    A source file gives rows to train or to test, never to both, because neighbours in one file resemble each other.
    Classes differ in size by one row at most. Raises PipelineError where a library is missing or holds too little.
    """
    train: list[Row] = []
    test: list[Row] = []
    taken: set[str] = set()
    for position, library in enumerate(tqdm(LIBRARIES, desc="docstrings", unit="library", delay=2, leave=False)):
        sources = _list_sources(library, seed)
        for rows, count in ((test, test_rows), (train, train_rows)):
            share = len(range(position, count, len(LIBRARIES)))
            texts = _take_texts(sources, share, taken)
            if len(texts) < share:
                raise PipelineError(
                    f"The docstrings of {library} fill only {len(texts)} of its {share} rows; ask for fewer than"
                    f" {train_rows} train and {test_rows} test rows."
                )
            rows.extend((text, library) for text in texts)
    _write_tables(folder, train, test, seed)


def clean_docstring(docstring: str) -> str | None:
    """Return the opening sentences of a docstring as plain prose of 20 to 45 words, or None where there is none.

    Sections, lists and examples are cut off, markup is removed. There is no text where it still looks like code, or
    names a library: a masked name would itself be a word to learn.
    """
    description = SECTION.split("\n" + docstring + "\n", maxsplit=1)[0]
    text = ""
    for paragraph in re.split(r"\n\s*\n", description.strip()):
        if not PROSE.fullmatch(paragraph) or paragraph.endswith(":"):
            break
        text += " ".join(paragraph.split()) + (" " if paragraph.endswith((".", "!", "?")) else ". ")
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", text):
        if len(words) + len(sentence.split()) >= WORDS.stop:
            break
        words += sentence.split()
    text = " ".join(words)
    return None if len(words) not in WORDS or CODE.search(text) or GIVEAWAY.search(text) else text


def _list_sources(library: str, seed: int) -> Iterator[Path]:
    """Return the source files of an installed library in an order drawn by the seed."""
    spec = importlib.util.find_spec(library)
    if spec is None or spec.submodule_search_locations is None:
        raise PipelineError(f"The sample competition reads the docstrings of {library}, which is not installed.")
    root = Path(spec.submodule_search_locations[0])
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    names = [name for name in names if FOREIGN_FOLDERS.isdisjoint(part.lstrip("_") for part in name.split("/"))]
    random.Random(f"{seed} {library}").shuffle(names)
    return (root / name for name in names)


def _take_texts(sources: Iterator[Path], count: int, taken: set[str]) -> list[str]:
    """Return `count` texts, read file by file, or fewer where the files end; adds their first words to `taken`.

    Two texts are duplicates if their first eight words are equal, without case and punctuation: model files copy each
    other's docstrings and change a name further on.
    """
    texts: list[str] = []
    while len(texts) < count and (source := next(sources, None)) is not None:
        by_opening = {" ".join(re.findall(r"\w+", text.lower())[:8]): text for text in _read_docstrings(source)}
        openings = [opening for opening in by_opening if opening not in taken][:TEXTS_PER_FILE]
        taken.update(openings)
        texts += [by_opening[opening] for opening in openings]
    return texts[:count]


def _read_docstrings(source: Path) -> Iterator[str]:
    """Yield the clean docstrings of a module and of its public classes, functions and methods."""
    nodes: list[ast.AST] = [ast.parse(source.read_bytes())]
    for node in nodes:  # grows while it is walked
        if isinstance(node, ast.Module) or (
            isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        ):
            text = clean_docstring(ast.get_docstring(node) or "")
            if text is not None:
                yield text
            if isinstance(node, ast.Module | ast.ClassDef):
                nodes += node.body


def _write_tables(folder: Path, train: list[Row], test: list[Row], seed: int) -> None:
    """Shuffle the rows, name them, and write the four tables."""
    generator = random.Random(seed)
    generator.shuffle(train)
    generator.shuffle(test)
    ids = [f"doc_{number:05d}" for number in range(len(train) + len(test))]
    test_ids = ids[len(train) :]
    even = [1 / len(LIBRARIES)] * len(LIBRARIES)
    tables: dict[str, list[tuple[object, ...]]] = {
        "train": [("id", "text", "library"), *((name, *row) for name, row in zip(ids, train, strict=False))],
        "test": [("id", "text"), *((name, text) for name, (text, _) in zip(test_ids, test, strict=True))],
        "sample_submission": [("id", *LIBRARIES), *((name, *even) for name in test_ids)],
        "solution": [("id", "library"), *((name, library) for name, (_, library) in zip(test_ids, test, strict=True))],
    }
    for table, lines in tables.items():
        with (
            write_atomically(folder / f"{table}.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows(lines)
