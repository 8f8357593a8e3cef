import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.spec import LinearVariantSpec, NeuralVariantSpec, TrainingSpec
from models.store import NOT_HASHED, Recipe, compute_fingerprint, derive_seed, describe_differences, digest


def settings(**given: Any) -> dict[str, Any]:
    return NeuralVariantSpec(pooling="mean", **given).model_dump()


def fit_of(**given: Any) -> str:
    recipe = Recipe.build(given.pop("settings", settings()), given.pop("backbone", "b" * 64))
    return compute_fingerprint(recipe, **({"variant": "mean", "seed": 1, "fold": 0, "rows": "r"} | given))


def test_a_digest_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert len({digest(value) for value in (1, 1.5, "1", True, None, [1], {"1": 1}, "中", "文")}) == 9
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))


OTHERS: dict[str, Any] = {
    "backbone": "org/other",
    "max_length": 99,
    "keep": "tail",
    "extra_tokens": ["[X]"],
    "epochs": 7,
    "batch_size": 3,
    "accumulation": 2,
    "learning_rate": 1e-3,
    "head_learning_rate": 1e-3,
    "layer_decay": 0.9,
    "weight_decay": 0.5,
    "warmup": 0.3,
    "schedule": "cosine",
    "clip_norm": None,
    "dropout": 0.2,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "dropout_samples": 4,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "freeze_embeddings": True,
    "freeze_layers": 1,
    "gradient_checkpointing": True,
    "precision": "bf16",
    "threads": 2,
    "pooling": "max",
    "poolings": {"a": "mean"},
}


def test_every_setting_that_changes_a_fit_changes_its_fingerprint() -> None:
    known = set(NeuralVariantSpec.model_fields) - NOT_HASHED
    assert set(OTHERS) == known
    for key, value in OTHERS.items():
        changed = {"pooling": None} if key == "poolings" else {"pooling": "mean"}
        other = NeuralVariantSpec(**changed | {key: value}).model_dump()
        assert fit_of(settings=other) != fit_of(), key


def test_what_does_not_change_a_fit_does_not_change_its_fingerprint() -> None:
    assert set(TrainingSpec.model_fields) >= NOT_HASHED
    assert fit_of(settings=settings(seeds=[1, 2], folds="all", save_weights="none")) == fit_of()


def test_seed_fold_rows_and_backbone_are_part_of_a_fingerprint() -> None:
    others = [{"variant": "max"}, {"seed": 2}, {"fold": 1}, {"fold": "all"}, {"rows": "s"}, {"backbone": "c"}]
    assert len({fit_of(**other) for other in [{}, *others]}) == 7


def test_a_raised_version_makes_other_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fit_of()
    monkeypatch.setattr("models.store.VERSION", 10**6)
    assert fit_of() != before


def test_a_linear_recipe_has_no_backbone() -> None:
    recipe = Recipe.build(LinearVariantSpec(model="tfidf").model_dump(), None)
    assert recipe.backbone_sha256 is None
    assert recipe.values["backbone_sha256"] is None
    assert recipe.values["model"] == "tfidf"


def test_derived_seeds_differ_and_are_the_same_everywhere() -> None:
    places = [(seed, variant, fold) for seed in (0, 1, 42) for variant in ("mean", "max") for fold in (0, 1, "all")]
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)
    program = "from models.store import derive_seed; print(derive_seed(42, 'mean', 3))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) == derive_seed(42, "mean", 3)


def test_differences_are_told_as_a_user_reads_them() -> None:
    changed = settings(learning_rate=3e-5, clip_norm=None)
    old, new = (Recipe.build(values, "b").values for values in (settings(), changed))
    assert describe_differences(old, new) == ["clip_norm 1.0 -> null", "learning_rate 5e-05 -> 3e-05"]
    assert describe_differences(old, old) == []
    assert describe_differences({"a": "x" * 100}, {}) == [f'a "{"x" * 36}... -> null']
