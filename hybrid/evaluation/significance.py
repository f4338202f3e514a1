"""Significance tests: paired permutation test, and Holm's correction for multiple comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import make_units, swaps
from hybrid.evaluation.metrics import Measured, Weights, check_metric, make_measure
from hybrid.evaluation.outputs import Floats, Outputs, check, stack, twice
from hybrid.evaluation.resampling import DRAWS, gather

SAME = 1e-12  # two differences that differ by less are equal: sums round


def permutation_test(
    truth: ArrayLike,
    first: Outputs,
    second: Outputs,
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Paired permutation test of the difference between two models: a two-sided p-value.

    In each draw the two models swap their outputs on each item, or group of items, with probability
    1/2. Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989; the p-value counts the
    observed difference among the draws, so that it is never 0 (Phipson and Smyth, 2010).

    Parameters
    ----------
    truth : array-like of shape (n, L)
    first, second : Outputs
        On the same items.
    metric : str
        One of `METRICS`.
    groups : array-like of shape (n,), optional
    draws : int, default=2000
    seed : int, default=0

    Returns
    -------
    float
        From ``1 / (draws + 1)`` to 1; NaN where the metric is not defined on these items.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.

    Examples
    --------
    >>> truth = np.ones((20, 1))
    >>> first, second = (Outputs(np.full((20, 1), v, np.uint8), np.full((20, 1), v)) for v in (1, 0))
    >>> permutation_test(truth, first, second, draws=999)
    0.001
    """
    truth = check(truth, [first, second], draws)
    check_metric(metric)
    units = make_units(len(truth), groups)
    # The mixed model has the outputs of 2n items, of which half weigh nothing.
    measure = make_measure(twice(truth), stack(first, second), [metric])

    def difference(keep: Weights) -> Measured:
        one, other = np.hstack([keep, 1 - keep]), np.hstack([1 - keep, keep])
        return {metric: measure(one)[metric] - measure(other)[metric]}

    observed = difference(np.ones((1, len(truth)), np.uint8))[metric][0]
    if np.isnan(observed):
        return float("nan")
    mixed = gather(difference, swaps(units, draws, seed))[metric]
    return float((1 + (np.abs(mixed) >= abs(observed) - SAME).sum()) / (draws + 1))


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down correction of p-values for multiple comparisons.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Parameters
    ----------
    p_values : array-like of shape (K,)

    Returns
    -------
    ndarray of shape (K,), float64
        Adjusted p-values: if those below a level are called significant, the probability of one false
        discovery or more is at most the level.

    Raises
    ------
    SettingError
        If one is not from 0 to 1.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise SettingError(f"p_values: expected numbers from 0 to 1, found {p_values!r}.")
    order = np.argsort(p, kind="stable")
    raised = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(p)
    adjusted[order] = raised
    return adjusted
