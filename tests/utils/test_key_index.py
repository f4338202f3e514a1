"""The index: which row of which part holds a key, beside a dictionary."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid.utils.key_index import EMPTY, index_part, key_array, merge, sort_keys

# Few heads (first 8 bytes) and few tails, so that keys collide in the one, the other, or both.
key = st.builds(
    lambda head, tail: head * 8 + bytes(20) + tail * 4,
    st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff"]),
    st.sampled_from([b"\0", b"\1", b"\xff"]),
)
parts = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.lists(key, max_size=8, unique=True), max_size=4
)


def as_dictionary(contents: dict[str, list[bytes]]) -> dict[bytes, tuple[str, int]]:
    """Key → part and row; of several parts the lowest name."""
    found: dict[bytes, tuple[str, int]] = {}
    for name in sorted(contents):
        for row, k in enumerate(contents[name]):
            found.setdefault(k, (name, row))
    return found


@given(parts, st.lists(key, max_size=20), st.randoms())
def test_an_index_is_a_dictionary(
    contents: dict[str, list[bytes]], wanted: list[bytes], dice: object
) -> None:
    indexes = [index_part(name, key_array(keys)) for name, keys in contents.items()]
    dice.shuffle(indexes)  # type: ignore[attr-defined]
    cut = len(indexes) // 2
    index = merge([merge(indexes[:cut]), merge(indexes[cut:])])
    expected = as_dictionary(contents)
    assert len(index) == len(expected)
    found = index.find(key_array(wanted))
    for k, place in zip(wanted, found.tolist(), strict=True):
        if k in expected:
            assert (index.parts[index.part[place]], index.row[place]) == expected[k]
        else:
            assert place == -1
    for name, keys in contents.items():
        assert index.agrees(name, key_array(keys))


@given(parts, st.sets(st.sampled_from("abcd")))
def test_parts_can_be_taken_out(contents: dict[str, list[bytes]], gone: set[str]) -> None:
    index = merge([index_part(name, key_array(keys)) for name, keys in contents.items()])
    left = index.without(gone)
    expected = {k: v for k, v in as_dictionary(contents).items() if v[0] not in gone}
    assert not set(left.parts) & gone
    assert len(left) == len(expected)
    for k, place in zip(expected, left.find(key_array(list(expected))).tolist(), strict=True):
        assert (left.parts[left.part[place]], left.row[place]) == expected[k]


@given(st.lists(key, max_size=30))
def test_keys_are_sorted_as_bytes(keys: list[bytes]) -> None:
    order, again = sort_keys(key_array(keys))
    ordered = [keys[i] for i in order]
    assert ordered == sorted(keys)
    assert again.tolist() == [i > 0 and k == ordered[i - 1] for i, k in enumerate(ordered)]
    assert all(order[i - 1] < order[i] for i in np.flatnonzero(again))  # equal ones as they stood


def test_an_index_says_what_is_in_a_part() -> None:
    keys = key_array([bytes([i]) * 32 for i in range(3)])
    index = index_part("a", keys)
    assert index.agrees("a", keys)
    assert index.agrees("another", keys[:0])
    assert not index.agrees("a", keys[::-1])
    assert not index.agrees("a", keys[:2])


def test_nothing() -> None:
    assert merge([]) is EMPTY
    assert EMPTY.find(key_array([])).tolist() == []
    assert EMPTY.find(key_array([bytes(32)])).tolist() == [-1]
    assert EMPTY.without(["a"]).parts == ()
    assert key_array([None, b"x" * 32]).tolist() == [[0] * 32, [ord("x")] * 32]


def test_millions_of_keys_are_not_copied_for_nothing() -> None:
    index = index_part("a", key_array([b"b" * 32, b"a" * 32]))
    assert merge([index, EMPTY]) is index
    assert merge([EMPTY, index]) is index
    assert len(merge([EMPTY, EMPTY])) == 0


def test_heads_sort_as_bytes_do() -> None:
    keys = np.random.default_rng(0).integers(0, 256, (1000, 32), dtype=np.uint8)
    heads = index_part("a", keys).heads
    assert heads.tolist() == sorted(int.from_bytes(key[:8].tobytes(), "big") for key in keys)
