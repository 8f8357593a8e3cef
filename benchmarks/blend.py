"""Blending against its peers: seconds of choosing weights, and scores on held-out rows, side by side in one run.

usage: python benchmarks/blend.py --peers PYTHON [--metric log_loss]     our blends beside AutoGluon and hillclimbers
       python benchmarks/blend.py --verb                                 the whole verb `blend` and its peak memory
       python benchmarks/blend.py --large                                the methods of `auto` on 1,000,000 x 64

The matrix is made: binary truth, and members that see one signal, each with a gain and a noise of its own. A seed
always gives the same rows; weights are chosen on them, and as many others of the same members are held out.

Methods take turns, each call in a fresh process on one thread; imports and a first call on a few rows are not counted.
Seconds are the processor's, so that a busy machine disturbs them less. A ratio is the median over rounds of the peer's
seconds by ours: above one, ours is quicker. All predictions are scored by the same code. A held-out gain is positive
where ours is better; its 95 % interval is of a bootstrap that draws whole rows for both sides. `blend_peers.py`
describes the peers and what PYTHON must have; without --peers, SLSQP alone is run. Memory is the peak of the process,
the whole of Python included. Progress goes to stderr.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import run
from benchmarks.report import lined_up
from oof.blends.blend_registry import BLENDS, find_blend
from oof.blends.problem import Problem
from oof.members.prediction_files import write_predictions
from oof.metrics.metric_registry import Metric, find_metric
from oof.selection.auto import select_blend
from oof.selection.bootstrap import BootstrapDraws, compute_interval, score_draws

Predicted = tuple[np.ndarray, np.ndarray]  # truth (rows,), predictions (rows, 1)
Seconds = dict[str, list[float]]  # of each method, by round

ROOT = Path(__file__).resolve().parents[1]
OURS = {
    "mean": "equal weights",
    "geometric_mean": "equal weights",
    "logit_mean": "equal weights",
    "rank_mean": "equal weights",
    "subset_mean": "selection",
    "hill_climb": "selection",
    "bagged_hill_climb": "selection",
    "shrunk": "convex weights",
    "simplex": "convex weights",
    "nnls": "convex weights",
    "stacker": "linear model",
}
PEERS = {"AutoGluon": "selection", "hillclimbers": "search", "SLSQP": "convex weights"}
PAIRS = [("hill_climb", "AutoGluon"), ("simplex", "hillclimbers"), ("simplex", "SLSQP")]
METRICS = ["roc_auc", "log_loss"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FOLDS, WARM_UP = 5, 200
WORDS = ["good", "bad", "fine", "great", "poor", "movie", "film", "book", "story", "plot", "actor", "end"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for and print its tables."""
    args = parser().parse_args(argv)
    if args.task:
        print(json.dumps(TASKS[args.task.pop("task")](**args.task)))
        return 0
    rows, members = (1_000_000, 64) if args.large else (50_000, 16)
    args.rows, args.members = args.rows or rows, args.members or members
    measured = large if args.large else verb if args.verb else compared
    with tempfile.TemporaryDirectory() as folder:
        print(measured(args, Path(folder)))
    return 0


