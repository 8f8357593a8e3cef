"""The section on shift: how well a linear model tells test texts from training texts (adversarial validation)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from oof.metrics.functions import compute_roc_auc
from oof.types import Array

MOST_ROWS = 10_000  # of both tables
MOST_TERMS = 10
FOLDS = 3
# Words, and each character of a script without spaces for itself
WORD = r"(?u)[\u3040-\u30ff\u4e00-\u9fff]|[^\W\u3040-\u30ff\u4e00-\u9fff]+"
MEANINGS = (
    (0.55, "hardly any difference, so as far as words show the cross-fitted score holds for the test table too"),
    (0.65, "the texts differ a little: expect a hidden score somewhat off the cross-fitted one"),
    (
        0.8,
        "the texts differ clearly: the hidden score may be worse than the cross-fitted one by more than its interval",
    ),
    (1.1, "the texts differ strongly: the cross-fitted score does not predict the hidden one"),
)


@dataclass(frozen=True)
class Shift:
    """`auc` is cross-validated over `rows` texts; `error` is its standard error under the hypothesis of no difference.

    `train` and `test` are the terms most typical of either table.
    """

    auc: float
    error: float
    rows: int
    train: list[str]
    test: list[str]

    @property
    def differs(self) -> bool:
        """True if the tables differ by more than chance."""
        return self.auc - 0.5 > 2 * self.error

    @property
    def meaning(self) -> str:
        """The area under the curve in words."""
        if not self.differs:
            return "no difference is shown, as one of that size can arise by chance"
        return next(sentence for limit, sentence in MEANINGS if self.auc < limit)


def compute_shift(train: Sequence[Sequence[str]], test: Sequence[Sequence[str]], seed: int = 0) -> Shift | None:
    """Fit a classifier of the table on at most 10,000 rows; None with too few rows, or if texts share no word."""
    rng = np.random.default_rng(seed)
    train_texts, test_texts = _sample_texts(train, rng), _sample_texts(test, rng)
    counts = [len(train_texts), len(test_texts)]
    if min(counts) < FOLDS:
        return None
    texts = [*train_texts, *test_texts]
    is_test = np.repeat([0, 1], counts)
    vectorizer = TfidfVectorizer(token_pattern=WORD, min_df=2, max_features=20_000, sublinear_tf=True)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # what scikit-learn raises where no term is in two texts
        return None
    model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    p = cross_val_predict(model, features, is_test, cv=folds, method="predict_proba")[:, 1:]
    first, last = _rank_terms(model.fit(features, is_test).coef_[0], vectorizer.get_feature_names_out())
    # of the Mann-Whitney statistic under the hypothesis of no difference
    error = float(np.sqrt((sum(counts) + 1) / (12 * counts[0] * counts[1])))
    return Shift(compute_roc_auc(is_test, p), error, len(texts), first, last)


def _sample_texts(texts: Sequence[Sequence[str]], rng: np.random.Generator) -> list[str]:
    chosen = np.sort(rng.permutation(len(texts))[: MOST_ROWS // 2])
    return [" ".join(texts[row]) for row in chosen]


def _rank_terms(coefficients: Array, terms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the terms with the lowest coefficients, below zero, and those with the highest, above zero."""
    order = np.argsort(coefficients, kind="stable")
    low = [str(terms[number]) for number in order[:MOST_TERMS] if coefficients[number] < 0]
    high = [str(terms[number]) for number in order[::-1][:MOST_TERMS] if coefficients[number] > 0]
    return low, high
