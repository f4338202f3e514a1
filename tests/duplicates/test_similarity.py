"""All near-duplicates are found, whatever the chunks; against loops that compare one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.duplicates import cosine, jaccard
from hybrid.duplicates.cosine import search_by_cosine
from hybrid.duplicates.hamming import near_duplicates_by_hamming
from hybrid.duplicates.jaccard import near_duplicates_by_jaccard
from hybrid.duplicates.similarity import connected_components, group_equal, tokenize
from hybrid.utils import spilled

FEW = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**32)


def test_equal_values_make_groups() -> None:
    assert group_equal(["a", None, "b", "a", None, "c", "b", "a"]) == [(0, 3, 7), (2, 6)]


@given(SEEDS)
@FEW
def test_components_are_transitive(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 15))
    groups = [random.integers(0, n, random.integers(1, 4)).tolist() for _ in range(5)]
    label = list(range(n))
    for _ in range(n):  # the smallest label spreads until nothing changes
        for group in groups:
            for i in group:
                label[i] = min(label[j] for j in group)
    assert connected_components(n, groups).tolist() == label


@given(SEEDS, st.sampled_from([3, 8]))
@FEW
def test_all_pairs_by_cosine_are_found(seed: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(random.integers(1, 30), columns)).astype(np.float32)
    rows[1::2] = rows[::2][: len(rows) // 2] + 0.3 * rows[1::2]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[random.random(len(rows)) < 0.2] = np.nan
    expected = [
        (i, j)
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if float(rows[i] @ rows[j]) >= 0.8
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cosine, "CHUNK_CELLS", 60)
        patch.setattr(cosine, "PROJECTED", 2)  # for 8 columns; 3 are taken as they are
        patch.setattr(cosine, "SAMPLE", 5)
        patch.setattr(cosine, "MAX_CANDIDATES", 2)
        assert sorted(map(tuple, search_by_cosine(rows, 0.8).pairs.tolist())) == expected


def test_projected_vectors_leave_few_candidates() -> None:
    rows = np.random.default_rng(0).standard_normal((1200, 2048), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    projected = cosine._project(rows, 0.9)
    assert projected.shape == (1200, cosine.PROJECTED + 1)
    products = projected @ projected.T
    assert (products >= rows @ rows.T - 1e-5).all()
    assert (products >= 0.9).mean() < 0.01
    assert cosine._project(rows, 0.5) is rows


@given(SEEDS, st.integers(0, 4))
@FEW
def test_codes_within_the_distance_are_connected(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.choice(np.array([0, 1, 3, 7, 255], dtype=np.uint8), (12, 2))
    numbers = [int.from_bytes(code.tobytes(), "big") for code in codes]
    close = [
        (i, j)
        for i, a in enumerate(numbers)
        for j, b in enumerate(numbers)
        if i < j and (a ^ b).bit_count() <= bits
    ]
    found = near_duplicates_by_hamming(codes, bits).tolist()
    assert {tuple(sorted(pair)) for pair in found} <= set(close)
    assert connected_components(12, found).tolist() == connected_components(12, close).tolist()


def test_missing_values_are_in_no_pair() -> None:
    assert near_duplicates_by_hamming(np.empty((0, 16), np.uint8), 3).shape == (0, 2)
    assert near_duplicates_by_jaccard([], 0.5).shape == (0, 2)
    assert search_by_cosine(np.full((3, 2), np.nan, dtype=np.float32), 0.5).pairs.shape == (0, 2)


def test_words_are_without_capitals_and_marks() -> None:
    assert tokenize("A «Strange» Straße, 7; L'Été") == ["a", "strange", "strasse", "7", "l", "été"]


def jaccard_of(a: str, b: str) -> float:
    one, two = ({tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in (a.split(), b.split()))
    return len(one & two) / max(len(one | two), 1)


@given(SEEDS)
@FEW
def test_all_pairs_by_jaccard_are_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = list({" ".join(random.choice(list("abc"), random.integers(1, 12))) for _ in range(12)})
    expected = [
        (i, j)
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
        if jaccard_of(texts[i], texts[j]) >= 0.5
    ]
    assert sorted(map(tuple, near_duplicates_by_jaccard(texts, 0.5).tolist())) == expected


@given(SEEDS, st.sampled_from([3, jaccard.AT_ONCE]), st.sampled_from([1, 7, jaccard.BLOCK]))
@FEW
def test_shingles_of_words_and_characters_are_counted_block_by_block(
    seed: int, at_once: int, block: int
) -> None:
    random = np.random.default_rng(seed)
    texts = {(join, *random.choice(list(some), random.integers(1, 12)).tolist())
             for join, some in [(" ", "abc"), ("", "中文字")] * 6}  # fmt: skip
    ordered = sorted(texts)
    shingles = []
    for join, *words in ordered:
        size = 3 if join else 4
        shingles.append({tuple(words[i : i + size]) for i in range(len(words) - size + 1)})
    expected = [
        (i, j)
        for i, one in enumerate(shingles)
        for j, other in enumerate(shingles)
        if i < j and len(one & other) >= 0.5 * max(len(one | other), 1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaccard, "AT_ONCE", at_once)
        patch.setattr(jaccard, "BLOCK", block)
        found = near_duplicates_by_jaccard([join.join(words) for join, *words in ordered], 0.5)
    assert sorted(map(tuple, found.tolist())) == expected


@given(SEEDS, st.sampled_from([0.1, 0.3, 1 / 3, 0.7, 1.0]), st.sampled_from([1, 4, 100]))
@FEW
def test_pairs_are_those_of_all_shingles_whatever_the_threshold(
    seed: int, threshold: float, most: int
) -> None:
    random = np.random.default_rng(seed)
    words = list("abcdefgh")
    made = [random.choice(words, random.integers(0, 15)).tolist() for _ in range(8)]
    for i in range(8):  # near-duplicates: words are changed, left out, added
        text = made[i].copy()
        for _ in range(random.integers(1, 4)):
            place = int(random.integers(0, len(text) + 1))
            text[place : place + int(random.integers(0, 2))] = random.choice(words, 1).tolist()
        made.append(text)
    texts = sorted({" ".join(text) for text in made})
    each = [{tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in map(str.split, texts)]
    count = Counter(shingle for shingles in each for shingle in shingles)
    each = [{shingle for shingle in shingles if count[shingle] <= most} for shingles in each]
    expected = [
        (i, j)
        for i, one in enumerate(each)
        for j, other in enumerate(each)
        if i < j and one and len(one & other) >= threshold * len(one | other)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaccard, "MAX_TEXTS", most)
        patch.setattr(jaccard, "ROWS", 3)
        patch.setattr(jaccard, "AT_ONCE", 20)
        patch.setattr(jaccard, "BLOCK", 30)
        patch.setattr(spilled, "SPILL", 16)
        found = near_duplicates_by_jaccard(texts, threshold)
    assert sorted(map(tuple, found.tolist())) == expected


def test_shingles_of_very_many_texts_are_left_out() -> None:
    texts = [f"based on a true story number {i}" for i in range(101)]
    assert len(near_duplicates_by_jaccard(texts[:100], 0.5)) == 100 * 99 / 2
    assert len(near_duplicates_by_jaccard(texts, 0.5)) == 0
