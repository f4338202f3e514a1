"""Members, packed keys and packed hashes are what plain dicts are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.duplicates.members import Members
from hybrid.images.perceptual_memo import PerceptualHashes
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.sources import Sources

FEW = settings(max_examples=60, deadline=None)
# Few different ones, of which some begin alike, as no two hashes do.
KEYS = st.sampled_from([b"a" * 32, b"b" * 32, b"b" * 31 + b"c", b"b" * 31 + b"a", b"z" * 32])


@given(st.lists(st.tuples(st.integers(0, 5), KEYS | st.none()), max_size=20))
@FEW
def test_members_are_a_dict_of_lists(pairs: list[tuple[int, bytes | None]]) -> None:
    ids = [f"f{i}" for i in range(6)]
    plain: dict[bytes, list[str]] = {}
    for item, key in pairs:
        if key is not None:
            plain.setdefault(key, []).append(ids[item])
    keys = PackedKeys.collect(key for _, key in pairs)
    found, members = Members.collect(ids, keys, np.array([i for i, _ in pairs], dtype=np.int64))
    assert list(found) == list(plain)
    assert list(members) == [tuple(names) for names in plain.values()]
    assert members.sizes.tolist() == [len(names) for names in plain.values()]
    assert [ids[i] for i in members.first] == [names[0] for names in plain.values()]
    assert list(members.shared()) == [tuple(n) for n in plain.values() if len(n) > 1]
    assert list(Members.of(plain.values())) == list(members)


@given(st.lists(st.tuples(KEYS, st.binary(min_size=16, max_size=16)), max_size=12), st.lists(KEYS))
@FEW
def test_hashes_are_a_dict_of_which_the_first_counts(
    pairs: list[tuple[bytes, bytes]], asked: list[bytes]
) -> None:
    plain: dict[bytes, bytes] = {}
    hashes = PerceptualHashes.of({})
    for key, code in pairs:
        plain.setdefault(key, code)
        hashes = hashes.added(PerceptualHashes.of({key: code}).entries)
    assert hashes == plain
    assert list(hashes) == list(plain)
    codes, known = hashes.find(PackedKeys.collect(asked))
    assert known.tolist() == [key in plain for key in asked]
    assert [c.tobytes() for c in codes[known]] == [plain[key] for key in asked if key in plain]
    different = list(dict.fromkeys(asked))
    some = hashes.only(PackedKeys.collect(different))
    assert list(some.items()) == [(key, plain[key]) for key in different if key in plain]


@given(st.lists(KEYS, unique=True), st.data())
@FEW
def test_some_sources_in_the_order_that_is_asked_for(
    keys: list[bytes], data: st.DataObject
) -> None:
    plain = {key: str(i) for i, key in enumerate(keys)}
    asked = data.draw(st.permutations(keys))[: len(keys) // 2]
    found = Sources.of(plain).only(PackedKeys.collect(asked))
    assert list(found.items()) == [(key, plain[key]) for key in asked]
