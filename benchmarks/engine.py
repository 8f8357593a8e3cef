"""The training engine against the Hugging Face Trainer: whole fits side by side, in one run.

usage: python benchmarks/engine.py                                the sample competition, all contenders, three seeds
       python benchmarks/engine.py --train TABLE.csv --text COL [COL2] --target COL [--task regression]
       python benchmarks/engine.py --random-init bert-base --words 5 200 --max-length 256        a base-size encoder
       python benchmarks/engine.py --predict --contenders         predictions alone

Contenders take turns, each fit in a fresh process: the encoder is loaded, texts are tokenised, the model is trained and
the validation rows of one fold are predicted; importing the libraries is not counted. All have the same rows, folds
and recipe: AdamW, linear warm-up over a tenth of the steps and linear decay, clipping at 1, no weight decay, no dropout
before the head, and the encoder's own dropout.

  trainer       batches grouped by length, padded to their longest
  notebook      every text padded to --max-length, as most public notebooks do
  ours          Poolblend, the same maths
  ours-options  Poolblend with the training settings of --options, which change the maths or the precision

How to read the tables. Ratios and differences are to the first contender, paired by round and by seed. The steady
state is the first epoch without its first steps. `share` is how much of the rate that the step's own matrix products
reach alone (replayed, same shapes and types) a whole step keeps; `plain product` is the best square product, for
reference. `start s` is the time from the call of a fit to its first step, `save s` that of writing the weights, which
is no part of the seconds. `between operations` is Python, and a GPU that waits; the profiler itself adds to it.

`--peer FILE` replaces benchmarks/trainer.py by another program of the same flags and the same JSON line. Runs on the
CPU and, unchanged, on a CUDA GPU. Tables go to stdout, a line per finished fit to stderr, all numbers to `--json FILE`.
The peer needs benchmarks/requirements.txt. For figures worth quoting, nothing else may run on the machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.job import Job, build_spec, write_rows
from pipeline.commands.sample import write_sample

ROOT = Path(__file__).resolve().parents[1]
CONTENDERS = ("trainer", "notebook", "ours", "ours-options")
ENCODERS = ("bert-base", "deberta-v3-base")
SAMPLE = {"text": ["text"], "target": "library", "task": "multiclass"}
RECIPE = ("text", "target", "task", "fold", "pooling", "epochs", "batch", "lr", "max_length")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for and print the tables."""
    flags = build_parser()
    args = flags.parse_args(argv)
    if (args.train is None) == bool(args.text and args.target):
        flags.error("--train, --text and --target belong together; without them the sample competition is taken")
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(args, Path(folder))
    print(report.text(measured))
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return all numbers of a benchmark; files that it needs are written to `folder`."""
    machine = run_task("describe", backbone=args.backbone, random_init=args.random_init, folder=str(folder / "encoder"))
    job = prepare_job(args, folder, machine)
    options = {"ours": {}, "ours-options": dict(args.options or choose_default_options(machine))}
    for changes in options.values():
        build_spec(job, changes)  # refuses an unknown one before the first fit
    runs = []
    for seed, turn in ((seed, turn) for seed in args.seeds for turn in range(args.repeats)):
        for name in args.contenders:
            this = {**job, "seed": seed, "options": options.get(name, {})}
            run = run_task("whole_fit", job=this) if name in options else run_peer(args.peer, this, name == "notebook")
            runs.append({"contender": name, "seed": seed, "round": turn, **run})
            print_progress(f"{name}, seed {seed}, round {turn + 1} of {args.repeats}: {run['seconds']:.2f} s")
    inside = {}
    for name in [] if args.no_inside else [name for name in args.contenders if name in options]:
        inside[name] = run_task("inside", job={**job, "seed": args.seeds[0], "options": options[name]})
        print_progress(f"{name}: steps measured")
    predicting = {**job, "seed": 0, "options": {}}
    return {
        "machine": {name: value for name, value in machine.items() if name != "backbone"},
        "job": {name: value for name, value in job.items() if name not in {"table", "folds", "backbone"}}
        | {"backbone": args.random_init or args.backbone, "options": options["ours-options"]},
        "runs": runs,
        "fits": report.summary(runs),
        "inside": inside,
        "predictions": run_task("predictions", job=predicting, repeats=args.repeats + 2) if args.predict else None,
    }


def prepare_job(args: argparse.Namespace, folder: Path, machine: dict[str, Any]) -> Job:
    """Write rows and folds to `folder`; returns the job."""
    if args.train is None:
        write_sample(folder, train_rows=args.rows or 1500, test_rows=8, seed=0)
        args = argparse.Namespace(**{**vars(args), **SAMPLE, "train": folder / "train.csv"})
    frame = pd.read_csv(args.train, na_filter=False, dtype=str)
    if args.rows and args.rows < len(frame):
        frame = frame.sample(args.rows, random_state=0)
    job = {name: getattr(args, name) for name in RECIPE}
    job |= {"backbone": machine["backbone"], "precision": args.precision or ("bf16" if machine["cuda"] else "fp32")}
    return write_rows(frame, folder, job, args.folds_csv, args.words)


def choose_default_options(machine: dict[str, Any]) -> dict[str, Any]:
    """Return faster settings: bfloat16 on a CPU with units for it, else less to train."""
    if machine["bf16_units"] and not machine["cuda"]:
        return {"precision": "bf16"}
    return {"freeze_embeddings": True, "attention_dropout": 0.0}


def run_peer(peer: Path, job: Job, notebook: bool) -> dict[str, Any]:
    """Run one whole fit of the peer in its own process."""
    flags = {"target": "target", "folds-csv": "folds", "only-fold": "fold", "poolings": "pooling", "seed": "seed"}
    flags |= {"epochs": "epochs", "batch": "batch", "lr": "lr", "max-length": "max_length", "backbone": "backbone"}
    command = [sys.executable, str(peer.resolve()), job["table"], "--text", *job["text"]]
    command += [word for flag, name in flags.items() for word in (f"--{flag}", str(job[name]))]
    command += ["--task", "regression" if job["task"] == "regression" else "classification"]
    command += ["--bf16"] * (job["precision"] == "bf16") + ["--notebook"] * notebook
    line = run_command(command)
    scores = line["rmse" if job["task"] == "regression" else "log_loss"]
    numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
    return {**numbers, "score": scores[job["pooling"]]}


def run_task(task: str, **arguments: Any) -> Any:
    """Run one task of `benchmarks.workers` in its own process."""
    return run_command([sys.executable, "-m", "benchmarks.workers", task, json.dumps(arguments)])


def run_command(command: list[str]) -> Any:
    """Return the JSON line that a command prints last. Ends the benchmark with the command's message if it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stderr.strip()[-3000:]}\n{' '.join(command[1:4])} failed")
    return json.loads(done.stdout.strip().splitlines()[-1])


