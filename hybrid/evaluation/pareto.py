"""Pareto front of value against cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError


def pareto_front(cost: ArrayLike, value: ArrayLike) -> NDArray[np.bool_]:
    """Pareto-optimal mask: the models that no other one dominates.

    A model dominates another if it costs no more, is worth no less, and is better in one of the two.

    Parameters
    ----------
    cost : array-like of shape (n,)
        Lower is better; NaN (not known) is never on the front.
    value : array-like of shape (n,)
        Higher is better; NaN is never on the front.

    Returns
    -------
    ndarray of shape (n,), bool

    Raises
    ------
    SettingError
        If shapes differ.

    Examples
    --------
    >>> pareto_front(cost=[1.0, 2.0, 3.0], value=[0.5, 0.7, 0.6]).tolist()
    [True, True, False]
    """
    costs, values = np.asarray(cost, np.float64), np.asarray(value, np.float64)
    if costs.ndim != 1 or costs.shape != values.shape:
        raise SettingError(
            f"expected cost and value of one shape (n,), found {costs.shape} and {values.shape}."
        )
    no_worse = (costs <= costs[:, None]) & (values >= values[:, None])
    better = (costs < costs[:, None]) | (values > values[:, None])
    known = ~np.isnan(costs) & ~np.isnan(values)
    return known & ~(no_worse & better).any(axis=1)
