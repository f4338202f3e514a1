"""Near-duplicates of many items are found without comparing all pairs; against loops that compare all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid.duplicates import cosine, hamming, standardised_rows
from hybrid.duplicates.cosine import measure_recall, search_by_cosine
from hybrid.duplicates.cross_polytope import candidate_pairs, plan_hashing, simulate_recall
from hybrid.duplicates.hamming import Chunk, near_duplicates_by_hamming, plan_chunks
from hybrid.duplicates.search_loops import strongest
from hybrid.duplicates.similarity import connected_components
from hybrid.duplicates.standardised_rows import StandardisedRows

FEW = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**32)


def pairs_of(found: NDArray[np.int64]) -> set[tuple[int, ...]]:
    return set(map(tuple, found.tolist()))


def near_codes(random: np.random.Generator, n: int, length: int, bits: int) -> NDArray[np.uint8]:
    """Random codes; each second one differs from the one before in some places."""
    places = random.integers(0, 2, (n, 8 * length), dtype=np.uint8)
    for i in range(1, n, 2):
        changed = random.permutation(8 * length)[: random.integers(0, bits + 3)]
        places[i] = places[i - 1]
        places[i, changed] ^= 1
    return np.packbits(places, axis=1)


def distances(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    places = np.unpackbits(codes, axis=1)
    return np.asarray((places[:, None] != places).sum(axis=2))


@given(SEEDS, st.sampled_from([2, 9, 16]), st.integers(0, 18), st.integers(1, 12))
@FEW
def test_any_chunks_find_all_codes_within_the_distance(
    seed: int, length: int, bits: int, m: int
) -> None:
    random = np.random.default_rng(seed)
    codes = np.unique(near_codes(random, 40, length, bits), axis=0)
    m = max(min(m, bits + 1), length // 2)  # no chunk is so wide that its table is slow to make
    if m > bits + 1:
        return
    near = distances(codes) <= bits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "plan_chunks", lambda n, *rest: chunks_of(8 * length, bits, m))
        found = near_duplicates_by_hamming(codes, bits)
    assert_connects(found, np.argwhere(np.triu(near, 1)), len(codes))


def assert_connects(found: NDArray[np.int64], near: NDArray[np.int64], n: int) -> None:
    """Some of the pairs, no more than it takes, connect what all of them do."""
    component = connected_components(n, near)
    assert pairs_of(found) <= pairs_of(near)
    assert len(found) == n - len(np.unique(component))
    assert connected_components(n, found).tolist() == component.tolist()


def chunks_of(length: int, bits: int, m: int) -> list[Chunk]:
    """The plan for m chunks, which is chosen where each other number costs more."""
    widths, radii = hamming._share_out(length, m), hamming._share_out(bits - m + 1, m)
    firsts = np.cumsum([0, *widths[:-1]]).tolist()
    return [Chunk(f, w, min(w, r)) for f, w, r in zip(firsts, widths, radii, strict=True)]


@pytest.mark.parametrize("n", [30_000, 10**6, 10**7])
@pytest.mark.parametrize("bits", [0, 4, 18])
def test_codes_within_the_distance_are_near_in_a_chunk(n: int, bits: int) -> None:
    chunks = plan_chunks(n, 128, bits)
    bounds = [place for chunk in chunks for place in (chunk.first, chunk.first + chunk.width)]
    assert bounds == sorted(bounds)  # they share no bit
    assert bounds[-1] <= 128
    # Near in none: at least one more than its radius in each.
    assert sum(chunk.radius + 1 for chunk in chunks) > bits
    assert sum(chunk.probes for chunk in chunks) < n / 4  # fewer than all others


def test_a_chunk_knows_all_keys_within_its_radius() -> None:
    chunk = Chunk(0, 7, 2)
    expected = [key for key in range(2**7) if key.bit_count() <= 2]
    assert sorted(chunk.masks().tolist()) == expected
    assert chunk.probes == len(expected)


def test_thousands_of_codes_are_compared_in_chunks() -> None:
    codes = near_codes(np.random.default_rng(0), 6000, 16, 18)
    assert plan_chunks(len(codes), 128, 18)
    signs = np.unpackbits(codes, axis=1) * 2.0 - 1
    products = signs.astype(np.float32) @ signs.T.astype(np.float32)
    expected = np.argwhere(np.triu(products >= 128 - 2 * 18, 1))
    assert len(expected) > 2000
    assert_connects(near_duplicates_by_hamming(codes, 18), expected, len(codes))


@pytest.mark.parametrize("others", [0, 4000])
def test_a_placeholder_that_was_saved_in_many_ways_has_fewer_pairs_than_items(others: int) -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 256, (others + 3000, 16), dtype=np.uint8)
    like = np.zeros((3000, 128), dtype=np.uint8)
    np.put_along_axis(like, random.integers(0, 128, (3000, 4)), 1, axis=1)
    codes[others:] = np.packbits(like, axis=1)
    codes = codes[random.permutation(len(codes))]
    found = near_duplicates_by_hamming(codes, 18)
    component = connected_components(len(codes), found)
    assert np.bincount(component).max() == 3000
    assert len(found) == 2999


def planted(n: int, columns: int, cosines: NDArray[Any], seed: int = 0) -> NDArray[np.float32]:
    """Random rows of length 1, the last of which have these cosines with the first."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, columns))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    m = len(cosines)
    aside = rows[-m:] - (rows[-m:] * rows[:m]).sum(axis=1, keepdims=True) * rows[:m]
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    rows[-m:] = cosines[:, None] * rows[:m] + np.sqrt(1 - cosines**2)[:, None] * aside
    return rows.astype(np.float32)


