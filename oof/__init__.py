"""Out-of-fold predictions, their scores, and the blends made of them. Owns the folder `oof/` of a run.

A fit leaves a part (id, fold, seed, one column per output). Parts become members; members become a matrix P
(members, rows, columns); a blend is fitted on P and is numbers in JSON. Everything joins by id: gaps, duplicates, NaN
and foreign folds are rejected. A score on the rows that chose the blend is always called in-sample.

Shapes in the whole package: truth is (rows,) codes for binary, multiclass and ordinal, (rows, labels) for multilabel,
(rows, targets) for regression. Predictions are (rows, columns), one column of P(positive) for binary.
"""


class OOFError(ValueError):
    """An error the user can correct: one sentence with the file, row or column, what is wrong and what is right."""
