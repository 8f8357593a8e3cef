"""Strangers' input by the thousand: refused in one sentence or read right, never a traceback nor wrong in silence.

usage: python benchmarks/fuzz.py [--inputs 10000] [--seed 0] [--kinds csv,config] [--failures FOLDER]

Valid files are changed as bytes and as structures and go through the readers and the verbs (tfidf alone). What is
accepted is held against a plain reading made here: RFC 4180 one character at a time, json, pyarrow's Python values.
"Wrong" is an accepted input that the plain reading refuses or reads otherwise, or a table refused though it reads.
Failing inputs are kept in a folder. The exit code is 1 if there is one.
"""

import argparse
import contextlib
import io
import itertools
import json
import math
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from sklearn.metrics import cohen_kappa_score

import run
from benchmarks.fuzz_inputs import Rows, changed_config, changed_rows, odd_override, scratched, valid_rows, written
from benchmarks.fuzz_plain import Cells, number, plain_table, plain_tables, same, same_table
from pipeline.blending.run_members import gather_members
from pipeline.config.run_config import read_config
from pipeline.data.competition import load_competition
from pipeline.data.tables import read_table
from pipeline.display import format_table
from pipeline.errors import PROBLEMS
from pipeline.fits.open_run import open_run

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
TASKS = ("binary", "multiclass", "regression", "ordinal", "multilabel")
VERDICTS = ("accepted", "refused", "traceback", "wrong")


@dataclass(frozen=True)
class Outcome:
    """What became of an input; `said` is the sentence, the traceback, or where the readings part."""

    verdict: str
    said: str = ""


class Site:
    """A competition in a folder of its own, trained and blended; every input changes a fresh copy of its tables."""

    def __init__(self, root: Path, task: str) -> None:
        self.task, self.folder = task, root / task
        self.folder.mkdir(parents=True)
        self.tables = valid_rows(task)
        self.config = {
            "run": "r",
            "competition": {
                **{name: f"{name}.csv" for name in ("train", "test", "sample_submission")},
                "text": "text",
                "target": self.targets,
                "task": task,
                "metric": METRICS[task],
            },
            "folds": {"count": 2, "kind": "multilabel" if task == "multilabel" else "stratified"},
            "variants": {"tfidf": {"model": "tfidf", "min_rows": 1}},
            "blend": {"method": "mean", "finish": False},
        }
        self.restore()
        for verb in ("train", "blend"):
            outcome = self.verb(verb)
            assert outcome.verdict == "accepted", outcome.said
        folds = plain_table(self.folder / "runs" / "r" / "folds" / "folds.csv")
        self.folds = dict(folds or [])

    def members(self) -> Any:
        """The members that `blend` blends."""
        return gather_members(open_run(read_config(self.folder / "config.yaml"), self.folder)).members

    @property
    def targets(self) -> Any:
        return ["old", "red"] if self.task == "multilabel" else "target"

    def restore(self) -> None:
        for name, rows in self.tables.items():
            (self.folder / f"{name}.csv").write_bytes(written(rows, "csv", random.Random(0), plain=True))
        self.configure()

    def configure(self, **sections: Any) -> None:
        config = {**self.config, **sections}
        (self.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")

    def verb(self, verb: str, *arguments: str) -> Outcome:
        """One call of the command line, in this process."""
        return called(lambda: run.main([verb, "--config", str(self.folder / "config.yaml"), *arguments]))

    def load(self) -> Any:
        """The competition as Poolblend holds it."""
        config = read_config(self.folder / "config.yaml")
        return load_competition(config.competition, config.submission, self.folder)


METRICS = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "regression": "rmse",
    "ordinal": "qwk",
    "multilabel": "log_loss",
}


