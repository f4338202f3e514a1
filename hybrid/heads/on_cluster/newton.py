"""Newton's method for linear heads whose rows are elsewhere: only matrices of columns x labels come back.

Each step solves ``(1 + X' D X) s = -gradient`` by conjugate gradients, all labels side by side, to a tenth of
the gradient at first and closer later (Lin, Weng and Keerthi, "Trust region Newton method for large-scale
logistic regression", JMLR 9, 2008; Keerthi and DeCoste, "A modified finite Newton method for fast solution
of large scale linear SVMs", JMLR 6, 2005), and is shortened until the objective falls as it should (Armijo).
The objectives are those of `hybrid.heads.out_of_core`. The gap ``(P - D) / P`` costs nothing: the gradient of
the primal objective has the coefficients of a dual point in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.heads.on_cluster.units import Slopes
from hybrid.heads.svm.solver import Solution

Floats = NDArray[np.float64]
TINY = 1e-300
FORCING = 0.1  # of the gradient that the first step may leave
CG_STEPS = 60  # at most, of one Newton step
HALVINGS = 12  # of a step that does not help enough
ENOUGH = 1e-4  # of the fall that the slope promises


class Rows(ABC):
    """The rows, wherever they are; they remember their margins, and those of the direction searched along.

    Attributes
    ----------
    shape : tuple of int
        d and K.
    """

    shape: tuple[int, int]

    @abstractmethod
    def slopes(self) -> Slopes:
        """Losses and gradient at the margins; at first these are 0."""

    @abstractmethod
    def curvature(self, P: Floats) -> NDArray[Any]:
        """``X' D X P`` at the margins."""

    @abstractmethod
    def along(self, S: Floats, lengths: Floats) -> Floats:
        """Losses at steps of some lengths along S, shape (number of lengths, K)."""

    @abstractmethod
    def step(self, lengths: Floats) -> None:
        """Take a step of each column along the last S."""


def minimise(
    rows: Rows,
    *,
    tol: float = 1e-3,
    max_iter: int = 100,
    tell: Callable[[int, Floats], None] = lambda number, gap: None,
) -> Solution:
    """Fit one linear classifier for each of K columns.

    Parameters
    ----------
    rows : Rows
    tol : float, default=1e-3
        A column is done when ``(P - D) / P <= tol``.
    max_iter : int, default=100
        Most Newton steps.
    tell : callable, optional
        Called with the number of each step and the gaps before it.

    Returns
    -------
    Solution
    """
    W = np.zeros(rows.shape)
    n_iter = np.zeros(rows.shape[1], dtype=np.int64)
    for number in range(max_iter + 1):
        found = rows.slopes()
        primal = _half_squares(W) + found.loss
        dual = found.dual - _half_squares(found.vector)
        gap = np.maximum(primal - dual, 0) / np.maximum(primal, TINY)
        tell(number, gap)
        left = gap > tol
        if not left.any() or number == max_iter:
            break
        gradient = np.where(left, W - found.vector, 0.0)
        S = _conjugate_gradients(rows, gradient, min(FORCING, float(np.sqrt(gap[left].max()))))
        length = _search(rows, W, S, primal, np.einsum("dk,dk->k", gradient, S))
        rows.step(length)
        W = W + length * S
        n_iter[left] = number + 1
    return Solution(np.ascontiguousarray(W.T), gap, n_iter)


def _conjugate_gradients(rows: Rows, gradient: Floats, forcing: float) -> Floats:
    """``S`` with ``(1 + X' D X) S = -gradient``, up to `forcing` of the gradient's length."""
    S, R = np.zeros_like(gradient), -gradient
    P, square = R, np.einsum("dk,dk->k", R, R)
    enough = forcing**2 * square
    for _ in range(CG_STEPS):
        going = square > enough
        if not going.any():
            break
        HP = P + rows.curvature(P)
        bend = np.einsum("dk,dk->k", P, HP)
        t = np.where(going, square / np.maximum(bend, TINY), 0.0)
        S, R = S + t * P, R - t * HP
        now = np.where(going, np.einsum("dk,dk->k", R, R), square)
        P = np.where(going, R + now / np.maximum(square, TINY) * P, P)
        square = now
    return S


def _search(rows: Rows, W: Floats, S: Floats, primal: Floats, slope: Floats) -> Floats:
    """For each column the longest of 1, 1/2, 1/4 … after which the objective falls enough; 0 if none does."""
    lengths: Floats = 0.5 ** np.arange(HALVINGS, dtype=np.float64)
    ws, ss = np.einsum("dk,dk->k", W, S), np.einsum("dk,dk->k", S, S)
    quadratic = _half_squares(W) + lengths[:, None] * ws + lengths[:, None] ** 2 * ss / 2
    reached = quadratic + rows.along(S, lengths)
    helps = reached <= primal + ENOUGH * lengths[:, None] * slope
    return np.where(helps.any(axis=0), lengths[helps.argmax(axis=0)], 0.0)


def _half_squares(W: Floats) -> Floats:
    """``|w|² / 2`` of each column."""
    return np.asarray(np.einsum("dk,dk->k", W, W) / 2)
