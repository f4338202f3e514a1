"""Decision rule from scores to labels: calibration, thresholds, and limits on the labels of an item."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.evaluation import likeliest
from hybrid.heads.calibration import METHODS, Calibration, fit_calibration
from hybrid.heads.thresholds import (
    OBJECTIVES,
    apply_thresholds,
    best_thresholds,
    threshold_draws,
)
from hybrid.utils.unknown_labels import had_by_all, hide_unknown

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
# Chosen on out-of-fold scores of real films: docs/evaluation.md.
GENRE, MICRO = OBJECTIVES
SHRINKAGE = {GENRE: 1.0, MICRO: 300.0}
ARGMAX = "argmax"  # one label an item: the most probable one, without thresholds


@dataclass(frozen=True)
class DecisionOptions:
    """Options of the decision rule.

    Parameters
    ----------
    objective : {"genre", "micro", "argmax"}, optional
        What the thresholds maximise; see `best_thresholds`. By default ``"micro"`` where a classifier's
        settings are chosen by micro F1, else ``"genre"``. ``"argmax"``: there are none, each item gets the
        most probable label and no other, and the probabilities of an item add up to 1.
    shrinkage : float, optional
        Of the thresholds; by default 1 for the objective ``"genre"`` and 300 for ``"micro"``.
    calibration : {"auto", "sigmoid", "isotonic"}, default="auto"
        See `fit_calibration`.
    max_labels : int, optional
        Most labels an item.
    at_least_one : bool, default=False
        Give each item at least one label, if the model has a score for it.

    Examples
    --------
    >>> DecisionOptions(objective="micro", max_labels=3).choosing
    {'objective': 'micro', 'shrinkage': 300.0}
    """

    objective: str | None = None
    shrinkage: float | None = None
    calibration: str = "auto"
    max_labels: int | None = None
    at_least_one: bool = False

    @property
    def one_label(self) -> bool:
        """Whether each item gets exactly one label."""
        return self.objective == ARGMAX

    @property
    def choosing(self) -> dict[str, Any]:
        """Keyword arguments of `best_thresholds` and `threshold_draws`; no shrinkage without thresholds."""
        objective = self.objective or GENRE
        if self.one_label:
            return {"objective": objective, "shrinkage": None}
        strength = SHRINKAGE[objective] if self.shrinkage is None else self.shrinkage
        return {"objective": objective, "shrinkage": strength}

    def check(self) -> None:
        """Check all options.

        Raises
        ------
        SettingError
            Lists all that are wrong.
        """
        problems = [
            f"{name}: expected one of {', '.join(known)}, found {value!r}."
            for name, value, known in (
                ("thresholds", self.objective or GENRE, (*OBJECTIVES, ARGMAX)),
                ("calibration", self.calibration, METHODS),
            )
            if value not in known
        ]
        if self.shrinkage is not None and not (np.isfinite(self.shrinkage) and self.shrinkage >= 0):
            problems.append(f"shrinkage: expected 0 or more, found {self.shrinkage}.")
        if self.max_labels is not None and self.max_labels < 1:
            problems.append(f"max_labels: expected 1 or more, found {self.max_labels}.")
        given = (self.shrinkage, self.max_labels, self.at_least_one or None)
        if self.one_label and given != (None, None, None):
            problems.append(
                "shrinkage, max_labels, at_least_one: expected none of them where each item gets one label."
            )
        if problems:
            raise SettingError("\n".join(problems))


@dataclass(frozen=True)
class DecisionRule:
    """Calibration and thresholds that were fitted to out-of-fold scores.

    Parameters
    ----------
    calibration : Calibration or None
        None where scores are labels already, 0 or 1.
    thresholds : ndarray of shape (L,)
        On the probabilities; of shape (0,) where each item gets the most probable label.
    options : DecisionOptions

    Examples
    --------
    >>> rule = DecisionRule(None, np.array([0.5]))
    >>> rule.label(np.array([[0.4], [0.6]])).ravel().tolist()
    [0, 1]
    """

    calibration: Calibration | None
    thresholds: Floats
    options: DecisionOptions = field(default_factory=DecisionOptions)

    def probabilities(self, scores: Floats) -> Floats:
        """Calibrated probabilities of shape (n, L); the prior where a score is NaN.

        Where each item gets one label, they are divided by their sum.
        """
        if self.calibration is None:
            return scores
        found = self.calibration.apply(scores)
        return _normalised(found) if self.options.one_label else found

    def label(self, probabilities: Floats) -> Labels:
        """Labels of shape (n, L), uint8."""
        if self.options.one_label:
            return likeliest(probabilities)
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
        """Restore what `as_plain` returned."""
        return cls(
            plain["calibration"] and Calibration.from_plain(plain["calibration"]),
            np.array([float(t) for t in plain["thresholds"]]),
            DecisionOptions(**plain.get("decision", {})),
        )


def fit_decision(truth: Labels, scores: Floats, options: DecisionOptions) -> DecisionRule:
    """Fit calibration, then thresholds on the calibrated probabilities.

    Each threshold is the mean of two: the one with the best F1 on the items, which is noisy where a genre has
    few of them, and the one with the best expected F1 under the probabilities, which depends on the
    calibration.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN where a model has no score.
    options : DecisionOptions

    Returns
    -------
    DecisionRule

    Examples
    --------
    >>> truth = np.array([[0], [0], [1], [1]], np.uint8)
    >>> rule = fit_decision(truth, np.array([[-2.0], [-1.0], [1.0], [2.0]]), DecisionOptions())
    >>> rule.label(rule.probabilities(np.array([[-1.5], [1.5]]))).ravel().tolist()
    [0, 1]
    """
    calibration = fit_calibration(truth, scores, method=options.calibration)
    if options.one_label:
        return DecisionRule(calibration, np.empty(0), options)
    known = _known_probabilities(DecisionRule(calibration, np.empty(0)), scores)
    plain, known = hide_unknown(truth, known)
    observed = best_thresholds(plain, known, **options.choosing)
    thresholds = (observed + best_thresholds(known, known, **options.choosing)) / 2
    thresholds[had_by_all(truth)] = 1.0  # what all have, all get: its prior is 1
    return DecisionRule(calibration, thresholds, options)


def plain_decision(truth: Labels, options: DecisionOptions) -> DecisionRule:
    """The rule for an estimator's own labels of 0 and 1: nothing is calibrated, all thresholds are 0.5.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        A label that all items have gets the threshold 1, its prior.
    options : DecisionOptions

    Examples
    --------
    >>> plain_decision(np.array([[1, 1], [1, 0]], np.uint8), DecisionOptions()).thresholds.tolist()
    [1.0, 0.5]
    """
    thresholds = np.where(had_by_all(truth), 1.0, 0.5)
    return DecisionRule(None, np.empty(0) if options.one_label else thresholds, options)


def crossfit_decision(
    truth: Labels, scores: Floats, fold: NDArray[np.int64], options: DecisionOptions
) -> tuple[Floats, Labels]:
    """Cross-fitted probabilities and labels: each fold by the decision rule of the other folds.

    Parameters
    ----------
    truth, scores, options
        As for `fit_decision`.
    fold : ndarray of shape (n,)

    Returns
    -------
    probabilities : ndarray of shape (n, L), float64
    labels : ndarray of shape (n, L), uint8

    Examples
    --------
    >>> truth, fold = np.array([[0], [1]] * 10, np.uint8), np.repeat([0, 1], 10)
    >>> probabilities, labels = crossfit_decision(truth, truth - 0.5, fold, DecisionOptions())
    >>> bool((labels == truth).all())
    True
    """
    probabilities, labels = np.empty(scores.shape), np.empty(scores.shape, np.uint8)
    for k in np.unique(fold):
        out = fold == k
        decision = fit_decision(truth[~out], scores[~out], options)
        probabilities[out] = decision.probabilities(scores[out])
        labels[out] = decision.label(probabilities[out])
    return probabilities, labels


def threshold_spread(
    truth: Labels,
    scores: Floats,
    decision: DecisionRule,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """95 % bootstrap interval of each threshold, low and high; may be ``inf``.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    scores : ndarray of shape (n, L)
        Those that the decision rule was fitted to.
    decision : DecisionRule
    groups : array-like of shape (n,), optional
        Items of one group are drawn together.
    seed : int, default=0

    Returns
    -------
    list of L (float, float)

    Examples
    --------
    >>> truth = np.array([[0], [1]] * 10, np.uint8)
    >>> rule = fit_decision(truth, truth - 0.5, DecisionOptions())
    >>> [(low, high)] = threshold_spread(truth, truth - 0.5, rule)
    >>> bool(low <= rule.thresholds[0] <= high)
    True
    """
    plain, known = hide_unknown(truth, _known_probabilities(decision, scores))
    targets = (plain, known)  # as in `fit_decision`
    draws = [
        threshold_draws(each, known, **decision.options.choosing, groups=groups, seed=seed)
        for each in targets
    ]
    drawn = (draws[0] + draws[1]) / 2
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="nearest")
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _normalised(probabilities: Floats) -> Floats:
    """Divide by the sum of each row; equal probabilities where it is 0."""
    total = probabilities.sum(axis=1, keepdims=True)
    equal = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.divide(probabilities, total, out=equal, where=total > 0)


def _known_probabilities(decision: DecisionRule, scores: Floats) -> Floats:
    """Probabilities to choose thresholds on: NaN where there is no score.

    The prior, which is reported there, would identify the fold that holds a genre's only items.
    """
    return np.where(np.isnan(scores), np.nan, decision.probabilities(scores))
