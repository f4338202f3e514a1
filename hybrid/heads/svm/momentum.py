"""Nesterov momentum of the dual descent: how far to extrapolate in the direction of the last epoch.

An epoch of descent is, near the optimum, a linear map: the part of the error along its eigenvector of
eigenvalue λ, in [0, 1), shrinks by λ. Begun not where the last epoch ended, but beyond by ``m`` times what
that epoch changed, errors follow ``e'' = λ ((1 + m) e' - m e)``, and so shrink by the larger root r of

    r² = λ (1 + m) r - λ m.

It is least for the slowest λ with ``m = (1 - s) / (1 + s), s = sqrt(1 - λ)``, and then ``1 - s`` instead of λ
(the momentum of Nesterov's method; see O'Donoghue and Candès, "Adaptive Restart for Accelerated Gradient
Schemes", Foundations of Computational Mathematics 15, 2015). λ is not known, but follows from the observed r.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# As slow an epoch may seem; rows come in random order, so that it seems slower by chance.
SLOWEST = 0.95


def next_momentum(momentum: Floats, growth: Floats, before: Floats) -> Floats:
    """Momentum for the next epoch.

    Parameters
    ----------
    momentum : ndarray of shape (K,)
        That of the last epoch, from 0.
    growth, before : ndarray of shape (K,)
        What the dual objective grew in the last epoch and in the one before; the error's square shrinks as
        this does.

    Returns
    -------
    ndarray of shape (K,)
        At least `momentum`, below 1; but 0 for a column whose dual did not grow.
    """
    known = (growth > 0) & (before > 0)
    r = np.sqrt(np.divide(growth, before, out=np.zeros_like(growth), where=known).clip(0, SLOWEST))
    real = r > 2 * momentum / (1 + momentum)  # else r is complex, as m is too large for any such λ
    below = np.where(real, (1 + momentum) * r - momentum, 1)
    slowest = np.where(real, r**2 / below, 0).clip(0, SLOWEST)
    s = np.sqrt(1 - slowest)
    return np.where(growth > 0, np.maximum(momentum, (1 - s) / (1 + s)), 0)
