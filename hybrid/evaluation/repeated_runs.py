"""Mean, standard deviation and confidence interval of a metric over repeated runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from hybrid.errors import SettingError
from hybrid.evaluation.intervals import LEVEL
from hybrid.types import Interval


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and range of one metric over J runs.

    Parameters
    ----------
    values : tuple of J float
    mean : float
    sd : float
        Standard deviation, with the divisor J - 1; NaN for one run.
    low, high : float
        Lowest and highest value.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float


def summarise_runs(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and range of one metric over several runs.

    Raises
    ------
    SettingError
        If there is no value.

    Examples
    --------
    >>> found = summarise_runs([0.5, 0.6, 0.7])
    >>> round(found.mean, 3), round(found.sd, 3), found.low, found.high
    (0.6, 0.1, 0.5, 0.7)
    """
    if not len(values):
        raise SettingError("values: expected at least one run, found none.")
    found = np.asarray(values, np.float64)
    sd = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
    return Spread(
        tuple(found.tolist()), float(found.mean()), sd, float(found.min()), float(found.max())
    )


def corrected_resampled_interval(
    values: Sequence[float], test_to_train: float, highest: float = np.inf, lowest: float = -np.inf
) -> Interval:
    """Mean over random splits, with the 95 % interval of the corrected resampled t-test.

    Runs that share training items are not independent, so ``sd / sqrt(J)`` is too small. Nadeau and Bengio,
    "Inference for the Generalization Error", 2003, replace ``1/J`` by ``1/J + test_to_train``, with
    Student's t of J - 1 degrees of freedom. The interval includes the sampling of the test items.

    Parameters
    ----------
    values : sequence of J float
        Of runs that each had a split of their own.
    test_to_train : float
        Number of test items over number of training items.
    highest, lowest : float, default=inf, -inf
        Values that the metric can have at most and at least: the interval ends there.

    Raises
    ------
    SettingError
        If there are fewer than two values.

    Examples
    --------
    >>> found = corrected_resampled_interval([0.5, 0.6, 0.7], test_to_train=0.25)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.6, 0.271, 0.929)
    >>> corrected_resampled_interval([0.5, 0.9], test_to_train=0.25, highest=1.0, lowest=0.0)
    Interval(value=0.7, low=0.0, high=1.0)
    """
    if len(values) < 2:
        raise SettingError(f"values: expected at least two runs, found {len(values)}.")
    found = summarise_runs(values)
    reach = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * found.sd
    reach *= (1 / len(values) + test_to_train) ** 0.5
    low, high = np.clip([found.mean - reach, found.mean + reach], lowest, highest)
    return Interval(found.mean, float(low), float(high))
