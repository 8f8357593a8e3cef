"""Poolblend: `python run.py COMMAND`; exit code 2 and one sentence for bad input."""

import argparse
import contextlib
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.run_config import RunConfig
    from pipeline.engines.select import EngineOptions

VERSION = "0.1.0"  # as in CHANGELOG.md
LIBRARIES = ("torch", "transformers", "tokenizers", "scikit-learn", "scipy", "numpy", "pandas", "pyarrow", "ray")
OVERRIDE = "change a key of the config for this call: training.epochs=2"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0; 1 if fits failed; 2 for bad input; 3 if a budget ended before the last fit; 128 and the number of the
    signal that stopped it.
    """
    started = time.monotonic()
    top = build_parser()
    for stream in (sys.stdout, sys.stderr):  # what a terminal cannot show, it shows as an escape
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args, rest = top.parse_known_args(argv)
    args.started, args.typed = started, shlex.join(["python", "run.py", *(sys.argv[1:] if argv is None else argv)])
    if rest and (not hasattr(args, "overrides") or any(word.startswith("-") or "=" not in word for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}; see python run.py {args.verb} --help")
    if rest:  # key=value may stand on both sides of an option
        args.overrides = [*args.overrides, *rest]
    from pipeline.display import configure_terminal, print_error
    from pipeline.errors import OUT_OF_MEMORY, PROBLEMS, describe_machine_error

    configure_terminal(logging.WARNING if args.quiet else logging.DEBUG if args.verbose else logging.INFO)
    try:
        code = VERBS[args.verb](args) or 0
        sys.stdout.flush()  # so that a closed pipe shows here and not at exit
        return code
    except PROBLEMS as error:
        print_error(str(error))
        return 2
    except BrokenPipeError:  # the reader, `head` for one, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if args.verb == "train":
            print("stopped: standard output is closed; finished fits are kept", file=sys.stderr)
        return 1
    except OSError as error:  # disk full, no permission: one sentence, without a traceback
        print_error(describe_machine_error(error))
        return 2
    except MemoryError:
        print_error(OUT_OF_MEMORY)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; finished fits are kept: the same command continues", file=sys.stderr)
        return 130


class _PrintVersions(argparse.Action):
    """Print the versions that an issue should name; nothing is imported for them."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        from importlib import metadata

        print(f"poolblend {VERSION}, Python {sys.version.split()[0]} on {sys.platform}")
        for name in LIBRARIES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                print(f"  {name} {metadata.version(name)}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="run.py", description="K-fold ensembles of pooling variants: train, blend, submit.", allow_abbrev=False
    )
    top.add_argument("--version", action=_PrintVersions, nargs=0, help="this version, and those of the libraries")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_command(verbs, "sample", "write the default competition, made of installed libraries' docstrings", "sample")
    add = _add_command(
        verbs, "init", "look at a competition's folder and write a config beside the data", "init data/my-competition"
    )
    add.add_argument("folder", type=Path, help="folder with train, test and sample_submission tables")
    add.add_argument("--yes", action="store_true", help="where something is doubtful, take the first answer")
    add = _add_command(
        verbs, "train", "every variant x fold, resumable", "train --only mean,attention --folds 0,1 training.epochs=2"
    )
    _add_train_options(add)
    _add_config(add)
    add = _add_command(verbs, "blend", "OOF to weights or a stacker, with honest scores", "blend blend.method=simplex")
    add.add_argument("--folds", type=_parse_numbers, help="members, scores and test means of these folds only: 0,1")
    add.add_argument(
        "--trust",
        type=_parse_names,
        default=[],
        help="members from files to use though they do not look out of fold: theirs",
    )
    add.add_argument("--json", action="store_true", help="the blend as one JSON object")
    _add_config(add)
    add = _add_command(
        verbs, "compare", "does pooling matter here: members, what each adds, seeds as control", "compare"
    )
    add.add_argument("--folds", type=_parse_numbers, help="compare on these folds only: 0,1")
    add.add_argument("--json", action="store_true", help="the comparison as one JSON object")
    _add_config(add)
    add = _add_command(verbs, "report", "a page on the run: members, blend, errors, rows, cost", "report --folds 0,1")
    add.add_argument("--folds", type=_parse_numbers, help="report on these folds only: 0,1")
    _add_config(add)
    add = _add_command(verbs, "submit", "a checked submission file", "submit --member tfidf")
    add.add_argument("--member", help="submit one member instead of the blend")
    _add_config(add)
    add = _add_command(verbs, "status", "what is done, to do, and the time left", "status --deep")
    add.add_argument("--deep", action="store_true", help="read every file of the run and check that it is as written")
    add.add_argument("--json", action="store_true", help="one JSON object for other programs")
    _add_config(add)
    add = _add_command(
        verbs, "runs", "all runs, what differs between two, and what the leaderboard said", "runs --diff a b"
    )
    add.add_argument("--json", action="store_true", help="the list as a JSON array")
    add.add_argument("--diff", nargs=2, default=[], metavar="RUN", help="configs, fits, members and scores of two")
    add.add_argument(
        "--leaderboard", nargs="+", default=[], metavar="RUN=SCORE", help="note a run's score on the leaderboard"
    )
    add.add_argument(
        "--config", type=Path, default=Path("config.yaml"), help="config beside whose runs/ (default: here)"
    )
    add = _add_command(
        verbs, "predict", "a new test table, from saved weights", "predict --test new.csv --sample new_sample.csv"
    )
    add.add_argument("--test", type=Path, required=True, help="table with the id and text columns of the test table")
    add.add_argument("--sample", type=Path, help="its sample submission: writes a checked submission too")
    add.add_argument(
        "--output", type=Path, default=Path("predictions"), help="folder to write to (default: predictions)"
    )
    _add_config(add)
    add = _add_command(verbs, "grade", "score a submission against a solution file", "grade --solution solution.csv")
    add.add_argument("--solution", type=Path, required=True, help="csv with the id and target columns")
    add.add_argument("--submission", type=Path, help="submission to score (default: the one that submit wrote)")
    _add_config(add)
    _add_command(verbs, "schema", "print the config's JSON schema, for editors", "schema > config.schema.json")
    return top


