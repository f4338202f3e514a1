"""Calibration of scores to probabilities: Platt's sigmoid, or isotonic regression for frequent genres.

Platt, "Probabilistic Outputs for Support Vector Machines", 1999. The sigmoid is fitted to out-of-fold
scores with a weak ridge penalty in place of Platt's smoothed targets. Zadrozny and Elkan, "Transforming
Classifier Scores into Accurate Multiclass Probability Estimates", 2002: isotonic regression, which has no
shape to be wrong about, but needs more items.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.errors import unknown_name
from hybrid.utils.unknown_labels import hide_unknown, known_mean

Floats = NDArray[np.float64]
Knots = tuple[tuple[float, ...], tuple[float, ...]]  # scores, probabilities

METHODS = ("auto", "sigmoid", "isotonic")
# Niculescu-Mizil and Caruana, "Predicting Good Probabilities with Supervised Learning", 2005: with 1,000 or
# more items to calibrate on, isotonic is as good or better. Here of the rarer answer.
ISOTONIC_SUPPORT = 1000


@dataclass(frozen=True)
class Calibration:
    """Calibration curves of L genres: a sigmoid each, or piecewise linear through isotonic knots.

    Parameters
    ----------
    slope, intercept : ndarray of shape (L,)
        Of the sigmoids ``1 / (1 + exp(-(slope * score + intercept)))``.
    prior : ndarray of shape (L,)
        Share of the items that have each genre: the probability where a score is NaN.
    knots : tuple of (scores, probabilities) or None, default=()
        Of the isotonic curves; None for a genre with a sigmoid, empty where every genre has one.

    Examples
    --------
    >>> curve = Calibration(np.array([1.0]), np.array([0.0]), np.array([0.3]))
    >>> curve.apply(np.array([[0.0], [np.nan]])).ravel().tolist()
    [0.5, 0.3]
    """

    slope: Floats
    intercept: Floats
    prior: Floats
    knots: tuple[Knots | None, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """``"sigmoid"`` or ``"isotonic"``, genre by genre."""
        knots = self.knots or (None,) * len(self.prior)
        return tuple("isotonic" if curve else "sigmoid" for curve in knots)

    def apply(self, scores: Floats) -> Floats:
        """Probabilities of shape (n, L), in [0, 1]."""
        probabilities = expit(self.slope * scores + self.intercept)
        for j, curve in enumerate(self.knots):
            if curve:
                probabilities[:, j] = np.interp(scores[:, j], *curve)
        return np.where(np.isnan(scores), self.prior, probabilities)

    def as_plain(self) -> dict[str, Any]:
        """Numbers and lists, for JSON; numbers that JSON does not have are words."""
        return _plain(asdict(self))

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Calibration:
        """Restore what `as_plain` returned."""
        curves = {name: np.array([float(v) for v in plain[name]]) for name in _CURVES}
        knots = [None if k is None else tuple(map(tuple, k)) for k in plain.get("knots", [])]
        return cls(**curves, knots=tuple(knots))  # type: ignore[arg-type]


_CURVES = ("slope", "intercept", "prior")


def fit_calibration(
    truth: NDArray[np.uint8], scores: Floats, *, method: str = "auto"
) -> Calibration:
    """Fit one calibration curve a genre to out-of-fold scores.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label.
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN, where a model has no score, is left out.
    method : {"auto", "sigmoid", "isotonic"}, default="auto"
        ``"sigmoid"``, ``"isotonic"``, or ``"auto"``: isotonic for a genre that at least
        `ISOTONIC_SUPPORT` items have and as many lack.

    Returns
    -------
    Calibration
        The curves are monotonic. A curve is constant at the prior where the scores rank a genre worse than
        chance, or where the scores or the labels are all the same.

    Raises
    ------
    SettingError
        If the method is unknown.

    Examples
    --------
    >>> truth = np.array([[0], [0], [1], [1]], np.uint8)
    >>> calibration = fit_calibration(truth, np.array([[-2.0], [-1.0], [1.0], [2.0]]))
    >>> calibration.methods, calibration.apply(np.array([[0.0]])).round(2).tolist()
    (('sigmoid',), [[0.5]])
    """
    if method not in METHODS:
        raise unknown_name("calibration", method, METHODS)
    prior = known_mean(truth)
    truth, scores = hide_unknown(truth, scores)
    pairs, knots = [], []
    # Two parameters each: threads of BLAS would only wait for one another.
    with threadpool_limits(1, "blas"):
        for j in range(truth.shape[1]):
            known = ~np.isnan(scores[:, j])
            real, said = truth[known, j], scores[known, j]
            pairs.append(_fit_sigmoid(real, said))
            ranks = pairs[-1][0] > 0
            knots.append(_fit_isotonic(real, said) if ranks and _isotonic(method, real) else None)
    slope, intercept = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Calibration(slope, intercept, prior, tuple(knots) if any(knots) else ())


def _isotonic(method: str, truth: NDArray[np.uint8]) -> bool:
    rarer = min(int(truth.sum()), len(truth) - int(truth.sum()))
    return method == "isotonic" or (method == "auto" and rarer >= ISOTONIC_SUPPORT)


def _fit_isotonic(truth: NDArray[np.uint8], scores: Floats) -> Knots:
    model = IsotonicRegression(out_of_bounds="clip").fit(scores, truth)
    return tuple(model.X_thresholds_.tolist()), tuple(model.y_thresholds_.tolist())


def _fit_sigmoid(truth: NDArray[np.uint8], scores: Floats) -> tuple[float, float]:
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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    if value is None:
        return None
    return float(value) if np.isfinite(value) else str(float(value))