def print_progress(line: str) -> None:
    """Print progress to stderr, apart from the tables."""
    print(line, file=sys.stderr, flush=True)


def parse_option(text: str) -> tuple[str, Any]:
    """Return KEY=VALUE as a training setting."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE such as precision=bf16, got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = flags.add_argument
    add("--train", type=Path, metavar="TABLE", help="table with the rows (default: the sample competition's)")
    add("--text", nargs="+", default=[], metavar="COL", help="one text column, or two for pairs")
    add("--target", metavar="COL")
    add("--task", choices=["multiclass", "regression"], default="multiclass")
    add("--rows", type=int, help="use this number of rows, drawn at random")
    add("--words", type=int, nargs=2, metavar=("LEAST", "MOST"), help="recut the texts to mixed lengths: speed only")
    add("--folds-csv", type=Path, help="id, fold; ids as in the table's first column (default: made here)")
    add("--fold", type=int, default=0, help="the fold that is predicted")
    add("--contenders", nargs="*", choices=CONTENDERS, default=CONTENDERS)
    add("--peer", type=Path, default=ROOT / "benchmarks" / "trainer.py")
    add("--options", nargs="+", type=parse_option, metavar="KEY=VALUE", help="training settings of ours-options")
    add("--repeats", type=int, default=1, help="rounds for each seed")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--backbone", default="minilm")
    add("--random-init", choices=ENCODERS, help="an encoder of this shape with random weights: speed only")
    add("--pooling", choices=["cls", "mean", "max", "min"], default="mean")
    add("--epochs", type=int, default=1)
    add("--batch", type=int, default=16)
    add("--lr", type=float, default=1e-4)
    add("--max-length", type=int, default=128)
    add("--precision", choices=["fp32", "bf16"], help="of all contenders (default: bf16 on a GPU, else fp32)")
    add("--predict", action="store_true", help="predictions, too, against a transformers pipeline")
    add("--no-inside", action="store_true", help="do not measure where the steps spend their time")
    add("--json", type=Path, help="write all numbers to this file")
    return flags


if __name__ == "__main__":
    sys.exit(main())