def called(action: Callable[[], int | None]) -> Outcome:
    """Accepted with what was printed, refused with the sentence, or a traceback: also for a sentence that is none."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = action()
    except PROBLEMS as error:
        code = 2
        err.write(f"error: {error}\n")
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    except Exception:  # noqa: BLE001  this is what is looked for
        return Outcome("traceback", traceback.format_exc())
    said = err.getvalue()
    if CONTROL.search(said):
        return Outcome("traceback", f"a control character in {said!r}")
    if code == 2 and said.count("error: ") == 0:
        return Outcome("traceback", f"no sentence: {said!r}")
    lines = [line for line in said.splitlines() if not line.startswith("warning: ")]
    if code == 2 and len(lines) > 1 and "problem(s):" not in lines[0] and "usage:" not in said:
        return Outcome("traceback", f"more than a sentence: {said!r}")
    return Outcome("refused" if code else "accepted", said if code else out.getvalue())


def table_input(kind: str, site: Site, rng: random.Random) -> Outcome:
    """A table of one format, against the plain reading of its bytes."""
    rows = changed_rows(site.tables["train"], rng, keep=0.3)
    path = site.folder / f"fuzzed.{kind}"
    path.write_bytes(scratched(written(rows, kind, rng), rng, keep=0.6))
    frames: list[Any] = []
    outcome = called(lambda: frames.append(read_table(path, "table")))
    plain = plain_table(path)
    if outcome.verdict == "accepted":
        is_one = any(same_table(frames[0], reading) for reading in plain_tables(path))
        return compared(is_one, outcome, "the plain reading differs")
    if outcome.verdict == "refused" and plain is not None:
        return Outcome("wrong", f"refused though it reads: {outcome.said}")
    return outcome


def compared(right: bool, outcome: Outcome, what: str) -> Outcome:
    return outcome if right else Outcome("wrong", what)


def competition_input(site: Site, rng: random.Random) -> Outcome:
    """One of the three tables, through `status`."""
    paths, outcome = fuzzed_tables(site, rng, "status")
    if outcome.verdict != "accepted":
        return outcome
    loaded = site.load()
    readings = {name: plain_tables(path) for name, path in paths.items()}
    if not all(readings.values()):
        return Outcome("wrong", "the plain reading refuses a table")
    choices = itertools.product(*readings.values())
    wanted = {"id", "text", *site.targets} if isinstance(site.targets, list) else {"id", "text", site.targets}
    parts = [
        parted(site, loaded, dict(zip(readings, choice, strict=True)))
        for choice in choices
        if wanted <= set(choice[0][0])
        and {"id", "text"} <= set(choice[1][0])
        and choice[2][0] == list(loaded.sample.original.columns)
    ]
    return compared([] in parts, outcome, f"the plain reading differs in {parts[:1]}")


def fuzzed_tables(site: Site, rng: random.Random, *verbs: str) -> tuple[dict[str, Path], Outcome]:
    """Change a table of the competition, in any format, and call verbs; a run of its own has no folds yet."""
    which = rng.choice(["train", "train", "test", "sample_submission"])
    paths = {name: site.folder / f"{name}.csv" for name in ("train", "test", "sample_submission")}
    kind = rng.choice(["csv", "csv", "jsonl", "parquet"])
    paths[which] = site.folder / f"fuzzed.{kind}"
    rows = changed_rows(site.tables[which], rng, keep=0.2)
    paths[which].write_bytes(scratched(written(rows, kind, rng), rng, keep=0.8))
    site.configure(run="fresh", competition={**site.config["competition"], **{n: p.name for n, p in paths.items()}})
    shutil.rmtree(site.folder / "runs" / "fresh", ignore_errors=True)
    for verb in verbs:
        if (outcome := site.verb(verb)).verdict != "accepted":
            break
    return paths, outcome


def parted(site: Site, loaded: Any, plain: dict[str, Any]) -> list[str]:
    """In what the competition in memory is not what the plain reading of its tables says."""
    train, test, sample = (as_columns(plain[name]) for name in ("train", "test", "sample_submission"))
    truth = np.asarray(loaded.targets.truth)
    if site.task in ("binary", "multiclass", "ordinal"):
        read = [fold(loaded.targets.classes[code]) for code in truth]
        said = [fold(cell) for cell in train["target"]]
    else:
        names = site.targets if isinstance(site.targets, list) else [site.targets]
        read = [str(value) for value in truth.astype(float).T.ravel()]
        said = [number(cell) for name in names for cell in train[name]]
    pairs = {
        "ids": (loaded.ids, train["id"]),
        "texts": ([text for (text,) in loaded.texts], train["text"]),
        "targets": (read, said),
        "test ids": (loaded.test.ids, test["id"]),
        "test texts": ([text for (text,) in loaded.test.texts], test["text"]),
        **{f"sample's {name}": (loaded.sample.original[name].tolist(), cells) for name, cells in sample.items()},
    }
    return [name for name, (one, other) in pairs.items() if not (len(one) == len(other) and all(map(same, one, other)))]


def fold(name: Any) -> str:
    """A class without regard to case and space, and a number by its value."""
    text = " ".join(str(name).split()).casefold()
    return text if math.isnan(value := number(text)) else repr(value)


def as_columns(plain: Rows) -> dict[str, list[str]]:
    header, *rows = plain
    return {name: [row[at] for row in rows] for at, name in enumerate(header)}


def train_input(site: Site, rng: random.Random) -> Outcome:
    """The product from a table to a submission, whose ids are the sample's."""
    paths, outcome = fuzzed_tables(site, rng, "train", "blend", "submit")
    if outcome.verdict != "accepted":
        return outcome
    predicted = site.verb("predict", "--test", str(paths["test"]), "--output", str(site.folder / "predicted"))
    if predicted.verdict != "accepted":
        return Outcome("wrong", f"predict does not read what train read: {predicted.said}")
    plain = plain_table(site.folder / "runs" / "fresh" / "submissions" / "submission.csv")
    path = paths["sample_submission"]
    samples = plain_tables(path)
    known = {cell for table in plain_tables(paths["test"]) for row in table[1:] for cell in row}

    def list_ids(table: Cells) -> list[list[str]]:
        return [cells for cells in as_columns(table).values() if set(cells) <= known]

    same = plain is not None and any(
        plain[0] == sample[0] and any(ids in list_ids(plain) for ids in list_ids(sample)) for sample in samples
    )
    return compared(same, outcome, "the submission has other ids than the sample")


