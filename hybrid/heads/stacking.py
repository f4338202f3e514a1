"""Stacking: a head for each block, combined by logistic regressions on their out-of-fold scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import log_loss

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix, missing_blocks
from hybrid.heads.base import FusionHead
from hybrid.heads.cross_fitting import assign_folds, out_of_fold
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.labelwise import LabelwiseLogistic
from hybrid.heads.scoring import mean_average_precision

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ALL = "all"


class Stacking(FusionHead):
    """Stacked generalisation: heads of single blocks and of all together, combined by logistic regressions.

    The features of the second level are the out-of-fold scores of all heads. The regression of a genre has
    those of this genre alone, so it learns how much to weigh each block for it. Where an item lacks a
    head's block, the scores of that head are set to 0, and an indicator column to 1.

    Parameters
    ----------
    estimator : classifier
        Of the first level, as `hybrid.heads.fitting.fit_head` takes it.
    cs : sequence of float
        Values of the estimator's ``C`` to choose from, for each head apart; empty: it has none.
    penalties : sequence of float
        Values of ``C`` of the second level to choose from.
    scores : sequence of str
        Blocks whose columns are scores already, one for each genre in their order, made by models that have
        not seen the item, such as those of a tuned encoder. They are features of the second level as they
        are. A block that has not as many columns as there are genres gets a head.
    folds : int
        Of the out-of-fold scores that both choices are made on.
    n_jobs : int or None
    random_state : int

    Attributes
    ----------
    heads_ : dict of str to head
        One a block, and ``all`` where there are several; blocks of `scores` apart.
    combiner_ : LabelwiseLogistic
        A model that was saved by an earlier version has a `MultilabelLogistic` on the scores of all genres.
    chosen_ : dict
        ``C`` of each head, and ``combiner`` of the second level.
    centre_, scale_ : ndarray of shape (heads + blocks of scores, L)
        Mean and standard deviation of the scores.

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
        penalties: Sequence[float] = (0.03, 0.1, 0.3, 1.0),
        folds: int = 4,
        n_jobs: int | None = None,
        random_state: int = 0,
        scores: Sequence[str] = (),
    ) -> None:
        self.estimator = estimator
        self.cs = cs
        self.penalties = penalties
        self.folds = folds
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.scores = scores

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        if not len(self.penalties):
            raise SettingError("penalties: expected at least one, found none.")
        fold = assign_folds(truth, self.folds, groups, self.random_state, fewer=True)
        self.chosen_: dict[str, float] = {}
        parts = _Parts.of(matrix, self.scores, truth.shape[1])
        self.heads_, scores = {}, []
        for name, member in parts.members.items():
            chosen, found = self._best(member, truth, fold, weight)
            self.heads_[name] = fit_head(
                self.estimator, member, truth, chosen, n_jobs=self.n_jobs, sample_weight=weight
            )
            self.chosen_ |= {f"C_{name}": value for value in chosen.values()}
            scores.append(found)
        known = np.stack([*scores, *parts.scores])
        self._measure(known, parts.absent)
        self.combiner_ = self._combine(self._features(known, parts.absent), truth, fold, weight)

    def _score(self, matrix: FusionMatrix) -> Floats:
        parts = _Parts.of(matrix, self.scores, len(self.classes_))
        found = [head_scores(self.heads_[name], member) for name, member in parts.members.items()]
        features = self._features(np.stack([*found, *parts.scores]), parts.absent)
        return self.combiner_.decision_function(features)

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
        losses, heads = [], len(self.centre_)
        for penalty in self.penalties:
            estimator = LabelwiseLogistic(heads, penalty)
            scores = out_of_fold(estimator, features, truth, fold, sample_weight=weight)
            known = ~np.isnan(scores)
            answers = np.clip(expit(scores[known]), 1e-9, 1 - 1e-9)
            losses.append(log_loss(truth[known], answers, labels=[0, 1]) if known.any() else 0.0)
        self.chosen_["C_combiner"] = float(self.penalties[int(np.argmin(losses))])
        combiner = LabelwiseLogistic(heads, self.chosen_["C_combiner"])
        return combiner.fit(features, truth, sample_weight=weight)


@dataclass(frozen=True)
class _Parts:
    """What the second level sees of n items: heads' matrices by name, scores (n, L), and who lacks them."""

    members: dict[str, FusionMatrix]
    scores: list[Floats]
    absent: Flags

    @classmethod
    def of(cls, matrix: FusionMatrix, scores: Sequence[str], labels: int) -> _Parts:
        """Tell the blocks of scores from those that need a head."""
        pairs = list(zip(matrix.blocks, matrix.weights, strict=True))
        ready = [name in scores and block.shape[1] == labels + 1 for (name, block), _ in pairs]
        learnt = [pair for pair, known in zip(pairs, ready, strict=True) if not known]
        members = {block[0]: FusionMatrix((block,), (weight,)) for block, weight in learnt}
        missing, needed = missing_blocks(matrix).T, ~np.array(ready)
        absent = [missing[needed]]
        if len(members) > 1:
            blocks, weights = zip(*learnt, strict=True)
            members[ALL] = FusionMatrix(blocks, weights)
            absent.append(missing[needed].all(axis=0, keepdims=True))
        known = [pair[0][1] for pair, known in zip(pairs, ready, strict=True) if known]
        found = [np.asarray(block[:, :labels], dtype=np.float64) for block in known]
        return cls(members, found, np.vstack([*absent, missing[~needed]]))
