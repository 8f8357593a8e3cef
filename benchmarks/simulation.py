"""Does the blend tell the truth? Its scores beside the risk of the same blend under a law that is known.

usage: python benchmarks/simulation.py --draws 2000 --seed 0 [--results FILE]

A draw is a population, folds, and members that scikit-learn trained on the other folds. What a cross-fitted score
estimates is the risk of single-fold blends: the members of one fold's models, blended by the numbers fitted on the
other folds, on fresh rows, the mean over folds. The noise of the fresh truths is integrated out, so that 4,000 rows
(or three times the training rows) say what the law says. A draw is kept as a line of JSON in FILE as soon as it is
done; the same command goes on where it stopped, and prints its tables. One process; progress goes to stderr.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestNeighbors
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import lined_up
from folds.splitters import split_rows
from oof.blends.blend_registry import BLENDS
from oof.blends.calibration import apply_finish
from oof.blends.problem import Problem
from oof.metrics.functions import EPSILON
from oof.metrics.metric_registry import get_default_metric
from oof.selection.auto import select_blend
from oof.selection.candidates import Candidate

Array = np.ndarray
Line = dict[str, Any]

FOLDS, REPEATS, FEATURES = 5, 200, 6
SETTINGS = [(task, kind) for task in ("regression", "binary") for kind in ("kfold", "stratified", "group")]
ROWS = (200, 200, 600, 200, 200, 3000, 600, 200, 600, 200)  # of ten draws in a row of one setting
GROUP = 10  # rows of a group
SHARED = 0.7  # deviation of what a group shares in the truth
NEIGHBOURS = (7, 25)
STRENGTHS = (1.0, 100.0)
TRAINED = ("weak ridge", "strong ridge", "7 neighbours", "25 neighbours", "tree")
BESIDE = ("hill_climb", "nnls")  # blends that `auto` does not try
HELD = "held"
LITTLE = -0.5  # the sum of a stacker's coefficients below which it turns against its members
KNOTS, SHARES = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True, eq=False)
class World:
    """Rows of a population, (rows, features) and (rows,); rows of a group share half of their features' variance."""

    task: str
    X: Array
    truth: Array
    fold: Array
    component: Array
    fresh: Array

    @property
    def shared(self) -> float:
        """Deviation of what a group shares in the truth; none where each row stands alone."""
        return SHARED if len(np.unique(self.component)) < len(self.component) else 0.0

    @cached_property
    def expected(self) -> Array:
        """Expected truth of the fresh rows, which are of new groups."""
        level = signal(self.fresh)
        if self.task == "regression":
            return level
        hit: Array = expit(level[:, None] + self.shared * KNOTS) @ SHARES / SHARES.sum()
        return hit

    def loss(self, predictions: Array) -> float:
        """Expected loss (squared error or log loss) of predictions (fresh rows, 1)."""
        p = predictions[:, 0]
        if self.task == "regression":
            return float(((p - self.expected) ** 2).mean() + 1 + self.shared**2)
        yes, no = np.log(p.clip(EPSILON)), np.log((1 - p).clip(EPSILON))
        return -float((self.expected * yes + (1 - self.expected) * no).mean())


def signal(X: Array) -> Array:
    """What features say about the truth: linear, waved and an interaction; the last feature says nothing."""
    found: Array = X[:, 0] + 0.5 * X[:, 1] + np.sin(2 * X[:, 2]) + 0.5 * X[:, 3] * X[:, 4]
    return found


def world(rng: np.random.Generator, task: str, kind: str, rows: int) -> World:
    """A population of that many rows, its folds, and fresh rows."""
    component = np.arange(rows) // (GROUP if kind == "group" else 1)
    X, level = rng.normal(size=(rows, FEATURES)), np.zeros(rows)
    if kind == "group":
        X = np.sqrt(0.5) * (X + rng.normal(size=X.shape)[component])
        level = SHARED * rng.normal(size=rows)[component]
    level = level + signal(X)
    if task == "regression":
        truth: Array = (level + rng.normal(size=rows))[:, None]
    else:
        truth = (rng.random(rows) < expit(level)).astype(np.int64)
    fold = split_rows(kind, count=FOLDS, seed=int(rng.integers(2**31)), task=task, truth=truth, component=component)
    return World(task, X, truth, fold, component, rng.normal(size=(max(4000, 3 * rows), FEATURES)))


