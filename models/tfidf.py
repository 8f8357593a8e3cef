"""The linear variant: a linear model on TF-IDF of words and characters. Imports no torch.

A first submission in seconds, a baseline for every transformer, and a member with other errors. Saved as JSON and
arrays, never as a pickle. The features of a pair of texts are their products, their differences and their cosine.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit, softmax
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from models import ModelError
from models.settings import TfidfSettings

TERMS, NUMBERS = "linear.json", "linear.safetensors"
NEVER = -30.0  # logit of a class that the training rows do not have
BLOCK = 4096  # rows whose features are in memory at once; smaller blocks would split more words twice


@dataclass(frozen=True)
class LinearModel:
    """Vectorisers of words and characters, and one row of coefficients and an intercept per output."""

    task: str
    vectorizers: list[TfidfVectorizer]
    coefficients: np.ndarray  # (outputs, features) float32
    intercepts: np.ndarray  # (outputs,) float32

    def predict(self, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Return (rows, columns) probabilities or values of texts, each one string or two."""
        blocks = [texts[start : start + BLOCK] for start in range(0, max(len(texts), 1), BLOCK)]
        weights = self.coefficients.T.astype(np.float64)
        scores = (
            np.concatenate([_compute_features(self.vectorizers, block) @ weights for block in blocks]) + self.intercepts
        )
        if self.task == "multiclass":
            return np.asarray(softmax(scores, axis=1))
        if self.task == "ordinal":  # continuation ratios, as in models.losses
            above, one = expit(scores), np.ones((len(scores), 1))
            return np.asarray(np.hstack([one, np.cumprod(above, axis=1)]) * np.hstack([1 - above, one]))
        return np.asarray(scores if self.task == "regression" else expit(scores))


def fit_linear(
    *,
    settings: TfidfSettings,
    task: str,
    columns: int,
    texts: Sequence[tuple[str, ...]],
    truth: np.ndarray,
    row_weights: np.ndarray,
    seed: int,
) -> LinearModel:
    """Fit a linear model on the training rows of one fold.

    The truth of a binary or multilabel task may be shares between 0 and 1.

    Raises ModelError if the texts have no term at all, or for class weights of a regression.
    """
    vectorizers = _fit_vectorizers(settings, texts)
    features = _compute_features(vectorizers, texts)
    balanced = settings.class_weights == "balanced"
    weights = row_weights / row_weights.mean()
    if task == "regression":
        if balanced:
            raise ModelError(
                "class_weights has no meaning for a regression; use competition.weight for weights of rows"
            )
        ridge = Ridge(alpha=10 / settings.strength, solver="lsqr").fit(features, truth, sample_weight=weights)
        coefficients, intercepts = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)
    elif task == "multiclass":
        coefficients, intercepts = _fit_multinomial(features, truth, weights, columns, settings.strength, balanced)
    else:
        answers = _list_binary_questions(task, truth, columns)
        rows = [_fit_logistic(features, asked, y, weights, settings.strength, balanced, seed) for asked, y in answers]
        coefficients, intercepts = np.stack([c for c, _ in rows]), np.array([i for _, i in rows])
    return LinearModel(task, vectorizers, coefficients.astype(np.float32), intercepts.astype(np.float32))


def write_linear(terms: Path, numbers: Path, model: LinearModel) -> None:
    """Write the terms as JSON and the numbers as safetensors."""
    arrays = {"coefficients": model.coefficients, "intercepts": model.intercepts}
    described = []
    for number, vectorizer in enumerate(model.vectorizers):
        names = vectorizer.get_feature_names_out().tolist()
        arrays[f"idf_{number}"] = vectorizer.idf_
        described.append({"analyzer": vectorizer.analyzer, "ngrams": list(vectorizer.ngram_range), "terms": names})
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, numbers)
    text = json.dumps({"task": model.task, "vectorizers": described}, ensure_ascii=False)
    terms.write_text(text, encoding="utf-8")


def read_linear(folder: Path) -> LinearModel:
    """Return the model that `write_linear` wrote; raises ModelError if it is missing or damaged."""
    try:
        arrays = load_file(folder / NUMBERS)
        described = json.loads((folder / TERMS).read_text(encoding="utf-8"))
        vectorizers = []
        for number, entry in enumerate(described["vectorizers"]):
            vectorizer = _make_vectorizer(entry["analyzer"], tuple(entry["ngrams"]), vocabulary=entry["terms"])
            vectorizer.idf_ = arrays[f"idf_{number}"]
            vectorizers.append(vectorizer)
        return LinearModel(described["task"], vectorizers, arrays["coefficients"], arrays["intercepts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no whole linear model: move that folder away and train again") from error


def _make_vectorizer(analyzer: str, ngrams: tuple[int, int], **settings: Any) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=ngrams,
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
        **settings,
    )