def init_input(site: Site, rng: random.Random) -> Outcome:
    """`init` on a folder with a table that is odd; the config that it writes is a config."""
    folder = site.folder / "new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("train", "test", "sample_submission"):
        shutil.copy(site.folder / f"{name}.csv", folder)
    name = rng.choice(["train", "test", "sample_submission"])
    rows = changed_rows(site.tables[name], rng, keep=0.2)
    (folder / f"{name}.csv").write_bytes(scratched(written(rows, "csv", rng), rng, keep=0.8))
    outcome = called(lambda: run.main(["init", str(folder)]))
    if outcome.verdict != "accepted":
        return outcome
    again = called(lambda: run.main(["status", "--config", str(folder / "config.yaml")]))
    unread = again.verdict == "traceback" or "problem(s)" in again.said or "YAML" in again.said
    return compared(not unread, outcome, f"the config that init wrote is refused: {again.said}")


def config_input(site: Site, rng: random.Random) -> Outcome:
    """A config as bytes, as a structure, or with overrides; an accepted structure says what was written."""
    shutil.rmtree(site.folder / "runs" / "fresh", ignore_errors=True)
    config, path = changed_config({**site.config, "run": "fresh"}, rng, keep=0.3), site.folder / "config.yaml"
    path.write_bytes(raw := scratched(config, rng, keep=0.8))
    overrides = [odd_override(rng) for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 2]))]
    before = set(site.folder.parent.iterdir())
    outcome = site.verb("status", *overrides)
    if outcome.verdict == "accepted" and all(key == "tfidf" for key in kinds_of_variants(path, overrides)):
        outcome = site.verb("train", *overrides)
    if set(site.folder.parent.iterdir()) != before:
        return Outcome("wrong", "something was written outside the folder")
    if outcome.verdict != "accepted" or overrides:
        return outcome
    try:
        said = json.loads(raw.decode("utf-8-sig"))
    except ValueError:  # YAML that is no JSON has no second reader here
        return outcome
    return compared(said_in(said, read_config(path).model_dump()), outcome, "the config read is not the one written")