def _add_command(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, does: str, example: str
) -> argparse.ArgumentParser:
    added = verbs.add_parser(
        name, help=does, description=does, epilog=f"example: python run.py {example}", allow_abbrev=False
    )
    voice = added.add_mutually_exclusive_group()
    voice.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    voice.add_argument("--verbose", action="store_true", help="print details too, such as versions")
    return added


def _add_config(add: argparse.ArgumentParser) -> None:
    add.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file (default: config.yaml)")
    add.add_argument("overrides", nargs="*", metavar="key=value", help=OVERRIDE)


def _add_train_options(add: argparse.ArgumentParser) -> None:
    add.add_argument("--only", type=_parse_names, help="these variants only: mean,attention")
    add.add_argument("--folds", type=_parse_numbers, help="these folds only: 0,1")
    add.add_argument("--budget", help="stop before this time is over, with whole members first: 8h, 90m, 1h30m, 3600s")
    add.add_argument("--dry-run", action="store_true", help="print fits, where, time and cost, and do nothing")
    add.add_argument("--price", type=_parse_amount, help="of a worker's hour, for --dry-run: 2.5")
    add.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="log losses and scores there, for TensorBoard")
    _add_engine_options(add)
    add.add_argument("--checkpoint", default="5m", help="save the running fit so often (default: 5m)")


def _add_engine_options(add: argparse.ArgumentParser) -> None:
    add.add_argument("--engine", choices=["local", "ray"], default="local", help="this machine, or a Ray cluster")
    add.add_argument(
        "--workers",
        type=_parse_count,
        metavar="N",
        help="fits at a time (default: one for each GPU; on a cluster: all it holds)",
    )
    add.add_argument("--address", help="of the Ray cluster: auto, or host:port of its head (default: this machine)")
    add.add_argument("--gpus", type=_parse_amount, help="of a fit on a Ray cluster: 1, 0.5, 0")
    add.add_argument(
        "--cpus", type=_parse_amount, help="of a fit on a Ray cluster; its threads unless training.threads is set"
    )
    add.add_argument("--memory", type=_parse_size, help="of a fit on a Ray cluster: 16GB")


def _parse_names(text: str) -> list[str]:
    if not all(names := text.split(",")):
        raise argparse.ArgumentTypeError(f"must be names such as mean,attention, got {text!r}")
    return names


def _parse_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be fold numbers such as 0,1, got {text!r}") from None


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"must be a number from 1 up, got {text!r}")
    return int(text)


def _parse_amount(text: str) -> float:
    try:
        if 0 <= (amount := float(text)) < 10_000:
            return amount
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number from 0 up, got {text!r}")


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})(MB|GB)", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"must be a size such as 16GB or 500MB, got {text!r}")
    return int(match[1]) * {"MB": 10**6, "GB": 10**9}[match[2]]


