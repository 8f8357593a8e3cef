"""How often the alarm for members that are not out of fold is false, and what it finds, on real competitions.

usage: python benchmarks/alarm.py DATA [--names trec,sst5] [--rows 3000] [--seed 0] [--members FOLDER]

DATA/NAME holds train.csv, test.csv and solution.csv. Makes members with scikit-learn, honest ones and ones that leak,
and asks `leak_check.find_leak` about each, beside honest members. Test labels go into the members that are made strong
by a noisy copy of the truth, and into the choice of test rows with other labels; not into the alarm. FOLDER keeps
the members for the next time: fits take most of it, and a change of the alarm needs none.
"""

import argparse
import pickle
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.tree import DecisionTreeRegressor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.competitions import COMPETITIONS
from benchmarks.report import lined_up
from oof.members.leak_check import find_leak
from oof.metrics.functions import compute_pearson, compute_roc_auc

TEST_ROWS = 2000
HONEST = ("mean of fold models", "one model of all rows", "made strong", "reshaped")
IN_SAMPLE, ENCODED = "in-sample", "target encoding"
LEAKS = (IN_SAMPLE, "seen by other folds", "half of the rows", ENCODED, "best of its fold")
TRUSTED = ("ridge 1", "logistic 1", "bayes", "neighbours 50", "extra trees 5", "topics ridge", "boosted")
SITUATIONS = (
    "as they are",
    "beside one other",
    "beside none",
    "the surest half",
    "the least sure half",
    "other labels",
    "the least sure half, beside none",
)


@dataclass(frozen=True)
class Table:
    """A competition: one-hot or values of all rows, training rows first, and two kinds of features."""

    task: str
    count: int  # of training rows
    target: np.ndarray
    words: Any
    topics: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """The training rows' truth in the shapes of `oof`."""
        rows = self.target[: self.count]
        if self.task in ("multiclass", "ordinal"):
            return rows.argmax(1)
        return rows[:, 0].astype(int) if self.task == "binary" else rows


@dataclass(frozen=True)
class Guess:
    """Somebody's member: how it was made, by which model, and what a teammate would hand over."""

    kind: str
    model: str
    oof: np.ndarray
    test: np.ndarray


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables of the competitions."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--names", default=",".join(COMPETITIONS))
    options.add_argument("--rows", type=int, default=3000, help="training rows at most")
    options.add_argument("--seed", type=int, default=0, help="of rows, folds and members")
    options.add_argument("--members", type=Path, help="a folder that keeps the members for the next time")
    args = options.parse_args(argv)
    warnings.simplefilter("ignore")  # of scikit-learn: no convergence, labels without a row
    names, alarms, leaks, optimism = args.names.split(","), {}, {}, {}
    for name in names:
        table, members = kept(args.data / name, name, args.rows, args.seed, args.members)
        trusted = [one for one in members if one.kind == HONEST[0] and one.model in TRUSTED]
        alarms[name] = false_alarms(table, members, trusted, args.seed)
        leaks[name], optimism[name] = judged(table, members, trusted)
        print(f"{name}: {len(members)} members", file=sys.stderr, flush=True)
    print(f"\nFalse alarms, of honest members\n\n{side_by_side(alarms)}")
    print(f"\nFound, of members that leak\n\n{side_by_side(leaks)}")
    print(f"\nOptimism of members that leak; in brackets: not found\n\n{side_by_side(optimism)}")


def kept(data: Path, name: str, rows: int, seed: int, folder: Path | None) -> tuple[Table, list[Guess]]:
    """A competition and its members, from the folder if they are there."""
    file = folder / f"{name}-{rows}-{seed}.pickle" if folder else None
    if file and file.exists():
        found: tuple[Table, list[Guess]] = pickle.loads(file.read_bytes())
        return found
    table = read(data, name, rows, seed)
    members = list(made(table, seed))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        bare = replace(table, words=None, topics=np.empty((0, 0)))  # features take more room than the members
        file.write_bytes(pickle.dumps((bare, members)))
    return table, members


def read(folder: Path, name: str, rows: int, seed: int) -> Table:
    """Draw training and test rows of a competition; the features see no label."""
    spec = COMPETITIONS[name]["competition"]
    train, test, solution = (
        pd.read_csv(folder / f"{part}.csv", dtype=str, keep_default_na=False) for part in ("train", "test", "solution")
    )
    train = train.sample(min(rows, len(train)), random_state=seed)
    test = test.merge(solution, on="id").sample(min(TEST_ROWS, len(test)), random_state=seed)
    both = pd.concat([train, test], ignore_index=True)
    words, topics = features(both, [spec["text"]] if isinstance(spec["text"], str) else spec["text"])
    label = both[spec["target"]] if "target" in spec else both[list(solution.columns[1:])].astype(float)
    if spec["task"] == "regression":
        target = label.to_numpy(np.float64)[:, None]
    elif spec["task"] == "multilabel":
        target = label.to_numpy()
    else:
        target = pd.get_dummies(label).to_numpy(np.float64)[:, 1 if spec["task"] == "binary" else 0 :]
    return Table(spec["task"], len(train), target, words, topics)


