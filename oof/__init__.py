"""Out-of-fold predictions, what they are worth, and the blends made of them.

Owns the folder `oof/` of a run. A fit leaves a part (id, fold, seed, one column per output); parts become members, with
ids that travel along; members become a matrix P (members, rows, columns); a blend is fitted on P and is nothing but
numbers in JSON. Everything joins by id and refuses gaps, duplicates, NaN and foreign folds. A score chosen on some
rows is never given as a score on those rows without the word in-sample.

Shapes, in the whole package: truth is (rows,) codes for binary, multiclass and ordinal, (rows, labels) for multilabel,
(rows, targets) for regression; predictions are always (rows, columns), one column of P(positive) for binary.
"""


class OOFError(ValueError):
    """What a user can mend: one sentence saying what is wrong, in which file, row or column, and what is right."""
