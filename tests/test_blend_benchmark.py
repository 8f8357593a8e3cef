"""The benchmark of blending: our side and the convex peer on tiny matrices, the other peers by stand-ins."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import blend, blend_peers
from oof.metrics.metric_registry import find_metric

AUC, LOG_LOSS = find_metric("roc_auc", "binary"), find_metric("log_loss", "binary")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the tasks in this process, with arguments and answers that went through JSON."""

    def done(task: str, **given: Any) -> Any:
        return json.loads(json.dumps(blend.TASKS[task](**json.loads(json.dumps(given)))))

    monkeypatch.setattr(blend, "work", done)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Every peer gives all weight to the first of three members; the commands that called them."""
    commands: list[list[str]] = []

    def called(command: list[str]) -> Any:
        commands.append(command)
        return {"method": command[-1], "seconds": 1.0, "weights": [1.0, 0.0, 0.0]}

    monkeypatch.setattr(blend, "called", called)
    return commands


def cells(printed: str, name: str) -> list[str]:
    """The cells of the first line of the tables whose first cell is that name."""
    return re.findall(rf"^\| {name} +\|(.*)\|$", printed, re.M)[0].replace(" ", "").split("|")


def slow(rows: int, members: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows that choose, as they were first drawn: all at once."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    signal = truth * 1.2 + rng.normal(size=rows)
    logits = [
        signal * rng.uniform(0.6, 1.2) + rng.normal(size=rows) * rng.uniform(0.7, 1.3) - 0.6 for _ in range(members)
    ]
    return truth, 1 / (1 + np.exp(-np.stack(logits)))


def test_a_seed_always_gives_the_same_rows_to_choose_on() -> None:
    for found, right in zip(blend.synthetic(500, 4, 3), slow(500, 4, 3), strict=True):
        np.testing.assert_array_equal(found, right)


def test_held_out_rows_are_others_of_the_same_members() -> None:
    (truth, P), (held_truth, held) = (blend.synthetic(20_000, 6, 0, held_out=out) for out in (False, True))
    assert abs(np.corrcoef(P[0], held[0])[0, 1]) < 0.05
    assert abs(np.corrcoef(truth, held_truth)[0, 1]) < 0.05
    scores = [[AUC.function(t, one[:, None]) for one in members] for t, members in ((truth, P), (held_truth, held))]
    np.testing.assert_allclose(*scores, atol=0.02)
    assert np.ptp(scores[0]) > 0.04  # so that the members could be told apart


@pytest.mark.usefixtures("here")
def test_convex_weights_are_those_of_the_exact_solution(capsys: pytest.CaptureFixture[str]) -> None:
    blend.main(["--rows", "400", "--members", "3", "--metric", "log_loss", "--repeats", "1"])
    printed = capsys.readouterr()
    ours = [name for name in blend.OURS if name != "rank_mean"]
    assert re.findall(r"^\| (\w+) ", printed.out, re.M) == ["method", *ours, "SLSQP", "pair", "simplex"]
    assert len(re.findall(r"round 1 of 1", printed.err)) == len(ours) + 1
    assert cells(printed.out, "simplex")[2:] == cells(printed.out, "SLSQP")[2:]
    assert re.search(r"[+-]0\.00000\d \(", printed.out.splitlines()[-1])


@pytest.mark.usefixtures("here")
def test_every_method_is_scored_alike(stand_ins: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    blend.main(["--rows", "400", "--members", "3", "--repeats", "1", "--peers", "a-python"])
    assert [command[:2] + command[-1:] for command in stand_ins] == [
        ["a-python", blend_peers.__file__, name] for name in ("AutoGluon", "hillclimbers")
    ]
    printed = capsys.readouterr().out
    first = [
        f"{AUC.function(truth, P[0][:, None]):.6f}"
        for truth, P in (blend.synthetic(400, 3, 0, held_out=out) for out in (False, True))
    ]
    assert cells(printed, "AutoGluon")[1:] == ["1.000", *first, "1"]
    assert cells(printed, "hillclimbers")[2:] == cells(printed, "AutoGluon")[2:]
    assert float(cells(printed, "hill_climb against AutoGluon")[0]) > 1


@pytest.mark.usefixtures("here")
def test_hillclimbers_can_be_left_out(stand_ins: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    blend.main(["--rows", "400", "--members", "3", "--repeats", "2", "--peers", "python", "--skip-hillclimbers"])
    assert [command[-1] for command in stand_ins] == ["AutoGluon"] * 2
    assert "hillclimbers" not in capsys.readouterr().out


def test_a_ratio_is_paired_by_round() -> None:
    predicted = [blend.synthetic(100, 1, 0)] * 2
    pairs = [(truth, P.T) for truth, P in predicted]
    seconds = {"hill_climb": [5.0, 5.0, 20.0], "AutoGluon": [10.0, 20.0, 60.0]}  # ratios 2, 4 and 3
    printed = blend.pairs_table(AUC, seconds, {"hill_climb": pairs, "AutoGluon": pairs})
    assert cells(printed, "hill_climb against AutoGluon")[0] == "3.0"


def test_a_held_out_gain_is_positive_where_ours_is_better() -> None:
    truth, P = blend.synthetic(400, 2, 0)
    better, worse = np.clip(truth[:, None] * 0.8 + 0.1, 0, 1), P[0][:, None]
    for judge in (AUC, LOG_LOSS):
        gain, low, high = blend.gained(judge, truth, better, worse)
        assert 0 < low < gain < high
        assert blend.gained(judge, truth, worse, better)[0] == -gain
        assert blend.gained(judge, truth, better, better) == (0, 0, 0)


@pytest.mark.usefixtures("here")
def test_the_ladder_is_timed_rung_by_rung(capsys: pytest.CaptureFixture[str]) -> None:
    blend.main(["--large", "--rows", "300", "--members", "3"])
    printed = capsys.readouterr()
    assert "300 rows x 3 members" in printed.out
    for judge in blend.METRICS:
        tried = re.findall(rf"^{judge}: (\w+) after", printed.err, re.M)
        assert tried[0] == "mean"
        assert "simplex" in tried
        told = cells(printed.out, judge)
        assert re.findall(r"([a-z_]+)\d+\.\d", told[0]) == tried
        assert told[-1].split(",")[0] in tried


@pytest.mark.usefixtures("here")
def test_the_verb_blends_the_members_from_files(capsys: pytest.CaptureFixture[str]) -> None:
    blend.main(["--verb", "--rows", "100", "--members", "3", "--repeats", "1"])
    printed = capsys.readouterr()
    assert re.findall(r"^(tfidf|m\d) ", printed.err, re.M) == ["tfidf", "m0", "m1", "m2"]
    assert "unverified" not in printed.err
    assert cells(printed.out, "blend")[:2] == ["3+tfidf", "100+100"]


def test_a_task_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    truth, P = blend.synthetic(300, 2, 0)
    np.savez(tmp_path / "matrix.npz", truth=truth, P=P)
    found = blend.work("weigh", matrix=str(tmp_path / "matrix.npz"), method="mean", judge="roc_auc")
    assert found["numbers"]["weights"] == [0.5, 0.5]
    with pytest.raises(SystemExit, match="failed"):
        blend.work("weigh", matrix="no such file", method="mean", judge="roc_auc")


def test_the_convex_peer_is_optimal() -> None:
    truth, P = blend.synthetic(500, 5, 0)
    weights = blend_peers.slsqp(P, truth, "log_loss")
    right = np.where(truth == 1, P, 1 - P)
    slopes = (right / (weights @ right)).mean(1)  # at the optimum 1 for members in use, at most 1 for the others
    np.testing.assert_allclose(slopes[weights > 0], 1, atol=1e-3)
    assert (slopes < 1 + 1e-3).all()
    assert weights.sum() == pytest.approx(1)
    with pytest.raises(SystemExit, match="roc_auc"):
        blend_peers.slsqp(P, truth, "roc_auc")


def test_the_peers_print_a_line_for_each_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, P = blend.synthetic(300, 3, 0)
    np.savez(tmp_path / "matrix.npz", truth=truth, P=P)
    seen: list[int] = []

    def chosen(P: np.ndarray, truth: np.ndarray, judge: str) -> np.ndarray:
        seen.append(len(truth))
        assert judge == "log_loss"
        return np.eye(len(P))[1]

    methods: dict[str, Callable[..., np.ndarray]] = {"AutoGluon": chosen, "SLSQP": chosen}
    monkeypatch.setattr(blend_peers, "METHODS", methods)
    arguments = ["blend_peers.py", str(tmp_path / "matrix.npz"), "--metric", "log_loss", "--methods", *methods]
    monkeypatch.setattr("sys.argv", arguments)
    blend_peers.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["method"] for line in lines] == list(methods)
    assert lines[0]["weights"] == [0.0, 1.0, 0.0]
    assert seen == [blend_peers.WARM_UP, 300] * 2  # the first call is not counted
