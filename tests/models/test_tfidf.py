import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from models import ModelError
from models.settings import TfidfSettings
from models.spec import LinearVariantSpec, TrainingSpec, build_variant
from models.tfidf import NUMBERS, TERMS, LinearModel, fit_linear, read_linear, write_linear

TASKS = ("binary", "multiclass", "multilabel", "regression", "ordinal")
COLUMNS = {"binary": 1, "multiclass": 4, "multilabel": 2, "regression": 2, "ordinal": 4}
ANIMALS = ["cat", "dog", "fish", "bird"]
ODD = [("",), ("😀🎉",), ("   ",), ("\u200b",), ("中文文本",), ("never seen before",), ("a",), ("x" * 5000,)]
Texts = list[tuple[str, ...]]


def drawn(rows: int = 80, seed: int = 0) -> tuple[Texts, np.ndarray]:
    """Texts in which one of four animals stands among noise, and the number of that animal."""
    rng = np.random.default_rng(seed)
    animal = np.arange(rows) % 4
    noise = rng.choice(["red", "blue", "green", "old", "new"], (rows, 4))
    return [(f"the {' '.join(words)} {ANIMALS[a]} runs",) for words, a in zip(noise, animal, strict=True)], animal


def truth_of(task: str, animal: np.ndarray) -> np.ndarray:
    return {
        "binary": animal % 2,
        "multilabel": np.stack([animal % 2, animal // 2], 1),
        "regression": np.stack([animal, 1000.0 * animal], 1),
    }.get(task, animal)


def fitted(
    task: str, texts: Texts, truth: np.ndarray, columns: int = 0, weights: Any = None, **given: Any
) -> LinearModel:
    settings = build_variant("v", LinearVariantSpec(model="tfidf", **given), TrainingSpec()).settings
    assert isinstance(settings, TfidfSettings)
    return fit_linear(
        settings=settings,
        task=task,
        columns=columns or COLUMNS[task],
        texts=texts,
        truth=truth,
        row_weights=np.ones(len(texts)) if weights is None else weights,
        seed=0,
    )


def saved(model: LinearModel, folder: Path) -> LinearModel:
    folder.mkdir(exist_ok=True)
    write_linear(folder / TERMS, folder / NUMBERS, model)
    return read_linear(folder)


def check(task: str, predictions: np.ndarray, rows: int) -> None:
    assert predictions.shape == (rows, COLUMNS[task])
    assert predictions.dtype == np.float64
    assert np.isfinite(predictions).all()
    if task != "regression":
        assert ((predictions >= 0) & (predictions <= 1)).all()
    if task in ("multiclass", "ordinal"):
        np.testing.assert_allclose(predictions.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_learns_what_a_word_says(task: str) -> None:
    texts, animal = drawn()
    model = fitted(task, texts, truth_of(task, animal))
    other, animal = drawn(40, seed=1)
    told, truth = model.predict(other), truth_of(task, animal)
    check(task, told, 40)
    if task in ("multiclass", "ordinal"):
        assert (told.argmax(1) == truth).all()
    elif task == "regression":
        assert np.abs(told - truth).max() < 1000
        assert np.corrcoef(told[:, 0], truth[:, 0])[0, 1] > 0.95
    else:
        assert ((told > 0.5) == truth.reshape(told.shape)).all()


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_model_predicts_the_same_bytes(task: str, tmp_path: Path) -> None:
    texts, animal = drawn()
    model = fitted(task, texts, truth_of(task, animal))
    again = saved(model, tmp_path)
    for asked in (texts, ODD):
        assert model.predict(asked).tobytes() == again.predict(asked).tobytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [TERMS, NUMBERS]
    assert all(not path.read_bytes().startswith(b"\x80") for path in tmp_path.iterdir())  # the first byte of a pickle


def test_a_saved_model_of_pairs_predicts_the_same_bytes(tmp_path: Path) -> None:
    texts, animal = drawn()
    pairs = [(text[0], texts[row // 2][0]) for row, text in enumerate(texts)]
    model = fitted("binary", pairs, animal % 2)
    assert model.predict(pairs).tobytes() == saved(model, tmp_path).predict(pairs).tobytes()


@pytest.mark.parametrize("task", TASKS)
def test_fitting_again_gives_the_same_model(task: str) -> None:
    texts, animal = drawn()
    first, second = (fitted(task, texts, truth_of(task, animal)) for _ in range(2))
    assert first.predict(texts).tobytes() == second.predict(texts).tobytes()


def test_a_pair_is_judged_by_what_its_texts_share() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(300)]

    def pairs(rows: int) -> tuple[Texts, np.ndarray]:
        same = np.arange(rows) % 2
        left = [list(rng.choice(words, 6)) for _ in range(rows)]
        right = [rng.permutation(text) if s else rng.choice(words, 6) for text, s in zip(left, same, strict=True)]
        return [(" ".join(a), " ".join(b)) for a, b in zip(left, right, strict=True)], same

    texts, same = pairs(200)
    other, truth = pairs(60)
    model = fitted("binary", texts, same, char_ngrams=0, word_ngrams=1, min_rows=1)
    told = model.predict(other)
    assert ((told[:, 0] > 0.5) == truth).mean() > 0.95
    swapped = [(b, a) for a, b in other]
    np.testing.assert_allclose(
        fitted("binary", texts, same).predict(other), fitted("binary", texts, same).predict(swapped)
    )


def test_a_class_that_the_training_rows_lack_is_all_but_excluded() -> None:
    texts, animal = drawn()
    for present in ([0, 1, 3], [0, 3], [2]):
        rows = np.flatnonzero(np.isin(animal, present))
        model = fitted("multiclass", [texts[row] for row in rows], animal[rows])
        told = model.predict(texts)
        check("multiclass", told, len(texts))
        assert told[:, [k for k in range(4) if k not in present]].max() < 1e-6
        if len(present) > 1:
            assert (told[rows].argmax(1) == animal[rows]).all()


def test_a_grade_that_the_training_rows_lack_is_no_obstacle() -> None:
    texts, animal = drawn()
    for present in ([0, 1, 3], [1, 2], [3], [0]):
        rows = np.flatnonzero(np.isin(animal, present))
        told = fitted("ordinal", [texts[row] for row in rows], animal[rows]).predict(texts)
        check("ordinal", told, len(texts))
        assert np.isin(told[rows].argmax(1), present).all()


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_with_one_answer_is_near_certain_and_never_quite(value: int) -> None:
    texts, animal = drawn()
    truth = np.stack([animal % 2, np.full(len(animal), value)], 1)
    told = fitted("multilabel", texts, truth).predict(texts)
    assert np.abs(told[:, 1] - value).max() < 0.02
    assert ((told[:, 1] > 0) & (told[:, 1] < 1)).all()
    assert (np.abs(fitted("binary", texts, truth[:, 1]).predict(texts) - value) < 0.02).all()


def test_chinese_is_learned_from_its_characters() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    around = ["".join(rng.choice(list("天地人山水火"), 5)) for _ in truth]
    texts = [(f"{text}{'好吃' if good else '难看'}日月",) for text, good in zip(around, truth, strict=True)]
    told = fitted("binary", texts[:40], truth[:40]).predict(texts[40:])
    assert ((told[:, 0] > 0.5) == truth[40:]).all()


@pytest.mark.parametrize("task", TASKS)
def test_empty_and_odd_texts_are_predicted(task: str) -> None:
    texts, animal = drawn()
    check(task, fitted(task, texts, truth_of(task, animal)).predict(ODD), len(ODD))
    rows = len(ODD)
    check(task, fitted(task, ODD + texts[: 4 * rows], truth_of(task, np.arange(5 * rows) % 4)).predict(ODD), rows)


def test_emoji_alone_are_learned() -> None:
    texts: Texts = [("😀 😀",), ("😡 😡",)] * 10
    told = fitted("binary", texts, np.arange(20) % 2).predict(texts)[:, 0]
    assert (told[::2] < 0.5).all()
    assert (told[1::2] > 0.5).all()


def test_texts_without_any_term_are_refused() -> None:
    with pytest.raises(ModelError, match="finds no word and no character n-gram"):
        fitted("binary", [("",), (" ",)] * 3, np.arange(6) % 2)


def test_words_and_characters_stand_side_by_side_as_in_scikit_learn() -> None:
    texts, animal = drawn()
    model = fitted("binary", texts, animal % 2, strength=3.0)
    flat = [text for (text,) in texts]
    blocks = [
        TfidfVectorizer(analyzer="word", ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\b\w+\b"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2),
    ]
    features = normalize(np.hstack([block.fit_transform(flat).toarray() for block in blocks]))
    reference = LogisticRegression(C=3.0, solver="liblinear", random_state=0).fit(features, animal % 2)
    np.testing.assert_allclose(model.predict(texts)[:, 0], reference.predict_proba(features)[:, 1], atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sides", [1, 2])
def test_blocks_of_rows_are_predicted_as_the_whole(task: str, sides: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, animal = drawn()
    texts = [(text, texts[row // 2][0])[:sides] for row, (text,) in enumerate(texts)]
    model, asked = fitted(task, texts, truth_of(task, animal)), [(text, "the cat")[:sides] for (text,) in ODD] + texts
    whole = model.predict(asked)
    monkeypatch.setattr("models.tfidf.BLOCK", 7)
    assert model.predict(asked).tobytes() == whole.tobytes()


def test_a_block_of_blank_texts_is_predicted() -> None:
    texts, animal = drawn()
    model = fitted("multiclass", texts, animal)
    assert model.predict([("",), (" ",)]).tobytes() == model.predict([*texts, ("",), (" ",)])[-2:].tobytes()


def test_features_are_to_the_bit_what_scikit_learn_makes_of_any_text() -> None:
    texts, _ = drawn()
    spaces = [(f"the{space}cat cat\n\t DOG{space}",) for space in "\u00a0\u2003\u200b\u3000\x1c\x85"]
    letters: Texts = [("İstanbul ΣΑΣ straße ΟΔΥΣΣΕΥΣ",), ("A a aA é e\u0301",), ("cat\x00dog \ud83d",)]
    asked = ODD + spaces + letters + [(text.upper(),) for (text,) in texts]
    model = fitted("binary", asked + texts, np.arange(len(asked + texts)) % 2, min_rows=1)
    blocks = [vectorizer.transform([text for (text,) in asked]) for vectorizer in model.vectorizers]
    scores = normalize(sp.hstack(blocks, format="csr")) @ model.coefficients.T.astype(np.float64) + model.intercepts
    assert model.predict(asked).tobytes() == expit(scores).tobytes()


OPTIONS: dict[str, Any] = {
    "word_ngrams": 1,
    "char_ngrams": 0,
    "min_rows": 30,
    "max_terms": 100,
    "strength": 0.1,
    "class_weights": "balanced",
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("task", ["multiclass", "ordinal"])
def test_an_option_has_a_visible_effect(option: str, task: str) -> None:
    texts, animal = drawn()
    rows = np.flatnonzero((animal > 0) | (np.arange(len(animal)) < 20))  # classes of unequal size
    texts, truth = [texts[row] for row in rows], animal[rows]
    plain, other = fitted(task, texts, truth), fitted(task, texts, truth, **{option: OPTIONS[option]})
    assert np.abs(plain.predict(texts) - other.predict(texts)).max() > 1e-4


def test_every_option_is_tested_for_its_effect() -> None:
    assert set(OPTIONS) == set(LinearVariantSpec.model_fields) - {"model", "folds"}


@pytest.mark.parametrize("task", TASKS)
def test_weights_of_rows_weigh_and_only_their_ratios_count(task: str) -> None:
    texts, animal = drawn()
    truth, wrong = truth_of(task, animal), truth_of(task, 3 - animal)
    weights = np.tile([1.0, 0.0], len(texts))
    mixed = np.stack([truth, wrong], 1).reshape(2 * len(truth), *truth.shape[1:])
    told = fitted(task, [text for text in texts for _ in range(2)], mixed, weights=weights).predict(texts)
    plain = fitted(task, [text for text in texts for _ in range(2)], np.repeat(truth, 2, axis=0)).predict(texts)
    scale = 1 if task != "regression" else 1000
    np.testing.assert_allclose(told / scale, plain / scale, atol=0.02)
    seven = fitted(task, texts, truth, weights=np.full(len(texts), 7.0)).predict(texts)
    np.testing.assert_allclose(seven, fitted(task, texts, truth).predict(texts), rtol=1e-6)


def test_class_weights_of_a_regression_are_refused() -> None:
    texts, animal = drawn()
    with pytest.raises(ModelError, match=r"no meaning for a regression; use competition\.weight"):
        fitted("regression", texts, truth_of("regression", animal), class_weights="balanced")


@pytest.mark.parametrize("columns", [1, 2])
def test_a_regression_has_as_many_columns_as_targets(columns: int) -> None:
    texts, animal = drawn()
    truth = np.repeat(animal[:, None].astype(float), columns, axis=1)
    assert fitted("regression", texts, truth, columns=columns).predict(texts).shape == (80, columns)


@pytest.mark.parametrize("name", [TERMS, NUMBERS])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "foreign"])
def test_a_damaged_file_is_one_sentence(name: str, damage: str, tmp_path: Path) -> None:
    texts, animal = drawn()
    saved(fitted("binary", texts, animal % 2), tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "foreign": b'["x"]'}[damage])
    with pytest.raises(ModelError, match="holds no whole linear model") as caught:
        read_linear(tmp_path)
    assert "\n" not in str(caught.value)


def test_parts_of_two_models_do_not_make_one(tmp_path: Path) -> None:
    texts, animal = drawn()
    saved(fitted("binary", texts, animal % 2), tmp_path / "a")
    saved(fitted("binary", texts, animal % 2, char_ngrams=3), tmp_path / "b")
    (tmp_path / "b" / TERMS).write_bytes((tmp_path / "a" / TERMS).read_bytes())
    with pytest.raises(ModelError, match="holds no whole linear model"):
        read_linear(tmp_path / "b")


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_balanced_classes_have_one_total_beside_weights_of_rows(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn below 1.7 balances the counts, whatever the rows weigh: 90 and 10 rows, of weight 1 and 3."""
    texts = [(f"cat {number}",) if number < 90 else (f"dog {number}",) for number in range(100)]
    truth = np.repeat([0, 1], [90, 10])
    given, real = list[np.ndarray](), LogisticRegression.fit

    def fit(model: LogisticRegression, features: Any, y: np.ndarray, sample_weight: np.ndarray) -> LogisticRegression:
        assert model.class_weight is None
        given.append(sample_weight)
        return real(model, features, y, sample_weight)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    weights = np.where(truth == 1, 3.0, 1.0)
    fitted(task, texts, truth, columns=2 if task == "multiclass" else 1, weights=weights, class_weights="balanced")
    [found] = given
    assert found[truth == 0].sum() == pytest.approx(found[truth == 1].sum())
    assert found.sum() == pytest.approx(len(truth))


def test_shares_are_learned_as_rows_that_count_in_part() -> None:
    texts: Texts = [("good",), ("bad",), ("good bad",), ("fine",), ("bad fine",)] * 4
    shares = np.array([0.9, 0.2, 0.5, 1.0, 0.0] * 4)
    soft = fitted("binary", texts, shares, strength=10.0).predict(texts)[:5, 0]
    tenths = np.repeat(np.arange(20), 10)  # each row ten times, as a 1 as often as its share says
    answers = (np.tile(np.arange(10), 20) < np.round(10 * shares[tenths])).astype(int)
    model = fitted("binary", [texts[row] for row in tenths], answers, strength=1.0, min_rows=10)
    np.testing.assert_allclose(soft, model.predict(texts)[:5, 0], atol=0.01)
    labels = fitted("multilabel", texts, np.stack([shares, 1 - shares], 1), strength=10.0).predict(texts)[:5]
    np.testing.assert_allclose(labels[:, 0], soft, atol=1e-6)


def test_many_rare_classes_are_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted("multiclass", [(f"word{row}",) for row in range(12)], np.arange(12) % 10, columns=10)
