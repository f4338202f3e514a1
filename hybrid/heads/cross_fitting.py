"""Out-of-fold scores by cross-fitting: each item is scored by a head that was fitted without its fold."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import clone

from hybrid.errors import SettingError
from hybrid.features.fusion import BlockData, Fusion, take_rows
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.svm.base import signed_weights, with_ones
from hybrid.heads.svm.batch_fit import fit_many
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.heads.svm.solver import solve
from hybrid.splitting.splits import make_folds
from hybrid.utils.counts import counted
from hybrid.utils.progress import Advance
from hybrid.utils.unknown_labels import as_no, known_cells, known_mean, same_for_all

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

MEMORY = 2**30  # bytes of encoded folds; above that, encoding them again is cheaper than the memory


@dataclass(frozen=True)
class Candidate:
    """Settings to evaluate: parameters of the head, and weights of the blocks.

    Parameters
    ----------
    parameters : dict of str to value
    weights : dict of str to float
        Block → weight; blocks that are not named keep theirs.

    Examples
    --------
    >>> Candidate({"C": 0.1}, {"text": 2.0}).parameters
    {'C': 0.1}
    """

    parameters: dict[str, Any]
    weights: dict[str, float]


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold: which items it holds out, and the features of the items on both sides.

    Parameters
    ----------
    held_out : ndarray of shape (n,), bool
    train, test : FusionMatrix
        Features of the other folds' items, and of the items held out.
    groups : ndarray of shape (train items,), optional
        For heads that make folds of their own.
    """

    held_out: NDArray[np.bool_]
    train: FusionMatrix
    test: FusionMatrix
    groups: NDArray[Any] | None = None


class FusionFolds:
    """Folds whose blocks are fitted on the training items of each fold.

    It can be iterated over several times. Blocks are fitted once. Folds that do not fit into `MEMORY`
    bytes are encoded at each iteration, so that the memory does not grow with their number.

    Parameters
    ----------
    fusion : Fusion
        Not changed.
    data : dict
        What `Fusion.read` returned for n items.
    number : ndarray of shape (n,)
        The fold of each item, from 0.
    groups : ndarray of shape (n,), optional
    """

    def __init__(
        self,
        fusion: Fusion,
        data: BlockData,
        number: NDArray[np.int64],
        groups: NDArray[Any] | None = None,
    ) -> None:
        self.fusion, self.data, self.number, self.groups = fusion, data, number, groups
        self._fitted: dict[int, Fusion] = {}
        self._encoded: dict[int, Fold] = {}
        self._left = MEMORY

    def __iter__(self) -> Iterator[Fold]:
        for k in range(int(self.number.max()) + 1):
            yield self._encoded.get(k) or self._encode(k)

    def _encode(self, k: int) -> Fold:
        held_out = self.number == k
        test = take_rows(self.data, np.flatnonzero(held_out))
        train = take_rows(self.data, np.flatnonzero(~held_out))
        if k not in self._fitted:
            self._fitted[k] = clone(self.fusion).fit(train)
        fusion = self._fitted[k]
        groups = None if self.groups is None else self.groups[~held_out]
        fold = Fold(held_out, fusion.transform(train), fusion.transform(test), groups)
        size = _size(fold.train) + _size(fold.test)
        if size <= self._left:
            self._encoded[k], self._left = fold, self._left - size
        return fold


def matrix_folds(matrix: FusionMatrix, number: NDArray[np.int64]) -> Iterator[Fold]:
    """Folds of features that do not depend on the fold.

    Parameters
    ----------
    matrix : FusionMatrix of n rows
    number : ndarray of shape (n,)
        The fold of each item, from 0.
    """
    for k in range(int(number.max()) + 1):
        held_out = number == k
        yield Fold(held_out, matrix[~held_out], matrix[held_out])


def _ignore(n: int) -> None:
    """Show no progress."""


