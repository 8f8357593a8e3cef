"""Tasks of the benchmark that run in their own process: `python -m benchmarks.workers TASK '{"its": "arguments"}'`.

A task prints one JSON line.
"""

import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

from benchmarks import products, steps
from benchmarks.encoders import write_encoder
from benchmarks.job import Job, Table, build_spec
from models.device import choose_device
from models.encoder.backbone import open_backbone, silence_transformers
from models.network import NetworkDesign
from models.predict import predict
from models.saved import convert_weights, load_network
from models.settings import TrainingSettings, count_steps_per_epoch
from models.spec import TrainingSpec, build_variant
from models.tokens import encode_texts
from models.training.fit import FitData, NetworkFit, fit
from models.training.frozen_cache import FrozenStateCache
from models.training.hooks import FitHooks
from pipeline.storage.files import write_atomically

WARM_UP = 32  # rows that the network of the predictions is trained on


@dataclass(frozen=True)
class MeasuredFit:
    """A fit of a job with an empty test table."""

    design: NetworkDesign
    data: FitData
    seed: int
    state_cache: FrozenStateCache

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return count_steps_per_epoch(len(self.data.train_rows), self.design.settings)

    def count_tokens(self, batches: list[np.ndarray]) -> list[tuple[int, int]]:
        """Return the tokens of each step, without and with padding, from its batches."""
        return steps.count_tokens(batches, self.data.tokens.lengths, self.design.settings.accumulation)

    def run(self, hooks: FitHooks) -> NetworkFit:
        """Run the fit."""
        return fit(self.design, self.data, seed=self.seed, hooks=hooks, state_cache=self.state_cache)

    def run_until_enough(self, watcher: steps.FlopCount | steps.Profile) -> None:
        """Run the fit until the watcher of its steps has seen enough."""
        try:
            self.run(FitHooks(on_step=watcher.on_step))
        except steps.EnoughError:
            return
        raise RuntimeError("the fit ended before its first epoch did")


def describe(*, backbone: str, random_init: str | None, folder: str) -> dict[str, Any]:
    """Describe the machine, and find the folder of the backbone; `random_init` names the shape of one to write."""
    if random_init:
        write_encoder(Path(folder), random_init)
    cuda, cpu = torch.cuda.is_available(), f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "backbone": str(open_backbone(folder if random_init else backbone).folder),
        "device": torch.cuda.get_device_name() if cuda else cpu,
        "cuda": cuda,
        "bf16_units": cuda or torch.cpu.get_capabilities().get("amx_bf16", False),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def measure_fit(job: Job) -> dict[str, Any]:
    """Measure a whole fit: seconds of it and of its parts, tokens, score, padding, peak memory, seconds of saving."""
    table = Table(job)
    started = time.perf_counter()
    measured = _prepare_fit(job, table)
    clock = steps.StepClock(measured.steps_per_epoch)
    tokenised = clock.last
    with steps.watch_batches() as batches:
        result = measured.run(FitHooks(on_step=clock.on_step, on_epoch=clock.on_epoch))
    seconds = time.perf_counter() - started
    sizes = measured.count_tokens(batches)
    real, padded = map(sum, zip(*sizes, strict=True))
    steady = slice(steps.count_skipped(clock.steps), clock.steps)
    steady_real, steady_padded = map(sum, zip(*sizes[steady], strict=True))
    steady_seconds = sum(clock.seconds[steady])
    return {
        "seconds": seconds,
        "train_tokens_per_second": real / seconds,
        "score": table.score(result.valid[""]),
        "padding": 1 - real / padded,
        "peak_mib": _read_peak_mib(),
        "tokenise_seconds": tokenised - started,
        "start_seconds": clock.seconds[0] - statistics.median(clock.seconds),
        "save_seconds": _time_saving(result.weights),
        "steady_tokens_per_second": steady_real / steady_seconds,
        "steady_padded_per_second": steady_padded / steady_seconds,
    }


