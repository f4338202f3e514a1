"""The losses of the solver of rows on disk: squared hinge and logistic, each with its dual.

Both are given to the solver as a signed matrix B of shape (K, n): the sign is the item's label, 0 leaves
the item out. With dual variables a, the coefficients are ``w = sum_i v(B_i, a_i) x_i``, and

    squared hinge, |B| = sqrt(2 C c):  P = |w|²/2 + sum max(0, |B| - B w·x)² / 2,          v = B a,
                                       D = sum |B| a - a²/2 - |w|²/2,                      a >= 0;
    logistic, |B| = C c:               P = |w|²/2 + sum |B| log(1 + exp(-sign(B) w·x)),    v = sign(B) a,
                                       D = sum |B| H(a / |B|) - |w|²/2,                    0 <= a <= |B|,

H(p) being the entropy ``-p log p - (1 - p) log(1 - p)`` (Yu, Huang and Lin, "Dual coordinate descent
methods for logistic regression and maximum entropy models", Machine Learning 85, 2011).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from hybrid.heads.svm.block_descent import SWEEPS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LOGISTIC_SWEEPS = 2


@dataclass(frozen=True, eq=False)
class SignedItems:
    """The signed matrix B, made row by row of labels and weights, since it would take 8 bytes a number.

    Parameters
    ----------
    labels : ndarray of shape (n, K)
        Not 0 where the item has the label.
    weight : ndarray of shape (n,)
        Of the items, from 0.
    factors : ndarray of shape (2, K)
        What an item without, and one with, the label weighs, times C; 0 for a label that is not learnt.

    Examples
    --------
    >>> items = SignedItems(np.array([[True], [False]]), np.ones(2), np.array([[0.5], [2.0]]))
    >>> items.take(np.array([1, 0])).tolist()
    [[-0.5, 2.0]]
    """

    labels: NDArray[Any]
    weight: Floats
    factors: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """K and n."""
        return self.labels.shape[1], self.labels.shape[0]

    def take(self, rows: Any, columns: Any = slice(None)) -> Floats:
        """``sign * weight * factor`` of some items and labels: (their number, number of rows), float64."""
        has = self.labels[rows][:, columns].T != 0
        without, present = self.factors[:, columns]
        return self.weight[rows] * np.where(has, present[:, None], -without[:, None])


class Loss(ABC):
    """A loss and its dual; see the module's docstring."""

    momentum: bool  # whether dual variables may be extrapolated

    def __init__(self, items: SignedItems) -> None:
        self.items = items

    @abstractmethod
    def signed(self, rows: Any, columns: Any = slice(None)) -> Floats:
        """B of some columns and rows, float64."""

    @abstractmethod
    def sweep(self, G: Any, Z: Any, B: Floats, rows: NDArray[np.int64], A: Floats, D: Any) -> None:
        """Coordinate steps on the block `rows`, for all columns of `B` and `A` (K, S).

        G (m, m) is the block's Gram matrix and Z (m, K) its margins. A changes in place; D gets the change
        of ``v``.
        """

    @abstractmethod
    def vectors(self, B: Floats, A: Floats) -> Floats:
        """``v(B, A)``."""

    @abstractmethod
    def primal(self, B: Floats, Z: Floats) -> Floats:
        """Sum of the losses of each column (K,), from the margins Z (m, K)."""

    @abstractmethod
    def dual(self, B: Floats, A: Floats) -> Floats:
        """The dual objective of each column (K,) without its ``|w|²/2``."""


class SquaredHinge(Loss):
    """Squared hinge, the loss of `MultilabelLinearSVC`."""

    momentum = True

    def signed(self, rows: Any, columns: Any = slice(None)) -> Floats:
        """``y sqrt(2 C c)``."""
        B = self.items.take(rows, columns)
        return np.copysign(np.sqrt(2 * np.abs(B)), B)

    def sweep(self, G: Any, Z: Any, B: Floats, rows: NDArray[np.int64], A: Floats, D: Any) -> None:
        """As in the descent in memory."""
        from hybrid.heads.svm import descent_loops as kernels

        K = len(B)
        kernels.sweep(G, Z, B, rows, np.arange(K), 0, K, *SWEEPS, A, D, np.zeros(K))

    def vectors(self, B: Floats, A: Floats) -> Floats:
        """``B a``."""
        return B * A

    def primal(self, B: Floats, Z: Floats) -> Floats:
        """``sum max(0, |B| - B z)² / 2``."""
        slack = np.maximum(0, np.abs(B) - B * Z.T)
        return np.asarray(np.einsum("kn,kn->k", slack, slack) / 2)

    def dual(self, B: Floats, A: Floats) -> Floats:
        """``sum |B| a - a² / 2``."""
        return np.asarray(np.einsum("kn,kn->k", A, np.abs(B) - A / 2))


class Logistic(Loss):
    """Logistic loss, that of `MultilabelLogistic`."""

    momentum = False  # extrapolated variables would leave their range

    def signed(self, rows: Any, columns: Any = slice(None)) -> Floats:
        """``y C c``."""
        return self.items.take(rows, columns)

    def sweep(self, G: Any, Z: Any, B: Floats, rows: NDArray[np.int64], A: Floats, D: Any) -> None:
        """A step solves the problem of one variable by Newton's method."""
        from hybrid.heads.out_of_core.loops import sweep_logistic

        sweep_logistic(G, Z, B, rows, LOGISTIC_SWEEPS, A, D)

    def vectors(self, B: Floats, A: Floats) -> Floats:
        """``sign(B) a``."""
        return np.asarray(np.sign(B) * A)

    def primal(self, B: Floats, Z: Floats) -> Floats:
        """``sum |B| log(1 + exp(-sign(B) z))``."""
        losses = np.logaddexp(0, -np.sign(B) * Z.T)
        return np.asarray(np.einsum("kn,kn->k", np.abs(B), losses))

    def dual(self, B: Floats, A: Floats) -> Floats:
        """``sum |B| H(a / |B|)``."""
        most = np.abs(B)
        share = np.divide(A, most, out=np.zeros_like(most), where=most > 0).clip(0, 1)
        return np.asarray(np.einsum("kn,kn->k", most, entr(share) + entr(1 - share)))