def test_many_rows_give_what_all_pairs_give(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(4000, 48, np.linspace(0.8, 1, 500))
    rows[[7, 9]] = np.nan
    rows[11] = 0
    all_pairs = search_by_cosine(rows, 0.9).pairs
    monkeypatch.setattr(cosine, "FEW", 100)
    found = search_by_cosine(rows, 0.9)
    assert len(found.pairs) == len(pairs_of(found.pairs)) > 240
    assert pairs_of(found.pairs) == pairs_of(all_pairs)
    assert found.recall is not None
    assert 10 < found.recall.found == found.recall.pairs


def test_the_expected_share_of_pairs_at_the_threshold_is_found() -> None:
    rows = planted(8000, 256, np.full(3000, 0.9))
    wanted = {(i, 5000 + i) for i in range(3000)}
    for recall in (0.5, 0.9):
        found = wanted & pairs_of(candidate_pairs(rows, 0.9, recall))
        tables = plan_hashing(len(rows), 0.9, recall).tables
        expected = 1 - (1 - simulate_recall(0.9, 2)) ** tables
        assert len(found) / 3000 == pytest.approx(expected, abs=0.03)  # 3 standard deviations
        assert expected >= recall


def test_a_simulated_recall_is_that_of_plain_sorting() -> None:
    random = np.random.default_rng(5)
    one, other = random.normal(size=(2, 20_000, 128))
    other = 0.9 * one + np.sqrt(1 - 0.81) * other
    first, second = (np.argsort(-np.abs(x), axis=1)[:, :3] for x in (one, other))
    signs = [np.take_along_axis(x, top, axis=1) > 0 for x, top in ((one, first), (other, second))]
    tops = [2 * top + sign for top, sign in zip((first, second), signs, strict=True)]
    there = (tops[0][:, :1] == tops[1]).any(axis=1)
    back = (tops[1][:, :1] == tops[0]).any(axis=1)
    assert simulate_recall(0.9, 1) == pytest.approx((there | back).mean(), abs=0.015)


def test_the_strongest_directions_are_those_of_sorting() -> None:
    products = np.random.default_rng(0).normal(size=(50, 2, 128)).astype(np.float32)
    order = np.argsort(-np.abs(products), axis=2)[:, :, :3]
    negative = np.take_along_axis(products, order, axis=2) < 0
    assert strongest(products, 3).tolist() == (2 * order + negative).tolist()


def test_a_recall_counts_the_pairs_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = planted(60, 16, np.full(20, 0.99))
    true = search_by_cosine(rows, 0.9).pairs
    monkeypatch.setattr(cosine, "CHUNK_CELLS", 100)
    assert measure_recall(rows, true[3:], 0.9)[:2] == (len(true) - 3, len(true))
    monkeypatch.setattr(cosine, "SAMPLE", 10)
    some = measure_recall(rows, true, 0.9)
    assert some.found == some.pairs < len(true)
    assert some.rows == 10


@given(SEEDS)
@FEW
def test_rows_are_standardised_block_by_block(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = (random.integers(-8, 9, (random.integers(4, 30), 5)) / 8).astype(np.float32)
    rows[:, 3] = 7
    before, known = rows.copy(), np.ones(len(rows), dtype=bool)
    if len(rows) > 3:
        known[random.integers(0, len(rows), 2)] = False
    rows[~known] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standardised_rows, "BLOCK", 4)
        found = StandardisedRows(rows)
    good = before[known].astype(np.float64)
    spread = np.where(good.std(axis=0) > 0, good.std(axis=0), 1)
    expected = (good - good.mean(axis=0)) / spread
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    if known.sum() > 1:
        np.testing.assert_allclose(found[:][known], expected, atol=1e-3)
    assert np.isnan(found[:][~known]).all()
    np.testing.assert_array_equal(found[np.arange(2)], found[:2])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hashes", "embeddings"])
def test_sixty_thousand_give_what_all_pairs_give(kind: str, tmp_path: Path) -> None:
    """The benchmark fails where a comparison of all pairs finds other ones."""
    program = Path(__file__).parents[2] / "benchmarks" / "near_duplicates.py"
    out = tmp_path / "found.json"
    options = ["--items", "60000", "--kinds", kind, "--folder", tmp_path, "--out", out]
    done = subprocess.run(
        [sys.executable, program, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (search,) = json.loads(out.read_text())["searches"]
    assert search["recall"] == 1
