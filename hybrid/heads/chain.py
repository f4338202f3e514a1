"""Classifier chains: the scores of more frequent genres are features of the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead
from hybrid.heads.cross_fitting import assign_folds, out_of_fold
from hybrid.heads.fitting import fit_head, head_scores

Floats = NDArray[np.float64]


class Chain(FusionHead):
    """Classifier chain: one head a genre, the most frequent genre first.

    Each link sees the fusion and, as one more block, the scores of the links before it (Read,
    Pfahringer, Holmes and Frank, "Classifier chains for multi-label classification", 2011). It learns
    from their out-of-fold scores, not from the labels, because new items have only scores
    (Senge, del Coz and Hüllermeier, "Rectifying classifier chains for multi-label classification", 2013).

    Parameters
    ----------
    estimator : classifier
        As `hybrid.heads.fitting.fit_head` takes it.
    folds : int
        Of the out-of-fold scores.
    n_jobs : int or None
    random_state : int

    Attributes
    ----------
    order_ : ndarray of shape (L,)
        Numbers of the genres, first link first.
    links_ : list of L heads
        In that order.
    centre_, scale_ : ndarray of shape (L,)
        Mean and standard deviation of each genre's out-of-fold scores.

    Examples
    --------
    >>> from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
    >>> rows = np.array([[0.0, 0.0], [1.0, 0.0]] * 4, np.float32)
    >>> matrix, truth = FusionMatrix.from_blocks([rows], ["text"]), [[0, 1], [1, 0]] * 4
    >>> head = Chain(MultilabelLinearSVC(C=10.0, random_state=0), folds=2).fit(matrix, truth)
    >>> head.predict(matrix)[:2].tolist()
    [[0, 1], [1, 0]]
    """

    def __init__(
        self, estimator: Any, folds: int = 3, n_jobs: int | None = None, random_state: int = 0
    ) -> None:
        self.estimator = estimator
        self.folds = folds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        fold = assign_folds(truth, self.folds, groups, self.random_state, fewer=True)
        n, genres = truth.shape
        self.order_ = np.argsort(-truth.sum(axis=0, dtype=np.int64), kind="stable")
        self.links_, self.centre_, self.scale_ = [], np.zeros(genres), np.ones(genres)
        earlier = np.zeros((n, genres))
        for genre in self.order_:
            joined, one = _join(matrix, earlier), truth[:, [genre]]
            head = fit_head(self.estimator, joined, one, n_jobs=self.n_jobs, sample_weight=weight)
            self.links_.append(head)
            scores = out_of_fold(self.estimator, joined, one, fold, self.n_jobs, weight).ravel()
            known = scores[~np.isnan(scores)]
            if len(known) and np.ptp(known) > 0:
                self.centre_[genre], self.scale_[genre] = known.mean(), known.std()
            earlier[:, genre] = self._standardise(scores, genre)

    def _score(self, matrix: FusionMatrix) -> Floats:
        scores = np.zeros((len(matrix), len(self.order_)))
        earlier = np.zeros_like(scores)
        for genre, link in zip(self.order_, self.links_, strict=True):
            scores[:, genre] = head_scores(link, _join(matrix, earlier)).ravel()
            earlier[:, genre] = self._standardise(scores[:, genre], genre)
        return scores

    def _standardise(self, scores: Floats, genre: int) -> Floats:
        """Standardised, and so scaled that the block's rows are about as long as the others'."""
        earlier = (scores - self.centre_[genre]) / self.scale_[genre] / np.sqrt(len(self.order_))
        return np.nan_to_num(earlier)


def _join(matrix: FusionMatrix, earlier: Floats) -> FusionMatrix:
    """The fusion, and the scores as its last block; no item lacks it, says its last column."""
    block = np.zeros((len(earlier), earlier.shape[1] + 1), dtype=np.float32)
    block[:, :-1] = earlier
    return FusionMatrix((*matrix.blocks, ("chain", block)), (*matrix.weights, 1.0))
