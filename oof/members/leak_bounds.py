"""Bounds on what the test predictions of a member can show of the truth, and how much they should agree with peers.

Each bound is a function of the column means of two tables, one with a row for each training row and one with a row for
each test row. So its standard error follows from means over blocks of rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from oof.types import Array, Truth

TINY = 1e-12

Tables = tuple[Array, Array]  # (rows, columns) and (test rows, columns)


@dataclass(frozen=True, eq=False)
class MemberAndPeers:
    """Predictions of one member, and of honest members on the same rows.

    `oof` is (rows, columns), `test` (test rows, columns), `peers` (members, rows, columns), `peers_test` (members,
    test rows, columns); there may be no peers. `truth` is known for the training rows only.
    """

    oof: Array
    test: Array
    truth: Truth
    task: str
    peers: Array
    peers_test: Array

    def drop_peers(self) -> "MemberAndPeers":
        """Return the member without peers."""
        return replace(self, peers=self.peers[:0], peers_test=self.peers_test[:0])


def tabulate_confidence(member: MemberAndPeers) -> Tables:
    """Return the probability of the truth by training row, and the highest probability by test row.

    The next columns are the highest probability of each peer, by training row and by test row.
    """
    is_classes = member.task in ("multiclass", "ordinal")

    def take_highest(P: Array) -> Array:
        highest: Array = P.max(1) if is_classes else np.maximum(P, 1 - P).mean(1)
        return highest

    if is_classes:
        of_truth = member.oof[np.arange(len(member.oof)), member.truth]
    else:
        of_truth = np.abs(member.oof + member.truth.reshape(member.oof.shape) - 1).mean(1)
    train = np.stack([of_truth, *map(take_highest, member.peers)], 1)
    return train, np.stack([take_highest(member.test), *map(take_highest, member.peers_test)], 1)


def compute_confidence_excess(train: Array, test: Array) -> float:
    """Return the log of the truth's probability over its bound, from the means of `tabulate_confidence`."""
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - test[0] - _compute_allowance(train[1:] - test[1:]))


def tabulate_truth_products(member: MemberAndPeers) -> Tables:
    """Return products of truth and OOF and squares of the truth by training row, squares of predictions by test row.

    The next columns are the squares of each peer. All values are centred and, where there are two peers or more,
    without what is linear in the mean of the peers.
    """
    truth, scale = _encode_truth(member.truth, member.task, member.oof.shape)
    mean = mean_test = None
    if len(member.peers) > 1:
        mean, mean_test = member.peers.mean(0), member.peers_test.mean(0)
    truth, oof, *peers = [_remove_linear_part(P / scale, mean) for P in (truth, member.oof, *member.peers)]
    train = [truth * oof, truth**2, *(P**2 for P in peers)]
    squares = [_remove_linear_part(P / scale, mean_test) ** 2 for P in (member.test, *member.peers_test)]
    return np.stack([P.sum(1) for P in train], 1), np.stack([P.sum(1) for P in squares], 1)


def compute_required_truth_correlation(train: Array, test: Array) -> float:
    """Return the log of the correlation with the truth that the test predictions would need to match the OOF.

    `train` and `test` are the means of `tabulate_truth_products`; above zero is impossible (Cauchy-Schwarz).
    """
    train, test = np.log(train.clip(TINY)), np.log(test.clip(TINY))
    return float(train[0] - (train[1] + test[0]) / 2 - _compute_allowance(train[2:] - test[1:]) / 2)


def tabulate_peer_products(member: MemberAndPeers, number: int) -> Tables:
    """Return products of centred values with those of the peer of that number.

    By training row: peer and OOF, peer and truth, truth and OOF, the square of the truth. By test row: peer and
    predictions, the squares of both. The next columns are the products of the peer with each other peer.
    """
    truth, scale = _encode_truth(member.truth, member.task, member.oof.shape)
    truth, oof, *peers = [_remove_linear_part(P / scale, None) for P in (truth, member.oof, *member.peers)]
    predictions, *peers_test = [_remove_linear_part(P / scale, None) for P in (member.test, *member.peers_test)]
    peer, peer_test = peers.pop(number), peers_test.pop(number)
    train = [peer * oof, peer * truth, truth * oof, truth**2, *(peer * P for P in peers)]
    test = [peer_test * predictions, predictions**2, peer_test**2, *(peer_test * P for P in peers_test)]
    return np.stack([P.sum(1) for P in train], 1), np.stack([P.sum(1) for P in test], 1)


def compute_required_correlation(train: Array, test: Array) -> float:
    """Return the correlation with a peer that the test predictions should have, from `tabulate_peer_products`.

    It is the OOF's, or that which the truth alone explains if that is less: noise that two members share on training
    rows need not be there on test rows.
    """
    by_truth = train[1] * train[2] / max(train[3], TINY)
    falls = np.log(train[4:].clip(TINY)) - np.log(test[3:].clip(TINY))
    return float(min(train[0], by_truth) * np.exp(-_compute_allowance(falls)) / _compute_norm(test))


def compute_observed_correlation(_: Array, test: Array) -> float:
    """Return the correlation with a peer that the test predictions have, from the means of `tabulate_peer_products`."""
    return float(test[0] / _compute_norm(test))


def _encode_truth(truth: Truth, task: str, shape: tuple[int, ...]) -> tuple[Array, Array | float]:
    """Return truth by column, and the divisors that put columns of a regression on one scale."""
    encoded: Array = np.eye(shape[1])[truth] if task in ("multiclass", "ordinal") else truth.reshape(shape)
    size = encoded.std(0)
    return encoded, np.where(size > 0, size, 1) if task == "regression" else 1.0


def _remove_linear_part(P: Array, other: Array | None) -> Array:
    """Return P centred, and without what is linear in the other if there is one."""
    rest: Array = P - P.mean(0)
    if other is None:
        return rest
    other = other - other.mean(0)
    rest -= (rest * other).sum(0) / (other**2).sum(0).clip(TINY) * other
    return rest


def _compute_norm(test: Array) -> float:
    return max(float(np.sqrt(test[1] * test[2])), TINY)


def _compute_allowance(falls: Array) -> float:
    """Return how much lower the bound of the median peer is on the test rows; 0 where it is higher."""
    return max(0.0, float(np.median(falls))) if len(falls) else 0.0