def synthetic(rows: int, members: int, seed: int, *, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Truth (rows,) and probabilities (members, rows), of the rows that choose or of as many held-out ones."""
    rng, other = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def drawn(draw: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
        first = draw(rng)  # for held-out rows too, so that the gains come out alike
        return draw(other) if held_out else first

    def noise() -> np.ndarray:
        return drawn(lambda source: source.normal(size=rows))

    truth = drawn(lambda source: source.integers(0, 2, rows))
    signal = truth * 1.2 + noise()
    P = np.empty((members, rows))
    for row in P:
        row[:] = 1 / (1 + np.exp(-(signal * rng.uniform(0.6, 1.2) + noise() * rng.uniform(0.7, 1.3) - 0.6)))
    return truth, P


def problem(truth: np.ndarray, P: np.ndarray, name: str) -> Problem:
    """The level-one problem of a matrix, its rows dealt out to the folds."""
    return Problem(P[..., None], truth, np.arange(len(truth)) % FOLDS, "binary", find_metric(name, "binary"))


def compared(args: argparse.Namespace, folder: Path) -> str:
    """Every method on one matrix: a table of methods, and one of ours against peers."""
    judge = find_metric(args.metric or METRICS[0], "binary")
    chosen = synthetic(args.rows, args.members, args.seed)
    held = synthetic(args.rows, args.members, args.seed, held_out=True)
    np.savez(folder / "matrix.npz", truth=chosen[0], P=chosen[1])
    peers = ["AutoGluon", "hillclimbers"][: 2 - args.skip_hillclimbers] if args.peers else []
    ours = [name for name in OURS if judge.needs in BLENDS[name].needs]
    names = [*ours, *peers, *["SLSQP"] * (judge.name == "log_loss")]
    rounds: list[dict[str, Any]] = [{} for _ in range(args.repeats)]
    for number, this in enumerate(rounds, 1):
        for name in names:
            this[name] = weighed(name, folder / "matrix.npz", judge.name, args.peers)
            say(f"{name}, round {number} of {args.repeats}: {this[name]['seconds']:.2f} s")
    seconds = {name: [this[name]["seconds"] for this in rounds] for name in names}
    numbers = {name: rounds[0][name]["numbers"] for name in names}
    scores = {}
    for name in names:
        rule = find_blend(name if name in OURS else "mean", "binary", judge)
        scores[name] = [(truth, rule.apply(numbers[name], P[..., None])) for truth, P in (chosen, held)]
    return f"{methods_table(judge, args.members, numbers, seconds, scores)}\n\n{pairs_table(judge, seconds, scores)}"


def methods_table(
    judge: Metric, members: int, numbers: dict[str, Any], seconds: Seconds, predicted: dict[str, list[Predicted]]
) -> str:
    """Methods in rows, ours and the peers'."""
    rows = [["method", "kind", "seconds", f"{judge.name}, chosen rows", "held-out rows", "members"]]
    for name, its in numbers.items():
        values = [f"{judge.function(*pair):.6f}" for pair in predicted[name]]
        used = np.count_nonzero(its.get("weights") or its.get("coefficients") or members * [1])
        rows.append([name, (OURS | PEERS)[name], f"{statistics.median(seconds[name]):.3f}", *values, str(used)])
    return lined_up(rows)


def pairs_table(judge: Metric, seconds: Seconds, predicted: dict[str, list[Predicted]]) -> str:
    """Ours against a peer of its kind: how much quicker, how much better on held-out rows."""
    rows = [["pair", "seconds of the peer by ours", f"held-out gain in {judge.name} (95 %)"]]
    for ours, peer in [pair for pair in PAIRS if pair[1] in seconds]:
        ratio = statistics.median(p / o for p, o in zip(seconds[peer], seconds[ours], strict=True))
        (truth, new), (_, old) = predicted[ours][1], predicted[peer][1]
        gain, low, high = gained(judge, truth, new, old)
        rows.append([f"{ours} against {peer}", f"{ratio:.1f}", f"{gain:+.6f} ({low:+.6f} to {high:+.6f})"])
    return lined_up(rows)


def gained(judge: Metric, truth: np.ndarray, new: np.ndarray, old: np.ndarray) -> tuple[float, float, float]:
    """Gain of `new` over `old` on the same rows, and the ends of its 95 % interval."""
    values = score_draws(judge, truth, [new, old], BootstrapDraws(len(truth), None))
    gain = judge.sign * (judge.function(truth, new) - judge.function(truth, old))
    return gain, *compute_interval(values[:, 0] - values[:, 1])


def weighed(name: str, matrix: Path, judge: str, peers: Path | None) -> dict[str, Any]:
    """Seconds and numbers of one method, in a process of its own."""
    if name in OURS:
        found: dict[str, Any] = work("weigh", matrix=str(matrix), method=name, judge=judge)
        return found
    program = str(ROOT / "benchmarks" / "blend_peers.py")
    line = called([str(peers or sys.executable), program, str(matrix), "--metric", judge, "--methods", name])
    return {"seconds": line["seconds"], "numbers": {"weights": line["weights"]}}


def weigh(matrix: str, method: str, judge: str) -> dict[str, Any]:
    """One of our blends on the rows that choose."""
    with np.load(matrix) as held:
        truth, P = held["truth"], held["P"]
    rule = find_blend(method, "binary", find_metric(judge, "binary"))
    rule.fit(problem(truth[:WARM_UP], P[:, :WARM_UP], judge))
    given = problem(truth, P, judge)
    started = time.process_time()
    numbers = rule.fit(given)
    return {"seconds": time.process_time() - started, "numbers": numbers}


def large(args: argparse.Namespace, folder: Path) -> str:
    """Seconds of each method of `auto`, and its memory as a multiple of the matrix."""
    rows = [["metric", "seconds of each method", "seconds", "peak / matrix", "selected"]]
    for judge in [args.metric] if args.metric else METRICS:
        its = work("select", rows=args.rows, members=args.members, seed=args.seed, judge=judge)
        methods = ", ".join(f"{name} {seconds:.1f}" for name, seconds in its["methods"].items())
        whole, peak = f"{sum(its['methods'].values()):.1f}", f"{its['peak_mib'] / matrix_mib(args):.2f}"
        rows.append([judge, methods, whole, peak, its["selected"]])
    return f"{args.rows:,} rows x {args.members} members, {matrix_mib(args):,.0f} MiB\n{lined_up(rows)}"


def select(rows: int, members: int, seed: int, judge: str) -> dict[str, Any]:
    """Run the selection of `auto`; the seconds of a method are from its start to the start of the next."""
    given = problem(*synthetic(rows, members, seed), judge)
    say(f"{judge}: the matrix is made, {peak_mib():,.0f} MiB")
    starts: dict[str, float] = {}

    def start_method(method: str) -> None:
        starts[method] = time.process_time()
        say(f"{judge}: {method} after {starts[method] - next(iter(starts.values())):.1f} s")

    found = select_blend("auto", given, on_method=start_method)
    say(f"{judge}: {found.sentence}")
    seconds = np.diff([*starts.values(), time.process_time()]).tolist()
    return {"methods": dict(zip(starts, seconds, strict=True)), "peak_mib": peak_mib(), "selected": found.selected.name}


def verb(args: argparse.Namespace, folder: Path) -> str:
    """The verb on a competition whose members but one come from files."""
    work("write_site", folder=str(folder), rows=args.rows, members=args.members, seed=args.seed, judge=args.metric)
    rounds = []
    for number in range(1, args.repeats + 1):
        rounds.append(work("blend_site", folder=str(folder)))
        say(f"blend, round {number} of {args.repeats}: {rounds[-1]['seconds']:.2f} s")
    seconds, peak = (statistics.median(this[part] for this in rounds) for part in ("seconds", "peak_mib"))
    size = f"{args.rows:,} + {args.rows:,}"
    head = ["verb", "members", "rows: train + test", "seconds", "peak MiB"]
    return lined_up([head, ["blend", f"{args.members} + tfidf", size, f"{seconds:.2f}", f"{peak:,.0f}"]])


def write_site(folder: str, rows: int, members: int, seed: int, judge: str | None) -> dict[str, Any]:
    """A competition of made-up texts, trained by one linear variant, and the files of all other members."""
    site, rng = Path(folder), random.Random(seed)
    tables = {"train": synthetic(rows, members, seed), "test": synthetic(rows, members, seed, held_out=True)}
    for part, (truth, _) in tables.items():
        ids = [f"{part}{row}" for row in range(rows)]
        texts = [f"{part} {row} {' '.join(rng.choices(WORDS, k=6))}" for row in range(rows)]  # no two alike
        columns = {"id": ids, "text": texts, "target": truth}
        pd.DataFrame(columns if part == "train" else columns | {"target": 0.5}).to_csv(
            site / f"{part}.csv", index=False
        )
    pd.read_csv(site / "test.csv", usecols=["id", "target"]).to_csv(site / "sample_submission.csv", index=False)
    config = site_config(judge or METRICS[0], members)
    (site / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    said("train", site)
    fold = pd.read_csv(site / "runs" / "blend" / "folds" / "folds.csv")["fold"].to_numpy()
    for at, name in enumerate(config["blend"]["extra"]):
        for part, (_, P) in tables.items():
            ids = [f"{part}{row}" for row in range(rows)]
            write_predictions(
                site / f"{name}.{part}.parquet", ids, ["target"], P[at, :, None], fold if part == "train" else None
            )
    return {}


def site_config(judge: str, members: int) -> dict[str, Any]:
    """The config of the competition, its extra members named."""
    names = [f"m{at}" for at in range(members)]
    files = {part: f"{part}.csv" for part in ("train", "test", "sample_submission")}
    return {
        "run": "blend",
        "competition": {**files, "text": "text", "target": "target", "task": "binary", "metric": judge},
        "folds": {"count": FOLDS},
        "variants": {"tfidf": {"model": "tfidf", "word_ngrams": 1, "char_ngrams": 0}},
        "blend": {"extra": {name: {"oof": f"{name}.train.parquet", "test": f"{name}.test.parquet"} for name in names}},
    }


def blend_site(folder: str) -> dict[str, Any]:
    """Seconds and peak memory of the verb, its reading and writing included."""
    started = time.process_time()
    said("blend", Path(folder))
    return {"seconds": time.process_time() - started, "peak_mib": peak_mib()}


def said(name: str, site: Path) -> None:
    """Call a verb, whose words go to stderr. Ends the benchmark if it fails."""
    with contextlib.redirect_stdout(sys.stderr):
        if code := run.main([name, "--config", str(site / "config.yaml")]):
            raise SystemExit(code)


TASKS: dict[str, Callable[..., Any]] = {
    "weigh": weigh,
    "select": select,
    "write_site": write_site,
    "blend_site": blend_site,
}


def work(task: str, **given: Any) -> Any:
    """One of `TASKS` in a process of its own."""
    return called([sys.executable, "-m", "benchmarks.blend", "--task", json.dumps({"task": task, **given})])


def called(command: list[str]) -> Any:
    """The JSON line that a command prints last, on one thread; its stderr is ours. Ends the benchmark if it fails."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:5])} failed")
    return json.loads(done.stdout.strip().splitlines()[-1])


def matrix_mib(args: argparse.Namespace) -> float:
    """Mebibytes of the matrix in float64."""
    return float(args.rows * args.members * 8 / 2**20)


def peak_mib() -> float:
    """Peak memory of this process; the one that started it must hold less, since a child inherits the peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kibibytes on Linux


def say(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = flags.add_argument
    add("--rows", type=int, help="rows that choose, and as many held out (default: 50,000; large: 1,000,000)")
    add("--members", type=int, help="default: 16; large: 64")
    add("--metric", choices=METRICS, help="default: roc_auc; large: one after the other")
    add("--peers", type=Path, metavar="PYTHON", help="a Python that has the peers")
    add("--skip-hillclimbers", action="store_true", help="it takes minutes")
    add("--repeats", type=int, default=3, help="rounds, each of every method")
    add("--seed", type=int, default=0)
    modes = flags.add_mutually_exclusive_group()
    modes.add_argument("--verb", action="store_true", help="the verb `blend` on a competition of its own")
    modes.add_argument("--large", action="store_true", help="the ladder on a large matrix")
    add("--task", type=json.loads, help=argparse.SUPPRESS)
    return flags


if __name__ == "__main__":
    sys.exit(main())
