"""What it costs to hand fits out: 1,000 fits that do nothing through a real engine, or on simulated workers.

usage: python benchmarks/scale.py --fits 1000 [--engine ray] [--workers 2] [--megabytes 100]
       python benchmarks/scale.py --simulate 1000 --fits 5000 [--seconds 600] [--extra .005] [--megabytes 0]

The competition is made up and small. Its fits are fakes: they sleep so many seconds and give predictions and so many
megabytes of weights. All else is real: the plan, the queue with its estimates, the engine, and what is written.
`--simulate` puts the engine's place on a clock that jumps to the next end of a fit, while all that the driver does
takes the time that it takes; lengths vary by a tenth, and `--extra` adds seconds of driver to each fit, for what
Ray's own hand-out takes. What `train` says goes to stderr.
"""

import argparse
import contextlib
import heapq
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.store import EpochLog, Provenance
from pipeline.commands import train as verb
from pipeline.config.run_config import read_config
from pipeline.engines import multiprocess, ray_engine
from pipeline.engines.ray_cluster import Resources
from pipeline.engines.select import EngineOptions
from pipeline.fits.events import Event, FitFinished, FitRequest, FitResult, FitStarted, StepsTaken
from pipeline.fits.inputs import FitInputs
from pipeline.fits.job import Job
from pipeline.fits.outputs import save_result
from pipeline.fits.timing import Pace
from pipeline.scheduling.budget import Budget
from pipeline.scheduling.scheduler import Scheduler

FOLDS, ROWS, TESTS = 5, 100, 20
REPORT_SECONDS = 5.0  # simulated, between reports of a running fit, as on a cluster of 1,000
SPREAD = 0.1  # of the lengths of fits


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for."""
    args = parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        write_site(Path(folder), args.fits)
        lines = simulate(Path(folder), args) if args.simulate else measure(Path(folder), args)
    print("\n".join(lines))
    return 0


def measure(site: Path, args: argparse.Namespace) -> list[str]:
    """Fits that do nothing, through a real engine: milliseconds for each."""
    fake = {"seconds": args.seconds or 0.0, "megabytes": args.megabytes}
    workers = args.workers if args.engine == "local" else None  # a cluster takes what it holds
    choice = EngineOptions(args.engine, workers, resources=Resources(1.0, 0.0, None))
    handle_event = Scheduler.handle_event
    ends: list[float] = []

    def handle_and_time(scheduler: Scheduler, number: int, event: Event) -> None:
        handle_event(scheduler, number, event)
        if isinstance(event, FitFinished):
            ends.append(time.perf_counter())

    def register() -> None:
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

    if args.engine == "ray":
        register()
    with (
        patch.object(Scheduler, "handle_event", handle_and_time),
        patch.object(multiprocess, "_serve_requests", partial(serve, fake)),
        patch.object(ray_engine, "_run_task", make_task(fake)),
        patch("pipeline.fits.run_fit.train_job", partial(do_nothing, **fake)),
    ):
        started = time.perf_counter()
        verb.train(read_config(site / "config.yaml"), site, choice=choice)
        whole = time.perf_counter() - started
    finished = len(list(site.rglob("fit.json")))
    assert finished == len(ends) == args.fits, f"{finished} of {args.fits} fits are done"
    apart = (ends[-1] - ends[0]) / (args.fits - 1)
    own = fake["seconds"] / (workers or 2)
    lines = [
        f"{args.fits} fits through {args.engine}: {1000 * (apart - own):.1f} ms a fit beside its own time",
        f"before the first came back {ends[0] - started:.1f} s, {whole:.1f} s in all",
    ]
    if args.megabytes:
        lines.append(f"results saved: {args.megabytes / apart:,.0f} MB/s")
    return lines


def do_nothing(job: Job, inputs: FitInputs, *_: Any, seconds: float, megabytes: int, **__: Any) -> FitResult:
    """Do a fit that only takes time."""
    time.sleep(seconds)
    return make_result(job, inputs, megabytes, seconds)


def make_result(job: Job, inputs: FitInputs, megabytes: int, seconds: float) -> FitResult:
    """Return the result of a fake fit."""
    valid = np.full((len(inputs.folds.valid(job.fold)), 1), 0.5)
    test = np.full((len(inputs.test.ids), 1), 0.5)
    weights = {"w": np.zeros(megabytes * 250_000, np.float32)} if megabytes else {}
    provenance = Provenance(seconds=seconds, device="none", predict_seconds=0.0)
    return FitResult({"": valid}, {"": test}, [EpochLog(1, {"": 0.5})], provenance, weights=weights)


def serve(fake: dict[str, Any], *given: Any) -> None:
    """Run what a process of the local engine runs, with fake fits."""
    with patch("pipeline.fits.run_fit.train_job", partial(do_nothing, **fake)):
        multiprocess._serve_requests(*given)


def make_task(fake: dict[str, Any]) -> Callable[..., Any]:
    """Return what a node runs as a task, with fake fits."""

    def run_task(*given: Any) -> Any:
        with patch("pipeline.fits.run_fit.train_job", partial(do_nothing, **fake)):
            return ray_engine._run_task(*given)

    return run_task


class SimulatedEngine:
    """Workers on a clock that jumps. The driver writes their results, as on a cluster."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.slots = args.simulate
        self.rng = random.Random(0)
        self.began = time.perf_counter()
        self.jumped = 0.0
        self.queue: list[tuple[float, str, int]] = []  # time, "end" or "report", number
        self.requests: dict[int, tuple[FitRequest, float, float]] = {}  # with length and start
        self.spans: list[tuple[float, float]] = []  # of fits
        self.full = 0.0  # when as many fits as workers remained

    def connect(self, inputs: FitInputs, jobs: Any, on_event: Any, should_stop: Any, clock: Any) -> "SimulatedEngine":
        """Return this engine in place of the one that `make_engine` would make."""
        self.inputs = inputs
        self.on_event = on_event
        return self

    def clock(self) -> float:
        """Return the seconds that have passed and those that were skipped."""
        return time.perf_counter() - self.began + self.jumped

    @property
    def free_slots(self) -> int:
        """The number of idle workers."""
        return self.slots - len(self.requests)

    def describe_nodes(self) -> dict[str, str]:
        """Return no nodes: one for each worker would be a long list."""
        return {}

    def start(self, number: int, request: FitRequest) -> None:
        """Start a fit, whose end is known."""
        self.jumped += self.args.extra
        now, length = self.clock(), self.args.seconds * self.rng.uniform(1 - SPREAD, 1 + SPREAD)
        self.requests[number] = (request, length, now)
        heapq.heappush(self.queue, (now + length, "end", number))
        heapq.heappush(self.queue, (now + REPORT_SECONDS, "report", number))
        self.on_event(number, FitStarted("worker"))

    def wait(self) -> None:
        """Jump to the next event."""
        when, kind, number = heapq.heappop(self.queue)
        self.jumped += max(0.0, when - self.clock())
        if number not in self.requests or when > self.requests[number][1] + self.requests[number][2]:
            return
        request, length, start = self.requests[number]
        if kind == "report":
            self.on_event(number, StepsTaken(1, 1000, [], Pace(request.load, 100, start)))
            heapq.heappush(self.queue, (when + REPORT_SECONDS, "report", number))
            return
        del self.requests[number]
        self.spans.append((start, start + length))
        if self.args.fits - len(self.spans) >= self.slots:
            self.full = self.clock()
        result = make_result(request.job, self.inputs, self.args.megabytes, length)
        self.on_event(number, FitFinished(save_result(request.job, self.inputs, result), length, 0.0))

    def close(self) -> None:
        """Do nothing: nothing runs."""