def trained(task: str, X: Array, truth: Array, asked: Array) -> Array:
    """Predictions (members, asked rows) of `TRAINED` and, last, of the mean of the truth."""
    y, binary = truth.reshape(-1), task == "binary"
    linear = [LogisticRegression(C=1 / at) if binary else Ridge(at) for at in STRENGTHS]
    leaves = {"max_depth": 4, "min_samples_leaf": 5, "random_state": 0}
    models = [*linear, (DecisionTreeClassifier if binary else DecisionTreeRegressor)(**leaves)]
    found = [one.predict_proba(asked)[:, 1] if binary else one.predict(asked) for one in (m.fit(X, y) for m in models)]
    near = NearestNeighbors(n_neighbors=max(NEIGHBOURS), algorithm="brute").fit(X).kneighbors(asked)[1]
    return np.stack(
        [*found[:2], *(y[near[:, :k]].mean(1) for k in NEIGHBOURS), found[2], np.full(len(asked), y.mean())]
    )


def members(rng: np.random.Generator, its: World) -> tuple[Array, Array]:
    """OOF (members, rows, 1) and predictions of fresh rows (folds, members, fresh rows, 1), as `OFFERED` numbers them.

    First `trained`, then the same on features that know nothing of the truth, then plain noise.
    """
    views = [(its.X, its.fresh), (rng.normal(size=its.X.shape), rng.normal(size=its.fresh.shape))]
    own, fresh = np.empty((2 * (len(TRAINED) + 1), len(its.X))), []
    for fold in range(FOLDS):
        held = its.fold == fold
        found = np.concatenate(
            [trained(its.task, X[~held], its.truth[~held], np.concatenate([X[held], asked])) for X, asked in views]
        )
        own[:, held] = found[:, : held.sum()]
        fresh.append(found[:, held.sum() :])

    def noise(*shape: int) -> Array:
        drawn = rng.normal(size=shape)
        return drawn if its.task == "regression" else expit(drawn)

    tests = np.concatenate([np.stack(fresh), noise(FOLDS, 6, len(its.fresh))], axis=1)
    return np.concatenate([own, noise(6, len(its.X))])[..., None], tests[..., None]


OFFERED = {  # numbers of the members that a blend is offered
    "trained": [0, 1, 2, 3, 4],
    "trained and the mean": [0, 1, 2, 3, 4, 5],
    "trained on noise": [6, 7, 8, 9, 10],
    "noise": [12, 13, 14, 15, 16, 17],
    "one and noise": [0, 12, 13, 14, 15, 16],
}


def judged(its: World, candidate: Candidate, tests: Array) -> Line:
    """A candidate's scores beside its risk: of single-fold blends, and of the whole submission."""
    assert candidate.out_of_fold
    assert candidate.cross_fitted
    fitted, crossed, rule = candidate.fitted, candidate.out_of_fold, BLENDS[candidate.method]
    parts = zip(crossed.finishes, crossed.numbers, tests, strict=True)
    losses = [its.loss(apply_finish(finish, rule.apply(numbers, P))) for finish, numbers, P in parts]
    whole = np.mean([apply_finish(fitted.finishes[0], rule.apply(fitted.numbers[0], P)) for P in tests], axis=0)
    sizes = np.bincount(its.fold)
    return {
        "crossed": candidate.cross_fitted.pooled,
        "in_sample": candidate.in_sample.pooled,
        "risk": rooted(its.task, float(np.average(losses, weights=sizes))),
        "submission": rooted(its.task, its.loss(whole)),
        "interval": candidate.interval,
        "gain": candidate.gain,
        "canary": candidate.noise_check,
        "total": float(np.mean([np.sum(one.get("coefficients", 1)) for one in crossed.numbers])),
    }


def rooted(task: str, loss: float) -> float:
    """The metric of a mean loss."""
    return float(np.sqrt(loss)) if task == "regression" else loss


