"""Linear SVMs of all labels, whose C and block weights are chosen by cross-validation in one solve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, get_scorer, get_scorer_names
from sklearn.model_selection import check_cv

from hybrid.errors import SettingError, unknown_name
from hybrid.features.fusion import FusionMatrix
from hybrid.heads.svm.base import Flags, Floats, LabelSVMs, check_positive, constant_labels

Rows = NDArray[np.int64]
Weights = Mapping[str, float]
Scoring = str | Callable[..., float]
MAP = "weighted-map"
PIECE = 4096  # items that are scored at a time: rows taken by number are a copy


class MultilabelLinearSVCCV(LabelSVMs):
    """`MultilabelLinearSVC` with `C` and the weights of blocks chosen by cross-validation.

    All candidates, folds and labels are columns of one solve, which shares its Gram matrices: a fold
    is a mask on the items (and has its own class weights), a value of C a factor on them. A block
    weight is a column scale; the Gram matrix of a candidate is the sum of those of the blocks,
    each times its weight squared, so that these are made once. Blocks whose weights vary alike count
    as one. The chosen candidate is fitted again on all items.

    Parameters
    ----------
    Cs : sequence of float
        Values of `C`, above 0.
    block_weights : sequence of mapping, optional
        Each names blocks of the `FusionMatrix` and their weights, above 0; blocks that it does not name
        keep that of the matrix. By default the matrix's weights alone. Each value of C is tried with
        each of them.
    cv : int, splitter or iterable
        What scikit-learn's ``check_cv`` takes; each item must be in exactly one test part.
    scoring : str or callable
        ``"weighted-map"``: mean average precision of the labels, weighted by their support in the test
        part; labels that could not be learnt count at their share. Or what scikit-learn's `get_scorer`
        takes. The mean over the folds decides, and the first of equals.
    class_weight, tol, fit_intercept, max_iter, n_jobs, random_state
        As in `MultilabelLinearSVC`; class weights are those of each fold's own items.

    Attributes
    ----------
    C_ : float
    block_weights_ : dict
        Block → weight, all of them.
    best_index_, best_score_ : int, float
    cv_results_ : dict of ndarray
        As scikit-learn's `GridSearchCV` names them: ``params``, ``param_C``, ``param_block_weights``,
        ``split0_test_score`` …, ``mean_test_score``, ``std_test_score``, ``rank_test_score``; and
        ``dual_gap``, each candidate's largest.
    fold_ : ndarray of shape (n,), int64
        The fold that each item of `fit` was left out of.
    oof_decision_ : ndarray of shape (n, L), or (n,) for two classes
        Scores that the chosen candidate gives items while they are left out; NaN where the other folds
        have only items with the label, or none.
    coef_ : ndarray of shape (L, columns), float64
        Of the last fit, for the matrix as `fit` was given it: the chosen weights are in it.
    intercept_, dual_gap_, n_iter_, classes_, n_features_in_
        Of the last fit; as in `MultilabelLinearSVC`.
    """

    def __init__(
        self,
        Cs: Sequence[float] = (0.01, 0.1, 1.0),
        *,
        block_weights: Sequence[Weights] | None = None,
        cv: Any = 5,
        scoring: Scoring = MAP,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-3,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.Cs = Cs
        self.block_weights = block_weights
        self.cv = cv
        self.scoring = scoring
        self.class_weight = class_weight
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MultilabelLinearSVCCV:
        """Choose on the folds, then fit on all items.

        Parameters
        ----------
        X : ndarray, CSR or FusionMatrix of shape (n, columns)
        y : array of shape (n,) or (n, L)
        sample_weight : array of shape (n,), optional
            Weighs items in the fits, and in the scores.

        Raises
        ------
        SettingError
            If parameters are wrong; it lists all that are.
        ValueError
            If X or y are not what they should be.

        Warns
        -----
        ConvergenceWarning
            If a gap is above `tol` after `max_iter` epochs.
        """
        matrix, Y, weight = self._start(X, y, sample_weight)
        candidates = self._candidates(matrix)
        self._warn_constant(Y, weight)
        truth = Y.astype(np.int64) if self._multilabel else np.asarray(y).reshape(len(Y))
        self.fold_ = self._deal(truth)
        masked = self._mask(weight)
        scores, gap = self._cross_fit(matrix, Y, masked, candidates)
        weights = None if sample_weight is None else weight
        self._choose(candidates, self._judge(Y, truth, scores, weights), gap)
        unlearnt = np.array([constant_labels(Y, left) for left in masked])[self.fold_]
        best = np.where(unlearnt, np.nan, scores[self.best_index_])
        self.oof_decision_ = best if self._multilabel or best.shape[1] > 1 else best.ravel()
        weighed = matrix.with_weights(self.block_weights_)
        found = self._solve(weighed, self._signed(Y, weight, self.C_))
        self._warn(found.gap)
        self._keep(found, Y, weight)
        self.coef_ = self.coef_ * _scales(matrix, np.array([weighed.weights]))
        return self

    def _candidates(self, matrix: FusionMatrix) -> list[tuple[float, dict[str, float]]]:
        """Values of C with weights of all blocks."""
        names = [name for name, _ in matrix.blocks]
        given = [{}] if self.block_weights is None else self.block_weights
        problems = []
        for name, value in {item for weights in given for item in weights.items()}:
            if name not in names:
                problems.append(str(unknown_name("block", name, names)))
            problems += check_positive(f"block_weights: {name}", value)
        if problems:
            raise SettingError("\n".join(sorted(problems)))
        own = dict(zip(names, matrix.weights, strict=True))
        weights = [{**own, **{n: float(w) for n, w in some.items()}} for some in given]
        return list(product([float(C) for C in self.Cs], weights))

    def _deal(self, truth: NDArray[Any]) -> Rows:
        """The fold of each item."""
        cv = check_cv(self.cv, truth, classifier=True)
        fold = np.full(len(truth), -1)
        times = 0
        for k, (_, test) in enumerate(cv.split(np.zeros((len(truth), 1)), truth)):
            fold[test] = k
            times += len(np.arange(len(truth))[test])
        if times != len(truth) or (fold < 0).any():
            raise SettingError(
                "cv: expected that each item is in one test part, found "
                f"{(fold < 0).sum()} of {len(fold)} in none and {times} in all. Use a KFold or its kin."
            )
        return fold

    def _mask(self, weight: Floats) -> list[Floats]:
        """The items' weights without each fold."""
        masked = [np.where(self.fold_ == k, 0.0, weight) for k in range(self.fold_.max() + 1)]
        for k, left in enumerate(masked):
            if not left.any():
                raise SettingError(
                    f"cv: expected items of a weight above 0 outside of fold {k}, found none."
                )
        return masked

    def _cross_fit(
        self,
        matrix: FusionMatrix,
        Y: Flags,
        masked: list[Floats],
        candidates: list[tuple[float, dict[str, float]]],
    ) -> tuple[Floats, Floats]:
        """Out-of-fold scores of shape (candidates, n, L), and the largest gap of each candidate."""
        B = np.concatenate([self._signed(Y, left, C) for C, _ in candidates for left in masked])
        each = len(masked) * Y.shape[1]
        weights = np.repeat([list(w.values()) for _, w in candidates], each, axis=0)
        found = self._solve(matrix, B, weights)
        self._warn(found.gap)
        coef, intercept = self._split(found.coef)
        shape = (len(candidates), len(masked), Y.shape[1])
        coef = (coef * _scales(matrix, weights)).reshape(*shape, -1)
        intercept = intercept.reshape(shape)
        scores = np.empty((len(candidates), *Y.shape))
        for k, left in enumerate(masked):
            constant = constant_labels(Y, left)
            intercept[:, k, constant] = Y[left > 0][0, constant]
            rows = np.flatnonzero(self.fold_ == k)
            scores[:, rows] = _score(matrix, rows, coef[:, k], intercept[:, k])
        return scores, found.gap.reshape(len(candidates), each).max(axis=1)

    def _judge(
        self, Y: Flags, truth: NDArray[Any], scores: Floats, weight: Floats | None
    ) -> Floats:
        """Quality of shape (candidates, folds)."""
        parts = [np.flatnonzero(self.fold_ == k) for k in range(self.fold_.max() + 1)]
        judge = _weighted_map if self.scoring == MAP else self._scorer()
        target = Y if self.scoring == MAP else truth
        return np.array(
            [
                [judge(each[p], target[p], None if weight is None else weight[p]) for p in parts]
                for each in scores
            ]
        )

    def _scorer(self) -> Callable[..., float]:
        """A scorer of scikit-learn, for scores in place of features."""
        scorer = get_scorer(self.scoring)

        def judge(scores: Floats, truth: NDArray[Any], weight: Floats | None) -> float:
            L = scores.shape[1]
            same = copy(self)  # whose decision_function gives what it is given
            same.coef_, same.intercept_, same.n_features_in_ = np.eye(L), np.zeros(L), L
            options = {} if weight is None else {"sample_weight": weight}
            return float(scorer(same, scores, truth, **options))

        return judge

    def _choose(
        self, candidates: list[tuple[float, dict[str, float]]], quality: Floats, gap: Floats
    ) -> None:
        """Keep the best, and the table of what was tried."""
        mean = quality.mean(axis=1)
        self.best_index_ = int(mean.argmax())
        self.best_score_ = float(mean[self.best_index_])
        self.C_, self.block_weights_ = candidates[self.best_index_]
        splits = {f"split{k}_test_score": column for k, column in enumerate(quality.T)}
        self.cv_results_ = {
            "params": [{"C": C, "block_weights": weights} for C, weights in candidates],
            "param_C": np.array([C for C, _ in candidates]),
            "param_block_weights": np.array([w for _, w in candidates], dtype=object),
            **splits,
            "mean_test_score": mean,
            "std_test_score": quality.std(axis=1),
            "rank_test_score": rankdata(-mean, method="min").astype(np.int32),
            "dual_gap": gap,
        }

    def _problems(self) -> list[str]:
        """What is wrong with the parameters."""
        problems = super()._problems()
        if not isinstance(self.Cs, Iterable) or not len(self.Cs):
            problems.append(f"Cs: expected at least one number, found {self.Cs!r}.")
        else:
            problems += [found for C in self.Cs for found in check_positive("Cs", C)]
        if self.block_weights is not None and not len(self.block_weights):
            problems.append("block_weights: expected None or at least one mapping, found none.")
        if isinstance(self.scoring, str) and self.scoring not in {MAP, *get_scorer_names()}:
            problems.append(str(unknown_name("scoring", self.scoring, {MAP, *get_scorer_names()})))
        return problems


