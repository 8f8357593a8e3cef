"""Folds: which training row is predicted by which fit.

This package owns `folds/` in a run directory: `folds.csv` (id, fold) and its neighbour `folds.json` (how the folds
were made). A split is one int per row, so every row is in the validation part of one fold at most and the training part
is its complement. Fold -1 is always train and never OOF. Rows of one component (same group, same text up to case,
punctuation and space) share a fold. Folds are made once, saved with ids and verified afterwards; no reader recomputes
them.
"""


class FoldError(ValueError):
    """A split that cannot be made or a fold file that does not fit; the message is one sentence for the user."""