def simulate(site: Path, args: argparse.Namespace) -> list[str]:
    """The share of the workers' time that fits take while there are more of them than workers."""
    args.seconds = args.seconds or 600.0
    engine = SimulatedEngine(args)

    def make_engine(options: EngineOptions, models: Path, **given: Any) -> SimulatedEngine:
        return engine.connect(**given)

    with patch.object(verb, "make_engine", make_engine):
        verb.train(read_config(site / "config.yaml"), site, budget=Budget(clock=engine.clock))
    assert len(list(site.rglob("fit.json"))) == args.fits
    driver, first = time.perf_counter() - engine.began, min(start for start, _ in engine.spans)
    used = sum(max(min(end, engine.full) - start, 0.0) for start, end in engine.spans)
    share, length = used / (args.simulate * (engine.full - first)), engine.full - first
    return [
        f"{args.fits} fits of {args.seconds:g} s on {args.simulate} simulated workers: {engine.clock():,.0f} s",
        f"the driver took {1000 * driver / args.fits:.1f} ms a fit, and {1000 * args.extra:g} ms were added to each",
        f"busy until fewer fits than workers remained: {share:.1%} of {length:,.0f} s",
    ]


def write_site(site: Path, fits: int) -> None:
    """A made-up competition of so many fits, five folds a variant."""
    rows = [f"{n},word{n % 7} number {n},{n % 2}" for n in range(ROWS + TESTS)]
    (site / "train.csv").write_text("\n".join(["id,text,target", *rows[:ROWS]]) + "\n")
    hidden = [row.rpartition(",")[0] for row in rows[ROWS:]]
    (site / "test.csv").write_text("\n".join(["id,text", *hidden]) + "\n")
    (site / "sample.csv").write_text("\n".join(["id,target", *(f"{row.split(',')[0]},0.5" for row in hidden)]) + "\n")
    tables = {"train": "train.csv", "test": "test.csv", "sample_submission": "sample.csv"}
    columns = {"id": "id", "text": "text", "target": "target", "task": "binary", "metric": "roc_auc"}
    variants = {f"v{n}": {"model": "tfidf", "strength": 1.0 + n} for n in range(fits // FOLDS)}
    config = {"run": "r", "competition": {**tables, **columns}, "folds": {"count": FOLDS}, "variants": variants}
    (site / "config.yaml").write_text(json.dumps(config))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    flags.add_argument("--fits", type=_fits, default=1000, help="how many, a multiple of 5 (default: 1000)")
    flags.add_argument("--engine", choices=["local", "ray"], default="local", help="which engine")
    flags.add_argument("--workers", type=int, default=2, help="processes of the local engine (default: 2)")
    flags.add_argument("--simulate", type=int, metavar="WORKERS", help="so many workers on a simulated clock")
    flags.add_argument("--seconds", type=float, help="of a fit (default: 0; simulated: 600)")
    flags.add_argument("--extra", type=float, default=0.005, help="seconds of the driver added to each (default: .005)")
    flags.add_argument("--megabytes", type=int, default=0, help="of weights that a fit gives (default: 0)")
    return flags


def _fits(text: str) -> int:
    if not text.isdecimal() or int(text) < FOLDS or int(text) % FOLDS:
        raise argparse.ArgumentTypeError(f"must be a multiple of {FOLDS}, the folds of a variant, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
