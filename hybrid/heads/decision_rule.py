"""From out-of-fold scores to labels: calibration, thresholds, and how many labels an item may have."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.heads.calibration import METHODS, Calibration, fit_calibration
from hybrid.heads.thresholds import (
    OBJECTIVES,
    apply_thresholds,
    best_thresholds,
    threshold_draws,
)

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
# Chosen on out-of-fold scores of real films: docs/evaluation.md.
SHRINKAGE = {"genre": 1.0, "micro": 300.0}


@dataclass(frozen=True)
class DecisionOptions:
    """How scores become labels.

    Parameters
    ----------
    objective : str
        See `best_thresholds`.
    shrinkage : float, optional
        See there; by default 1 for the objective ``"genre"`` and 300 for ``"micro"``.
    calibration : str
        See `fit_calibration`.
    max_labels : int, optional
        No item is given more.
    at_least_one : bool
        Each item is given one, if the model can say anything of it.
    """

    objective: str = "genre"
    shrinkage: float | None = None
    calibration: str = "auto"
    max_labels: int | None = None
    at_least_one: bool = False

    @property
    def choosing(self) -> dict[str, Any]:
        """What `best_thresholds` and `threshold_draws` are told."""
        strength = SHRINKAGE[self.objective] if self.shrinkage is None else self.shrinkage
        return {"objective": self.objective, "shrinkage": strength}

    def check(self) -> None:
        """Raise unless all of it makes sense.

        Raises
        ------
        SettingError
            Says all that does not.
        """
        problems = [
            f"{name}: expected one of {', '.join(known)}, found {value!r}."
            for name, value, known in (
                ("thresholds", self.objective, OBJECTIVES),
                ("calibration", self.calibration, METHODS),
            )
            if value not in known
        ]
        if self.shrinkage is not None and not (np.isfinite(self.shrinkage) and self.shrinkage >= 0):
            problems.append(f"shrinkage: expected 0 or more, found {self.shrinkage}.")
        if self.max_labels is not None and self.max_labels < 1:
            problems.append(f"max_labels: expected 1 or more, found {self.max_labels}.")
        if problems:
            raise SettingError("\n".join(problems))


@dataclass(frozen=True)
class DecisionRule:
    """Scores → probabilities → labels, as learnt from out-of-fold scores.

    Parameters
    ----------
    calibration : Calibration or None
        None where scores are answers already, and stay as they are.
    thresholds : ndarray of shape (L,)
        On the probabilities.
    options : DecisionOptions
    """

    calibration: Calibration | None
    thresholds: Floats
    options: DecisionOptions = field(default_factory=DecisionOptions)

    def probabilities(self, scores: Floats) -> Floats:
        """Calibrated probabilities of shape (n, L); the prior where a score is NaN."""
        return scores if self.calibration is None else self.calibration.apply(scores)

    def label(self, probabilities: Floats) -> Labels:
        """Labels of shape (n, L), uint8."""
        return apply_thresholds(
            probabilities,
            self.thresholds,
            max_labels=self.options.max_labels,
            at_least_one=self.options.at_least_one,
        )

    def as_plain(self) -> dict[str, Any]:
        """Numbers, words and lists, for JSON."""
        thresholds = [float(t) if np.isfinite(t) else str(t) for t in self.thresholds.tolist()]
        return {
            "calibration": self.calibration and self.calibration.as_plain(),
            "thresholds": thresholds,
            "decision": asdict(self.options),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> DecisionRule:
        """What `as_plain` gave."""
        return cls(
            plain["calibration"] and Calibration.from_plain(plain["calibration"]),
            np.array([float(t) for t in plain["thresholds"]]),
            DecisionOptions(**plain.get("decision", {})),
        )


def fit_decision(truth: Labels, scores: Floats, options: DecisionOptions) -> DecisionRule:
    """Calibrate, and choose thresholds on the probabilities.

    Each threshold is half-way between two: the best one for the items as they are, which follows chance
    where a genre has few of them, and the one that the probabilities themselves expect to be best,
    which trusts the calibration.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN where a model could say nothing.
    options : DecisionOptions
    """
    calibration = fit_calibration(truth, scores, method=options.calibration)
    judged = _judged(DecisionRule(calibration, np.empty(0)), scores)
    observed = best_thresholds(truth, judged, **options.choosing)
    thresholds = (observed + best_thresholds(judged, judged, **options.choosing)) / 2
    thresholds[truth.all(axis=0)] = 1.0  # what all have, all get: its prior is 1
    return DecisionRule(calibration, thresholds, options)


def crossfit_decision(
    truth: Labels, scores: Floats, fold: NDArray[np.int64], options: DecisionOptions
) -> tuple[Floats, Labels]:
    """Probabilities and labels of the items themselves, each decided by what the other folds teach.

    Parameters
    ----------
    truth, scores, options
        As for `fit_decision`.
    fold : ndarray of shape (n,)

    Returns
    -------
    probabilities : ndarray of shape (n, L), float64
    labels : ndarray of shape (n, L), uint8
    """
    probabilities, labels = np.empty(scores.shape), np.empty(scores.shape, np.uint8)
    for k in np.unique(fold):
        out = fold == k
        decision = fit_decision(truth[~out], scores[~out], options)
        probabilities[out] = decision.probabilities(scores[out])
        labels[out] = decision.label(probabilities[out])
    return probabilities, labels


def threshold_spread(
    truth: Labels, scores: Floats, decision: DecisionRule, *, seed: int = 0
) -> list[tuple[float, float]]:
    """The middle 95 % of each threshold over bootstrap draws of the items, low and high; may be ``inf``."""
    judged = _judged(decision, scores)
    told = (truth, judged)  # as in `fit_decision`
    draws = [threshold_draws(each, judged, **decision.options.choosing, seed=seed) for each in told]
    drawn = (draws[0] + draws[1]) / 2
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="nearest")
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _judged(decision: DecisionRule, scores: Floats) -> Floats:
    """The probabilities that may choose a threshold.

    Where nothing could be learnt, the prior is reported, but chooses none: it would tell the fold that
    holds a genre's only items from the others.
    """
    return np.where(np.isnan(scores), np.nan, decision.probabilities(scores))
