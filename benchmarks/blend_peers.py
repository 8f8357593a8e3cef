"""The peers of `blend.py`: how a competitor weighs members without Poolblend.

usage: python benchmarks/blend_peers.py MATRIX.npz [--metric roc_auc|log_loss] [--methods AutoGluon hillclimbers SLSQP]

MATRIX.npz holds `truth` (rows,) of 0 and 1 and `P` (members, rows) of probabilities.

  AutoGluon     its `EnsembleSelection` of 25: greedy selection with replacement, the best prefix of the path
  hillclimbers  its `climb_hill`: from the best member on, the member and weight (.01 to .50) that gain most
  SLSQP         SciPy's on the log loss and its gradient, the convex problem itself; for log loss only

Prints a JSON line per method: its name, the processor's seconds of choosing, the weights. A first call on a few rows
and the imports are not counted. Needs a Python with `pip install autogluon.core hillclimbers`; SLSQP needs SciPy alone.
"""

import argparse
import contextlib
import io
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import LinearConstraint, minimize
from sklearn.metrics import log_loss, roc_auc_score

METRICS = {"roc_auc": roc_auc_score, "log_loss": log_loss}
WARM_UP = 200  # rows


def autogluon(P: np.ndarray, truth: np.ndarray, metric: str) -> np.ndarray:
    """Weights (members,) by selection."""
    from autogluon.core import metrics
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

    chosen = EnsembleSelection(ensemble_size=25, problem_type="binary", metric=getattr(metrics, metric))
    return np.array(chosen.fit(list(P), truth, identifiers=list(range(len(P)))).weights_)


def hillclimbers(P: np.ndarray, truth: np.ndarray, metric: str) -> np.ndarray:
    """Weights (members,) by search in steps of .01."""
    import pandas as pd
    from hillclimbers import climb_hill, partial

    names = [f"m{number}" for number in range(len(P))]
    with contextlib.redirect_stdout(io.StringIO()):
        weights: np.ndarray = climb_hill(
            train=pd.DataFrame({"y": truth}),
            oof_pred_df=pd.DataFrame(P.T, columns=names),
            test_pred_df=pd.DataFrame(np.eye(len(P)), columns=names),  # what it predicts for unit rows are the weights
            target="y",
            objective="minimize" if metric == "log_loss" else "maximize",
            eval_metric=partial(METRICS[metric]),
            negative_weights=False,
            precision=0.01,
            plot_hill=False,
        )
    return weights


def slsqp(P: np.ndarray, truth: np.ndarray, metric: str) -> np.ndarray:
    """Weights (members,) at the minimum of the log loss over the simplex."""
    if metric != "log_loss":
        raise SystemExit(f"SLSQP solves log_loss alone, not {metric}")
    right = np.where(truth == 1, P, 1 - P)  # the probability of what was true

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = (weights @ right).clip(1e-15)
        return -np.log(mixed).mean(), -(right @ (1 / mixed)) / len(truth)

    found = minimize(
        loss,
        np.full(len(P), 1 / len(P)),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(P),
        constraints=LinearConstraint(np.ones((1, len(P))), 1, 1),
        options={"ftol": 1e-10, "maxiter": 500},
    )
    kept = np.where(found.x > 1e-6, found.x, 0)
    weights: np.ndarray = kept / kept.sum()
    return weights


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, str], np.ndarray]] = {
    "AutoGluon": autogluon,
    "hillclimbers": hillclimbers,
    "SLSQP": slsqp,
}


def main() -> None:
    """Choose weights by each method and print its JSON line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("matrix")
    flags.add_argument("--metric", choices=METRICS, default="roc_auc")
    flags.add_argument("--methods", nargs="+", choices=METHODS, default=["AutoGluon", "hillclimbers"])
    args = flags.parse_args()
    warnings.filterwarnings("ignore")
    with np.load(args.matrix) as held:
        P, truth = held["P"], held["truth"]
    for name in args.methods:
        METHODS[name](P[:, :WARM_UP], truth[:WARM_UP], args.metric)
        started = time.process_time()
        weights = METHODS[name](P, truth, args.metric)
        seconds = time.process_time() - started
        print(json.dumps({"method": name, "seconds": seconds, "weights": weights.tolist()}), flush=True)


if __name__ == "__main__":
    main()
