"""The benchmark of the engine: our side measured on a tiny encoder, the peer by a stand-in, the tables by hand."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import engine, products, report, steps, workers
from benchmarks.diversity import ONE, SEEDS, compute_row_losses
from benchmarks.diversity import format_ways as table_of_ways
from benchmarks.encoders import CONFIGS
from benchmarks.job import recut_texts

WORDS = ["good", "bad", "fine", "great", "poor", "movie", "film", "book", "story", "plot", "actor", "end"]
WIDTH, INNER, LAYERS = 32, 64, 2  # of the tiny encoder
STAND_IN = """
import json, sys
print("something else first")
seconds = 2.0 if "--notebook" in sys.argv else 1.0
line = {"seconds": seconds, "train_tokens_per_second": 10, "log_loss": {"max": 0.5}, "peak_mib": 1}
print(json.dumps(line | {"given": sys.argv[1:]}))
"""

Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """table(rows=24) -> a csv of id, text and label, its texts 2 to 13 words long."""

    def written(rows: int = 24) -> Path:
        texts = [" ".join(WORDS[: 1 + row % 12]) + f" {row}" for row in range(rows)]
        frame = pd.DataFrame({"id": range(rows), "text": texts, "label": ["yes", "no"] * (rows // 2)})
        frame.to_csv(tmp_path / "rows.csv", index=False)
        return tmp_path / "rows.csv"

    return written


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the tasks in this process, with arguments that went through JSON, and small plain products."""

    def done(task: str, **arguments: Any) -> Any:
        return json.loads(json.dumps(workers.TASKS[task](**json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(engine, "run_task", done)
    monkeypatch.setattr(products, "SIZES", {"cpu": (64,), "cuda": (64,)})


def flags(table: Path, *more: str) -> list[str]:
    return ["--train", str(table), "--text", "text", "--target", "label", "--batch", "4", *more]


@pytest.mark.usefixtures("here")
def test_our_fits_are_measured_in_whole_and_inside(
    table: Table, tiny_backbone: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = ["--contenders", "ours", "ours-options", "--options", "attention_dropout=0.0", "--seeds", "1", "2"]
    written = tmp_path / "measured.json"
    small = ["--backbone", tiny_backbone("bert"), "--predict", "--json", str(written)]
    assert engine.main([*flags(table(40), *ours), *small]) == 0
    printed, measured = capsys.readouterr(), json.loads(written.read_text(encoding="utf-8"))
    assert re.findall(r"^\| (ours\S*)", printed.out, re.M) == ["ours", "ours-options"] * 2 + ["ours"]
    assert len(re.findall(r" s$", printed.err, re.M)) == 4
    for name in ("ours", "ours-options"):
        whole, inside = measured["fits"][name], measured["inside"][name]
        assert whole["tokenise_seconds"] + whole["start_seconds"] < whole["seconds"]
        assert 0 < whole["padding"] < 0.5
        assert whole["steady_tokens_per_second"] < whole["steady_padded_per_second"]
        assert sum(inside["groups"].values()) == pytest.approx(1)
        assert inside["groups"]["matrix products"] > 0
        assert min(inside["products_per_second"], inside["plain_per_second"]) > 0
    assert measured["fits"]["ours"]["score"] != measured["fits"]["ours-options"]["score"]
    dense = LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER)  # weights that each token meets: forward, and twice backward
    plain, fused = (measured["inside"][name]["flops_per_padded"] for name in ("ours", "ours-options"))
    assert 1.02 < plain / (6 * dense) < fused / (6 * dense) < 1.2  # the rest is attention; fused, scores come twice


@pytest.mark.usefixtures("here")
def test_without_contenders_predictions_are_measured_alone(
    table: Table, tiny_backbone: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.main(flags(table(), "--contenders", "--predict", "--backbone", tiny_backbone("bert"), "--rows", "20"))
    printed = capsys.readouterr().out
    assert "rows 20" in printed
    assert re.findall(r"^\| (\w+)", printed, re.M) == ["predictions", "pipeline", "ours"]


def test_the_peer_gets_the_recipe_and_its_last_line_counts(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, measured = tmp_path / "peer.py", tmp_path / "measured.json"
    peer.write_text(STAND_IN, encoding="utf-8")
    machine = {"backbone": "a folder", "cuda": False, "bf16_units": False}
    monkeypatch.setattr(engine, "run_task", lambda task, **arguments: machine)
    called: list[list[str]] = []
    real = engine.run_command
    monkeypatch.setattr(engine, "run_command", lambda command: called.append(command) or real(command))
    recipe = ["--pooling", "max", "--precision", "bf16", "--seeds", "5", "--json", str(measured), "--lr", "1e-3"]
    engine.main(flags(table(), "--contenders", "trainer", "notebook", "--peer", str(peer), *recipe))
    fits = json.loads(measured.read_text(encoding="utf-8"))["fits"]
    assert [fits[name]["ratio"] for name in fits] == [1.0, 0.5]
    assert fits["trainer"]["score"] == 0.5
    told = " ".join(called[0])
    for flag in ("--text text", "--seed 5", "--lr 0.001", "--poolings max", "--backbone a folder", "--bf16"):
        assert flag in told, flag
    assert "--notebook" not in told
    assert "--notebook" in called[1]


def test_a_ratio_is_paired_by_round_and_a_difference_by_seed() -> None:
    seconds = {"trainer": [10.0, 20.0, 60.0], "ours": [5.0, 5.0, 20.0]}  # ratios 2, 4 and 3
    scores = {"trainer": [0.1, 0.2, 0.3], "ours": [0.2, 0.3, 0.7]}
    runs = [
        {"contender": name, "seed": seed, "round": 0, "seconds": seconds[name][seed], "score": scores[name][seed]}
        for seed in range(3)
        for name in seconds
    ]
    ours = report.summary(runs)["ours"]
    assert ours["ratio"] == 3
    assert ours["difference"] == pytest.approx(0.2)
    assert ours["standard_error"] == pytest.approx(0.1)
    assert report.summary(runs[:2])["ours"]["standard_error"] is None


def test_a_table_is_lined_up() -> None:
    lines = report.lined_up([["a", "seconds"], ["longer", "1"]]).splitlines()
    assert lines == ["| a      | seconds |", "| ------ | ------: |", "| longer |       1 |"]


def test_products_of_a_linear_layer_are_recorded_forward_and_backward() -> None:
    found: list[products.Product] = []
    states = torch.randn(5, 3, requires_grad=True)
    layer = torch.nn.Linear(3, 7)
    with products.Recorder(found):
        layer(states).sum().backward()
    results = [tuple(result[2]) for _, _, result in found]
    assert len(results) == 3
    assert {tuple(sorted(sizes)) for sizes in results} == {(5, 7), (3, 5), (3, 7)}
    assert products.measure_replayed_rate(found, torch.device("cpu")) > 0


def test_the_groups_name_what_a_step_does() -> None:
    names = {
        "aten::addmm": "matrix products",
        "aten::baddbmm": "matrix products",
        "aten::_softmax_backward_data": "attention, softmax",
        "aten::native_dropout": "dropout",
        "models.training.speedups.draw_kept": "dropout",
        "aten::native_layer_norm": "elementwise, layer norm",
        "aten::add_": "elementwise, layer norm",
        "aten::linalg_vector_norm": "clipping",
        "aten::_fused_adamw_": "optimizer",
        "aten::copy_": "copies",
        "aten::embedding_dense_backward": "embeddings",
    }
    assert {name: next(g for g, pattern in steps.GROUPS.items() if re.search(pattern, name)) for name in names} == names


def test_recut_texts_have_mixed_lengths() -> None:
    lengths = [len(text.split()) for text in recut_texts(["one two three"] * 200, 5, 50)]
    assert min(lengths) >= 5
    assert max(lengths) <= 50
    assert sum(length < 16 for length in lengths) > 70  # half on a logarithmic scale


def test_the_encoders_on_offer_are_those_that_can_be_made() -> None:
    assert set(engine.ENCODERS) == set(CONFIGS)


@pytest.mark.usefixtures("here")
def test_what_cannot_be_done_is_refused_before_the_first_fit(table: Table, tiny_backbone: Callable[[str], str]) -> None:
    with pytest.raises(SystemExit, match="fast"):
        engine.main(flags(table(), "--options", "fast=true", "--backbone", tiny_backbone("bert")))
    with pytest.raises(SystemExit, match="'genre'"):
        engine.main([*flags(table()), "--target", "genre", "--backbone", tiny_backbone("bert")])
    with pytest.raises(SystemExit, match="2"):
        engine.main(["--train", str(table())])


def test_a_command_that_fails_ends_the_benchmark_with_its_words() -> None:
    with pytest.raises(SystemExit, match="no such luck"):
        engine.run_command([sys.executable, "-c", "raise ValueError('no such luck')"])


def test_the_losses_of_a_mix_are_those_of_its_task() -> None:
    binary = compute_row_losses(pd.DataFrame({"y": [0.8, 0.8]}), pd.Series(["1", "0"]), "binary")
    np.testing.assert_allclose(binary, -np.log([0.8, 0.2]))
    classes = compute_row_losses(pd.DataFrame({"a": [0.7, 0.1], "b": [0.3, 0.9]}), pd.Series(["b", "b"]), "multiclass")
    np.testing.assert_allclose(classes, -np.log([0.3, 0.9]))
    values = compute_row_losses(pd.DataFrame({"y": [2.0, 3.0]}), pd.Series(["1.5", "3"]), "regression")
    np.testing.assert_allclose(values, [0.25, 0.0])


def test_ways_are_compared_on_the_same_rows() -> None:
    losses = dict.fromkeys((ONE, SEEDS), np.random.default_rng(0).random(200))
    lines = table_of_ways(
        {**losses, "better": losses[ONE] - 0.25}, {ONE: 2.0, SEEDS: 4.0, "better": 3.0}, "log_loss"
    ).splitlines()
    assert lines[-1].split(" | ")[1:3] == ["3", "1.5"]
    assert lines[-1].count("-0.2500 (-0.2500 to -0.2500)") == 2  # paired: no row's own noise is left
