"""Pareto front of value against cost, where the values are estimates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError


def pareto_front(cost: ArrayLike, value: ArrayLike, better: ArrayLike) -> NDArray[np.bool_]:
    """Pareto front: the models that are worth their cost.

    The cheapest model is on it. A dearer one is on it only if it is significantly better than every cheaper
    model on the front: a lead that chance explains is not worth paying for. A front of point values would
    hold every dearer model that happens to score higher.

    Parameters
    ----------
    cost : array-like of shape (n,)
        Lower is better; NaN (not known) is never on the front.
    value : array-like of shape (n,)
        Higher is better; NaN is never on the front. Of models at the same cost only the one with the highest
        value can be on it.
    better : array-like of shape (n, n), bool
        Whether the value in the row is significantly higher than that in the column, for instance where the
        interval of their paired difference lies above 0.

    Returns
    -------
    ndarray of shape (n,), bool

    Raises
    ------
    SettingError
        If shapes differ.

    Examples
    --------
    The third scores higher than the second, but not significantly:

    >>> better = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=bool)
    >>> pareto_front([1.0, 2.0, 3.0], [0.5, 0.7, 0.71], better).tolist()
    [True, True, False]
    """
    costs, values = np.asarray(cost, np.float64), np.asarray(value, np.float64)
    beats = np.asarray(better, dtype=bool)
    n = len(costs) if costs.ndim == 1 else -1
    if values.shape != (n,) or beats.shape != (n, n):
        raise SettingError(
            f"expected cost and value of shape (n,) and better of shape (n, n), found {costs.shape}, "
            f"{values.shape} and {beats.shape}."
        )
    front = np.zeros(n, dtype=bool)
    for i in np.lexsort((-values, costs)).tolist():
        known = not (np.isnan(costs[i]) or np.isnan(values[i]))
        front[i] = known and beats[i, front].all()
    return front
