"""A saved blend keeps its numbers and the format of its file, and is applied to test predictions as documented."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit

from oof import OOFError
from oof.blends import blend_file
from oof.blends.blend_file import BlendScores, SavedBlend, TriedBlend, apply_blend, read_blend, write_blend
from oof.blends.blend_registry import BLENDS


def blend(method="mean", numbers=None, members=("a", "b"), finish=None, **others):
    return SavedBlend(
        method=method,
        members=list(members),
        numbers=numbers or {"weights": [0.25, 0.75]},
        finish=finish,
        thresholds=None,
        scores=BlendScores(in_sample=1 / 3, cross_fitted=0.4, interval=(0.3, 0.5), corrected=None),
        metric="log_loss",
        task="binary",
        columns=["y"],
        folds=[0, 1],
        fits={"a": "0a", "b": "0b"},
        offered=["a", "b", "c"],
        asked={"method": "auto"},
        test_table="0c",
        **others,
    )


@pytest.mark.parametrize("method", list(BLENDS))
def test_numbers_come_back_exactly(tmp_path, draw, level_one, method):
    task = "binary" if "binary" in BLENDS[method].tasks else "multilabel"
    made = blend(method, BLENDS[method].fit(level_one(*draw(task), task, "roc_auc")))
    write_blend(tmp_path / "blend.json", made)
    assert read_blend(tmp_path / "blend.json") == made


def test_the_keys_and_their_order_are_the_format_of_the_file(tmp_path):
    rungs = [TriedBlend("mean", 0.5, 0.6, (0.4, 0.8), None, None), TriedBlend("stacker", 0.4, None, None, -0.1, 0.2)]
    whole = blend(rungs=rungs, sentence="equal weights win", files={"a.parquet": "0d"}, sha256="0e")
    write_blend(tmp_path / "blend.json", whole)
    entries = json.loads((tmp_path / "blend.json").read_text())
    assert list(entries) == [
        "method",
        "members",
        "numbers",
        "finish",
        "thresholds",
        "scores",
        "rungs",
        "metric",
        "task",
        "columns",
        "folds",
        "sentence",
        "test_table",
        "fits",
        "offered",
        "asked",
        "files",
        "sha256",
    ]
    assert entries["scores"] == {
        "in-sample": 1 / 3,
        "cross-fitted": 0.4,
        "95 % interval": [0.3, 0.5],
        "corrected for the choice": None,
    }
    assert entries["rungs"][1] == {
        "method": "stacker",
        "in-sample": 0.4,
        "cross-fitted": None,
        "interval": None,
        "gain": -0.1,
        "error": 0.2,
    }
    assert read_blend(tmp_path / "blend.json") == whole


def test_keys_that_older_files_lack_are_not_made_up(tmp_path):
    write_blend(tmp_path / "blend.json", blend())
    entries = json.loads((tmp_path / "blend.json").read_text())
    assert not {"rungs", "sentence", "files", "sha256"} & set(entries)
    assert read_blend(tmp_path / "blend.json").to_json() == {
        **entries,
        "scores": {**entries["scores"], "95 % interval": (0.3, 0.5)},
    }


def test_the_file_is_read_by_people(tmp_path):
    write_blend(tmp_path / "blend.json", blend(members=["naïve", "b"]))
    assert '"method": "mean"' in (tmp_path / "blend.json").read_text(encoding="utf-8")
    assert "naïve" in (tmp_path / "blend.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"method": "mean", "memb', "not a readable JSON file; blend again"),
        ("[]", "is no blend, the key 'method' is missing"),
        ('{"method": "mean", "members": []}', "is no blend, the key 'numbers' is missing"),
        (json.dumps({**blend().to_json(), "scores": {}}), "its scores or rungs are not those of a blend; blend again"),
        (json.dumps({**blend().to_json(), "scores": [1]}), "its scores or rungs are not those of a blend; blend again"),
    ],
)
def test_a_damaged_blend_is_one_sentence(tmp_path, content, sentence):
    (tmp_path / "blend.json").write_text(content)
    with pytest.raises(OOFError, match=f"blend.json: {sentence}"):
        read_blend(tmp_path / "blend.json")


def test_no_blend_yet_is_one_sentence(tmp_path):
    with pytest.raises(OOFError, match="there is no blend yet; blend first"):
        read_blend(tmp_path / "blend.json")


def test_a_blend_of_another_version_is_refused(tmp_path):
    write_blend(tmp_path / "blend.json", blend(method="magic"))
    with pytest.raises(OOFError, match="unknown blend 'magic'; known ones: mean"):
        read_blend(tmp_path / "blend.json")


def test_a_linear_blend_takes_the_means_over_fold_models():
    tests = [np.array([[[0.2]], [[0.4]]]), np.array([[[0.8]]])]  # two fold models, and an extra with one slice
    assert apply_blend(blend(), tests)[0, 0] == pytest.approx(0.25 * 0.3 + 0.75 * 0.8)


@pytest.mark.parametrize("method", ["mean", "stacker"])
def test_rows_are_blended_alike_however_many_at_a_time(draw, level_one, monkeypatch, method):
    truth, P = draw("binary", rows=50, members=2)
    its = blend(method, BLENDS[method].fit(level_one(truth, P, "binary")))
    tests = [np.stack([P[0], P[0] ** 2]), P[1:]]
    whole = apply_blend(its, tests)
    monkeypatch.setattr(blend_file, "BLOCK_ROWS", 7)
    assert apply_blend(its, tests) == pytest.approx(whole, rel=1e-12)


def test_another_blend_is_applied_to_each_fold_model_and_then_averaged(draw, level_one):
    numbers = BLENDS["stacker"].fit(level_one(*draw("binary", members=2), "binary"))
    first, second, extra = np.array([[0.1], [0.4]]), np.array([[0.99], [0.5]]), np.array([[0.7], [0.2]])
    found = apply_blend(blend("stacker", numbers), [np.stack([first, second]), extra[None]])
    each = [BLENDS["stacker"].apply(numbers, np.stack([fold, extra])) for fold in (first, second)]
    assert found == pytest.approx((each[0] + each[1]) / 2)
    assert found != pytest.approx(BLENDS["stacker"].apply(numbers, np.stack([(first + second) / 2, extra])))


def test_a_finish_is_applied_to_each_fold_model_and_then_averaged():
    first, second = np.array([[0.1], [0.4]]), np.array([[0.99], [0.5]])
    tests = [np.stack([first, second]), np.array([[[0.7], [0.2]]])]
    finish = {"temperature": 2.0, "classes": False}
    each = [expit(logit(0.25 * fold + 0.75 * tests[1][0]) / 2) for fold in (first, second)]
    assert apply_blend(blend(finish=finish), tests) == pytest.approx((each[0] + each[1]) / 2)


def test_members_and_fold_models_must_match(draw):
    with pytest.raises(OOFError, match="the blend has 2 members, there are predictions of 1"):
        apply_blend(blend(), [np.ones((1, 2, 1))])
    with pytest.raises(OOFError, match="different numbers of fold models: 2, 3"):
        apply_blend(blend("rank_mean", {"tables": []}), [np.ones((2, 2, 1)), np.ones((3, 2, 1))])