def kinds_of_variants(path: Path, overrides: Sequence[str]) -> list[str]:
    """What the variants of a valid config are; a neural one would take a backbone and minutes."""
    return [getattr(spec, "model", "neural") for spec in read_config(path, overrides).variants.values()]


def said_in(said: Any, read: Any) -> bool:
    """Whether what was written stands in the effective config, which writes poolings out and adds defaults."""
    if not isinstance(said, dict):
        return bool(said == read)
    return isinstance(read, dict) and all(
        key in ("pooling", "poolings") or (key in read and said_in(said[key], read[key])) for key in said
    )


def predictions_input(site: Site, rng: random.Random) -> Outcome:
    """A teammate's files, through `blend`."""
    site.configure()
    competition = site.load()
    columns = competition.targets.columns
    rows = {
        "oof": predictions(site, columns, competition.ids, rng),
        "test": predictions(site, columns, competition.test.ids, rng),
    }
    rows["oof"] = [[row[0], site.folds.get(row[0], "fold"), *row[1:]] for row in rows["oof"]]
    which, kind, paths = rng.choice(["oof", "test"]), rng.choice(["csv", "csv", "jsonl", "parquet"]), {}
    for name in rows:
        paths[name] = site.folder / f"mate_{name}.{kind if name == which else 'csv'}"
        paths[name].write_bytes(written(rows[name], "csv", rng, plain=True))
    paths[which].write_bytes(scratched(written(changed_rows(rows[which], rng, keep=0.5), kind, rng), rng, keep=0.8))
    extra = {"mate": {name: path.name for name, path in paths.items()}}
    site.configure(blend={**site.config["blend"], "extra": extra})
    outcome = site.verb("blend", "--trust", "mate")
    if outcome.verdict != "accepted":
        return outcome
    mate = next((member for member in site.members() if member.name == "mate"), None)
    if mate is None:  # left out, and said so
        return outcome
    same = same_predictions(paths["oof"], mate.ids, mate.oof, columns, site.task)
    same = same and same_predictions(paths["test"], mate.test_ids, mate.test[0], columns, site.task)
    return compared(same, outcome, "the plain reading differs in ids or predictions")


def predictions(site: Site, columns: list[str], ids: list[str], rng: random.Random) -> Rows:
    """What a teammate who guesses predicts."""
    rows = [["id", *columns]]
    for name in ids:
        values = [rng.uniform(0.1, 0.9) for _ in columns]
        total = sum(values) if site.task in ("multiclass", "ordinal") else 1
        rows.append([name, *(repr(value / total) for value in values)])
    return rows


def same_predictions(path: Path, ids: Any, values: Any, columns: list[str], task: str) -> bool:
    """Whether a member's predictions (rows, columns) are those of the file; Poolblend makes classes sum to one."""
    for held in map(as_columns, plain_tables(path)):
        if not {"id", *columns} <= set(held) or not set(ids) <= set(held["id"]):
            continue
        said = {name: [number(held[column][at]) for column in columns] for at, name in enumerate(held["id"])}
        expected = np.array([said[name] for name in ids], np.float64)
        if task in ("multiclass", "ordinal"):
            expected = expected / expected.sum(1, keepdims=True)
        if np.array_equal(expected, values):
            return True
    return False


