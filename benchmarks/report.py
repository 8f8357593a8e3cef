"""From the measurements of `engine.py` to its tables. Pure functions; a run is one finished fit of a contender.

A ratio is the median over rounds of the baseline's seconds by the contender's: both sides of a round ran one after the
other, so a machine that slows down slows down both. Seeds are paired likewise for the difference of scores.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

Run = dict[str, Any]


def text(measured: dict[str, Any]) -> str:
    """All that a benchmark prints."""
    machine, job, fits = measured["machine"], measured["job"], measured["fits"]
    parts = [", ".join(f"{name} {value}" for name, value in described.items()) for described in (machine, job)]
    if fits:
        parts.append(fits_table(fits, "rmse" if job["task"] == "regression" else "log loss"))
    if measured["inside"]:
        parts += [inside_table(fits, measured["inside"]), groups_table(measured["inside"])]
    if measured["predictions"]:
        parts.append(predictions_table(measured["predictions"]))
    return "\n\n".join(parts)


def summary(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """For each contender the medians, seconds from least to most, the mean score, and how it stands to the baseline.

    The baseline is the first contender.
    """
    names = list(dict.fromkeys(run["contender"] for run in runs))
    return {name: _summed(_of(runs, name), _of(runs, names[0])) for name in names}


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run["contender"] == name]


def _summed(own: list[Run], base: list[Run]) -> dict[str, Any]:
    seconds = [run["seconds"] for run in own]
    scores, base_scores = _by_seed(own), _by_seed(base)
    differences = [scores[seed] - base_scores[seed] for seed in scores]
    numbers = {name for run in own for name, value in run.items() if isinstance(value, int | float)} - {"seed", "round"}
    return {
        **{name: statistics.median(run[name] for run in own) for name in sorted(numbers)},
        "least_seconds": min(seconds),
        "most_seconds": max(seconds),
        "ratio": statistics.median(b["seconds"] / o["seconds"] for b, o in zip(base, own, strict=True)),
        "score": statistics.mean(scores.values()),
        "difference": statistics.mean(differences),
        "standard_error": _standard_error(differences),
    }


def _standard_error(values: list[float]) -> float | None:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _by_seed(runs: list[Run]) -> dict[int, float]:
    seeds = dict.fromkeys(run["seed"] for run in runs)
    return {seed: statistics.mean(run["score"] for run in runs if run["seed"] == seed) for seed in seeds}


def fits_table(summed: dict[str, dict[str, Any]], metric: str) -> str:
    """Whole fits beside one another."""
    baseline = next(iter(summed))
    header = ["whole fits", "seconds (least-most)", "tokens/s", f"x {baseline}", metric, "difference", "padding", "MiB"]
    rows = []
    for name, its in summed.items():
        error = "" if its["standard_error"] is None else f" ± {its['standard_error']:.4f}"
        rows.append(
            [
                name,
                f"{its['seconds']:.2f} ({its['least_seconds']:.2f}-{its['most_seconds']:.2f})",
                f"{its['train_tokens_per_second']:,.0f}",
                f"{its['ratio']:.2f}",
                f"{its['score']:.4f}",
                "" if name == baseline else f"{its['difference']:+.4f}{error}",
                f"{its['padding']:.1%}" if "padding" in its else "",
                f"{its['peak_mib']:,.0f}",
            ]
        )
    return lined_up([header, *rows])


def inside_table(summed: dict[str, dict[str, Any]], inside: dict[str, dict[str, Any]]) -> str:
    """Start-up and saving, and how near the steady steps come to the rate of their matrix products alone."""
    header = ["steady state", "tokens/s", "GFLOP/s", "products alone", "share", "plain product"]
    header += ["open, tokenise s", "start s", "save s"]
    rows = []
    for name, its in inside.items():
        whole = summed[name]
        rate = its["flops_per_padded"] * whole["steady_padded_per_second"]
        rows.append(
            [
                name,
                f"{whole['steady_tokens_per_second']:,.0f}",
                f"{rate / 1e9:,.1f}",
                f"{its['products_per_second'] / 1e9:,.1f}",
                f"{rate / its['products_per_second']:.1%}",
                f"{its['plain_per_second'] / 1e9:,.1f}",
                f"{whole['tokenise_seconds']:.2f}",
                f"{whole['start_seconds']:.2f}",
                f"{whole['save_seconds']:.2f} ({whole['save_seconds'] / whole['seconds']:.1%})",
            ]
        )
    return lined_up([header, *rows])


def groups_table(inside: dict[str, dict[str, Any]]) -> str:
    """Where the time of the steady steps goes, in percent."""
    groups = next(iter(inside.values()))["groups"]
    rows = [[group, *(f"{its['groups'][group]:.1%}" for its in inside.values())] for group in groups]
    return lined_up([["time of a step", *inside], *rows])


def predictions_table(measured: dict[str, Any]) -> str:
    """Rows per second with and without us."""
    rates = {name: measured["rows"] / statistics.median(times) for name, times in measured["seconds"].items()}
    rows = [[name, f"{rate:,.0f}", f"{rate / rates['pipeline']:.2f}"] for name, rate in rates.items()]
    return lined_up([["predictions", "rows/s", "x pipeline"], *rows])


def lined_up(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned: the first on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))
