from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import choose_padded_width, collate, make_prediction_batches, make_training_batches, split_batch
from models.tokens import Tokens

CPU = torch.device("cpu")


def lengths_of(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).geometric(0.03, rows)


def padding(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the places in the batches that hold no token."""
    places = sum(len(batch) * lengths[batch].max() for batch in batches)
    return float(1 - lengths[np.concatenate(batches)].sum() / places)


@given(rows=st.integers(1, 400), batch_size=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_row_comes_exactly_once_an_epoch(rows: int, batch_size: int, seed: int) -> None:
    chosen = np.random.default_rng(seed).permutation(2 * rows)[:rows]
    batches = make_training_batches(lengths_of(2 * rows, seed), chosen, batch_size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == sorted(chosen)
    assert len(batches) == -(-rows // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_the_order_follows_from_the_seed_and_changes_between_epochs() -> None:
    lengths, rows = lengths_of(300), np.arange(300)

    def epochs(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [np.concatenate(make_training_batches(lengths, rows, 8, rng)).tolist() for _ in range(2)]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    assert epochs(1)[0] != epochs(1)[1]


def test_rows_of_like_length_come_together_and_batches_in_random_order() -> None:
    lengths, rows = lengths_of(3000), np.arange(3000)
    batches = make_training_batches(lengths, rows, 8, np.random.default_rng(0))
    shuffled = np.split(np.random.default_rng(0).permutation(rows), 375)
    assert padding(lengths, batches) < 0.15 < 0.5 < padding(lengths, shuffled)
    longest = [lengths[batch].max() for batch in batches]
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.2


def test_company_changes_between_epochs() -> None:
    lengths, rng = lengths_of(2000), np.random.default_rng(0)
    first, second = (
        {frozenset(batch.tolist()) for batch in make_training_batches(lengths, np.arange(2000), 8, rng)}
        for _ in range(2)
    )
    assert len(first & second) < 5


def test_the_rows_given_are_left_as_they_are() -> None:
    rows = np.arange(50)[::-1].copy()
    make_training_batches(lengths_of(50), rows, 4, np.random.default_rng(0))
    assert rows.tolist() == list(range(49, -1, -1))


def test_the_batch_of_the_longest_text_comes_first() -> None:
    lengths = lengths_of(300)
    batches = make_training_batches(lengths, np.arange(300), 8, np.random.default_rng(0))
    assert lengths[batches[0]].max() == lengths.max()


@given(rows=st.integers(0, 200), tokens=st.integers(1, 300), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_predictions_go_from_long_to_short_within_the_budget_and_reach_every_place_once(
    rows: int, tokens: int, seed: int
) -> None:
    lengths = lengths_of(rows, seed)
    batches = list(make_prediction_batches(lengths, tokens))
    order = np.concatenate(batches) if batches else np.zeros(0, int)
    assert sorted(order) == list(range(rows))
    assert (np.diff(lengths[order]) <= 0).all()
    assert all(len(batch) * lengths[batch].max() <= tokens or len(batch) == 1 for batch in batches)


def test_a_batch_is_cut_only_where_it_must_be() -> None:
    lengths = np.array([6, 5, 4, 3, 1])
    assert [part.tolist() for part in split_batch(np.arange(5), lengths, None)] == [[0, 1, 2, 3, 4]]
    assert [part.tolist() for part in split_batch(np.arange(5), lengths, 12)] == [[0, 1], [2, 3, 4]]
    assert [part.tolist() for part in split_batch(np.arange(5), lengths, 2)] == [[0], [1], [2], [3], [4]]


def test_a_gpu_gets_widths_of_eight_up_to_the_longest_text() -> None:
    assert [choose_padded_width(length, 30, "cuda") for length in (1, 8, 9, 25, 30)] == [8, 8, 16, 30, 30]
    assert choose_padded_width(9, 30, "cpu") == 9


def tokens_of(*texts: list[int], types: Any = None) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return Tokens(np.concatenate(texts).astype(np.int32), types, offsets)


def test_a_batch_is_padded_on_the_right_to_its_longest_row() -> None:
    batch = collate(tokens_of([5], [6, 7, 8, 9], [1, 2]), np.array([2, 0]), CPU, pad=99)
    assert batch["input_ids"].tolist() == [[1, 2], [5, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert set(batch) == {"input_ids", "attention_mask"}
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_segments_are_padded_with_the_first_one() -> None:
    tokens = tokens_of([5, 6], [7], types=np.array([0, 1, 1], np.uint8))
    assert collate(tokens, np.array([0, 1]), CPU, pad=0)["token_type_ids"].tolist() == [[0, 1], [1, 0]]