def grade_input(site: Site, rng: random.Random) -> Outcome:
    """A submission or a solution, through `grade`; the score is computed again from the plain reading."""
    site.configure()
    which = rng.choice(["submission", "solution"])
    paths = {name: site.folder / f"{name}.csv" for name in ("submission", "solution")}
    rows = {"solution": site.tables["solution"], "submission": answers(site, rng)}
    for name, path in paths.items():
        path.write_bytes(written(rows[name], "csv", rng, plain=True))
    paths[which].write_bytes(scratched(written(changed_rows(rows[which], rng, keep=0.3), "csv", rng), rng, keep=0.8))
    outcome = site.verb("grade", *(word for name, path in paths.items() for word in (f"--{name}", str(path))))
    if outcome.verdict != "accepted":
        return outcome
    found = re.search(r": submitted \S+ (\S+) on", outcome.said)
    printed = float(found[1]) if found else math.nan
    expected = []
    for one, other in itertools.product(plain_tables(paths["submission"]), plain_tables(paths["solution"])):
        with contextlib.suppress(KeyError, ValueError, IndexError):  # a reading with other columns or rows
            expected.append(score(site, as_columns(one), scored(site, as_columns(other))))
    is_one = any(abs(printed - value) < 1e-4 * max(1, abs(value)) for value in expected)
    return compared(is_one, outcome, f"the score is {expected}, not {printed}")


def scored(site: Site, solution: dict[str, Any]) -> dict[str, Any]:
    """The rows of a solution that count: none of -1 alone; its one other column is the target, whatever its name."""
    solution = {name: cells for name, cells in solution.items() if name.strip().lower() != "usage"}
    if "id" not in solution:  # it is found by its values
        solution = {"id" if at == 0 else name: cells for at, (name, cells) in enumerate(solution.items())}
    if "target" not in solution and site.task != "multilabel" and len(solution) == 2:
        solution = {name if name == "id" else "target": cells for name, cells in solution.items()}
    if site.task == "regression":
        return solution
    names = ["old", "red"] if site.task == "multilabel" else ["target"]
    rows = [at for at in range(len(solution["id"])) if not all(number(solution[name][at]) == -1 for name in names)]
    return {name: [cells[at] for at in rows] for name, cells in solution.items()}


def answers(site: Site, rng: random.Random) -> Rows:
    """A submission of random numbers with the columns of the sample."""
    header, *rows = site.tables["sample_submission"]
    made = [header]
    for row in rows:
        if site.task == "ordinal":
            made.append([row[0], rng.choice("123")])
            continue
        values = [rng.uniform(0.1, 0.9) for _ in header[1:]]
        total = sum(values) if site.task == "multiclass" else 1
        made.append([row[0], *(repr(value / total) for value in values)])
    return made


def score(site: Site, submission: dict[str, list[str]], solution: dict[str, list[str]]) -> float:
    """RMSE, or log loss as scikit-learn means it, of the plain readings joined by id."""
    order: list[int] = [submission["id"].index(name) for name in solution["id"]]
    given = {name: np.array([float(cells[at]) for at in order]) for name, cells in submission.items() if name != "id"}
    if site.task == "regression":
        truth = np.array([float(cell) for cell in solution["target"]])
        return float(np.sqrt(np.mean((truth - given["target"]) ** 2)))
    if site.task == "ordinal":
        truth = np.array([float(cell) for cell in solution["target"]])
        return float(cohen_kappa_score(truth, given["target"], weights="quadratic"))
    tiny = np.finfo(np.float64).eps
    if site.task == "multiclass":
        chosen = [given[cell.strip().lower()][row] for row, cell in enumerate(solution["target"])]
        sums = np.sum(list(given.values()), axis=0)
        return float(-np.mean(np.log(np.clip(chosen / sums, tiny, 1))))
    names = ["target"] if site.task == "binary" else ["old", "red"]
    losses = []
    for name in names:
        one, truth = np.clip(given[name], tiny, 1 - tiny), np.array([number(cell) for cell in solution[name]])
        losses.append(-np.mean(truth * np.log(one) + (1 - truth) * np.log(1 - one)))
    return float(np.mean(losses))