def drawn(number: int, seed: int) -> Line:
    """One draw: all that is offered to the blends, and what they say."""
    task, kind = SETTINGS[number % len(SETTINGS)]
    rows = ROWS[number // len(SETTINGS) % len(ROWS)]
    rng = np.random.default_rng([seed, number])
    its = world(rng, task, kind, rows)
    P, tests = members(rng, its)
    offers = {}
    for name, some in OFFERED.items():
        problem = Problem(P[some], its.truth, its.fold, task, get_default_metric(task), its.component)
        selection = select_blend("auto", problem, repeats=REPEATS, seed=number)
        candidates = [*selection.candidates]
        if name.startswith("trained"):
            more = [select_blend(one, problem, finish=False, repeats=REPEATS, seed=number) for one in BESIDE]
            candidates += [one.selected for one in more]
        offers[name] = {
            "rungs": {one.name: judged(its, one, tests[:, some]) for one in candidates},
            "held": selection.selected.name,
            "corrected": selection.corrected_score,
        }
    return {"draw": number, "task": task, "kind": kind, "rows": rows, "offers": offers}


def draws(count: int, seed: int, results: Path) -> list[Line]:
    """The first `count` draws; those in the file are read, the others are made and appended."""
    results.parent.mkdir(parents=True, exist_ok=True)
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # an interruption may cut the last line
    results.write_text(whole, encoding="utf-8")
    lines = [json.loads(line) for line in whole.splitlines()]
    done = {line["draw"] for line in lines if line["seed"] == seed}
    with results.open("a", encoding="utf-8") as file:
        missing = [number for number in range(count) if number not in done]
        for number in tqdm(missing, initial=count - len(missing), total=count, unit="draw"):
            lines.append({"seed": seed, **drawn(number, seed)})
            print(json.dumps(lines[-1]), file=file, flush=True)
    return [line for line in lines if line["seed"] == seed and line["draw"] < count]


def tables(lines: Sequence[Line]) -> str:
    """All that the simulation says. An error is a score minus the risk: negative flatters.

    A deviation is that of the cross-fitted score's error in a cell: a task, folds and a number of rows.
    """
    titled = []
    for offer in lines[0]["offers"]:
        titled += [
            (f"{offer}: error of the scores, in deviations", errors_table(lines, offer)),
            (f"{offer}: error of the cross-fitted score, in deviations", kinds_table(lines, offer)),
            (f"{offer}: error of the cross-fitted score, in units of the metric", cells_table(lines, offer)),
            (f"{offer}: risk in the 95 % interval", intervals_table(lines, offer)),
        ]
    titled += [
        ("what `auto` selects", auto_table(lines)),
        ("stackers whose risk is above that of equal weights, and the others", stackers_table(lines)),
    ]
    return "\n\n".join(f"{title}\n\n{table}" for title, table in titled)


def errors_table(lines: Sequence[Line], offer: str) -> str:
    """Blends in rows, over all draws."""
    rows = [["blend", "cross-fitted", "beyond equal weights", "in-sample", "risk in the interval"]]
    equal = error(lines, offer, "mean")
    for blend in blends(lines, offer):
        own = error(lines, offer, blend)
        scale = deviation(lines, own)
        inner = error(lines, offer, blend, "in_sample") / scale
        rows.append([blend, said(own / scale), said((own - equal) / scale), said(inner), covered(lines, offer, blend)])
    return lined_up(rows)


def kinds_table(lines: Sequence[Line], offer: str) -> str:
    """Tasks and kinds of folds in rows."""
    names = [f"{line['task']} {line['kind']}" for line in lines]

    def figure(here: list[Line], blend: str) -> str:
        own = error(here, offer, blend)
        return starred(own / deviation(here, own), 2)

    return parted(lines, names, blends(lines, offer), figure)


def cells_table(lines: Sequence[Line], offer: str) -> str:
    """Cells in rows."""
    return parted(lines, cells(lines), blends(lines, offer), lambda here, blend: starred(error(here, offer, blend), 4))


def intervals_table(lines: Sequence[Line], offer: str) -> str:
    """Kinds of folds and numbers of rows in rows."""
    names = [f"{line['kind']} {line['rows']}" for line in lines]
    return parted(lines, names, [*blends(lines, offer), HELD], lambda here, blend: covered(here, offer, blend))


def parted(
    lines: Sequence[Line], names: Sequence[str], columns: Sequence[str], figure: Callable[[list[Line], str], str]
) -> str:
    """A table of a figure of the draws of each name, names in rows and blends in columns."""
    rows = [["", "draws", *columns]]
    for name in sorted(set(names), key=lambda name: [part.zfill(4) for part in name.split()]):
        here = [line for line, its in zip(lines, names, strict=True) if its == name]
        rows.append([name, str(len(here)), *(figure(here, blend) for blend in columns)])
    return lined_up(rows)


def auto_table(lines: Sequence[Line]) -> str:
    """Offers and kinds of folds in rows: errors of the two scores of what is held, its gains over equal weights."""
    rows = [["offered", "folds", "cross-fitted", "corrected", "in the interval", "equal weights"]]
    rows[0] += ["gain in risk, %", "of the submission, %"]
    for offer in lines[0]["offers"]:
        for kind in ("all", *sorted({line["kind"] for line in lines})):
            here = [line for line in lines if kind in ("all", line["kind"])]
            rows.append([offer, kind, *auto_row(here, offer)])
    return lined_up(rows)


def auto_row(lines: Sequence[Line], offer: str) -> list[str]:
    """What `auto` selects in these draws; gains with 95 % intervals."""
    own = error(lines, offer, HELD)
    scale = deviation(lines, own)
    offers = [line["offers"][offer] for line in lines]
    corrected = np.array([its["corrected"] for its in offers]) - column(lines, offer, HELD, "risk")
    equal = np.mean([its["held"].startswith("mean") for its in offers])
    gains = [
        said(100 * (1 - column(lines, offer, HELD, part) / column(lines, offer, "mean", part)), times=1.96, digits=2)
        for part in ("risk", "submission")
    ]
    return [said(own / scale), said(corrected / scale), covered(lines, offer, HELD), f"{equal:.0%}", *gains]


def stackers_table(lines: Sequence[Line]) -> str:
    """Offers in rows: how often a stacker is refused or held, and has coefficients of a negative sum."""
    rows = [["offered", "stackers", "draws", "cross-fitted", "refused by the canary", "held", f"sum below {LITTLE}"]]
    for offer in lines[0]["offers"]:
        worse = column(lines, offer, "stacker", "risk") > column(lines, offer, "mean", "risk")
        own = error(lines, offer, "stacker")
        own = own / deviation(lines, own)
        gain, se = column(lines, offer, "stacker", "canary").T
        held = np.array([line["offers"][offer]["held"].startswith("stacker") for line in lines])
        below = column(lines, offer, "stacker", "total") < LITTLE
        for name, which in (("worse", worse), ("better", ~worse)):
            if which.sum() > 1:
                shares = [f"{found[which].mean():.0%}" for found in (gain > se, held, below)]
                rows.append([offer, name, str(which.sum()), said(own[which]), *shares])
    return lined_up(rows)


def column(lines: Sequence[Line], offer: str, blend: str, part: str) -> Array:
    """One figure of a blend (`HELD`: of what `auto` selects) by draw."""
    offers = [line["offers"][offer] for line in lines]
    found: Array = np.array([its["rungs"][its["held"] if blend == HELD else blend][part] for its in offers])
    return found


def error(lines: Sequence[Line], offer: str, blend: str, score: str = "crossed") -> Array:
    """A score minus the risk, by draw; negative is flattering."""
    wrong: Array = column(lines, offer, blend, score) - column(lines, offer, blend, "risk")
    return wrong


def cells(lines: Sequence[Line]) -> list[str]:
    """Name of each draw's cell: the task, the folds and the number of rows."""
    return [f"{line['task']} {line['kind']} {line['rows']}" for line in lines]


def deviation(lines: Sequence[Line], values: Array) -> Array:
    """Deviation of the values in the cell of each draw, (draws,)."""
    names = np.array(cells(lines))
    spread = {name: values[names == name].std(ddof=1) for name in set(names)}
    return np.array([spread[name] for name in names])


def blends(lines: Sequence[Line], offer: str) -> list[str]:
    """The blends that every draw has: those that are not the finish of another."""
    return [blend for blend in lines[0]["offers"][offer]["rungs"] if "finished" not in blend]


def covered(lines: Sequence[Line], offer: str, blend: str) -> str:
    """Share of draws in which the risk lies in the 95 % interval."""
    risk, (low, high) = column(lines, offer, blend, "risk"), column(lines, offer, blend, "interval").T
    return f"{((low <= risk) & (risk <= high)).mean():.1%}"


def said(values: Array, *, times: float = 1.0, digits: int = 3) -> str:
    """The mean and so many of its standard errors."""
    return f"{values.mean():+.{digits}f} ± {times * values.std(ddof=1) / np.sqrt(len(values)):.{digits}f}"


def starred(values: Array, digits: int) -> str:
    """The mean and its standard error, with a star if it is beyond two of them."""
    far = abs(values.mean()) > 2 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{said(values, digits=digits)}{'*' if far else ' '}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--draws", type=int, default=2000)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--results", type=Path, default=Path("runs/simulation.jsonl"))
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Make the draws that are missing and print the tables."""
    args = parser().parse_args(argv)
    print(tables(draws(args.draws, args.seed, args.results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
