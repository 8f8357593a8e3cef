"""The README tells of every module and no other; in all pages each command names a verb, option or target that exists,
and each link leads somewhere; the Chinese README says what the English one says.
"""

import fnmatch
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def tree_paths(markdown: str) -> set[str]:
    """Return the paths of the first fenced block under a heading that speaks of the tree or the house.

    A line is `name, name   what it is`, indented under its folder; a folder ends with `/`. Lines of `data/` and
    `runs/`, which git ignores, are left out.
    """
    heading = r"^#+ [^\n]*\b(?:tree|house)\b[^\n]*\n"
    block = re.search(heading + r"(?:(?!```|#)[^\n]*\n)*```\w*\n(.*?)^```", markdown, re.IGNORECASE | re.M | re.S)
    assert block, "README.md has no fenced block under a heading with the word 'tree' or 'house'"
    paths: set[str] = set()
    folders: list[tuple[int, str]] = []
    for line in filter(str.strip, block[1].splitlines()):
        entry = line.lstrip(" │├└─")
        column = len(line) - len(entry)
        names = re.split(r"\s{2,}|\s+#", entry)[0].split(", ")
        folders = [(at, folder) for at, folder in folders if at < column]
        above = folders[-1][1] if folders else ""
        paths.update(above + name for name in names)
        if names[0].endswith("/"):
            folders.append((column, above + names[0]))
    return {path for path in paths if not path.startswith(("data/", "runs/"))}


def house_paths(root: Path) -> set[str]:
    """Return what a tree has to name: the top-level entries that git keeps, hidden ones apart, and every module."""
    ignored = [line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").split()]
    entries = [
        path
        for path in root.iterdir()
        if not path.name.startswith(".") and not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
    ]
    files = [path for package in PACKAGES for path in (root / package).rglob("*.py") if path.name != "__init__.py"]
    return {path.name + "/" * path.is_dir() for path in entries} | {path.relative_to(root).as_posix() for path in files}


def test_the_tree_in_the_readme_is_the_tree_on_disk() -> None:
    told = tree_paths(readme())
    assert sorted(path for path in told if not (ROOT / path).exists()) == [], "in README.md and not on disk"
    assert sorted(house_paths(ROOT) - told) == [], "on disk and not in README.md"


def test_a_tree_is_read_with_its_folders(tmp_path: Path) -> None:
    text = (
        "## The `house`\n\nAll of it:\n\n```text\nrun.py   one\nfolds/\n├── a.py, b.py   two\n└── deep/\n"
        "    └── c.py  # d\nLICENSE\n```\n"
    )
    assert tree_paths(text) == {
        "run.py",
        "folds/",
        "folds/a.py",
        "folds/b.py",
        "folds/deep/",
        "folds/deep/c.py",
        "LICENSE",
    }
    (tmp_path / ".gitignore").write_text("/runs/\n*.log\n")
    for name in ("runs", "folds", ".venv"):
        (tmp_path / name).mkdir()
    for name in ("run.py", "a.log", "folds/__init__.py", "folds/a.py"):
        (tmp_path / name).touch()
    assert house_paths(tmp_path) == {"folds/", "run.py", "folds/a.py"}


def commands(markdown: str) -> list[list[str]]:
    """Return the words of every `make` and `python ...` line in the fenced bash blocks, without comments."""
    blocks = re.findall(r"^```(?:bash|sh|console)\n(.*?)^```", markdown, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+#.*|^\$ ", "", line.strip()).split() for line in lines]
    return [words for words in found if words[:1] in (["make"], ["python"])]


@cache
def help_of(script: str, *verb: str) -> str:
    """Return what `<script> <verb> --help` prints, or nothing where there is no such script or verb."""
    command = [sys.executable, script, *verb, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def unknown_words(command: list[str]) -> list[str]:
    """Return the verbs, options and make targets of a command that do not exist."""
    if command[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        named = [word.split("=")[0] for word in command[1:]]
        return [word for word in named if not re.search(rf"^{re.escape(word)}( \?=|:)", makefile, re.M)]
    script, *words = command[1:]
    verb = [word for word in words[:1] if script == "run.py" and not word.startswith("-")]
    options = [word.split("=")[0] for word in words if word.startswith("-")]
    text = help_of(script, *verb)
    if not text:
        return verb or [script]
    return [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)]


def test_the_readme_shows_the_product() -> None:
    found = commands(readme())
    assert ["make", "demo"] in found
    assert {"train", "blend", "submit"} <= {words[2] for words in found if words[:2] == ["python", "run.py"]}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_page_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    made = re.findall(r"^```python\n# (.*)$", text, re.M)  # scripts that the page itself shows
    found = [command for command in commands(text) if command[1] not in made]
    assert {" ".join(command): unknown_words(command) for command in found if unknown_words(command)} == {}


def test_an_unknown_verb_option_target_or_script_is_found() -> None:
    text = (
        "```bash\nmake tset PYTHON=python3\npython run.py trian\npython run.py train \\\n  --onyl mean  # one\n"
        "python benchmarks/engine.py --pere x\npython benchmarks/egnine.py\n```\n"
    )
    wrong = [["tset"], ["trian"], ["--onyl"], ["--pere"], ["benchmarks/egnine.py"]]
    assert [unknown_words(command) for command in commands(text)] == wrong


def links(markdown: str) -> list[str]:
    """Return the targets of a page's links, but not those to other sites."""
    prose = re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]


def anchors(markdown: str) -> set[str]:
    """Return the names of a page's headings as links spell them."""
    prose = re.sub(r"^```.*?^```", "", markdown, flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_in_a_page_leads_somewhere(page: str) -> None:
    assert broken(ROOT / page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The `one`\n[a](page.md) [b](#the-one) [c](page.md#two) [d](no.md) [e](https://no.no)\n")
    assert broken(page) == ["page.md#two", "no.md"]


def test_every_guide_is_linked_from_the_readme() -> None:
    guides = {page for page in PAGES if page.startswith("docs/")}
    assert guides - set(links(readme())) == set()


def figures(markdown: str) -> set[str]:
    """Return every number with a decimal point, a thousands' comma or a percent sign."""
    return set(re.findall(r"\d+,\d{3}|\d*\.\d+|\d+ ?(?=%)", markdown))


def test_the_chinese_readme_has_the_commands_and_figures_of_the_english_one() -> None:
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    assert commands(chinese) == commands(readme())
    assert figures(chinese) == figures(readme())
    assert {link for link in links(readme()) if link != "README.zh.md"} <= set(links(chinese))
