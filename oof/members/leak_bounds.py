"""What the test predictions of a member can know at most, and with whom they should agree at least.

Each bound is a value of column means of two tables, one with a row for each training row, one for each test row.
"""

import numpy as np

from oof.types import Array, Truth

TINY = 1e-12

Tables = tuple[Array, Array]  # what is known by training row and by test row


def tabulate_confidence(oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array) -> Tables:
    """By training row the truth's probability, by test row the favourite's; then the favourite's of each other."""
    classes = task in ("multiclass", "ordinal")

    def favourite(P: Array) -> Array:
        found: Array = P.max(1) if classes else np.maximum(P, 1 - P).mean(1)
        return found

    true = oof[np.arange(len(oof)), truth] if classes else np.abs(oof + truth.reshape(oof.shape) - 1).mean(1)
    return np.stack([true, *map(favourite, others)], 1), np.stack([favourite(test), *map(favourite, others_test)], 1)


def compute_confidence_excess(train: Array, test: Array) -> float:
    """Log of the truth's probability over its bound, from the means of `tabulate_confidence`."""
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - test[0] - _compute_allowance(train[1:] - test[1:]))


def tabulate_truth_products(
    oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array
) -> Tables:
    """By row: products of truth and OOF, squares of the truth, and of the test predictions; then of each other.

    All of them centred, and without what is linear in the others' mean, if there are others enough to differ from it.
    """
    known, scale = _encode_truth(truth, task, oof.shape)
    mean, mean_test = (others.mean(0), others_test.mean(0)) if len(others) > 1 else (None, None)
    known, said, *rest = [_remove_linear_part(P / scale, mean) for P in (known, oof, *others)]
    train = [known * said, known**2, *(P**2 for P in rest)]
    squares = [_remove_linear_part(P / scale, mean_test) ** 2 for P in (test, *others_test)]
    return np.stack([P.sum(1) for P in train], 1), np.stack([P.sum(1) for P in squares], 1)


def compute_required_truth_correlation(train: Array, test: Array) -> float:
    """Log of the correlation with the truth that the test predictions would need, from the means of `tabulate_truth_products`."""
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - (train[1] + test[0]) / 2 - _compute_allowance(train[2:] - test[1:]) / 2)


def tabulate_peer_products(
    oof: Array, test: Array, truth: Truth, task: str, others: Array, others_test: Array, one: int
) -> Tables:
    """By row, of centred values: products of one of the others with OOF, with the truth, and of truth and OOF; squares.

    By test row its products with the test predictions, and the squares of both. Then its products with each other.
    """
    known, scale = _encode_truth(truth, task, oof.shape)
    known, said, *rest = [_remove_linear_part(P / scale, None) for P in (known, oof, *others)]
    said_test, *rest_test = [_remove_linear_part(P / scale, None) for P in (test, *others_test)]
    beside, beside_test = rest.pop(one), rest_test.pop(one)
    train = [beside * said, beside * known, known * said, known**2, *(beside * P for P in rest)]
    tests = [beside_test * said_test, said_test**2, beside_test**2, *(beside_test * P for P in rest_test)]
    return np.stack([P.sum(1) for P in train], 1), np.stack([P.sum(1) for P in tests], 1)


def compute_required_correlation(train: Array, test: Array) -> float:
    """The correlation with one of the others that the test predictions owe it, from the means of `tabulate_peer_products`.

    What the OOF has, or what truth alone brings about if that is less: shared noise of training is no debt.
    """
    by_truth = train[1] * train[2] / max(train[3], TINY)
    falls = np.log(train[4:].clip(TINY)) - np.log(test[3:].clip(TINY))
    return float(min(train[0], by_truth) * np.exp(-_compute_allowance(falls)) / _compute_norm(test))


def compute_observed_correlation(_: Array, test: Array) -> float:
    """The correlation with one of the others that the test predictions have, from the means of `tabulate_peer_products`."""
    return float(test[0] / _compute_norm(test))


def _compute_norm(test: Array) -> float:
    return max(float(np.sqrt(test[1] * test[2])), TINY)


def _encode_truth(truth: Truth, task: str, shape: tuple[int, ...]) -> tuple[Array, Array | float]:
    """Truth by column, and what makes columns of different units count alike."""
    known: Array = np.eye(shape[1])[truth] if task in ("multiclass", "ordinal") else truth.reshape(shape)
    size = known.std(0)
    return known, np.where(size > 0, size, 1) if task == "regression" else 1.0


def _remove_linear_part(P: Array, beside: Array | None) -> Array:
    rest: Array = P - P.mean(0)
    if beside is None:
        return rest
    beside = beside - beside.mean(0)
    rest -= (rest * beside).sum(0) / (beside**2).sum(0).clip(TINY) * beside
    return rest


def _compute_allowance(falls: Array) -> float:
    """How much lower the bound of the middle one of the others is on the test rows; a rise is not held against it."""
    return max(0.0, float(np.median(falls))) if len(falls) else 0.0
