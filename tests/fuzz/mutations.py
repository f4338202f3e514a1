"""Mutated files, as a strategy of Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

EDITS = ("overwrite", "insert", "delete", "repeat", "flip", "cut")


def edited(data: bytes, how: str, at: float, size: int, token: bytes) -> bytes:
    """Change a file at a place, from 0 to 1 of its length.

    >>> edited(b"abcdef", "delete", 0.5, 2, b"")
    b'abcf'
    """
    start = int(at * len(data))
    if how == "overwrite":
        return data[:start] + token + data[start + len(token) :]
    if how == "insert":
        return data[:start] + token + data[start:]
    if how == "delete":
        return data[:start] + data[start + size :]
    if how == "repeat":
        return data[: start + size] + data[start:]
    if how == "flip" and start < len(data):
        return data[:start] + bytes([data[start] ^ (1 << (size % 8))]) + data[start + 1 :]
    return data[:start]


def mutated(
    seeds: Sequence[bytes], tokens: Sequence[bytes], most: int = 6
) -> st.SearchStrategy[bytes]:
    """Seeds with up to `most` edits."""
    edits = st.tuples(
        st.sampled_from(EDITS),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 64),
        st.sampled_from(list(tokens)) | st.binary(min_size=1, max_size=8),
    )

    def apply(drawn: tuple[bytes, list[tuple[str, float, int, bytes]]]) -> bytes:
        data, changes = drawn
        for change in changes:
            data = edited(data, *change)
        return data

    return st.tuples(st.sampled_from(list(seeds)), st.lists(edits, max_size=most)).map(apply)
