"""docs/architecture.md names every module and no other; in all pages each command names a verb, option or target that
exists, and each link leads somewhere; the README is short and shows the config as shipped; the Chinese README begins
with its commands; the workflow runs what `make test` runs.
"""

import fnmatch
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TREE = ROOT / "docs" / "architecture.md"
MOST_LINES = 220  # of the README: a page that is read to its end
MOST_BYTES = 200_000  # of a picture


def readme() -> str:
    """Return the text of README.md."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def tree_paths(markdown: str) -> set[str]:
    """Return the paths of the first fenced block under a heading that speaks of the tree or the layout.

    A line is `name, name   what it is`, indented under its folder; a folder ends with `/`. Lines of `data/` and
    `runs/`, which git ignores, are left out.
    """
    heading = r"^#+ [^\n]*\b(?:tree|layout)\b[^\n]*\n"
    block = re.search(heading + r"(?:(?!```|#)[^\n]*\n)*```\w*\n(.*?)^```", markdown, re.IGNORECASE | re.M | re.S)
    assert block, "no fenced block under a heading with the word 'tree' or 'layout'"
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


def disk_paths(root: Path) -> set[str]:
    """Return what a tree has to name: the top-level entries that git keeps, hidden ones apart, and every module."""
    ignored = [line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").split()]
    entries = [
        path
        for path in root.iterdir()
        if not path.name.startswith(".") and not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
    ]
    files = [path for package in PACKAGES for path in (root / package).rglob("*.py") if path.name != "__init__.py"]
    return {path.name + "/" * path.is_dir() for path in entries} | {path.relative_to(root).as_posix() for path in files}


def test_the_tree_of_the_architecture_is_the_tree_on_disk() -> None:
    named = tree_paths(TREE.read_text(encoding="utf-8"))
    assert sorted(path for path in named if not (ROOT / path).exists()) == [], "in docs/architecture.md and not on disk"
    assert sorted(disk_paths(ROOT) - named) == [], "on disk and not in docs/architecture.md"


def test_the_layout_in_the_readme_names_every_folder() -> None:
    folders = {path for path in disk_paths(ROOT) if path.endswith("/") and path.count("/") == 1}
    assert tree_paths(readme()) == {"run.py", *folders}


@pytest.mark.parametrize("page", PAGES)
def test_every_module_named_in_a_page_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"\b(?:pipeline|folds|models|oof|submissions|tests|benchmarks)/[\w/]+\.py\b", text)
    assert [path for path in named if not (ROOT / path).is_file()] == []
    assert re.findall(r"`(test_\w+\.py)`", text) == []  # a test is named with its folder


def test_a_tree_is_read_with_its_folders(tmp_path: Path) -> None:
    text = (
        "## The `tree`\n\nAll of it:\n\n```text\nrun.py   one\nfolds/\n├── a.py, b.py   two\n└── deep/\n"
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
    assert disk_paths(tmp_path) == {"folds/", "run.py", "folds/a.py"}


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


def test_every_guide_is_linked_from_the_readme_and_every_decision_from_their_index() -> None:
    guides = {page for page in PAGES if re.fullmatch(r"docs/[^/]+", page)}
    assert guides - set(links(readme())) == set()
    index = links((ROOT / "docs/decisions/README.md").read_text(encoding="utf-8"))
    assert {page.name for page in (ROOT / "docs/decisions").glob("*.md")} - set(index) == {"README.md"}
    assert any(link.startswith("docs/decisions") for link in links(readme()))


def test_every_decision_has_a_date_and_the_newest_stands_first() -> None:
    for page in (ROOT / "docs/decisions").glob("*.md"):
        titles = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.M)
        dates = [re.findall(r" \((\d{4}-\d\d-\d\d)\)$", title) for title in titles]
        assert [title for title, date in zip(titles, dates, strict=True) if not date] == [], page.name
        assert dates == sorted(dates, reverse=True), page.name


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(readme().splitlines()) <= MOST_LINES
    pictures = re.findall(r'<img src="([^"]+)"', readme())
    assert pictures
    assert [path for path in pictures if not 0 < (ROOT / path).stat().st_size < MOST_BYTES] == []


def test_the_readme_shows_the_config_as_shipped() -> None:
    block = re.search(r"^```yaml\n(.*?)^```", readme(), re.M | re.S)
    assert block
    shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert YAML(typ="safe").load(block[1]) == YAML(typ="safe").load(shipped)


def test_no_page_names_a_path_of_a_machine() -> None:
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    found = {page: re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S+", text) for page, text in texts.items()}
    cluster = {"docs/scale.md": ["/home/ubuntu/poolblend:", "/home/ubuntu/poolblend/requirements.txt"]}  # of its nodes
    assert {page: paths for page, paths in found.items() if paths} == cluster


def test_the_chinese_readme_begins_with_the_commands_of_the_english_one() -> None:
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    shown = commands(chinese)
    assert shown == commands(readme())[: len(shown)]
    assert ["make", "demo"] in shown
    assert [words[2] for words in shown if words[:2] == ["python", "run.py"]] == ["init", "train", "blend", "submit"]
    assert re.findall(r'<img src="([^"]+)"', chinese) == re.findall(r'<img src="([^"]+)"', readme())


def test_the_workflow_runs_what_make_test_runs_on_each_python_and_may_only_read() -> None:
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/tests.yml")
    assert workflow["permissions"] == {"contents": "read"}
    [job] = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    setup = next(step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["cache"] == "pip"
    assert setup["python-version"] == "${{ matrix.python }}"
    runs = "\n".join(step.get("run", "") for step in job["steps"])
    lines = ["-r requirements-dev.txt", "ruff check .", "ruff format --check .", "mypy", "pytest"]
    assert [line for line in lines if line not in runs] == []
