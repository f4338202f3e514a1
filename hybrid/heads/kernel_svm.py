"""Support vector machines with an RBF kernel on the fusion: exact, and by the Nyström approximation."""

from __future__ import annotations

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.svm import SVC
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead

Floats = NDArray[np.float64]
LIMIT = 10_000  # items: their kernel has 0.8 GB, and the fit of a genre takes minutes
EIGEN = 1e-12  # least eigenvalue that is inverted, as in scikit-learn's Nystroem


class KernelSVC(FusionHead):
    """Support vector machines with an RBF kernel, one a genre, on one precomputed kernel matrix.

    Parameters
    ----------
    C : float, default=1.0
    gamma : float, default=1.0
        Width of the kernel ``exp(-gamma |x - z|² / s)``, s being the mean squared distance of two items,
        so that one grid does for all weights of the blocks.
    class_weight : None, "balanced" or dict, default="balanced"
    n_jobs : int or None, default=None
        Threads over genres.

    Attributes
    ----------
    gamma_ : float
        ``gamma / s``, as scikit-learn's SVC understands it.
    machines_ : list of L SVC or None
        None for a genre that all or none of the items have.

    Examples
    --------
    >>> rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.2, 0.0], [0.9, 0.0]], np.float32)
    >>> matrix, truth = FusionMatrix.from_blocks([rows], ["text"]), [[0], [1], [0], [1]]
    >>> KernelSVC(C=10.0).fit(matrix, truth).predict(matrix).ravel().tolist()
    [0, 1, 0, 1]
    """

    def __init__(
        self,
        C: float = 1.0,
        gamma: float = 1.0,
        *,
        class_weight: Any = "balanced",
        n_jobs: int | None = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.class_weight = class_weight
        self.n_jobs = n_jobs

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        if len(matrix) > LIMIT:
            raise SettingError(
                f"svc-rbf: expected at most {LIMIT:,} items, because it needs the kernel of all pairs, "
                f"found {len(matrix):,}. Take --estimator rbf, which approximates it."
            )
        self.items_, self.gamma_ = matrix, self.gamma / mean_squared_distance(matrix)
        kernel = rbf_kernel(matrix, matrix, self.gamma_)
        fits = (delayed(self._fit_one)(kernel, genre, weight) for genre in truth.T)
        self.machines_ = Parallel(n_jobs=self.n_jobs, backend="threading")(fits)

    def _fit_one(self, kernel: Floats, genre: Any, weight: Floats | None) -> SVC | None:
        if np.ptp(genre) == 0:
            return None
        machine = SVC(C=self.C, kernel="precomputed", class_weight=self.class_weight)
        return machine.fit(kernel, genre, weight)

    def _score(self, matrix: FusionMatrix) -> Floats:
        kernel = rbf_kernel(matrix, self.items_, self.gamma_)
        zero = np.zeros(len(matrix))
        found = [zero if m is None else m.decision_function(kernel) for m in self.machines_]
        return np.stack(found, axis=1)


class FusionNystroem(TransformerMixin, BaseEstimator):
    """Nyström approximation of the RBF kernel, as scikit-learn's `Nystroem`, for a fusion.

    scikit-learn's needs one array or CSR: the kernel of embeddings and words costs it a copy of both
    as CSR, and their product without BLAS.

    Parameters
    ----------
    gamma : float, default=1.0
        As that of `KernelSVC`.
    components : int, default=1000
        Items that span the approximation, drawn at random; all, where there are fewer.
    random_state : int

    Attributes
    ----------
    gamma_ : float
    landmarks_ : FusionMatrix
    normalization_ : ndarray of shape (components, components)

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2]])])
    >>> features = FusionNystroem(components=2).fit(matrix).transform(matrix)
    >>> features.shape
    (3, 2)
    """

    def __init__(self, gamma: float = 1.0, components: int = 1000, random_state: int = 0) -> None:
        self.gamma = gamma
        self.components = components
        self.random_state = random_state

    def fit(self, X: FusionMatrix, y: Any = None) -> FusionNystroem:
        """Draw the landmarks and decompose their kernel."""
        if not self.components >= 1:
            raise SettingError(f"components: expected 1 or more, found {self.components}.")
        self.gamma_ = self.gamma / mean_squared_distance(X)
        order = check_random_state(self.random_state).permutation(len(X))
        self.landmarks_ = X[order[: self.components]]
        U, values, V = np.linalg.svd(rbf_kernel(self.landmarks_, self.landmarks_, self.gamma_))
        self.normalization_ = (U / np.sqrt(np.maximum(values, EIGEN))) @ V
        return self

    def transform(self, X: FusionMatrix) -> NDArray[np.float32]:
        """Features of shape (n, components) whose products approximate the kernel."""
        check_is_fitted(self)
        kernel = rbf_kernel(X, self.landmarks_, self.gamma_)
        return (kernel @ self.normalization_.T).astype(np.float32)


def rbf_kernel(A: FusionMatrix, B: FusionMatrix, gamma: float) -> Floats:
    """RBF kernel ``exp(-gamma |a - b|²)`` of the rows of two fusions of the same blocks: shape (n, m).

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0]])])
    >>> rbf_kernel(matrix, matrix, 1.0).round(3).tolist()
    [[1.0, 0.368], [0.368, 1.0]]
    """
    squares = squared_lengths(A)[:, None] + squared_lengths(B)
    products = np.zeros((len(A), len(B)))
    for (_, left), (_, right), u, v in zip(A.blocks, B.blocks, A.weights, B.weights, strict=True):
        products += u * v * row_products(left, right)
    return np.exp(-gamma * np.maximum(squares - 2 * products, 0.0))


def row_products(left: Any, right: Any) -> NDArray[Any]:
    """``left @ right.T`` of two blocks, dense or sparse, as an array."""
    product = left @ right.T
    return product.toarray() if sparse.issparse(product) else product


def squared_lengths(matrix: FusionMatrix) -> Floats:
    """Squared Euclidean lengths of the rows, shape (n,)."""
    found = np.zeros(len(matrix))
    for (_, block), weight in zip(matrix.blocks, matrix.weights, strict=True):
        if sparse.issparse(block):
            found += weight**2 * np.asarray(block.multiply(block).sum(axis=1)).ravel()
        else:
            found += weight**2 * np.einsum("ij,ij->i", block, block)
    return found


def mean_squared_distance(matrix: FusionMatrix) -> float:
    """Mean squared distance of two rows, drawn with replacement; 1 where all are the same."""
    centre = (matrix.T @ np.ones(len(matrix))) / len(matrix)
    found = 2 * float(squared_lengths(matrix).mean() - centre @ centre)
    return found if found > 1e-12 else 1.0
