"""Scores → probabilities: one sigmoid a genre.

Platt, "Probabilistic Outputs for Support Vector Machines", 1999. The sigmoid is fitted to
out-of-fold scores with a weak ridge penalty in place of Platt's smoothed targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Sigmoids of L genres: ``1 / (1 + exp(-(slope * score + intercept)))``.

    `prior` is each genre's share of the items it was fitted on; it is the answer where a score is NaN.
    """

    slope: Floats
    intercept: Floats
    prior: Floats

    def apply(self, scores: Floats) -> Floats:
        """Probabilities of shape (n, L), in [0, 1]."""
        probabilities = expit(self.slope * scores + self.intercept)
        return np.where(np.isnan(scores), self.prior, probabilities)


def fit_calibration(truth: NDArray[np.uint8], scores: Floats) -> Calibration:
    """Fit one sigmoid a genre.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label.
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN where a model could say nothing, which is left out.

    Returns
    -------
    Calibration
        The slope is never negative, so that probabilities rank items as the scores do; it is 0, and
        the probability the prior, where the scores rank a genre worse than chance.
    """
    pairs = [_fit_sigmoid(truth[:, j], scores[:, j]) for j in range(truth.shape[1])]
    slope, intercept = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Calibration(slope, intercept, truth.mean(axis=0, dtype=np.float64))


def _fit_sigmoid(truth: NDArray[np.uint8], scores: Floats) -> tuple[float, float]:
    known = ~np.isnan(scores)
    truth, scores = truth[known], scores[known]
    prior = float(truth.mean()) if len(truth) else 0.0
    # Not std() == 0: of equal scores it is a rounding error.
    spread = float(scores.std()) if len(scores) and np.ptp(scores) > 0 else 0.0
    if prior in (0.0, 1.0) or spread == 0:
        return 0.0, _log_odds(prior)
    middle = float(scores.mean())
    standard = ((scores - middle) / spread)[:, None]
    model = LogisticRegression(C=1.0, max_iter=1000).fit(standard, truth)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        return 0.0, _log_odds(prior)
    return slope / spread, intercept - slope * middle / spread


def _log_odds(share: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(share) - np.log1p(-share))