def _fit_vectorizers(settings: TfidfSettings, texts: Sequence[tuple[str, ...]]) -> list[TfidfVectorizer]:
    wanted = [("word", (1, settings.word_ngrams))]
    if settings.char_ngrams:
        wanted.append(("char_wb", (min(2, settings.char_ngrams), settings.char_ngrams)))
    flat = [text for row in texts for text in row]
    fitted = []
    for analyzer, ngrams in wanted:
        limits = {"min_df": min(settings.min_rows, len(texts)), "max_features": settings.max_terms}
        try:
            fitted.append(_make_vectorizer(analyzer, ngrams, **limits).fit(flat))
        except ValueError:  # scikit-learn's error for texts without any term of this kind
            continue
    if not fitted:
        raise ModelError("tfidf finds no word and no character n-gram in the training texts; lower min_rows")
    return fitted


def _compute_features(vectorizers: list[TfidfVectorizer], texts: Sequence[tuple[str, ...]]) -> sp.csr_matrix:
    sides: list[sp.csr_matrix] = [
        normalize(sp.hstack([_transform(v, [row[side] for row in texts]) for v in vectorizers], format="csr"))
        for side in range(len(texts[0]) if texts else 1)
    ]
    if len(sides) == 1:
        return sides[0]
    left, right = sides
    shared = left.multiply(right)
    pair: sp.csr_matrix = sp.hstack([shared, abs(left - right), sp.csr_matrix(shared.sum(axis=1))], format="csr")
    return pair


def _transform(vectorizer: TfidfVectorizer, texts: list[str]) -> sp.csr_matrix:
    """Return `vectorizer.transform(texts)`, but split each word only once: no n-gram of char_wb leaves its word."""
    if vectorizer.analyzer != "char_wb":
        plain: sp.csr_matrix = vectorizer.transform(texts)
        return plain
    places: dict[str, int] = {}
    words = [[places.setdefault(word, len(places)) for word in text.split()] for text in texts]
    flat, ends = np.fromiter(chain.from_iterable(words), np.int64), np.cumsum([0, *map(len, words)])
    bags = sp.csr_matrix((np.ones(len(flat)), flat, ends), shape=(len(texts), len(places)))
    counts = bags @ CountVectorizer.transform(vectorizer, places)
    counts.sort_indices()
    weighing = TfidfTransformer(sublinear_tf=True)
    weighing.idf_ = vectorizer.idf_
    weighed: sp.csr_matrix = weighing.transform(counts, copy=False)
    return weighed


def _list_binary_questions(task: str, truth: np.ndarray, columns: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows, their answers) for each output: its label, or for grades "above k, given at least k"."""
    if task == "ordinal":
        return [(truth >= k, truth[truth >= k] > k) for k in range(columns - 1)]
    labels = truth.reshape(len(truth), -1)
    return [(np.ones(len(truth), bool), labels[:, k]) for k in range(columns)]


def _fit_logistic(
    features: sp.csr_matrix,
    asked: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    strength: float,
    balanced: bool,
    seed: int,
) -> tuple[np.ndarray, float]:
    features, weights = features[asked], weights[asked]
    if not np.isin(y, [0, 1]).all():  # a share s of a row is the answer 1 with weight s, and 0 with weight 1 - s
        rows = np.concatenate([np.flatnonzero(y > 0), np.flatnonzero(y < 1)])
        yes = np.arange(len(rows)) < np.count_nonzero(y > 0)
        features, weights, y = features[rows], weights[rows] * np.where(yes, y[rows], 1 - y[rows]), yes
    y = y == 1
    if len(np.unique(y)) < 2:
        return np.zeros(features.shape[1]), float(np.log((y.sum() + 0.5) / ((~y).sum() + 0.5)))
    balanced_weights = _balance_classes(weights, y) if balanced else weights
    model = LogisticRegression(C=strength, solver="liblinear", random_state=seed % 2**32)
    model.fit(features, y, sample_weight=balanced_weights)
    return model.coef_[0], float(model.intercept_[0])


def _fit_multinomial(
    features: sp.csr_matrix, truth: np.ndarray, weights: np.ndarray, columns: int, strength: float, balanced: bool
) -> tuple[np.ndarray, np.ndarray]:
    present = np.unique(truth)
    coefficients, intercepts = np.zeros((columns, features.shape[1])), np.full(columns, NEVER)
    intercepts[present] = 0.0
    if len(present) < 2:
        return coefficients, intercepts
    model = LogisticRegression(C=strength, max_iter=1000)
    with warnings.catch_warnings():  # scikit-learn wonders whether many rare classes are numbers
        warnings.filterwarnings("ignore", message="The number of unique classes is greater", category=UserWarning)
        model.fit(features, truth, sample_weight=_balance_classes(weights, truth) if balanced else weights)
    if len(present) == 2:  # scikit-learn keeps one row for two classes
        coefficients[present[1]], intercepts[present[1]] = model.coef_[0], model.intercept_[0]
    else:
        coefficients[present], intercepts[present] = model.coef_, model.intercept_
    return coefficients, intercepts


def _balance_classes(weights: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Scale the weights of rows so that each class has the same total; scikit-learn below 1.7 balances counts."""
    _, places = np.unique(classes, return_inverse=True)
    totals = np.bincount(places, weights)
    factors = np.where(totals > 0, totals.sum() / (len(totals) * np.where(totals > 0, totals, 1.0)), 1.0)
    return weights * factors[places]