def _scales(matrix: FusionMatrix, weights: Floats) -> Floats:
    """What turns coefficients under other block weights into those of the matrix as it is.

    Of shape (K, columns), for weights of shape (K, blocks).
    """
    widths = [block.shape[1] for _, block in matrix.blocks]
    return np.repeat(weights / np.array(matrix.weights), widths, axis=1)


def _score(matrix: FusionMatrix, rows: Rows, coef: Floats, intercept: Floats) -> Floats:
    """Scores of some rows, of shape (candidates, rows, L), all candidates in one product."""
    count, L, columns = coef.shape
    W = np.ascontiguousarray(coef.reshape(count * L, columns).T)
    pieces = [matrix[rows[i : i + PIECE]] @ W for i in range(0, len(rows), PIECE)]
    scores = np.concatenate(pieces).reshape(len(rows), count, L)
    return scores.transpose(1, 0, 2) + intercept[:, None, :]


def _weighted_map(scores: Floats, truth: Flags, weight: Floats | None) -> float:
    """Mean average precision, labels weighted by support; 0 if no label has any."""
    weight = np.ones(len(truth)) if weight is None else weight
    support = weight @ truth
    known = np.flatnonzero(support)
    if not len(known):
        return 0.0
    each = [average_precision_score(truth[:, k], scores[:, k], sample_weight=weight) for k in known]
    return float(np.average(each, weights=support[known]))
