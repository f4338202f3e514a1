"""Stacking: a head for each block, combined by logistic regressions on their out-of-fold scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import log_loss

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix, missing_blocks
from hybrid.heads.base import FusionHead
from hybrid.heads.cross_fitting import assign_folds, out_of_fold
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.scoring import mean_average_precision

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ALL = "all"


class Stacking(FusionHead):
    """Stacked generalisation: heads of single blocks and of all together, combined by logistic regressions.

    The features of the second level are the out-of-fold scores of all heads for all genres, so it learns
    how much to weigh each block for each genre, and which genres occur together. Where an item lacks a
    head's block, the scores of that head are set to 0, and an indicator column to 1.

    Parameters
    ----------
    estimator : classifier
        Of the first level, as `hybrid.heads.fitting.fit_head` takes it.
    cs : sequence of float
        Values of the estimator's ``C`` to choose from, for each head apart; empty: it has none.
    penalties : sequence of float
        Values of ``C`` of the second level to choose from.
    folds : int
        Of the out-of-fold scores that both choices are made on.
    n_jobs : int or None
    random_state : int

    Attributes
    ----------
    heads_ : dict of str to head
        One a block, and ``all`` where there are several blocks.
    combiner_ : MultilabelLogistic
    chosen_ : dict
        ``C`` of each head, and ``combiner`` of the second level.
    centre_, scale_ : ndarray of shape (heads, L)
        Mean and standard deviation of the out-of-fold scores.

    Notes
    -----
    Wolpert, "Stacked generalization", 1992.

    Examples
    --------
    >>> from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
    >>> rows = np.array([[0.0, 0.0], [1.0, 0.0]] * 4, np.float32)
    >>> matrix, truth = FusionMatrix.from_blocks([rows], ["text"]), [[0, 1], [1, 0]] * 4
    >>> head = Stacking(MultilabelLinearSVC(random_state=0), folds=2, penalties=[1.0])
    >>> head.fit(matrix, truth).predict(matrix)[:2].tolist()
    [[0, 1], [1, 0]]
    """

    def __init__(
        self,
        estimator: Any,
        cs: Sequence[float] = (0.1, 0.3, 1.0),
        penalties: Sequence[float] = (0.001, 0.01, 0.1),
        folds: int = 4,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.cs = cs
        self.penalties = penalties
        self.folds = folds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        if not len(self.penalties):
            raise SettingError("penalties: expected at least one, found none.")
        fold = assign_folds(truth, self.folds, groups, self.random_state, fewer=True)
        self.chosen_: dict[str, float] = {}
        self.heads_, scores = {}, []
        for name, member in _members(matrix).items():
            chosen, found = self._best(member, truth, fold, weight)
            self.heads_[name] = fit_head(
                self.estimator, member, truth, chosen, n_jobs=self.n_jobs, sample_weight=weight
            )
            self.chosen_ |= {f"C_{name}": value for value in chosen.values()}
            scores.append(found)
        self._measure(np.stack(scores), _absent(matrix))
        features = self._features(np.stack(scores), _absent(matrix))
        self.combiner_ = self._combine(features, truth, fold, weight)

    def _score(self, matrix: FusionMatrix) -> Floats:
        found = [head_scores(self.heads_[n], member) for n, member in _members(matrix).items()]
        return self.combiner_.decision_function(self._features(np.stack(found), _absent(matrix)))

    def _best(
        self, member: FusionMatrix, truth: Any, fold: NDArray[np.int64], weight: Floats | None
    ) -> tuple[dict[str, float], Floats]:
        """Best parameters of a head of the first level, and its out-of-fold scores."""
        tried = []
        for parameters in [{"C": c} for c in self.cs] or [{}]:
            estimator = clone(self.estimator).set_params(**parameters)
            scores = out_of_fold(estimator, member, truth, fold, self.n_jobs, weight)
            tried.append((parameters, scores))
        return max(tried, key=lambda each: mean_average_precision(truth, each[1], "weighted"))

    def _measure(self, scores: Floats, absent: Flags) -> None:
        """Mean and deviation of the heads' scores of items that have their block."""
        said = np.where(absent[:, :, None] | np.isnan(scores), 0.0, 1.0)
        count = np.maximum(said.sum(axis=1), 1)
        filled = np.nan_to_num(scores)
        self.centre_ = (said * filled).sum(axis=1) / count
        spread = said * (filled - self.centre_[:, None]) ** 2
        deviation = np.sqrt(spread.sum(axis=1) / count)
        self.scale_ = np.where(deviation > 0, deviation, 1.0)

    def _features(self, scores: Floats, absent: Flags) -> FusionMatrix:
        """Features of the second level from scores of shape (heads, n, L): one row an item."""
        standard = (scores - self.centre_[:, None]) / self.scale_[:, None]
        standard = np.where(absent[:, :, None], 0.0, np.nan_to_num(standard))
        return FusionMatrix.from_blocks([np.hstack([*standard, absent.T])])

    def _combine(
        self, features: FusionMatrix, truth: Any, fold: NDArray[np.int64], weight: Floats | None
    ) -> Any:
        """The second level, its penalty chosen by its out-of-fold loss."""
        losses = []
        for penalty in self.penalties:
            scores = out_of_fold(
                MultilabelLogistic(penalty), features, truth, fold, sample_weight=weight
            )
            known = ~np.isnan(scores)
            answers = np.clip(1 / (1 + np.exp(-scores[known])), 1e-9, 1 - 1e-9)
            losses.append(log_loss(truth[known], answers, labels=[0, 1]) if known.any() else 0.0)
        self.chosen_["C_combiner"] = float(self.penalties[int(np.argmin(losses))])
        combiner = MultilabelLogistic(self.chosen_["C_combiner"], tol=1e-4)
        return combiner.fit(features, truth, sample_weight=weight)


def _members(matrix: FusionMatrix) -> dict[str, FusionMatrix]:
    """The blocks one by one, and all together where there are several."""
    pairs = zip(matrix.blocks, matrix.weights, strict=True)
    single = {block[0]: FusionMatrix((block,), (weight,)) for block, weight in pairs}
    return single if len(single) == 1 else {**single, ALL: matrix}


def _absent(matrix: FusionMatrix) -> Flags:
    """Which items lack the block of which head, shape (heads, n)."""
    missing = missing_blocks(matrix).T
    return missing if len(missing) == 1 else np.vstack([missing, missing.all(axis=0)])
