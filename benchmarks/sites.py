"""A made-up competition on disk, its verbs in fresh processes that can be killed, and what its run holds."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import run
from models.encoder.backbone import silence_transformers
from pipeline.storage.files import PREFIX
from pipeline.storage.run_directory import LOG

ROOT = Path(__file__).resolve().parents[1]
VERBS = {"train": ["--checkpoint", "1s"], "blend": [], "submit": []}
ROWS, TESTS = 64, 16
WORDS = ["movie", "film", "book", "story", "plot", "actor", "cat", "dog", "mat", "city", "river", "good", "bad"]
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
BESIDE = ("provenance", "sha256")  # what a marker holds of seconds, and its own checksum


@dataclass(frozen=True)
class Done:
    """What a call gave; the code is negative if it was killed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Site:
    """A competition's folder with its config.yaml."""

    folder: Path

    @property
    def root(self) -> Path:
        """The run directory."""
        return self.folder / "runs" / "r"

    def run(self, verb: str, *arguments: str) -> Done:
        """Call a verb in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run.main([verb, "--config", str(self.folder / "config.yaml"), *arguments])
        return Done(code, out.getvalue(), err.getvalue())

    def keep(self, name: str) -> Path:
        """A copy of the run as it stands."""
        self.root.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copytree(self.root, self.folder / name))

    def restore(self, kept: Path) -> None:
        """Put a copy in the place of the run."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(kept, self.root)

    def temporary(self) -> Iterator[Path]:
        """Temporary folders: of files that are just being written, or that a killed process left."""
        return self.root.rglob(f"{PREFIX}*")


class Call:
    """A verb in a fresh process."""

    def __init__(self, site: Site, verb: str) -> None:
        self.site, self.verb, self.started = site, verb, time.monotonic()
        self._out, self._err = site.folder / "out.txt", site.folder / "err.txt"
        command = [sys.executable, str(ROOT / "run.py"), verb, "--config", str(site.folder / "config.yaml")]
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([*command, *VERBS[verb]], stdout=out, stderr=err, env=alone)

    @property
    def seconds(self) -> float:
        """How long ago it was called."""
        return time.monotonic() - self.started

    def begun(self) -> bool:
        """Whether start-up is over: `train` has told its plan, another verb has locked the run."""
        if self.verb == "train":
            return self._out.stat().st_size > 0
        lock = self.site.root / f".{self.verb}.lock"  # may be one that a killed process left
        return lock.is_file() and f"process {self.process.pid} " in lock.read_text(encoding="utf-8")

    def writing(self) -> bool:
        """Whether a file is just being written."""
        return any(self.site.temporary())

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = np.inf) -> None:
        """Wait until the process has ended, or something is so, or some seconds are over."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and not until() and time.monotonic() < end:
            time.sleep(0.001)

    def end(self, *, kill: bool = False) -> Done:
        """Wait for the end, or bring it about."""
        if kill:
            self.process.kill()
        return Done(self.process.wait(), self._out.read_text(encoding="utf-8"), self._err.read_text(encoding="utf-8"))


def from_on(verb: str) -> list[str]:
    """A verb and those after it."""
    return list(VERBS)[list(VERBS).index(verb) :]


def make_site(folder: Path, epochs: int) -> Site:
    """A binary competition: two poolings on one tiny random encoder, and the linear variant, on two folds."""
    site, encoder = Site(folder / "site"), folder / "encoder"
    site.folder.mkdir(parents=True)
    _write_encoder(encoder)
    rng = np.random.default_rng(0)
    target = rng.permutation(np.arange(ROWS + TESTS) % 2)
    texts = [" ".join([*rng.choice(WORDS, 10), WORDS[one - 2], str(at)]) for at, one in enumerate(target)]
    rows = pd.DataFrame({"id": range(ROWS + TESTS), "text": texts, "target": target})
    rows[:ROWS].to_csv(site.folder / "train.csv", index=False)
    rows[ROWS:].drop(columns="target").to_csv(site.folder / "test.csv", index=False)
    rows[ROWS:].drop(columns="text").assign(target=0.5).to_csv(site.folder / "sample.csv", index=False)
    tables = {"train": "train.csv", "test": "test.csv", "sample_submission": "sample.csv"}
    config = {
        "run": "r",
        "competition": {**tables, "text": "text", "target": "target", "task": "binary", "metric": "log_loss"},
        "folds": {"kind": "stratified", "count": 2},
        "training": {"backbone": str(encoder), "max_length": 16, "epochs": epochs, "batch_size": 8, "threads": 1},
        "variants": {"shared": {"poolings": {"mean": "mean", "max": "max"}}, "tfidf": {"model": "tfidf"}},
    }
    (site.folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    return site


def _write_encoder(folder: Path) -> None:
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate([*SPECIAL.values(), *WORDS])}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 32}
    torch.manual_seed(0)
    with silence_transformers():
        BertModel(BertConfig(**sizes)).save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """The size and hash of all that lies in a folder, folders themselves too, but for the seconds that fits took.

    No bytes: what differs between two runs should be read in a line of a test's output.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.name != LOG]  # it holds times
    held = {path.relative_to(folder).as_posix(): _bytes(path) for path in paths}
    return {name: (len(data), hashlib.sha256(data).hexdigest()[:12]) for name, data in held.items()}


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        return b""
    if path.name != "fit.json":
        return path.read_bytes()
    marker = json.loads(path.read_bytes())
    return json.dumps({key: value for key, value in marker.items() if key not in BESIDE}).encode()