Input = Callable[[Site, random.Random], Outcome]
KINDS: dict[str, tuple[int, Input]] = {  # share of the inputs in percent
    "csv": (24, partial(table_input, "csv")),
    "jsonl": (10, partial(table_input, "jsonl")),
    "parquet": (10, partial(table_input, "parquet")),
    "competition": (20, competition_input),
    "config": (18, config_input),
    "init": (2, init_input),
    "predictions": (6, predictions_input),
    "grade": (7, grade_input),
    "train": (3, train_input),
}


@dataclass
class Count:
    """Verdicts of one kind of input, and its slowest."""

    verdicts: dict[str, int]
    slowest: float = 0.0
    seconds: float = 0.0


def fuzz(
    sites: Sequence[Site], inputs: int, seed: int, kinds: Sequence[str], failures: Path, each: Callable[[int], None]
) -> dict[str, Count]:
    """Make so many inputs; input number n of a seed is the same whatever the others were."""
    counts = {kind: Count(dict.fromkeys(VERDICTS, 0)) for kind in kinds}
    for at in range(inputs):
        rng = random.Random(f"{seed}-{at}")
        kind = rng.choices(kinds, [KINDS[kind][0] for kind in kinds])[0]
        site, started = rng.choice(sites), time.perf_counter()
        outcome = KINDS[kind][1](site, rng)
        taken = time.perf_counter() - started
        counts[kind].verdicts[outcome.verdict] += 1
        counts[kind].slowest = max(counts[kind].slowest, taken)
        counts[kind].seconds += taken
        if outcome.verdict in ("traceback", "wrong"):
            keep(failures / f"{at}-{kind}-{outcome.verdict}", site, outcome)
        site.restore()
        each(at)
    return counts


def keep(folder: Path, site: Site, outcome: Outcome) -> None:
    """Copy what the input was made of, and what was said of it."""
    shutil.copytree(site.folder, folder, ignore=shutil.ignore_patterns("runs"), dirs_exist_ok=True)
    (folder / "said.txt").write_text(outcome.said, encoding="utf-8", errors="backslashreplace")


def make_sites(root: Path) -> list[Site]:
    """A competition of each task, trained and blended."""
    return [Site(root, task) for task in TASKS]


def shown(counts: dict[str, Count]) -> str:
    """The counts as a table."""
    header = ["input", "inputs", *VERDICTS, "slowest", "seconds"]
    rows = [
        [kind, str(sum(c.verdicts.values())), *map(str, c.verdicts.values()), f"{c.slowest:.2f} s", f"{c.seconds:.0f}"]
        for kind, c in counts.items()
    ]
    whole = [str(sum(c.verdicts[name] for c in counts.values())) for name in VERDICTS]
    slowest, seconds = max(c.slowest for c in counts.values()), sum(c.seconds for c in counts.values())
    rows.append(["all", str(sum(map(int, whole))), *whole, f"{slowest:.2f} s", f"{seconds:.0f}"])
    return format_table(header, rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz and print the table; 1 if an input ended in a traceback or was read wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    options.add_argument("--failures", type=Path, default=Path("runs/fuzz"), help="folder for inputs that failed")
    args = options.parse_args(argv)

    def each(at: int) -> None:
        if (at + 1) % 500 == 0:
            print(f"{at + 1:,} inputs", file=sys.stderr)

    with tempfile.TemporaryDirectory() as root:
        counts = fuzz(make_sites(Path(root)), args.inputs, args.seed, args.kinds, args.failures, each)
    print(shown(counts))
    failed = sum(count.verdicts[verdict] for count in counts.values() for verdict in ("traceback", "wrong"))
    if failed:
        print(f"{failed} failing inputs are in {args.failures}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
