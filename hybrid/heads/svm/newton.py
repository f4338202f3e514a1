"""Newton's method on the Gram matrix, for SVMs of a few items, each column alone.

The primal objective is quadratic as long as the same items are within their margin, and a step that solves
it for these, with an exact line search, ends after a finite number of steps at the optimum, whatever C and
the columns are (Keerthi and DeCoste, "A Modified Finite Newton Method for Fast Solution of Large Scale
Linear SVMs", JMLR 6, 2005; with a kernel: Chapelle, "Training a Support Vector Machine in the Primal",
Neural Computation 19, 2007). Each takes the solution of as many equations as there are such items, so
that it is for a few hundred at most.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from hybrid.heads.svm.problem import Floats, Group, Problem, Threads, exact_products

STEPS = 100  # it takes about ten


class NewtonDescent:
    """An epoch solves each column; the next one finds that nothing is left to do."""

    exact = exact_products

    def __init__(self, problem: Problem, random: np.random.RandomState) -> None:
        self.problem = problem
        # The steps need no coefficients, so none are stored.
        self.widths: list[int] = []
        self.block = np.zeros(0, dtype=np.int64)
        products = [b.astype(np.float64) @ b.astype(np.float64).T for _, b in problem.matrix.blocks]
        self.grams = np.array([p if isinstance(p, np.ndarray) else p.toarray() for p in products])

    @staticmethod
    def limits() -> AbstractContextManager[Any]:
        """As for `hybrid.heads.svm.row_descent`."""
        return nullcontext()

    @staticmethod
    def width(columns: int) -> int:
        """Most columns of a group."""
        return columns

    def epoch(self, number: int, groups: list[Group], threads: Threads) -> None:
        """Solve all columns, from where they are."""
        problem = self.problem
        for group in groups:
            G = np.tensordot(group.weights**2, self.grams, 1)

            def solve_one(k: int, G: Floats = G) -> None:
                b = problem.B[k]
                used = np.flatnonzero(b)
                Q = b[used, None] * G[np.ix_(used, used)] * b[used]
                a = minimise(Q, np.abs(b[used]), problem.A[k, used])
                problem.A[k, used] = a
                problem.dual[k] = a @ (np.abs(b[used]) - a / 2) - a @ Q @ a / 2

            threads.map(solve_one, group.columns.tolist())


def minimise(Q: Floats, b: Floats, a: Floats) -> Floats:
    """The vector ``a >= 0`` that maximises ``b·a - a·a / 2 - a·Q a / 2``.

    Parameters
    ----------
    Q : ndarray of shape (m, m)
        Positive semi-definite.
    b : ndarray of shape (m,), above 0
    a : ndarray of shape (m,)
        Where to begin.

    Returns
    -------
    ndarray of shape (m,)
    """
    x, slack = a, b - Q @ a
    for _ in range(STEPS):
        inside = slack > 0
        H = Q[np.ix_(inside, inside)] + np.eye(inside.sum())
        target = np.zeros_like(x)
        target[inside] = np.linalg.solve(H, b[inside])
        aimed = b - Q @ target
        if ((aimed > 0) == inside).all():
            return np.maximum(target, 0)
        fall = slack - aimed
        step = _line_search(slack, aimed, float(x @ fall), float((target - x) @ fall))
        x, slack = x + step * (target - x), slack + step * (aimed - slack)
    return np.maximum(slack, 0)


def _line_search(slack: Floats, aimed: Floats, slope: float, curvature: float) -> float:
    """The t in [0, 1] with the least ``t slope + t² curvature / 2 + sum max(0, slack_t)² / 2``.

    ``slack_t`` goes from `slack` to `aimed` as t goes from 0 to 1. The derivative grows, and is linear
    between the points where a slack is 0.
    """
    change = aimed - slack
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = -slack / change
    t = np.unique(np.concatenate([[0.0, 1.0], crossings[(crossings > 0) & (crossings < 1)]]))
    ahead = np.maximum(0, slack + t[:, None] * change)
    derivative = slope + t * curvature + ahead @ change
    if derivative[-1] <= 0:
        return 1.0
    i = max(int(np.searchsorted(derivative, 0)), 1)
    low, high = derivative[i - 1], derivative[i]
    return float(t[i - 1] + (t[i] - t[i - 1]) * min(max(-low / (high - low), 0), 1))
