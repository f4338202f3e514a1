"""Units of rows, and what is computed of one: margins, gradients, products with the Hessian, line searches.

A unit is a fixed run of rows, whoever holds it. What units give is added along a fixed tree, so that the
result does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.features.fusion_matrix import FusionMatrix

Floats = NDArray[np.float64]
ROWS = 16_384  # of a unit: 128 MiB of 2,048 numbers
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Unit:
    """Some rows in memory.

    Parameters
    ----------
    matrix : FusionMatrix of shape (m, d)
    signed : ndarray of shape (K, m), float64
        The signed matrix B of `hybrid.heads.out_of_core.losses`.
    hinge : bool
        The squared hinge; else the logistic loss.
    """

    matrix: FusionMatrix
    signed: Floats
    hinge: bool


class Slopes(NamedTuple):
    """Sums over the rows of a unit, or of several.

    Parameters
    ----------
    loss, dual : ndarray of shape (K,)
        Of the losses, and of the dual objective without its ``|w|² / 2``, at the dual point of the margins.
    vector : ndarray of shape (d, K)
        ``sum v_i x_i``: the coefficients that the dual point stands for; the gradient is w minus that.
    """

    loss: Floats
    dual: Floats
    vector: Floats


def margins(unit: Unit, W: Floats) -> Floats:
    """``X W`` of shape (m, K); W of shape (d, K)."""
    with threadpool_limits(1):
        return np.asarray(unit.matrix.times(W, 1), dtype=np.float64)


def step_margins(Z: Floats, change: Floats, length: Floats) -> Floats:
    """Margins after a step of each column."""
    return Z + change * length


def slopes(unit: Unit, Z: Floats) -> Slopes:
    """Losses and gradient at margins of shape (m, K)."""
    B, Z = unit.signed, Z.T
    if unit.hinge:
        slack = np.maximum(0, np.abs(B) - B * Z)
        loss, V = np.einsum("kn,kn->k", slack, slack) / 2, B * slack
        dual = np.einsum("kn,kn->k", slack, np.abs(B)) - loss
    else:
        wrong, size = expit(-np.sign(B) * Z), np.abs(B)
        loss, V = np.einsum("kn,kn->k", size, np.logaddexp(0, -np.sign(B) * Z)), B * wrong
        dual = np.einsum("kn,kn->k", size, entr(wrong) + entr(1 - wrong))
    with threadpool_limits(1):
        return Slopes(loss, dual, np.asarray(unit.matrix.T @ np.ascontiguousarray(V.T)))


def curvature(unit: Unit, Z: Floats, P: NDArray[np.float32]) -> NDArray[np.float32]:
    """``X' D X P`` of shape (d, K) at margins Z; D is the second derivative of the loss.

    In single precision, which halves what travels: it only says where to go, and the gradient says where
    that led.
    """
    B, Z = unit.signed, Z.T
    if unit.hinge:
        D = np.where(np.abs(B) > B * Z, B**2, 0.0)
    else:
        wrong = expit(-np.sign(B) * Z)
        D = np.abs(B) * wrong * (1 - wrong)
    with threadpool_limits(1):
        product = unit.matrix.times(P, 1)
        return np.asarray(unit.matrix.T @ (product * D.T).astype(product.dtype), dtype=np.float32)


def losses(unit: Unit, Z: Floats, change: Floats, lengths: Floats) -> Floats:
    """Losses after steps of several lengths along `change`, shape (number of lengths, K)."""
    B, found = unit.signed, []
    for length in lengths:
        at = (Z + length * change).T
        if unit.hinge:
            slack = np.maximum(0, np.abs(B) - B * at)
            found.append(np.einsum("kn,kn->k", slack, slack) / 2)
        else:
            found.append(np.einsum("kn,kn->k", np.abs(B), np.logaddexp(0, -np.sign(B) * at)))
    return np.array(found)


def add(first: Any, second: Any) -> Any:
    """The sum of two arrays, or of two `Slopes`."""
    if isinstance(first, Slopes):
        return Slopes(*map(np.add, first, second))
    return first + second


def add_up(parts: Sequence[T], add: Callable[[T, T], T]) -> T:
    """The sum of some parts along a tree that their number alone decides.

    Examples
    --------
    >>> add_up(["a", "b", "c"], lambda x, y: f"({x}{y})")
    '((ab)c)'
    """
    parts = list(parts)
    while len(parts) > 1:
        pairs = [add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]
