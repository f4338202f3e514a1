"""Fusion and head as one scikit-learn classifier that chooses its settings by cross-fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import average_precision_score
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.fusion import BlockData, Fusion, FusionMatrix, take_rows
from hybrid.heads.calibration import fit_calibration
from hybrid.heads.chain import Chain
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.thresholds import apply_thresholds, best_thresholds
from hybrid.splits import make_folds

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Choice:
    """One candidate: parameters of the head and weights of the blocks."""

    parameters: dict[str, Any]
    weights: dict[str, float]


@dataclass(frozen=True, eq=False)
class Trial:
    """A choice, its out-of-fold scores of shape (n, L), and how good they are."""

    choice: Choice
    scores: Floats
    quality: float


class HybridClassifier(ClassifierMixin, BaseEstimator):
    """Blocks, fused, and a one-vs-rest head, with thresholds and calibration.

    `fit` deals its items to folds. In each, blocks and head are fitted on the other folds alone, and
    score the items left out. On these out-of-fold scores it chooses the head's parameters and then
    the blocks' weights (by mean average precision, genres weighted by support), fits the sigmoids
    that turn scores into probabilities, and chooses the thresholds. Then it fits blocks and head on
    all its items.

    Parameters
    ----------
    fusion : Fusion
    estimator : scikit-learn classifier
        Of one genre against the rest; or a `MultilabelLinearSVC`, which fits all genres together.
    grid : mapping of str to sequence, optional
        Parameter of `estimator` → values to choose from, one parameter after the other.
    block_weights : sequence of float
        Factors to try on the weight of each block in turn, where there are several; the next round
        tries their square roots. Empty keeps the fusion's weights.
    folds : int
    tuned : bool
        False: the estimator's own answers, no thresholds and no calibration (for dummies).
    chain : bool
        Fit a `Chain` of the estimator. Its settings are those that were chosen without the chain,
        which is cross-fitted once: thresholds and calibration are the chain's own.
    n_jobs : int or None
        Threads over genres.
    random_state : int
        Deals the folds.

    Attributes
    ----------
    fusion_ : Fusion
    head_ : MultilabelLinearSVC, FusionHead or OneVsRestClassifier
        The latter where `estimator` knows one genre at a time.
    chosen_ : Choice
    thresholds_ : ndarray of shape (L,)
        On the probabilities.
    calibration_ : Calibration or None
    groups_ : ndarray of shape (n,) or None
        As given to `fit`.
    fold_ : ndarray of shape (n,)
        The fold that each item of `fit` was left out of.
    oof_probabilities_ : ndarray of shape (n, L)
        Out-of-fold probabilities of the items of `fit`.
    classes_ : ndarray of shape (L,)
        Numbers of the labels.
    """

    def __init__(
        self,
        fusion: Fusion,
        estimator: Any,
        grid: Mapping[str, Sequence[Any]] | None = None,
        block_weights: Sequence[float] = (0.5, 2.0),
        folds: int = 4,
        tuned: bool = True,
        chain: bool = False,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.fusion = fusion
        self.estimator = estimator
        self.grid = grid
        self.block_weights = block_weights
        self.folds = folds
        self.tuned = tuned
        self.chain = chain
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, y: ArrayLike, groups: ArrayLike | None = None
    ) -> HybridClassifier:
        """Choose by cross-fitting, then fit on all items.

        Parameters
        ----------
        X : DataFrame of n items
            A catalogue's frame, or rows of it.
        y : array-like of shape (n, L)
            1 where the item has the label.
        groups : array-like of shape (n,), optional
            Items of one group are in one fold.

        Raises
        ------
        SettingError
            If shapes or settings are wrong.
        """
        truth = self._check(X, y)
        self.classes_ = np.arange(truth.shape[1])
        data = self.fusion.read(X)
        self.groups_ = None if groups is None else np.asarray(groups)
        self.fold_ = self._deal(X, truth, groups)
        folds = [self._fit_blocks(data, self.fold_ == k) for k in range(self.folds)]
        trial = self._choose(folds, truth)
        estimator = clone(self.estimator).set_params(**trial.choice.parameters)
        self.chosen_, scores = trial.choice, trial.scores
        if self.chain:
            estimator = Chain(estimator, random_state=self.random_state)
            scores = self._score(folds, truth, Choice({}, trial.choice.weights), estimator)
        del folds
        self.calibration_ = fit_calibration(truth, scores) if self.tuned else None
        self.oof_probabilities_ = self._calibrate(scores)
        # Where nothing could be learnt, the prior is reported, but chooses no threshold: it would tell
        # the fold that holds a genre's only items from the others.
        judged = np.where(np.isnan(scores), np.nan, self.oof_probabilities_)
        self.thresholds_ = (
            best_thresholds(truth, judged) if self.tuned else np.full(truth.shape[1], 0.5)
        )
        self.thresholds_[truth.all(axis=0)] = 1.0  # what all have, all get: its prior is 1
        weighted = clone(self.fusion).set_params(
            weights={**(self.fusion.weights or {}), **self.chosen_.weights}
        )
        self.fusion_ = weighted.fit(data)
        matrix = self.fusion_.transform(data)
        self.head_ = self._fit_head(estimator, matrix, truth, {}, self.groups_)
        # A genre that all or none of the items have teaches a head nothing.
        self.constant_ = np.ptp(truth, axis=0) == 0
        self.prior_ = truth.mean(axis=0, dtype=np.float64)
        return self

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Uncalibrated scores of shape (n, L); NaN for a genre that could not be learnt."""
        check_is_fitted(self)
        scores = head_scores(self.head_, self.fusion_.transform(X), tuned=self.tuned)
        return np.where(self.constant_, np.nan if self.tuned else self.prior_, scores)

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Calibrated probabilities of shape (n, L), in [0, 1]."""
        return self._calibrate(self.decision_function(X))

    def predict(self, X: pd.DataFrame) -> Labels:
        """Labels of shape (n, L), uint8."""
        return self.label(self.predict_proba(X))

    def label(self, probabilities: Floats) -> Labels:
        """Labels for probabilities that are already known."""
        check_is_fitted(self)
        return apply_thresholds(probabilities, self.thresholds_)

    def _check(self, X: pd.DataFrame, y: ArrayLike) -> Labels:
        if not isinstance(X, pd.DataFrame):
            raise SettingError(
                "X: expected a DataFrame such as load_catalogue(...).frame, found "
                f"{type(X).__name__}."
            )
        truth, problems = np.asarray(y), []
        if truth.ndim != 2 or len(truth) != len(X):
            problems.append(f"y: expected shape ({len(X)}, L), found {truth.shape}.")
        elif not truth.shape[1]:
            problems.append("y: expected at least one label, found none.")
        elif not np.isin(truth, (0, 1)).all():
            problems.append("y: expected 0 and 1 only.")
        unknown = set(self.grid or {}) - set(self.estimator.get_params())
        if unknown:
            name = type(self.estimator).__name__
            problems.append(f"grid: {name} has no parameter {', '.join(sorted(unknown))}.")
        if not 2 <= self.folds <= len(X):
            problems.append(f"folds: expected 2 to {len(X)} (the items), found {self.folds}.")
        for weight in self.block_weights:
            if not (np.isfinite(weight) and weight > 0):
                problems.append(f"block_weights: expected positive numbers, found {weight}.")
        if problems:
            raise SettingError("\n".join(problems))
        return truth.astype(np.uint8)

    def _deal(self, X: pd.DataFrame, truth: Labels, groups: ArrayLike | None) -> NDArray[np.int64]:
        ids = X.index if X.index.is_unique else np.arange(len(X))
        seed = self.random_state
        fold = make_folds(np.asarray(ids), truth, self.folds, groups=groups, seed=seed)
        filled = len(np.unique(fold))
        if filled < self.folds:
            raise SettingError(
                f"folds: expected at least {self.folds} groups of items, found so few that only {filled} "
                "folds have items. Use fewer folds."
            )
        return fold

    def _fit_blocks(
        self, data: BlockData, left_out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], FusionMatrix, FusionMatrix]:
        """Fit the blocks on the items of the other folds; encode both sides."""
        learn = take_rows(data, np.flatnonzero(~left_out))
        judge = take_rows(data, np.flatnonzero(left_out))
        fusion = clone(self.fusion).fit(learn)
        return left_out, fusion.transform(learn), fusion.transform(judge)

    def _choose(self, folds: list[Any], truth: Labels) -> Trial:
        """Try one setting after the other, and keep what scores best."""
        best: Trial | None = None
        for name, values in (self.grid or {}).items():
            start = best.choice if best else Choice({}, {})
            best = self._best(None, start, [Choice({name: v}, {}) for v in values], folds, truth)
        best = best or self._best(None, Choice({}, {}), [Choice({}, {})], folds, truth)
        if self.tuned and len(self.fusion.blocks) > 1:
            best = self._choose_weights(best, folds, truth)
        return best

    def _best(
        self,
        best: Trial | None,
        start: Choice,
        changes: list[Choice],
        folds: list[Any],
        truth: Labels,
    ) -> Trial:
        """The best of what was reached so far, if that may stay, and of some changes to `start`."""
        for change in changes:
            choice = Choice(
                {**start.parameters, **change.parameters}, {**start.weights, **change.weights}
            )
            scores = self._score(folds, truth, choice)
            quality = _quality(truth, scores)
            if best is None or quality > best.quality:
                best = Trial(choice, scores, quality)
        if best is None:
            raise SettingError("grid: expected at least one value for each parameter, found none.")
        return best

    def _choose_weights(self, best: Trial, folds: list[Any], truth: Labels) -> Trial:
        """Two rounds over the blocks, the second with smaller steps."""
        base = self.fusion.weights or {}
        for power in (1.0, 0.5):
            for name in self.fusion.names:
                now = best.choice.weights.get(name, base.get(name, 1.0))
                weights = [now * factor**power for factor in self.block_weights]
                changes = [Choice({}, {name: w}) for w in weights]
                best = self._best(best, best.choice, changes, folds, truth)
        return best

    def _score(
        self, folds: list[Any], truth: Labels, choice: Choice, estimator: Any = None
    ) -> Floats:
        """Out-of-fold scores of shape (n, L); NaN where a genre could not be learnt in a fold."""
        scores = np.full(truth.shape, np.nan)
        for left_out, learn, judge in folds:
            known = truth[~left_out]
            head = self._fit_head(
                estimator or self.estimator,
                learn.with_weights(choice.weights),
                known,
                choice.parameters,
                None if self.groups_ is None else self.groups_[~left_out],
            )
            found = head_scores(head, judge.with_weights(choice.weights), tuned=self.tuned)
            unlearnt = np.nan if self.tuned else known.mean(axis=0)
            scores[left_out] = np.where(np.ptp(known, axis=0) > 0, found, unlearnt)
        return scores

    def _fit_head(
        self,
        estimator: Any,
        matrix: FusionMatrix,
        truth: Labels,
        parameters: dict[str, Any],
        groups: NDArray[Any] | None,
    ) -> Any:
        return fit_head(
            estimator,
            matrix,
            truth,
            parameters,
            tuned=self.tuned,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            groups=groups,
        )

    def _calibrate(self, scores: Floats) -> Floats:
        return scores if self.calibration_ is None else self.calibration_.apply(scores)


def _quality(truth: Labels, scores: Floats) -> float:
    """Mean average precision of the genres, weighted by their support."""
    lowest = np.nanmin(scores) if np.isfinite(scores).any() else 0.0
    support = truth.sum(axis=0)
    if not support.any():
        return 0.0
    known = np.flatnonzero(support)
    precision = average_precision_score(
        truth[:, known], np.where(np.isnan(scores), lowest, scores)[:, known], average=None
    )
    return float(np.average(np.atleast_1d(precision), weights=support[known]))
