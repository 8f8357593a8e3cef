"""Folds: the split of the training rows; a fit of fold k trains on the other folds and predicts fold k.

This package owns `folds/` in a run directory: `folds.csv` (id, fold) and its neighbour `folds.json` (how the folds
were made). A split is one integer for each row, so every row is validated in one fold at most, and the training part is
the complement. Fold -1 is always training and has no OOF. Rows of one component (same group, or same text up to case,
punctuation and space) share a fold. Folds are made once, saved with ids, and verified by every later step; no step
computes them a second time.
"""


class FoldError(ValueError):
    """A split that cannot be made, or a fold file that does not fit; the message is one sentence for the user."""