def features(both: pd.DataFrame, columns: Sequence[str]) -> tuple[Any, np.ndarray]:
    """TF-IDF of one text column and its topics (latent semantic analysis), or how far two columns agree in them."""
    chinese = not both[columns[0]].str.contains(" ").mean() > 0.5
    grams: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3)} if chinese else {"ngram_range": (1, 2)}
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, **grams).fit(np.concatenate([both[c] for c in columns]))
    counts = [words.transform(both[column]) for column in columns]
    svd = TruncatedSVD(80, random_state=0).fit(sp.vstack(counts))
    topics = [svd.transform(one) for one in counts]
    if len(columns) == 1:
        return counts[0], topics[0]
    shared = counts[0].multiply(counts[1])
    cosine = np.asarray(shared.sum(1))
    apart, together = abs(topics[0] - topics[1]), topics[0] * topics[1]
    return sp.hstack([shared, abs(counts[0] - counts[1]), cosine]).tocsr(), np.hstack([apart, together, cosine])


def models(task: str) -> dict[str, tuple[str, Any]]:
    """Each model with the features it takes; a regressor of one-hot columns is a classifier too."""
    trees = {"max_features": 0.3, "random_state": 0}
    found: dict[str, tuple[str, Any]] = {
        **{f"ridge {alpha}": ("words", Ridge(alpha)) for alpha in (0.1, 1, 30)},
        "topics ridge": ("topics", Ridge(0.1)),
        **{f"neighbours {count}": ("topics", KNeighborsRegressor(count)) for count in (1, 5, 50)},
        "near neighbours": ("topics", KNeighborsRegressor(10, weights="distance")),
        **{f"extra trees {leaf}": ("topics", ExtraTreesRegressor(min_samples_leaf=leaf, **trees)) for leaf in (1, 5)},
        **{f"one tree {leaf}": ("topics", DecisionTreeRegressor(min_samples_leaf=leaf, **trees)) for leaf in (1, 20)},
    }
    if task == "regression":
        found["network 60"] = ("topics", MLPRegressor(hidden_layer_sizes=(64,), max_iter=60, random_state=0))
        return {**found, "boosted": ("topics", HistGradientBoostingRegressor(max_iter=60))}
    network = {"hidden_layer_sizes": (64,), "learning_rate_init": 3e-3, "alpha": 1e-5, "random_state": 0}
    found |= {f"logistic {c:g}": ("words", LogisticRegression(C=c, max_iter=300)) for c in (0.1, 1, 10, 1e4)}
    found |= {f"network {epochs}": ("topics", MLPClassifier(max_iter=epochs, **network)) for epochs in (60, 300)}
    found["bayes"] = ("words", MultinomialNB(alpha=0.3))
    if task != "multilabel":  # a boosted model for each of 28 labels takes longer than all others
        found["boosted"] = ("topics", HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15))
    return found


def fitted(model: Any, X: Any, target: np.ndarray, task: str) -> Any:
    """A fresh fit on one-hot columns or values."""
    fresh = clone(model)
    if not is_classifier(fresh):
        return fresh.fit(X, target[:, 0] if target.shape[1] == 1 else target)
    if task == "multilabel":
        return (fresh if isinstance(fresh, MLPClassifier) else OneVsRestClassifier(fresh)).fit(X, target)
    return fresh.fit(X, target[:, 0] if task == "binary" else target.argmax(1))


def asked(model: Any, X: Any, task: str, columns: int) -> np.ndarray:
    """Predictions (rows, columns) of a fit, as probabilities where the task wants them."""
    if is_classifier(model):
        said = model.predict_proba(X)
        if task in ("binary", "multilabel"):
            return said[:, -columns:]
        found = np.zeros((len(said), columns))
        found[:, model.classes_.astype(int)] = said
        return found
    values = np.asarray(model.predict(X)).reshape(X.shape[0], columns)
    if task == "regression":
        return values
    values = values.clip(1e-4, 1 - 1e-4)
    return values / values.sum(1, keepdims=True) if task in ("multiclass", "ordinal") else values


