"""The simulation: its risk held against drawn truths and a slow loop, its tables against figures made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from benchmarks import simulation
from oof.blends.problem import Problem
from oof.metrics.metric_registry import get_default_metric
from oof.selection.auto import select_blend


def small(task: str, kind: str, rows: int = 60) -> tuple[simulation.World, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    its = simulation.world(rng, task, kind, rows)
    return its, *simulation.members(rng, its)


def made(crossed: float, *, risk: float = 1.0, canary: tuple[float, float] = (0.0, 1.0), total: float = 1) -> Any:
    interval = (crossed - 0.25, crossed + 0.25)
    scores = {"crossed": crossed, "in_sample": crossed - 1, "risk": risk, "submission": risk}
    return {**scores, "interval": interval, "gain": None, "canary": canary, "total": total}


def line(number: int, held: str, **rungs: Any) -> simulation.Line:
    setting = {"draw": number, "seed": 0, "task": "regression", "kind": "kfold", "rows": 200}
    return {**setting, "offers": {"trained": {"rungs": rungs, "held": held, "corrected": 1.0}}}


@pytest.mark.parametrize("kind", ["kfold", "group"])
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_the_expected_loss_is_the_loss_on_drawn_truths(task: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    its = simulation.world(rng, task, kind, 60)
    p = np.clip(0.5 + 0.1 * its.fresh[:, 0], 0.05, 0.95)
    losses = []
    for _ in range(60):
        level = simulation.signal(its.fresh) + (simulation.SHARED if kind == "group" else 0) * rng.normal(size=len(p))
        if task == "regression":
            losses.append(((level + rng.normal(size=len(p)) - p) ** 2).mean())
        else:
            losses.append(log_loss((rng.random(len(p)) < expit(level)).astype(int), p))
    assert its.loss(p[:, None]) == pytest.approx(np.mean(losses), abs=4 * np.std(losses) / np.sqrt(len(losses)))


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_no_member_saw_the_truth_of_the_rows_it_predicts(task: str) -> None:
    rng = np.random.default_rng(0)
    its = simulation.world(rng, task, "kfold", 60)
    held = its.fold == 2
    before = simulation.members(np.random.default_rng(2), its)[0][:, held]
    its.truth[held] = its.truth[held][::-1] if task == "regression" else 1 - its.truth[held]
    np.testing.assert_array_equal(simulation.members(np.random.default_rng(2), its)[0][:, held], before)
    assert (before[5] == its.truth[~held].mean()).all()


def test_members_on_noise_know_nothing_of_the_fresh_truth() -> None:
    its, _, tests = small("regression", "kfold", 200)
    against = [abs(np.corrcoef(its.expected, tests[0, member, :, 0])[0, 1]) for member in (0, 6, 12)]
    assert against[0] > 0.5
    assert max(against[1:]) < 0.1


def test_the_risk_is_that_of_single_fold_blends() -> None:
    its, P, tests = small("regression", "group")
    problem = Problem(P[:3], its.truth, its.fold, its.task, get_default_metric(its.task), its.component)
    candidate = select_blend("simplex", problem, finish=True, repeats=5).candidates[-1]
    assert candidate.out_of_fold
    assert candidate.finished
    squares, share = [], np.bincount(its.fold) / len(its.fold)
    assert share.std() > 0
    for fold in range(simulation.FOLDS):
        weights, finish = candidate.out_of_fold.numbers[fold]["weights"], candidate.out_of_fold.finishes[fold]
        assert finish
        for row in range(len(its.fresh)):
            mixed = sum(weights[member] * tests[fold, member, row, 0] for member in range(3))
            within = min(max(mixed, finish["low"][0]), finish["high"][0])
            squares.append(share[fold] / len(its.fresh) * (within - its.expected[row]) ** 2)
    right = np.sqrt(np.sum(squares) + 1 + simulation.SHARED**2)
    assert simulation.judged(its, candidate, tests[:, :3])["risk"] == pytest.approx(right)


def test_a_simulation_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def drawn(number: int, seed: int) -> simulation.Line:
        asked.append(number)
        return {"draw": number}

    monkeypatch.setattr(simulation, "drawn", drawn)
    results = tmp_path / "runs" / "draws.jsonl"
    simulation.draws(3, 0, results)
    results.write_text(results.read_text() + '{"seed": 0, "dr')  # cut off while writing
    found = simulation.draws(4, 0, results)
    assert asked == [0, 1, 2, 3]
    assert [one["draw"] for one in found] == [0, 1, 2, 3]
    assert simulation.draws(2, 0, results) == found[:2]
    assert simulation.draws(1, 7, results) == [{"seed": 7, "draw": 0}]


def test_a_draw_prints_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(simulation, "ROWS", (60,))
    monkeypatch.setattr(simulation, "REPEATS", 10)
    monkeypatch.setattr(simulation, "SETTINGS", [("binary", "kfold")])
    monkeypatch.setattr(simulation, "OFFERED", {"trained": [0, 1], "noise": [12, 13]})
    results = tmp_path / "draws.jsonl"
    assert simulation.main(["--draws", "2", "--results", str(results)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| binary kfold 60 ") == len(simulation.OFFERED)
    assert all(f"\n| {offer} " in printed for offer in simulation.OFFERED)
    first = json.loads(results.read_text().splitlines()[0])
    assert first == json.loads(json.dumps({"seed": 0, **simulation.drawn(0, 0)}))


def test_a_flattering_score_has_a_negative_error_and_a_star_where_it_is_sure() -> None:
    lines = [line(at, "mean", mean=made(1 + (-1) ** at / 10), stacker=made(0.7 + (-1) ** at / 10)) for at in range(8)]
    cells = simulation.cells_table(lines, "trained").splitlines()[-1]
    assert [cell.strip() for cell in cells.split("|")[2:-1]] == ["8", "+0.0000 ± 0.0378", "-0.3000 ± 0.0378*"]
    stacker = simulation.errors_table(lines, "trained").splitlines()[-1]
    assert [cell.strip() for cell in stacker.split("|")[2:-1]] == [
        "-2.806 ± 0.354",  # -0.3 by a deviation of 0.1069, the error 1 by the root of 8
        "-2.806 ± 0.000",
        "-12.160 ± 0.354",
        "50.0%",
    ]


def test_stackers_are_sorted_by_their_risk_beside_equal_weights() -> None:
    good = {"mean": made(1.0, risk=1.1), "stacker": made(0.9, risk=0.9, canary=(0.2, 0.1))}
    bad = {"mean": made(1.2, risk=1.1), "stacker": made(0.8, risk=1.2, total=-3)}
    lines = [line(at, *held, **rungs) for at, (held, rungs) in enumerate([(["mean"], good), (["stacker"], bad)] * 2)]
    worse, better = (
        [cell.strip() for cell in row.split("|")[2:-1]] for row in simulation.stackers_table(lines).splitlines()[-2:]
    )
    assert worse[:2] + worse[3:] == ["worse", "2", "0%", "100%", "100%"]
    assert better[:2] + better[3:] == ["better", "2", "100%", "0%", "0%"]
    held = [cell.strip() for cell in simulation.auto_table(lines).splitlines()[-1].split("|")]
    assert held[2] == "kfold"
    assert held[6] == "50%"
    assert held[7].startswith("-4.55")  # half of the draws lose 1.2 / 1.1 - 1
