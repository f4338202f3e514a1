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
    """One metric over J runs.

    `sd` is their standard deviation (divisor J - 1), NaN for one run; `low` and `high` are the lowest
    and the highest.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float


def summarise_runs(values: Sequence[float]) -> Spread:
    """Describe one metric over several runs.

    Raises
    ------
    SettingError
        If there is no value.
    """
    if not len(values):
        raise SettingError("values: expected at least one run, found none.")
    found = np.asarray(values, np.float64)
    sd = float(found.std(ddof=1)) if len(found) > 1 else float("nan")
    return Spread(
        tuple(found.tolist()), float(found.mean()), sd, float(found.min()), float(found.max())
    )


def corrected_resampled_interval(values: Sequence[float], test_to_train: float) -> Interval:
    """Mean over random splits of one catalogue, with a 95 % interval.

    Runs on overlapping train items are not independent, so ``sd / sqrt(J)`` promises too much. Nadeau and
    Bengio, "Inference for the Generalization Error", 2003, put ``1/J + test_to_train`` for ``1/J``, with
    Student's t of J - 1 degrees. It holds the sampling of the test items, too: do not add it once more.

    Parameters
    ----------
    values : sequence of J float
        Of runs that each had a split of their own.
    test_to_train : float
        Test items over items that the model learnt from.

    Raises
    ------
    SettingError
        If there are fewer than two values.
    """
    if len(values) < 2:
        raise SettingError(f"values: expected at least two runs, found {len(values)}.")
    found = summarise_runs(values)
    reach = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * found.sd
    reach *= (1 / len(values) + test_to_train) ** 0.5
    return Interval(found.mean, float(found.mean - reach), float(found.mean + reach))