def folded(table: Table, name: str, model: Any, X: Any, folds: int, seed: int) -> Iterator[Guess]:
    """A model's honest members, and the same model's members if rows are predicted by models that saw them."""
    count, columns, task = table.count, table.target.shape[1], table.task
    target, own, tests, seen = table.target[:count], np.zeros((count, columns)), [], np.zeros((count, columns))
    for rest, fold in KFold(folds, shuffle=True, random_state=seed).split(target):
        fit = fitted(model, X[rest], target[rest], task)
        said = asked(fit, X, task, columns)
        own[fold] = said[fold]
        seen[rest] += said[rest] / (folds - 1)
        tests.append(said[count:])
    mean = np.mean(tests, axis=0)
    whole = asked(fitted(model, X[:count], target, task), X, task, columns)
    half = np.random.default_rng(seed).random(count) < 0.5
    yield Guess("mean of fold models", name, own, mean)
    yield Guess("one model of all rows", name, own, whole[count:])
    yield Guess(IN_SAMPLE, name, whole[:count], whole[count:])
    yield Guess("seen by other folds", name, seen, mean)
    yield Guess("half of the rows", name, np.where(half[:, None], whole[:count], own), mean)


def made(table: Table, seed: int) -> Iterator[Guess]:
    """All members of a competition."""
    rng = np.random.default_rng(seed)
    plain = []
    for name, (kind, model) in models(table.task).items():
        plain += folded(table, name, model, getattr(table, kind), 5, seed)
        if name in ("neighbours 1", "one tree 1", "extra trees 1", "network 60", "logistic 10000"):
            plain += folded(table, f"{name}, 10 folds", model, getattr(table, kind), 10, seed)
    yield from plain
    yield from (guess for one in plain if one.kind == HONEST[0] for guess in reshaped(one, table.task))
    yield from strong(table, rng, seed)
    for kind, X in ((HONEST[0], table.topics), (ENCODED, np.hstack([table.topics, target_encoding(table)]))):
        fair = next(folded(table, "linear", linear(table.task), X, 5, seed))
        yield Guess(kind, fair.model, fair.oof, fair.test)
    yield best_of_fold([one for one in plain if one.kind == HONEST[0] and "folds" not in one.model], table, seed)


def linear(task: str) -> Any:
    """A model that gives the weight they deserve to features that know much."""
    return Ridge(1) if task == "regression" else LogisticRegression(max_iter=300)


def strong(table: Table, rng: np.random.Generator, seed: int) -> Iterator[Guess]:
    """Honest members far ahead of all others: their features carry the truth of training and test rows with noise."""
    target, scale = table.target, table.target.std(0) if table.task == "regression" else 1.0
    for noise in (0.15, 0.35, 0.7):
        X = np.hstack([table.topics, target / scale + noise * rng.normal(size=target.shape)])
        for name, model in {
            "linear": linear(table.task),
            "ridge 300": Ridge(300),
            "extra trees": ExtraTreesRegressor(60, max_features=0.3, random_state=0),
            **{f"neighbours {count}": KNeighborsRegressor(count) for count in (1, 15)},
            "one tree": DecisionTreeRegressor(random_state=0),
        }.items():
            both = list(folded(table, f"{name}, noise {noise}", model, X, 5, seed))[:2]
            yield from (Guess("made strong", one.model, one.oof, one.test) for one in both)
    mean, chance = target[: table.count].mean(0), rng.permutation(target)
    wrong = np.where(rng.random((len(target), 1)) < 0.05, chance, target)
    known = {"truth": target, "truth, 5 % wrong": wrong, "shy truth": (target + mean) / 2}
    known |= {"chance": chance, "constant": np.repeat(mean[None], len(target), 0)}
    yield from (Guess("made strong", name, P[: table.count], P[table.count :]) for name, P in known.items())


def reshaped(guess: Guess, task: str) -> Iterator[Guess]:
    """The same member, much too sure or much too shy."""
    for word, power in (("sure", 4.0), ("shy", 0.3)) if task != "regression" else (("shy", 0.3),):

        def shaped(P: np.ndarray, power: float = power) -> np.ndarray:
            if task == "regression":
                return power * P + 1
            on, off = P.clip(1e-9) ** power, (1 - P).clip(1e-9) ** power
            return on / (on.sum(1, keepdims=True) if task in ("multiclass", "ordinal") else on + off)

        yield Guess("reshaped", f"{guess.model}, {word}", shaped(guess.oof), shaped(guess.test))


