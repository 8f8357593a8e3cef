"""Memory: of a process after each fit, and the peak of the command `predict` on a large table.

usage: python benchmarks/memory.py --fits 35 [--backbone minilm]
       python benchmarks/memory.py --rows 1000000 [--words 30]

The competition is synthetic: three classes, and a word for each. The default backbone is a tiny random encoder with the
packaged MiniLM's tokenizer. `--fits` trains in this process, five folds a variant, a pooling for each variant; `--rows`
trains tfidf and mean pooling, blends and predicts, each in its own process. The output of the commands goes to stderr.
For Linux only.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import run

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("red", "green", "blue")
TRAIN, TEST, BLOCK = 300, 30, 10_000  # rows of the competition's tables, and rows written at once
FOLDS = 5
POOLINGS = ("mean", "cls", "max", "attention", "idf", "weighted_layer", "gem")
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TRAINING = {"epochs": 1, "batch_size": 32, "max_length": 64, "learning_rate": 1e-4}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure memory in the mode of the command line."""
    flags = build_parser()
    args = flags.parse_args(argv)
    if args.fits is not None and (args.fits < FOLDS or args.fits % FOLDS):
        flags.error(f"--fits must be a multiple of {FOLDS}, the folds of a variant, got {args.fits}")
    with tempfile.TemporaryDirectory() as folder:
        measure = measure_predict if args.fits is None else measure_fits
        measure(Path(folder), args)
    return 0


def measure_fits(site: Path, args: argparse.Namespace) -> None:
    """Train in this process, and print its memory after each fit."""
    names = [f"{POOLINGS[n % len(POOLINGS)]}_{n}" for n in range(args.fits // FOLDS)]
    write_site(site, args, {name: {"pooling": name.rpartition("_")[0]} for name in names})
    from pipeline.fits import run_fit

    out = sys.stdout
    train_job = run_fit.train_job
    memory: list[float] = []

    def train_and_measure(*arguments: Any, **more: Any) -> Any:
        result = train_job(*arguments, **more)
        memory.append(read_resident_mib())
        print(f"fit {len(memory):2} of {args.fits}: {memory[-1]:,.1f} MiB", file=out, flush=True)
        return result

    with patch.object(run_fit, "train_job", train_and_measure), contextlib.redirect_stdout(sys.stderr):
        if code := run.main(["train", "--config", str(site / "config.yaml")]):
            raise SystemExit(code)
    print(f"last / third: {memory[-1] / memory[2]:.3f}")


def measure_predict(site: Path, args: argparse.Namespace) -> None:
    """Train and blend, then predict a large table; print the seconds and the peak memory of each command."""
    write_site(site, args, {"tfidf": {"model": "tfidf"}, "mean": {"pooling": "mean"}})
    large = site / "large.csv"
    write_rows(large, args.rows, args.words, labelled=False)
    for words in (["train"], ["blend"], ["predict", "--test", str(large), "--output", str(site / "predicted")]):
        command = [sys.executable, str(ROOT / "run.py"), *words, "--config", str(site / "config.yaml")]
        started, process = time.perf_counter(), subprocess.Popen(command, stdout=sys.stderr.fileno())
        _, status, used = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(process.returncode)
        print(f"{words[0]}: {seconds:,.1f} s, peak {used.ru_maxrss / 1024:,.0f} MiB", flush=True)  # kibibytes on Linux
    print(f"predicted: {args.rows:,} rows x {args.words} words")


def write_site(site: Path, args: argparse.Namespace, variants: dict[str, Any]) -> None:
    """Write tables and config of the competition, and the tiny encoder where no backbone is named."""
    write_rows(site / "train.csv", TRAIN, args.words, labelled=True)
    write_rows(site / "test.csv", TEST, args.words, labelled=False)
    sample = pd.read_csv(site / "test.csv", usecols=["id"])
    sample.assign(**dict.fromkeys(CLASSES, 1 / 3)).to_csv(site / "sample.csv", index=False)
    tables = {"train": "train.csv", "test": "test.csv", "sample_submission": "sample.csv"}
    meaning = {"text": "text", "target": "colour", "task": "multiclass", "metric": "log_loss"}
    config = {
        "run": "memory",
        "competition": {**tables, **meaning},
        "folds": {"count": FOLDS},
        "training": {**TRAINING, "backbone": args.backbone or write_encoder(site / "tiny")},
        "variants": variants,
    }
    (site / "config.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML


def write_encoder(folder: Path) -> str:
    """Write a tiny encoder with random weights and the packaged MiniLM's tokenizer; returns its name."""
    from transformers import BertConfig, BertModel

    from models.encoder.backbone import PACKAGED, open_backbone, silence_transformers

    tokenizer = open_backbone(PACKAGED).tokenizer
    with silence_transformers():
        BertModel(BertConfig(vocab_size=len(tokenizer), **TINY)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def write_rows(path: Path, rows: int, words: int, *, labelled: bool) -> None:
    """Write a table of id, text and, if `labelled`, colour, in blocks, so that this process stays small."""
    rng, vocabulary = np.random.default_rng(rows), np.array(list_words())
    for start in range(0, rows, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, rows))
        colours = np.array(CLASSES)[numbers % len(CLASSES)]
        drawn = rng.choice(vocabulary, (len(numbers), words - 1))
        texts = [" ".join([colour, *others]) for colour, others in zip(colours, drawn, strict=True)]
        frame = pd.DataFrame({"id": numbers, "text": texts} | ({"colour": colours} if labelled else {}))
        frame.to_csv(path, mode="a", header=start == 0, index=False)


def list_words() -> list[str]:
    """Return English words that are one token each."""
    from models.encoder.backbone import PACKAGED, open_backbone

    known = open_backbone(PACKAGED).tokenizer.get_vocab()
    return sorted(word for word in known if word.isascii() and word.isalpha())


def read_resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = flags.add_mutually_exclusive_group(required=True)
    mode.add_argument("--fits", type=int, help=f"so many fits in one process, a multiple of {FOLDS}")
    mode.add_argument("--rows", type=int, help="predict a table of so many rows")
    flags.add_argument("--words", type=int, default=30, help="words of a text, each of them one token")
    flags.add_argument("--backbone", help="instead of the tiny random encoder: minilm, a folder, a name of the hub")
    return flags


if __name__ == "__main__":
    sys.exit(main())
