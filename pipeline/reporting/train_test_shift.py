"""Whether test texts differ from training texts: can a linear model tell which table a text is of?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from oof.metrics.functions import Array, roc_auc

ROWS, TERMS, FOLDS = 10_000, 10, 3
# Words, and each character of a script without spaces for itself
WORD = r"(?u)[\u3040-\u30ff\u4e00-\u9fff]|[^\W\u3040-\u30ff\u4e00-\u9fff]+"
MEANINGS = (
    (0.55, "hardly any difference to see, so as far as words tell the cross-fitted score holds for the test table too"),
    (0.65, "the texts differ a little: expect a hidden score somewhat off the cross-fitted one"),
    (
        0.8,
        "the texts differ clearly: the hidden score may be worse than the cross-fitted one by more than its interval",
    ),
    (1.1, "the texts differ strongly: the cross-fitted score is no forecast of the hidden one"),
)


@dataclass(frozen=True)
class Shift:
    """`auc` is cross-validated over `rows` texts; `error` is its standard error if there were no difference.

    `train` and `test` are the terms that tell most for either table.
    """

    auc: float
    error: float
    rows: int
    train: list[str]
    test: list[str]

    @property
    def differs(self) -> bool:
        """Whether the tables are told apart by more than chance."""
        return self.auc - 0.5 > 2 * self.error

    @property
    def meaning(self) -> str:
        """What the area under the curve means in words."""
        if not self.differs:
            return "no difference is shown, for one of that size comes by chance"
        return next(said for limit, said in MEANINGS if self.auc < limit)


def shift(train: Sequence[Sequence[str]], test: Sequence[Sequence[str]], seed: int = 0) -> Shift | None:
    """Tell the tables apart on at most 10,000 rows; None where they have too few rows or no word."""
    rng = np.random.default_rng(seed)
    tables = [_some(texts, rng) for texts in (train, test)]
    texts, is_test = [text for table in tables for text in table], np.repeat([0, 1], [len(table) for table in tables])
    if min(map(len, tables)) < FOLDS:
        return None
    vectorizer = TfidfVectorizer(token_pattern=WORD, min_df=2, max_features=20_000, sublinear_tf=True)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no term in two texts: scikit-learn's only word for it
        return None
    model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    p = cross_val_predict(model, features, is_test, cv=folds, method="predict_proba")[:, 1:]
    first, last = _telling(model.fit(features, is_test).coef_[0], vectorizer.get_feature_names_out())
    one, two = map(len, tables)
    # of the Mann-Whitney statistic where both are alike
    error = float(np.sqrt((one + two + 1) / (12 * one * two)))
    return Shift(roc_auc(is_test, p), error, len(texts), first, last)


def _some(texts: Sequence[Sequence[str]], rng: np.random.Generator) -> list[str]:
    places = np.sort(rng.permutation(len(texts))[: ROWS // 2])
    return [" ".join(texts[place]) for place in places]


def _telling(coefficients: Array, terms: Sequence[str]) -> tuple[list[str], list[str]]:
    order = np.argsort(coefficients, kind="stable")
    low = [str(terms[at]) for at in order[:TERMS] if coefficients[at] < 0]
    return low, [str(terms[at]) for at in order[::-1][:TERMS] if coefficients[at] > 0]
