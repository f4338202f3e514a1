"""What the descent by blocks is made of: pieces of the features, threads that wait, momentum."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import MultilabelLinearSVC
from hybrid.heads.svm import solver as dual
from hybrid.heads.svm.column_slices import FREQUENT, cut
from hybrid.heads.svm.momentum import next_momentum
from hybrid.heads.svm.problem import Threads


def draw(kind: str, n: int, width: int, seed: int) -> Any:
    """Features of whole numbers: products of these are exact in any order."""
    random = np.random.default_rng(seed)
    shares = random.random(width) ** 3  # some columns are frequent, most are rare
    X = random.integers(-3, 4, (n, width)) * (random.random((n, width)) < shares)
    return sparse.csr_matrix(X.astype(np.float32)) if kind == "sparse" else X.astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(["dense", "sparse"]),
    n=st.integers(1, 90),
    width=st.integers(0, 150),
    count=st.integers(1, 9),
    seed=st.integers(0, 10**6),
)
def test_pieces_together_are_the_block(
    kind: str, n: int, width: int, count: int, seed: int
) -> None:
    block = draw(kind, n, width, seed)
    X = block.toarray() if kind == "sparse" else block
    random = np.random.default_rng(seed + 1)
    rows = random.permutation(n)[: random.integers(1, n + 1)]
    U = random.integers(-3, 4, (width, 3)).astype(np.float32)
    D = random.integers(-3, 4, (len(rows), 3)).astype(np.float32)

    pieces = cut(block, np.dtype(np.float32), count)
    assert min(width, 1) <= len(pieces) <= count
    bounds = np.cumsum([0, *(piece.width for piece in pieces)])
    assert bounds[-1] == width
    Z, W, G = np.zeros_like(D), np.zeros_like(U), np.zeros((len(rows), len(rows)), np.float32)
    for piece, start, stop in zip(pieces, bounds[:-1], bounds[1:], strict=True):
        part = piece.take(rows)
        part.add_product(U[start:stop], Z)
        part.add_transposed(D, W[start:stop])
        part.add_gram(2.0, G)
        whole = X[:, start:stop].astype(float)
        np.testing.assert_array_equal(piece.transposed(X.astype(float)), whole.T @ X)
    np.testing.assert_array_equal(Z, X[rows] @ U)
    np.testing.assert_array_equal(W, X[rows].T @ D)
    np.testing.assert_array_equal(G, 2 * X[rows] @ X[rows].T)


def test_pieces_of_sparse_features_have_about_as_many_entries() -> None:
    block = draw("sparse", 400, 900, 0)
    sizes = [(p.stops - p.starts).sum() for p in cut(block, np.dtype(np.float32), 8)]  # type: ignore[attr-defined]
    assert len(sizes) == 8
    assert sum(sizes) == block.nnz
    assert max(sizes) <= block.nnz / 8 + 400  # a column is not cut


def test_a_gram_matrix_of_frequent_and_rare_columns() -> None:
    counts = [FREQUENT - 1, FREQUENT, FREQUENT + 1, 1, 0]
    X = np.zeros((40, len(counts)), np.float32)
    for column, count in enumerate(counts):
        X[:count, column] = column + 2
    G = np.zeros((40, 40), np.float32)
    [piece] = cut(sparse.csr_matrix(X), np.dtype(np.float32), 1)
    piece.take(np.arange(40)).add_gram(1.0, G)
    np.testing.assert_array_equal(G, X @ X.T)


def test_exact_products_are_those_of_the_numbers_as_given() -> None:
    X = sparse.csr_matrix(np.array([[0.1, 0.0], [0.0, 1 / 3]]))
    found = np.zeros((2, 1))
    for piece in cut(X, np.dtype(np.float32), 2):
        piece.take(np.arange(2), exact=True).add_product(np.ones((1, 1)), found)
    np.testing.assert_array_equal(found, [[0.1], [1 / 3]])


# Threads


def test_threads_meet_where_they_wait() -> None:
    seen: list[tuple[str, int]] = []

    def call(worker: int, wait: Callable[[], object]) -> None:
        for turn in ("first", "second"):
            seen.append((turn, worker))
            wait()

    with Threads(3) as threads:
        threads.together(call, 3)
    assert {worker for _, worker in seen[:3]} == {0, 1, 2}
    assert [turn for turn, _ in seen] == ["first"] * 3 + ["second"] * 3


@pytest.mark.parametrize("broken", [0, 2])
def test_an_error_in_one_thread_ends_all_and_is_raised(broken: int) -> None:
    def call(worker: int, wait: Callable[[], object]) -> None:
        wait()
        if worker == broken:
            raise ZeroDivisionError(f"in thread {worker}")
        wait()

    with Threads(3) as threads, pytest.raises(ZeroDivisionError, match=f"in thread {broken}"):
        threads.together(call, 3)


def test_one_thread_is_the_callers_own() -> None:
    seen = []
    with Threads(1) as threads:
        threads.together(lambda worker, wait: seen.append((worker, wait())), 1)
        threads.map(lambda item: seen.append(threading.current_thread()), [1])
    assert seen == [(0, None), threading.main_thread()]


# Momentum


@pytest.mark.parametrize("momentum", [0.0, 0.2, 0.35])
def test_what_an_epoch_gained_tells_the_best_momentum(momentum: float) -> None:
    eigenvalue = 0.8
    roots = np.roots([1, -eigenvalue * (1 + momentum), eigenvalue * momentum])
    found = next_momentum(np.array([momentum]), np.array([max(roots) ** 2]), np.ones(1))
    best = (1 - np.sqrt(0.2)) / (1 + np.sqrt(0.2))
    assert found[0] == pytest.approx(best)
    # With it both roots are the same, so the larger can be no less.
    assert np.roots([1, -eigenvalue * (1 + best), eigenvalue * best]) == pytest.approx(
        1 - np.sqrt(0.2)
    )


def test_errors_shrink_faster_with_momentum() -> None:
    eigenvalues = np.array([0.05, 0.4, 0.95])
    last, now = np.ones(3), eigenvalues.copy()
    momentum, before = np.zeros(1), np.zeros(1)
    for _ in range(60):
        growth = np.array([last @ last - now @ now])
        momentum = next_momentum(momentum, growth, before)
        last, now, before = now, eigenvalues * (now + momentum * (now - last)), growth
    assert abs(now).max() < 0.95**120


def test_momentum_is_zero_where_the_dual_did_not_grow() -> None:
    found = next_momentum(np.array([0.0, 0.4, 0.4]), np.array([0.1, 0.1, -0.1]), np.ones(3))
    assert found[0] > 0
    assert found[1] == 0.4  # faster than any error that it suits
    assert found[2] == 0


def test_momentum_saves_epochs_where_there_are_near_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    X = np.repeat(random.standard_normal((60, 40)), 15, axis=0)
    X += 0.1 * random.standard_normal(X.shape)
    Y = np.repeat(random.integers(0, 2, (60, 6)), 15, axis=0)
    matrix = FusionMatrix.from_blocks([X])
    model = MultilabelLinearSVC(random_state=0)
    found = model.fit(matrix, Y)
    epochs, coef = found.n_iter_.copy(), found.coef_.copy()
    monkeypatch.setattr(dual, "next_momentum", lambda momentum, *_: momentum)
    without = model.fit(matrix, Y)
    assert epochs.mean() < 0.5 * without.n_iter_.mean()
    np.testing.assert_allclose(coef, without.coef_, atol=0.05 * abs(coef).max())