def measure_steps(job: Job) -> dict[str, Any]:
    """Measure FLOPs of the steady steps, the rates of the machine with products alone, and where the time goes."""
    measured = _prepare_fit(job, Table(job))
    number = measured.steps_per_epoch
    with steps.watch_batches() as batches, torch.compiler.set_stance("force_eager"):  # compiled, products are hidden
        count = steps.FlopCount(number, lambda: [padded for _, padded in measured.count_tokens(batches)])
        measured.run_until_enough(count)
        steady_padded = sum(padded for _, padded in measured.count_tokens(batches)[steps.count_skipped(number) :])
    profile = steps.Profile(number)
    with steps.name_for_profiler():
        measured.run_until_enough(profile)
    return {
        "flops_per_padded": count.flops / steady_padded,
        "products_per_second": products.measure_replayed_rate(count.products, choose_device()),
        "plain_per_second": products.measure_square_rate(count.products[0][0][-1], choose_device()),
        "groups": profile.groups,
        "largest_others": profile.largest_others,
    }


def measure_predictions(job: Job, repeats: int) -> dict[str, Any]:
    """Measure seconds of our predictions and of a transformers pipeline in turns, tokenising included."""
    table = Table(job)
    measured = _prepare_fit(job, table)
    data = replace(
        measured.data, train_rows=measured.data.train_rows[:WARM_UP], valid_rows=measured.data.valid_rows[:1]
    )
    tokenizer = measured.design.backbone.tokenizer
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        result = replace(measured, data=data).run(FitHooks())
        save_file(convert_weights(result.weights, "fp32"), path)
        network = load_network(path, measured.design)
    pipe = _build_pipeline(job, measured.design.columns)
    texts = [text[0] if len(text) == 1 else dict(zip(("text", "text_pair"), text, strict=True)) for text in table.texts]
    how = {"batch_size": 64, "truncation": True, "max_length": job["max_length"], "top_k": None}
    pipe(texts[:WARM_UP], **how)
    seconds: dict[str, list[float]] = {"pipeline": [], "ours": []}
    for _ in range(repeats):
        started = time.perf_counter()
        pipe(texts, **how)
        seconds["pipeline"].append(time.perf_counter() - started)
        started = time.perf_counter()
        tokens = encode_texts(tokenizer, table.texts, max_length=job["max_length"], keep="head")
        predict(network, tokens, np.arange(len(tokens)))
        seconds["ours"].append(time.perf_counter() - started)
    return {"rows": len(texts), "seconds": seconds}


def _prepare_fit(job: Job, table: Table) -> MeasuredFit:
    built = build_variant("measured", build_spec(job, job["options"]), TrainingSpec())
    settings = built.settings
    assert isinstance(settings, TrainingSettings)
    backbone = open_backbone(settings.backbone)
    read: dict[str, Any] = {"max_length": settings.max_length, "keep": settings.keep}
    columns = table.classes or [job["target"]]
    data = FitData(
        tokens=encode_texts(backbone.tokenizer, table.texts, **read),
        truth=table.truth,
        row_weights=np.ones(len(table.ids)),
        train_rows=table.train,
        valid_rows=table.valid,
        test=encode_texts(backbone.tokenizer, [], **read),
        columns=columns,
        classes=table.classes,
        score=lambda truth, predicted: None,
    )
    design = NetworkDesign(backbone, built.poolings, settings, job["task"], len(columns))
    return MeasuredFit(design, data, job["seed"], FrozenStateCache(Path(tempfile.gettempdir())))


def _time_saving(weights: dict[str, torch.Tensor]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with write_atomically(Path(folder) / "weights.safetensors") as temporary:
            save_file(convert_weights(weights, "fp32"), temporary)
        return time.perf_counter() - started


def _build_pipeline(job: Job, columns: int) -> Any:
    half = job["precision"] == "bf16" and torch.cuda.is_available()  # on a CPU Poolblend predicts in float32 too
    dtype = torch.bfloat16 if half else torch.float32
    with silence_transformers():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            job["backbone"], num_labels=columns, dtype=dtype
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["backbone"])
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device=choose_device())


def _read_peak_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kibibytes on Linux


TASKS = {"describe": describe, "whole_fit": measure_fit, "inside": measure_steps, "predictions": measure_predictions}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))