@dataclass(eq=False)
class CrossFitting:
    """Fit heads on the training items of each fold, and score the items held out.

    Parameters
    ----------
    estimator, tuned, n_jobs, random_state
        As in `HybridClassifier`.
    folds : iterable of Fold
    truth : ndarray of shape (n, L)
    sample_weight : ndarray of shape (n,), optional
        Weights of the items in the fits of the head.
    advance : callable, optional
        Called with 1 after each fit, to show the progress.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2], [0.8], [0.1], [0.9]])])
    >>> truth, fold = np.array([[0], [1], [0], [1], [0], [1]], np.uint8), np.array([0, 0, 1, 1, 2, 2])
    >>> fitting = CrossFitting(MultilabelLinearSVC(), list(matrix_folds(matrix, fold)), truth)
    >>> small, large = fitting.score([Candidate({"C": 0.01}, {}), Candidate({"C": 10.0}, {})])
    >>> (large > 0).astype(int).ravel().tolist()
    [0, 1, 0, 1, 0, 1]
    """

    estimator: Any
    folds: Iterable[Fold]
    truth: Labels
    tuned: bool = True
    n_jobs: int | None = None
    random_state: int = 0
    sample_weight: Floats | None = None
    advance: Advance = _ignore

    def score(self, candidates: Sequence[Candidate], estimator: Any = None) -> list[Floats]:
        """Out-of-fold scores of each candidate.

        Parameters
        ----------
        candidates : sequence of Candidate
        estimator : classifier, optional
            Takes the place of the usual one.

        Returns
        -------
        list of ndarray of shape (n, L), float64
            NaN where all or none of a fold's training items have the genre; the share of them that has
            it where the estimator is not tuned.
        """
        scores = [np.full(self.truth.shape, np.nan) for _ in candidates]
        weight = self.sample_weight
        for fold in self.folds:
            train = ~fold.held_out
            truth, part = self.truth[train], None if weight is None else weight[train]
            known = truth if part is None else truth[part > 0]
            constant = np.nan if self.tuned else known_mean(known)
            varies = ~same_for_all(known)
            heads = self._fit(estimator or self.estimator, fold, truth, part, candidates)
            for candidate, head, filled in zip(candidates, heads, scores, strict=True):
                features = fold.test.with_weights(candidate.weights)
                found = head_scores(head, features, tuned=self.tuned)
                filled[fold.held_out] = np.where(varies, found, constant)
                self.advance(1)
            del fold, heads  # before the next one takes its memory
        return scores

    def _fit(
        self,
        estimator: Any,
        fold: Fold,
        truth: Labels,
        weight: Floats | None,
        candidates: Sequence[Candidate],
    ) -> Iterator[Any]:
        """A head for each candidate: in one solve where the estimator can."""
        whole = known_cells(truth) is None
        only_c = len(candidates) > 1 and all(set(c.parameters) <= {"C"} for c in candidates)
        together = only_c and whole and not fold.train.is_lazy
        if isinstance(estimator, MultilabelLinearSVC) and truth.shape[1] > 1 and together:
            threaded = clone(estimator).set_params(n_jobs=self.n_jobs)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Label .* is present in")
                yield from fit_many(threaded, fold.train, truth, candidates, weight)
            return
        for candidate in candidates:
            yield fit_head(
                estimator,
                fold.train.with_weights(candidate.weights),
                truth,
                candidate.parameters,
                tuned=self.tuned,
                n_jobs=self.n_jobs,
                random_state=self.random_state,
                groups=fold.groups,
                sample_weight=weight,
            )


def out_of_fold(
    estimator: Any,
    matrix: FusionMatrix,
    truth: Labels,
    fold: NDArray[np.int64],
    n_jobs: int | None = None,
    sample_weight: Floats | None = None,
) -> Floats:
    """Out-of-fold scores of one head, on features that do not depend on the fold.

    Parameters
    ----------
    estimator : classifier
        As `fit_head` takes it.
    matrix : FusionMatrix of n rows
    truth : ndarray of shape (n, L)
    fold : ndarray of shape (n,)
        Numbers from 0.
    n_jobs : int or None, default=None
    sample_weight : ndarray of shape (n,), optional

    Returns
    -------
    ndarray of shape (n, L), float64
        NaN where all or none of the other folds' items have the genre.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2], [0.8], [0.1], [0.9]])])
    >>> truth = np.array([[0], [1], [0], [1], [0], [1]], np.uint8)
    >>> scores = out_of_fold(MultilabelLinearSVC(C=10.0), matrix, truth, np.array([0, 0, 1, 1, 2, 2]))
    >>> (scores > 0).astype(int).ravel().tolist()
    [0, 1, 0, 1, 0, 1]
    """
    if not isinstance(estimator, MultilabelLinearSVC) or known_cells(truth) is not None:
        fitting = CrossFitting(
            estimator,
            matrix_folds(matrix, fold),
            truth,
            n_jobs=n_jobs,
            sample_weight=sample_weight,
        )
        return fitting.score([Candidate({}, {})])[0]
    held_out = np.equal.outer(np.arange(fold.max() + 1), fold)
    weight = np.ones(len(truth)) if sample_weight is None else sample_weight
    scores = _svm_scores(estimator, matrix, truth, held_out, weight, n_jobs)
    for out in held_out:
        constant = np.ptp(truth[~out & (weight > 0)], axis=0) == 0
        scores[np.ix_(out, constant)] = np.nan
    return scores


