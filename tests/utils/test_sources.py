"""Packed keys and lazy sources behave as a list and a dict of the same would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.utils import key_index
from hybrid.utils.key_index import PackedKeys, are_named, key_array
from hybrid.utils.sources import Sources

KEY = st.sampled_from([bytes([i]) + bytes(30) + bytes([j]) for i in (0, 3, 255) for j in (0, 9)])
KEYS = st.lists(st.one_of(st.none(), KEY), max_size=12)


@given(keys=KEYS, some=st.integers(1, 5))
def test_packed_keys_are_a_list(keys: list[bytes | None], some: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "SOME", some)
        packed = PackedKeys.collect(iter(keys))
        assert list(packed) == keys
    assert [packed[i] for i in range(-len(keys), len(keys))] == keys * 2
    assert list(packed[1:5]) == keys[1:5]
    rows = np.arange(len(keys))[::-1]
    assert list(packed[rows]) == keys[::-1]
    assert list(packed[rows % 2 == 0]) == [
        keys[i] for i in range(len(keys)) if (len(keys) - 1 - i) % 2 == 0
    ]
    assert key_array(packed).tolist() == key_array(keys).tolist()
    assert are_named(packed).tolist() == are_named(keys).tolist()
    with pytest.raises(IndexError):
        packed[len(keys)]


@given(keys=KEYS)
def test_sources_are_a_dict(keys: list[bytes | None]) -> None:
    expected = {key: f"{i}.jpg" for i, key in enumerate(keys) if key is not None}
    asked: list[int] = []

    def read(number: int) -> str:
        asked.append(number)
        return f"{number}.jpg"

    found = Sources.collect(PackedKeys.collect(keys), np.arange(len(keys)), read)
    assert (len(found), list(found), bool(found)) == (len(expected), list(expected), bool(expected))
    assert asked == []  # paths are made when they are asked for
    for each in (found, Sources.of(expected)):
        assert list(each.items()) == list(expected.items())
        assert list(each.values()) == list(expected.values())
        assert dict(each) == expected
        assert [each[key] for key in expected] == list(expected.values())
        assert each.by_key(3) == [expected[key] for key in sorted(expected)][:3]
        odd = np.arange(len(expected)) % 2 == 1
        assert list(each.take(odd).items()) == list(expected.items())[1::2]
        assert b"?" * 32 not in each
        assert all(key in each for key in expected)
        with pytest.raises(KeyError):
            each[b"?" * 32]


def test_sources_are_taken_as_they_are() -> None:
    found = Sources.of({bytes(32): "1.jpg"})
    assert Sources.of(found) is found
    assert len(Sources.of({})) == 0
    assert Sources.of({}).by_key(3) == []
