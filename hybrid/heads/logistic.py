"""Logistic regressions of all genres at once, by L-BFGS with a certified duality gap."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit
from sklearn.exceptions import ConvergenceWarning

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead, balanced_weights
from hybrid.heads.out_of_core.losses import Logistic, SignedItems
from hybrid.heads.svm.base import with_ones

Floats = NDArray[np.float64]
MEMORY = 8  # pairs of steps that L-BFGS keeps
NEWTON = 2  # steps of the search along a direction
STRETCH = 10.0  # most that one of them may change the step's length


class MultilabelLogistic(FusionHead):
    """Multi-label logistic regression: one a genre, all fitted together.

    Each genre has the objective of ``LogisticRegression(solver="liblinear")``:
    ``|w|²/2 + C sum_i c_i log(1 + exp(-y_i w·x_i))``, the intercept being the (regularised) weight
    of a column of ones.

    Parameters
    ----------
    C : float, default=1.0
        Weight of the loss, above 0.
    class_weight : None or "balanced", default=None
    tol : float, default=0.01
        A genre has converged when its duality gap, relative to its objective, is at most that.
    max_iter : int, default=300

    Attributes
    ----------
    coef_ : ndarray of shape (L, columns), float64
    intercept_ : ndarray of shape (L,), float64
    dual_gap_ : ndarray of shape (L,), float64
    n_iter_ : int

    Notes
    -----
    L-BFGS (Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", 1980). All its vectors are
    combinations of the rows, so it keeps their n coefficients and their products with the rows
    instead of the columns, of which there are many more; an iteration costs two products with the
    fusion, for all genres together. The gap is that of the dual point ``a_i = C c_i p_i``, p_i being
    the probability of the wrong answer (Yu, Huang and Lin, "Dual coordinate descent methods for logistic
    regression and maximum entropy models", 2011).

    A fusion with blocks on disk is fitted by their method instead, block by block of rows
    (`hybrid.heads.out_of_core`): the same objective and gap; `n_iter_` counts passes over the rows, which
    come in an order that is the same each time.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2], [0.9]])])
    >>> head = MultilabelLogistic(C=10.0).fit(matrix, [[0], [1], [0], [1]])
    >>> head.predict(matrix).ravel().tolist(), bool(head.dual_gap_[0] <= 0.01)
    ([0, 1, 0, 1], True)
    """

    reads_rows = True

    def __init__(
        self,
        C: float = 1.0,
        *,
        class_weight: str | None = None,
        tol: float = 0.01,
        max_iter: int = 300,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        self._check()
        if matrix.is_lazy:
            self._fit_from_disk(matrix, truth, weight)
            return
        weights = balanced_weights(truth, weight)
        if self.class_weight is None:
            weights = (weights > 0).astype(np.float64)
        if weight is not None:
            weights = weights * weight[:, None]
        a, self.dual_gap_, self.n_iter_ = _minimise(
            matrix, np.where(truth, 1.0, -1.0), self.C * weights, self.tol, self.max_iter
        )
        self._warn()
        self.coef_ = np.ascontiguousarray((matrix.T @ a).T, dtype=np.float64)
        self.intercept_ = a.sum(axis=0)

    def _fit_from_disk(self, matrix: FusionMatrix, truth: Any, weight: Floats | None) -> None:
        """Dual coordinate descent: in memory are some rows, the dual variables, and the coefficients."""
        from hybrid.heads.out_of_core.solver import solve_from_disk

        each = np.ones(len(truth)) if weight is None else weight
        present, n = each @ truth, each.sum()
        factors = np.ones((2, truth.shape[1]))
        if self.class_weight is not None:
            counts = np.stack([n - present, present])
            factors = n / (2 * np.maximum(counts, 1))
        factors[:, (present <= 0) | (present >= n)] = 0
        found = solve_from_disk(
            with_ones(matrix),
            Logistic(SignedItems(truth, each, self.C * factors)),
            tol=self.tol,
            max_iter=self.max_iter,
            n_jobs=-1,
            random_state=0,
        )
        self.dual_gap_, self.n_iter_ = found.gap, int(found.n_iter.max(initial=0))
        self._warn()
        self.coef_, self.intercept_ = found.coef[:, :-1].copy(), found.coef[:, -1].copy()

    def _warn(self) -> None:
        """Warn of genres that have not converged."""
        if (self.dual_gap_ > self.tol).any():
            warnings.warn(
                f"logistic: a genre has a duality gap of {self.dual_gap_.max():.2g}, above tol="
                f"{self.tol:g}. Raise max_iter (now {self.max_iter}) or lower C.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _score(self, matrix: FusionMatrix) -> Floats:
        return matrix @ self.coef_.T + self.intercept_

    def _check(self) -> None:
        problems = [
            f"{name}: expected a number above 0, found {getattr(self, name)!r}."
            for name in ("C", "tol", "max_iter")
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0)
        ]
        if self.class_weight not in (None, "balanced"):
            problems.append(
                f"class_weight: expected None or 'balanced', found {self.class_weight!r}."
            )
        if problems:
            raise SettingError("\n".join(problems))


def _minimise(
    matrix: FusionMatrix, signs: Floats, c: Floats, tol: float, max_iter: int
) -> tuple[Floats, Floats, int]:
    """L-BFGS on ``w = X.T a``: a of shape (n, L), the relative gaps, the iterations.

    A vector of it is a pair: coefficients of shape (n, L), and their products with all rows.
    """
    a = Ka = np.zeros_like(c)
    pairs: list[tuple[Floats, ...]] = []
    before: tuple[Floats, ...] | None = None  # the last step, and the gradient that it left
    gap, iteration = np.ones(c.shape[1]), 0
    for iteration in range(max_iter + 1):
        wrong = expit(-signs * Ka)
        r = c * signs * wrong
        Kr = _product(matrix, r)
        objective = _dot(a, Ka) / 2 + (c * np.logaddexp(0, -signs * Ka)).sum(axis=0)
        dual = (c * (entr(wrong) + entr(1 - wrong))).sum(axis=0) - _dot(r, Kr) / 2
        gap = (objective - dual) / np.maximum(objective, 1e-300)
        if (gap <= tol).all() or iteration == max_iter:
            break
        g, Kg = a - r, Ka - Kr
        if before is not None:
            s, Ks, g_before, Kg_before = before
            pairs = [*pairs[1 - MEMORY :], (s, Ks, g - g_before, Kg - Kg_before)]
        p, Kp = _direction(g, Kg, pairs)
        t = _search(signs, c, Ka, Kp, _dot(a, Kp), _dot(p, Kp))
        a, Ka = a + t * p, Ka + t * Kp
        before = (t * p, t * Kp, g, Kg)
    return a, gap, iteration


def _product(matrix: FusionMatrix, v: Floats) -> Floats:
    """``(X X.T + 1) v``, in the precision of the fusion."""
    narrow = v.astype(matrix.dtype, copy=False)
    return np.asarray(matrix @ (matrix.T @ narrow) + v.sum(axis=0), dtype=np.float64)


def _direction(g: Floats, Kg: Floats, pairs: list[tuple[Floats, ...]]) -> tuple[Floats, Floats]:
    """Two-loop recursion: minus the gradient times the inverse Hessian of the pairs."""
    q, Kq, steps = -g, -Kg, []
    for s, Ks, y, Ky in reversed(pairs):
        rho = _inverse(_dot(s, Ky))
        alpha = rho * _dot(s, Kq)
        steps.append((s, Ks, y, rho, alpha))
        q, Kq = q - alpha * y, Kq - alpha * Ky
    if pairs:
        s, _, y, Ky = pairs[-1]
        scale = np.where(_dot(s, Ky) > 0, _dot(s, Ky) * _inverse(_dot(y, Ky)), 1.0)
        q, Kq = scale * q, scale * Kq
    for s, Ks, y, rho, alpha in reversed(steps):
        gain = alpha - rho * _dot(y, Kq)
        q, Kq = q + gain * s, Kq + gain * Ks
    return q, Kq


def _search(signs: Floats, c: Floats, Ka: Floats, Kp: Floats, ap: Floats, pp: Floats) -> Floats:
    """Step of each genre along its direction: along a line, the objective needs only the margins."""
    t = np.ones(len(ap))
    for _ in range(NEWTON):
        wrong = expit(-signs * (Ka + t * Kp))
        slope = ap + t * pp - _dot(c * signs * wrong, Kp)
        bend = pp + _dot(c * wrong * (1 - wrong), Kp**2)
        t = np.clip(t - slope * _inverse(bend), t / STRETCH, t * STRETCH)
    return t


def _dot(u: Floats, v: Floats) -> Floats:
    """Products of the columns, shape (L,)."""
    return np.einsum("ij,ij->j", u, v)


def _inverse(x: Floats) -> Floats:
    """``1 / x``; 0 where x is not above 0."""
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)
