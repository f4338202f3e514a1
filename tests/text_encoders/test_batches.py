"""Batches by tokens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid.text_encoders.batches import plan_batches
from hybrid.text_encoders.tokens import Tokens


@given(
    st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000), st.sampled_from([1, 8, 16])
)
def test_each_text_is_in_one_batch_within_the_budget(
    lengths: list[int], budget: int, step: int
) -> None:
    batches = list(plan_batches(np.array(lengths, dtype=np.int64), budget, step))
    assert sorted(i for batch in batches for i in batch.pieces.tolist()) == list(
        range(len(lengths))
    )
    for batch in batches:
        longest = max(lengths[i] for i in batch.pieces.tolist())
        assert batch.width % step == 0
        assert longest <= batch.width < longest + step
        assert len(batch.pieces) == 1 or len(batch.pieces) * batch.width <= budget


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9))
def test_rows_are_the_tokens_of_each_piece(pieces: list[list[int]]) -> None:
    lengths = np.array([len(piece) for piece in pieces])
    flat = np.array([i for piece in pieces for i in piece], dtype=np.int32)
    tokens = Tokens(flat, lengths, np.arange(len(pieces)), np.zeros(len(pieces), dtype=bool))
    order = np.arange(len(pieces))[::-1]
    expected = [pieces[i] + [0] * (10 - len(pieces[i])) for i in order.tolist()]
    assert tokens.rows(order, 10).tolist() == expected