def _build_choice(args: argparse.Namespace) -> "EngineOptions":
    from pipeline.engines.ray_cluster import Resources
    from pipeline.engines.select import EngineOptions
    from pipeline.errors import PipelineError

    for_ray = {f"--{name}": getattr(args, name) for name in ("address", "gpus", "cpus", "memory")}
    if args.engine != "ray" and (named := [option for option, value in for_ray.items() if value is not None]):
        raise PipelineError(f"{named[0]} is for --engine ray: leave it out, or name that engine")
    needs = Resources(args.cpus, args.gpus, args.memory)
    needs.check()
    return EngineOptions(args.engine, args.workers, args.address, needs)


def _drop_options(command: str, flag: str, option: str) -> str:
    """Return a command line without a flag and without an option and its value."""
    words = [word for word in shlex.split(command) if word != flag and not word.startswith(f"{option}=")]
    return shlex.join(word for before, word in zip(["", *words], words, strict=False) if option not in (before, word))


def _read_config(args: argparse.Namespace) -> "tuple[RunConfig, Path]":
    from pipeline.config.run_config import read_config

    return read_config(args.config, args.overrides), args.config.parent


def _run_sample(args: argparse.Namespace) -> None:
    from pipeline.commands.sample import write_sample

    write_sample(Path("data/docstrings"), train_rows=900, test_rows=600, seed=0)


def _run_init(args: argparse.Namespace) -> None:
    from pipeline.commands.init import init

    init(args.folder, accept=args.yes)


def _run_train(args: argparse.Namespace) -> int:
    from pipeline.commands.train import print_forecast, train
    from pipeline.errors import PipelineError
    from pipeline.scheduling.budget import Budget, parse_duration

    part = {"only": args.only, "folds": args.folds, "choice": _build_choice(args)}
    if args.dry_run:
        print_forecast(
            *_read_config(args), **part, price=args.price, command=_drop_options(args.typed, "--dry-run", "--price")
        )
        return 0
    if args.price is not None:
        raise PipelineError("--price is for --dry-run: name that too, or leave it out")

    budget = Budget(parse_duration(args.budget, "--budget"), args.started) if args.budget is not None else None
    interval = parse_duration(args.checkpoint, "--checkpoint")
    return train(
        *_read_config(args), **part, budget=budget, interval=interval, log=args.tensorboard, command=args.typed
    )


def _run_blend(args: argparse.Namespace) -> None:
    from pipeline.commands.blend import blend

    blend(*_read_config(args), folds=args.folds, trusted=args.trust, as_json=args.json)


def _run_compare(args: argparse.Namespace) -> None:
    from pipeline.commands.compare import compare

    compare(*_read_config(args), folds=args.folds, as_json=args.json)


def _run_report(args: argparse.Namespace) -> None:
    from pipeline.commands.report import report

    report(*_read_config(args), folds=args.folds)


def _run_submit(args: argparse.Namespace) -> None:
    from pipeline.commands.submit import submit

    submit(*_read_config(args), member=args.member)


def _print_status(args: argparse.Namespace) -> None:
    from pipeline.commands.status import print_status

    print_status(*_read_config(args), deep=args.deep, as_json=args.json)


def _list_runs(args: argparse.Namespace) -> None:
    from pipeline.commands.runs import list_runs

    named = [] if args.config == Path("config.yaml") else ["--config", str(args.config)]
    command = shlex.join(["python", "run.py", "runs", *named])
    list_runs(args.config.parent, command=command, differing=args.diff, noted=args.leaderboard, as_json=args.json)


def _run_predict(args: argparse.Namespace) -> None:
    from pipeline.commands.predict import predict

    predict(*_read_config(args), test=args.test, output=args.output, sample=args.sample)


def _run_grade(args: argparse.Namespace) -> None:
    from pipeline.commands.grade import grade

    grade(*_read_config(args), solution=args.solution, submission=args.submission)


def _print_schema(args: argparse.Namespace) -> None:
    from pipeline.config.run_config import build_schema
    from pipeline.display import print_line

    print_line(build_schema())


VERBS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "sample": _run_sample,
    "init": _run_init,
    "train": _run_train,
    "blend": _run_blend,
    "compare": _run_compare,
    "report": _run_report,
    "submit": _run_submit,
    "status": _print_status,
    "runs": _list_runs,
    "predict": _run_predict,
    "grade": _run_grade,
    "schema": _print_schema,
}


if __name__ == "__main__":
    sys.exit(main())
