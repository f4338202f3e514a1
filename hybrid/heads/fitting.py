"""Fit one head to a fusion, and score items with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, starmap
from typing import Any

import numpy as np
from joblib import effective_n_jobs, parallel_config
from numpy.typing import NDArray
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead, rows_needed
from hybrid.heads.masked_fit import MaskedHead, fit_masked
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.utils.threads import map_ahead
from hybrid.utils.unknown_labels import as_no, known_cells

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
TOGETHER = 2**13  # most items that a thread encodes at a time
PIECES = 4  # more items are cut to a multiple of so many pieces, whoever takes them
EDGE = 1e-9  # keeps the log-odds of a probability of 0 or 1 finite


def fit_head(
    estimator: Any,
    matrix: FusionMatrix,
    truth: Labels,
    parameters: Mapping[str, Any] | None = None,
    *,
    tuned: bool = True,
    n_jobs: int | None = None,
    random_state: int = 0,
    groups: NDArray[Any] | None = None,
    sample_weight: Floats | None = None,
) -> Any:
    """Fit a head: all genres together, or one-vs-rest.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Of one genre against the rest; or a `MultilabelLinearSVC` or a `FusionHead`, which fit all genres
        together and need no copy of the fusion as CSR. It is cloned.
    matrix : FusionMatrix of n rows
    truth : ndarray of shape (n, L)
        1 where the item has the label; masked where it is unknown: each label is fitted on the items where it
        is known. The scores of a genre that all or none of the items have
        have no meaning.
    parameters : mapping, optional
        To set on the estimator.
    tuned : bool, default=True
        False: a dummy; one that draws labels at random gets another seed for each genre.
    n_jobs : int or None, default=None
        Threads over genres.
    random_state : int, default=0
    groups : ndarray of shape (n,), optional
        For heads that make folds of their own.
    sample_weight : ndarray of shape (n,), optional
        Weight of each item in the loss; 0 leaves it out.

    Returns
    -------
    MultilabelLinearSVC, FusionHead, OneVsRestClassifier or MaskedHead

    Raises
    ------
    SettingError
        If `sample_weight` is given and the head cannot weigh items.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2], [0.9]], np.float32)])
    >>> head = fit_head(MultilabelLinearSVC(C=10), matrix, np.array([[0], [1], [0], [1]], np.uint8))
    >>> (head_scores(head, matrix) > 0).ravel().tolist()
    [False, True, False, True]
    """
    if known_cells(truth) is not None:

        def fit(rows: NDArray[np.bool_], labels: Labels) -> Any:
            how: Any = {"tuned": tuned, "n_jobs": n_jobs, "random_state": random_state}
            if (
                matrix.is_lazy
            ):  # to take rows would read them all; a weight of 0 leaves them out, too
                spread = np.zeros((len(rows), labels.shape[1]), labels.dtype)
                spread[rows] = labels
                weight = rows.astype(np.float64)
                weight *= 1 if sample_weight is None else sample_weight
                return fit_head(estimator, matrix, spread, parameters, **how, sample_weight=weight)
            return fit_head(
                estimator,
                matrix[rows],
                labels,
                parameters,
                **how,
                groups=None if groups is None else groups[rows],
                sample_weight=None if sample_weight is None else sample_weight[rows],
            )

        return fit_masked(truth, fit)
    truth = as_no(truth)
    if sample_weight is not None and not matrix.is_lazy:  # to take rows would read them all
        used = sample_weight > 0
        matrix, truth, sample_weight = matrix[used], truth[used], sample_weight[used]
        groups = None if groups is None else groups[used]
    head = clone(estimator).set_params(**parameters or {})
    if isinstance(head, FusionHead) or _takes_fusion(head, truth):
        features: Any = matrix
        if "n_jobs" in head.get_params(deep=False):
            head.set_params(n_jobs=n_jobs)
    else:
        features = _rows_for(head, matrix)
        head = _one_vs_rest(head, n_jobs, sample_weight)
    if isinstance(head, FusionHead):
        return head.fit(matrix, truth, groups=groups, sample_weight=sample_weight)
    target = truth.ravel() if truth.shape[1] == 1 else truth
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    with warnings.catch_warnings(), parallel_config(backend="threading"):
        warnings.filterwarnings("ignore", message="Label .* is present in")
        with config_context(enable_metadata_routing=bool(weights)):
            head.fit(features, target, **weights)
    if not tuned:
        for j, dummy in enumerate(head.estimators_):
            if hasattr(dummy, "random_state"):  # else all genres have the same random labels
                dummy.set_params(random_state=random_state + j)
    return head


def _one_vs_rest(head: Any, n_jobs: int | None, sample_weight: Floats | None) -> Any:
    """One head a genre; OneVsRestClassifier passes weights on only by metadata routing."""
    if sample_weight is not None:
        if not has_fit_parameter(head, "sample_weight"):
            raise SettingError(
                f"sample_weight: expected a head that can weigh items, found {type(head).__name__}. "
                "Leave sample_weight out, or use another head, such as MultilabelLinearSVC."
            )
        with config_context(enable_metadata_routing=True):
            head.set_fit_request(sample_weight=True)
    return OneVsRestClassifier(head, n_jobs=n_jobs)


def head_scores(head: Any, matrix: FusionMatrix, *, tuned: bool = True) -> Floats:
    """Scores of items by a head that `fit_head` returned.

    Parameters
    ----------
    head : MultilabelLinearSVC, FusionHead or OneVsRestClassifier
    matrix : FusionMatrix of n rows
    tuned : bool, default=True
        False: the head's own labels, 0 or 1.

    Returns
    -------
    ndarray of shape (n, L), float64
        Margins, or log-odds where the head has only probabilities.
    """
    if isinstance(head, MaskedHead):
        return head.score(lambda one: head_scores(one, matrix, tuned=tuned))
    if isinstance(head, MultilabelLinearSVC | FusionHead):
        return head.decision_function(matrix).reshape(len(matrix), -1)
    rows = _rows_for(head.estimator, matrix)
    if not tuned:
        answers = [estimator.predict(rows) for estimator in head.estimators_]
        return np.stack(answers, axis=1).astype(np.float64)
    if hasattr(head.estimator, "decision_function"):
        return np.asarray(head.decision_function(rows)).reshape(len(matrix), -1)
    probabilities = np.asarray(head.predict_proba(rows))
    if head.n_classes_ <= 2 and not head.multilabel_:
        probabilities = probabilities[:, -1:]
    return log_odds(probabilities)


def each_piece(
    score: Callable[[int, int], Floats], items: int, n_jobs: int | None = None
) -> Iterator[Floats]:
    """Yield the scores of all items in order, some thousand at a time: memory does not grow with the items.

    Parameters
    ----------
    score : callable
        The first item and the one after the last → their scores.
    items : int
    n_jobs : int or None, default=None
        Threads, each with a piece: None is 1, and -1 all cores. Where the pieces begin and end depends on the
        number of items alone: the last bits of a product may depend on how many rows are multiplied at once.

    Yields
    ------
    ndarray of shape (some items, …)
        One at least, even of no items.

    Examples
    --------
    >>> [piece.tolist() for piece in each_piece(lambda start, stop: np.arange(start, stop), 3)]
    [[0, 1, 2]]
    """
    count = 1 if items <= TOGETHER else PIECES * -(-items // (PIECES * TOGETHER))
    bounds = pairwise(np.linspace(0, items, count + 1).astype(int).tolist())
    workers = effective_n_jobs(n_jobs)
    if count == 1 or workers == 1:
        yield from starmap(score, bounds)
        return
    # Numpy's products in threads of their own would only fight with these.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        yield from (piece for _, piece in map_ahead(pool, lambda p: score(*p), bounds, workers))


def _takes_fusion(head: Any, truth: Labels) -> bool:
    """Whether it is the SVM, and some genre varies: it cannot fit a single constant one."""
    return isinstance(head, MultilabelLinearSVC) and bool(np.ptp(truth, axis=0).any())


def _rows_for(estimator: Any, matrix: FusionMatrix) -> Any:
    """Input of heads of one genre: an array where all blocks are dense, else CSR."""
    if isinstance(estimator, MultilabelLinearSVC):  # all are constants, which look at no feature
        return sparse.csr_matrix(matrix.shape)
    if matrix.is_lazy:
        raise rows_needed("a head of one genre")
    if any(sparse.issparse(block) for _, block in matrix.blocks):
        return matrix.tocsr()
    pairs = zip(matrix.blocks, matrix.weights, strict=True)
    return np.hstack([block * weight for (_, block), weight in pairs])


def log_odds(probabilities: Floats) -> Floats:
    """Log-odds ``log(p / (1 - p))``, finite at 0 and 1.

    Examples
    --------
    >>> log_odds(np.array([0.5, 1.0])).round(1).tolist()
    [0.0, 20.7]
    """
    clipped = np.clip(probabilities, EDGE, 1 - EDGE)
    return np.log(clipped) - np.log1p(-clipped)