def _svm_scores(
    svm: MultilabelLinearSVC,
    matrix: FusionMatrix,
    truth: Labels,
    held_out: NDArray[np.bool_],
    weight: Floats,
    n_jobs: int | None,
) -> Floats:
    """All folds in one solve: an item of weight 0 is left out, and the Gram matrices are shared."""
    features = with_ones(matrix) if svm.fit_intercept else matrix
    B = [signed_weights(truth == 1, weight * ~out, svm.C, svm.class_weight) for out in held_out]
    found = solve(
        features,
        np.concatenate(B),
        tol=svm.tol,
        max_iter=svm.max_iter,
        n_jobs=n_jobs,
        random_state=svm.random_state,
    )
    scores = np.empty(truth.shape)
    for out, coef in zip(held_out, np.split(found.coef, len(held_out)), strict=True):
        scores[out] = features[out] @ coef.T
    return scores


def assign_folds(
    truth: Labels,
    n_folds: int,
    groups: ArrayLike | None = None,
    seed: int = 0,
    *,
    ids: ArrayLike | None = None,
    fewer: bool = False,
) -> NDArray[np.int64]:
    """Assign items to folds, stratified by labels, with the items of a group in one fold.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    n_folds : int
        At least 2.
    groups : array-like of shape (n,), optional
    seed : int, default=0
    ids : array-like of shape (n,), optional
        The folds do not depend on the order of items that have ids; numbers where they repeat.
    fewer : bool, default=False
        Whether there may be fewer folds, at least 2, where there are fewer groups.

    Returns
    -------
    ndarray of shape (n,), int64
        Numbers from 0.

    Raises
    ------
    SettingError
        If there are fewer groups of items than folds (than two, with `fewer`), or shapes are wrong.

    Examples
    --------
    >>> truth = np.array([[1], [1], [0], [0]], np.uint8)
    >>> fold = assign_folds(truth, 2)
    >>> [int(truth[fold == k].sum()) for k in range(2)]
    [1, 1]
    """
    if n_folds < 2:
        raise SettingError(f"folds: expected 2 or more, found {n_folds}.")
    names = np.arange(len(truth)) if ids is None else unique_names(ids)
    fold = make_folds(names, as_no(truth), n_folds, groups=groups, seed=seed)
    filled, renumbered = np.unique(fold, return_inverse=True)
    if fewer and len(filled) < 2:
        raise SettingError("folds: expected at least two groups of items, found fewer.")
    if not fewer and len(filled) < n_folds:
        raise SettingError(
            f"folds: expected at least {n_folds} groups of items, found so few that only "
            f"{counted(len(filled), 'fold has', 'folds have')} items. Use fewer folds."
        )
    return renumbered.astype(np.int64)


def unique_names(ids: ArrayLike) -> NDArray[Any]:
    """The ids of items, or their numbers where an id repeats.

    Examples
    --------
    >>> unique_names(["a", "b"]).tolist(), unique_names(["a", "a"]).tolist()
    (['a', 'b'], [0, 1])
    """
    names = np.asarray(ids)
    return names if len(set(names.tolist())) == len(names) else np.arange(len(names))


def _size(matrix: FusionMatrix) -> int:
    """Bytes that the numbers of the blocks take."""
    arrays = [
        array
        for _, block in matrix.blocks
        for array in (
            (block.data, block.indices, block.indptr) if sparse.issparse(block) else (block,)
        )
    ]
    return sum(int(array.nbytes) for array in arrays)