def target_encoding(table: Table) -> np.ndarray:
    """Mean target of three training rows each, the row's own included: a leak that folds do not stop."""
    bucket = np.argsort(np.argsort(table.topics[:, 0])) * (table.count // 3) // len(table.topics)
    own, prior = bucket[: table.count], table.target[: table.count].mean(0)
    sums, counts = np.zeros((table.count, len(prior))), np.bincount(own, minlength=table.count)[:, None]
    np.add.at(sums, own, table.target[: table.count])
    return ((sums + prior) / (counts + 1))[bucket]


def best_of_fold(guesses: Sequence[Guess], table: Table, seed: int) -> Guess:
    """The model that does best on a fold predicts the fold: as mild as early stopping on it."""
    own, tests = np.zeros_like(guesses[0].oof), []
    for _, fold in KFold(5, shuffle=True, random_state=seed).split(own):
        best = max(guesses, key=lambda one: score(table.target[fold], one.oof[fold], table.task))
        own[fold] = best.oof[fold]
        tests.append(best.test)
    return Guess("best of its fold", "all", own, np.mean(tests, axis=0))


def score(target: np.ndarray, P: np.ndarray, task: str) -> float:
    """Accuracy, Pearson correlation or mean area under the ROC curve."""
    if task in ("multilabel", "regression"):
        return (compute_roc_auc if task == "multilabel" else compute_pearson)(target, P)
    return float(((P > 0.5) == target if task == "binary" else P.argmax(1) == target.argmax(1)).mean())


def rings(table: Table, trusted: Sequence[Guess], guess: Guess, rows: np.ndarray, beside: int) -> bool:
    """Whether the alarm rings for a member, beside so many trusted ones of other models."""
    others = [one for one in trusted if one.model != guess.model.split(",")[0]][:beside]
    P = np.array([one.oof for one in others]).reshape(len(others), *guess.oof.shape)
    Q = np.array([one.test[rows] for one in others]).reshape(len(others), len(rows), P.shape[2])
    said = find_leak(guess.oof, guess.test[rows], table.truth, table.task, peers=P, peers_test=Q)
    return said is not None


def false_alarms(table: Table, members: Sequence[Guess], trusted: Sequence[Guess], seed: int) -> dict[str, str]:
    """By situation, false alarms of how many honest members; each is named on the side."""
    honest, counts = [one for one in members if one.kind in HONEST], {}
    for situation, (rows, beside) in zip(SITUATIONS, picked(table, trusted, seed), strict=True):
        wrong = [one for one in honest if rings(table, trusted, one, rows, beside)]
        counts[situation] = f"{len(wrong)} of {len(honest)}"
        print(
            *(f"  {situation}: false alarm, {one.kind}, {one.model}\n" for one in wrong),
            file=sys.stderr,
            sep="",
            end="",
        )
    return counts


def judged(table: Table, members: Sequence[Guess], trusted: Sequence[Guess]) -> tuple[dict[str, str], dict[str, str]]:
    """By kind the leaks that were found, and by model how much better than honest its leaking OOF looks."""
    every, target = np.arange(len(members[0].test)), table.target[: table.count]
    fair = {one.model: score(target, one.oof, table.task) for one in members if one.kind == HONEST[0]}
    found: dict[str, list[bool]] = {kind: [] for kind in LEAKS}
    optimism = {}
    for one in (one for one in members if one.kind in LEAKS):
        found[one.kind].append(rings(table, trusted, one, every, len(TRUSTED)))
        if one.kind in (IN_SAMPLE, ENCODED) and "folds" not in one.model:
            gain = f"{score(target, one.oof, table.task) - fair[one.model]:.3f}"
            name = one.model if one.kind == IN_SAMPLE else ENCODED
            optimism[name] = gain if found[one.kind][-1] else f"({gain})"
    return {kind: f"{sum(some)} of {len(some)}" for kind, some in found.items()}, optimism


def picked(table: Table, trusted: Sequence[Guess], seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """Test rows, and how many others there are, for each of SITUATIONS."""
    mean = np.mean([one.test for one in trusted], axis=0)
    every, many = np.arange(len(mean)), len(TRUSTED)
    yield from ((every, many), (every, 1), (every, 0))
    regression = table.task == "regression"
    sure = np.var([one.test for one in trusted], axis=0).sum(1) if regression else (mean * (1 - mean)).sum(1)
    order = np.argsort(sure)
    yield from ((order[: len(order) // 2], many), (order[len(order) // 2 :], many))
    target = table.target[table.count :]
    low = target[:, 0] < np.median(target[:, 0]) if regression else target[:, : (target.shape[1] + 1) // 2].any(1)
    yield every[~low | (np.random.default_rng(seed).random(len(low)) < 0.4)], many
    yield order[len(order) // 2 :], 0


def side_by_side(columns: dict[str, dict[str, str]]) -> str:
    """A table with a column for each competition."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    return lined_up(
        [["", *columns], *([name, *(column.get(name, "") for column in columns.values())] for name in names)]
    )


if __name__ == "__main__":
    main()
