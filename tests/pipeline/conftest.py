"""Generated competitions of every task, small enough for a tiny random encoder, each with its config beside it."""

import csv
import json
import random
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sites import Site as Place
from models.store import write_json
from pipeline.storage.checksums import verify_sealed, write_sealed

Row = dict[str, Any]
TRAIN, TEST = 48, 12
FILLER = ["the", "movie", "film", "book", "story", "plot", "actor", "cat", "dog", "sat", "ran", "mat", "city", "river"]
CHINESE = "中国人民大学生的是在有我他这为之来以"


@pytest.fixture(autouse=True, scope="session")
def heeded_signals() -> None:
    """`nohup make test &` starts Python deaf to SIGHUP and SIGINT, which `train` respects and these tests send."""
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


class Site(Place):
    """A competition's folder with its config.yaml."""

    def ok(self, verb: str, *arguments: str) -> str:
        """Call one verb that must succeed; returns its standard output."""
        done = self.run(verb, *arguments)
        assert done.code == 0, done.err
        return done.out

    def config(self) -> dict[str, Any]:
        """The config as plain values; to be changed and given back to `configure`."""
        config: dict[str, Any] = json.loads((self.folder / "config.yaml").read_text(encoding="utf-8"))
        return config

    def configure(self, **sections: Any) -> None:
        """Merge sections into the config; JSON is YAML."""
        config = self.config()
        for name, section in sections.items():
            merged = isinstance(section, dict) and name != "variants"
            config[name] = {**config.get(name, {}), **section} if merged else section
        (self.folder / "config.yaml").write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")

    def rows(self, name: str) -> list[Row]:
        """The rows of a csv file in the folder."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, name: str, rows: Sequence[Row]) -> Path:
        """Write rows as a csv file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def markers(self) -> dict[str, tuple[int, bytes]]:
        """Time and bytes of the marker of every finished fit, by its place."""
        found = sorted((self.root / "models").glob("*/*/seed-*/fold-*/fit.json"))
        return {str(p.relative_to(self.root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in found}

    def reseal(self, marker: Path, **changes: Any) -> None:
        """Change keys of a marker as if its fit had written them."""
        value = json.loads(marker.read_text(encoding="utf-8"))
        body = verify_sealed(value, marker, "")
        write_sealed(marker, write_json, {**body, **changes}, body["files"])

    def trained(self) -> dict[str, int]:
        """When each finished fit's own predictions were written."""
        found = sorted((self.root / "models").rglob("*.valid.parquet"))
        return {str(p.relative_to(self.root)): p.stat().st_mtime_ns for p in found}

    def copy(self, folder: Path) -> "Site":
        """The same competition and runs in another folder."""
        shutil.copytree(self.folder, folder)
        return Site(folder)


MakeSite = Callable[..., Site]


@pytest.fixture(scope="session")
def make_site(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Callable[[str], str]) -> MakeSite:
    """make_site(task, **sections) -> a new competition of that task; sections are merged into its config."""

    def make(task: str, **sections: Any) -> Site:
        site = Site(tmp_path_factory.mktemp(task) / "competition")
        site.folder.mkdir()
        maker, competition = COMPETITIONS[task]
        rng = random.Random(0)
        rows = [maker(rng, number) for number in range(TRAIN + TEST)]
        answers = [competition["target"]] if isinstance(competition["target"], str) else competition["target"]
        train, hidden = rows[:TRAIN], rows[TRAIN:]
        site.write("train.csv", train)
        site.write("test.csv", [{k: v for k, v in row.items() if k not in answers} for row in hidden])
        site.write("sample_submission.csv", [{"id": row["id"], **SAMPLES[task]} for row in hidden])
        site.write("solution.csv", [{k: row[k] for k in ["id", *answers]} for row in hidden])
        config = {
            "run": "r",
            "competition": {
                "train": "train.csv",
                "test": "test.csv",
                "sample_submission": "sample_submission.csv",
                "text": "text",
                "task": task,
                **competition,
            },
            "folds": {"count": 2, "kind": "multilabel" if task == "multilabel" else "stratified"},
            "training": {
                "backbone": tiny_backbone("bert"),
                "max_length": 16,
                "epochs": 1,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "threads": 1,
            },
            "variants": {"mean": {"pooling": "mean"}, "tfidf": {"model": "tfidf"}},
        }
        (site.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
        site.configure(**sections)
        return site

    return make


@pytest.fixture(scope="session")
def blended(make_site: MakeSite, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Site]:
    """blended(task) -> a fresh copy of that competition, trained and blended once a session."""
    kept: dict[str, Site] = {}

    def copy(task: str) -> Site:
        if task not in kept:
            kept[task] = make_site(task)
            kept[task].ok("train")
            kept[task].ok("blend")
        return kept[task].copy(tmp_path_factory.mktemp("copy") / "competition")

    return copy


FITS: dict[str, Any] = {
    "variants": {"mean": {"pooling": "mean"}, "max": {"pooling": "max"}, "tfidf": {"model": "tfidf"}},
    "training": {"epochs": 2},
}


@pytest.fixture(scope="session")
def alone(make_site: MakeSite) -> Site:
    """A run of six fits that one process did, for engines to be compared with."""
    site = make_site("binary", **FITS)
    site.ok("train", "--workers", "1")
    return site


@pytest.fixture
def site(alone: Site, make_site: MakeSite) -> Site:
    """The same competition before its run."""
    return make_site("binary", **FITS)


LONG: dict[str, Any] = {
    "variants": {"mean": {"pooling": "mean"}, "max": {"pooling": "max"}},
    "training": {
        "epochs": 40
    },  # a second or so, so that whoever hears of the first epoch is in time to disturb the fit
}


@pytest.fixture(scope="session")
def long(make_site: MakeSite) -> Site:
    """A run of four longer fits that one process did."""
    site = make_site("binary", **LONG)
    site.ok("train", "--workers", "1")
    return site


@pytest.fixture
def long_site(long: Site, make_site: MakeSite) -> Site:
    """The same competition before its run."""
    return make_site("binary", **LONG)


@pytest.fixture(scope="session")
def linear_site(make_site: MakeSite) -> MakeSite:
    """linear_site(task, **sections) -> a competition with the linear variant alone: no torch, milliseconds a fit."""

    def make(task: str, **sections: Any) -> Site:
        return make_site(task, **{"variants": {"tfidf": {"model": "tfidf"}}, **sections})

    return make


def _english(rng: random.Random, number: int, *words: str) -> Row:
    tokens = [rng.choice(FILLER) for _ in range(6)] + [*words, *words]
    rng.shuffle(tokens)
    return {"id": f"{number:03d}", "text": " ".join([*tokens, *str(number)])}


def _binary(rng: random.Random, number: int) -> Row:
    positive = number % 2
    return {**_english(rng, number, "good" if positive else "bad"), "target": positive}


def _multiclass(rng: random.Random, number: int) -> Row:
    name = ("who", "where", "when")[number % 3]
    return {**_english(rng, number, name), "kind": name}


def _multilabel(rng: random.Random, number: int) -> Row:
    old, red = number % 2, number // 2 % 2
    return {**_english(rng, number, "old" if old else "new", "red" if red else "blue"), "old": old, "red": red}


def _regression(rng: random.Random, number: int) -> Row:
    first, shared = _english(rng, number, "good")["text"].split(), number % 5
    second = first[: 2 * shared] + [rng.choice(FILLER) for _ in range(10 - 2 * shared)]
    return {"id": f"{number:03d}", "text": " ".join(first), "other": " ".join(second), "score": shared + 0.25}


def _ordinal(rng: random.Random, number: int) -> Row:
    grade = number % 3 + 1
    text = "".join(rng.choice(CHINESE) for _ in range(8)) + "不了个"[grade - 1] * 3 + str(number)
    return {"id": f"{number:03d}", "text": text, "grade": grade}


# For each task: what makes a row, and what the config says of the competition.
COMPETITIONS: dict[str, tuple[Callable[[random.Random, int], Row], dict[str, Any]]] = {
    "binary": (_binary, {"target": "target", "metric": "roc_auc"}),
    "multiclass": (_multiclass, {"target": "kind", "metric": "log_loss"}),
    "multilabel": (_multilabel, {"target": ["old", "red"], "metric": "log_loss"}),
    "regression": (_regression, {"target": "score", "text": ["text", "other"], "metric": "rmse"}),
    "ordinal": (_ordinal, {"target": "grade", "metric": "qwk"}),
}

SAMPLES: dict[str, Row] = {
    "binary": {"target": 0.5},
    "multiclass": {"where": 0.2, "when": 0.4, "who": 0.4},
    "multilabel": {"red": 0.5, "old": 0.5},
    "regression": {"score": 0},
    "ordinal": {"grade": 1},
}
