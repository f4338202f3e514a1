"""The SVMs of a few items by Newton's method, against scipy's NNLS and its search along a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar, nnls
from sklearn.svm import LinearSVC

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import MultilabelLinearSVC
from hybrid.heads.svm.newton import _line_search, minimise


@settings(deadline=None, max_examples=60)
@given(
    m=st.integers(1, 60),
    d=st.integers(1, 20),
    scale=st.floats(0.01, 300),
    offset=st.sampled_from([0.0, 1.0, 100.0]),
    seed=st.integers(0, 10**6),
)
def test_it_solves_what_nnls_solves(m: int, d: int, scale: float, offset: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (m, 1))
    X = signs * scale * (offset + random.standard_normal((m, d)))
    b = random.uniform(0.1, 3, m)
    found = minimise(X @ X.T, b, np.maximum(random.standard_normal(m), 0))
    # max b.a - a.a/2 - |X'a|^2/2 is to fit [I; X'] a to [b; 0].
    expected, _ = nnls(
        np.vstack([np.eye(m), X.T]), np.concatenate([b, np.zeros(d)]), maxiter=10_000
    )

    def value(a: np.ndarray) -> float:
        return float(b @ a - a @ a / 2 - np.square(X.T @ a).sum() / 2)

    assert (found >= 0).all()
    assert value(found) == pytest.approx(value(expected), rel=1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-4 * b.max())


@pytest.mark.parametrize("seed", range(20))
def test_the_line_search_finds_the_least(seed: int) -> None:
    random = np.random.default_rng(seed)
    slack, aimed = random.standard_normal((2, 30))
    slope, curvature = random.normal(0, 20), random.uniform(0, 30)

    def objective(t: float) -> float:
        ahead = np.maximum(0, slack + t * (aimed - slack))
        return float(t * slope + t * t * curvature / 2 + ahead @ ahead / 2)

    found = _line_search(slack, aimed, slope, curvature)
    expected = minimize_scalar(objective, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    assert 0 <= found <= 1
    assert objective(found) <= expected.fun + 1e-9


@pytest.mark.parametrize("C", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_few_items_are_solved_to_the_last_digits(C: float, offset: float) -> None:
    random = np.random.default_rng(1)
    X = offset + random.standard_normal((200, 8))
    Y = (X[:, :3] - offset + random.standard_normal((200, 3)) > 0).astype(int)
    model = MultilabelLinearSVC(C=C, tol=1e-12).fit(FusionMatrix.from_blocks([X]), Y)
    assert model.dual_gap_.max() <= 1e-12
    assert model.n_iter_.max() == 2
    if not offset:
        for coef, y in zip(model.coef_, Y.T, strict=True):
            plain = LinearSVC(C=C, tol=1e-10, dual=False, max_iter=10_000).fit(X, y)
            np.testing.assert_allclose(coef, plain.coef_[0], atol=1e-5)
