"""Matrix of several blocks of features side by side: dense ones stay dense, sparse ones sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy import sparse

from hybrid.errors import SettingError
from hybrid.features.indicator import set_missing
from hybrid.features.lazy_block import LazyBlock, spans
from hybrid.utils.counts import counted

# Numbers of a dense block that are brought to another precision at a time: few enough to take no memory to
# speak of, enough for threads to be worth their start.
CHUNK = 2**21
MANY = 10**6  # numbers of a sparse block; below, threads take longer to start


@dataclass(frozen=True, eq=False)
class FusionMatrix:
    """Matrix of weighted blocks side by side, one row an item; dense and sparse blocks stay as they are.

    No operation copies a block as a whole, except `tocsr` and indexing by numbers. Rows can be indexed as
    those of an array, so that scikit-learn's splitters work.

    Parameters
    ----------
    blocks : tuple of (str, matrix)
        Name, and an ndarray or CSR of shape (n, columns), or a `LazyBlock`, whose rows are read from disk
        when they are needed. Those that `Fusion` makes end with an indicator column ``missing``, 1 where the
        item lacks the block and its other columns are 0.
    weights : tuple of float
        What each block is multiplied with.

    Examples
    --------
    >>> poster, text = np.eye(2), sparse.csr_matrix([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    >>> matrix = FusionMatrix.from_blocks([poster, text], ["poster", "text"], [1.0, 0.5])
    >>> matrix.shape, (matrix @ np.ones(5)).tolist()
    ((2, 5), [1.5, 1.5])
    >>> matrix[1:].tocsr().toarray().tolist()
    [[0.0, 1.0, 0.5, 0.0, 0.0]]
    """

    blocks: tuple[tuple[str, Any], ...]
    weights: tuple[float, ...]

    @classmethod
    def from_blocks(
        cls,
        blocks: Sequence[Any],
        names: Sequence[str] | None = None,
        weights: Sequence[float] | None = None,
    ) -> FusionMatrix:
        """Put matrices side by side.

        Parameters
        ----------
        blocks : sequence of ndarray, scipy sparse or LazyBlock, of shape (n, columns)
            Sparse ones become CSR.
        names : sequence of str, optional
            ``block0``, ``block1`` … by default.
        weights : sequence of float, optional
            What each block is multiplied with, above 0; 1 by default.

        Raises
        ------
        SettingError
            If there is no block, a block is not a matrix of numbers, or rows, names or weights do
            not match.
        """
        matrices = [
            b if isinstance(b, LazyBlock) else b.tocsr() if sparse.issparse(b) else np.asarray(b)
            for b in blocks
        ]
        names = [f"block{i}" for i in range(len(matrices))] if names is None else list(names)
        factors = [1.0] * len(matrices) if weights is None else [float(w) for w in weights]
        _check_blocks(matrices, names, factors)
        return cls(tuple(zip(names, matrices, strict=True)), tuple(factors))

    @property
    def shape(self) -> tuple[int, int]:
        """Items and columns."""
        matrices = [matrix for _, matrix in self.blocks]
        return matrices[0].shape[0], sum(m.shape[1] for m in matrices)

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def is_lazy(self) -> bool:
        """Whether a block is on disk; rows that are taken of the matrix are in memory."""
        return any(isinstance(matrix, LazyBlock) for _, matrix in self.blocks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Common dtype of the blocks."""
        return np.result_type(*(matrix.dtype for _, matrix in self.blocks))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> FusionMatrix:
        """Rows by slice (a view of dense blocks), numbers or mask; those of lazy blocks are read."""
        if isinstance(rows, tuple):  # scikit-learn asks for [rows, ...]
            rows = rows[0]
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            if rows.ndim != 1:
                raise SettingError(
                    "fusion: expected rows as a slice, numbers or a mask, found "
                    f"{rows.ndim} dimensions. Take one row as matrix[i : i + 1]."
                )
        return FusionMatrix(tuple((n, m[rows]) for n, m in self.blocks), self.weights)

    def __matmul__(self, W: NDArray[Any]) -> NDArray[Any]:
        """``matrix @ W``, for W of shape (columns,) or (columns, K)."""
        return self.times(W)

    def times(self, W: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Product ``matrix @ W``; large sparse blocks are multiplied by so many threads."""
        W = np.asarray(W)
        dtype = np.result_type(self.dtype, W.dtype)
        product = np.zeros((len(self), *W.shape[1:]), dtype)
        if self.is_lazy:
            self._split(W)  # checks its shape
            for rows in spans(len(self)):
                product[rows] = self[rows].times(W, n_jobs)
            return product
        for (matrix, weight), part in zip(self._weighted(), self._split(W), strict=True):
            if not sparse.issparse(matrix):
                scaled = (part * weight).astype(dtype, copy=False)
                for rows in _slices(matrix.shape):
                    product[rows] += matrix[rows].astype(dtype, copy=False) @ scaled
            elif matrix.nnz >= MANY and W.ndim > 1:
                # By one thread, too: their number must not change a bit.
                from hybrid.utils.sparse import add_by_threads

                add_by_threads(matrix, part * weight, effective_n_jobs(n_jobs), product)
            else:
                product += _sparse_product(matrix, part) * dtype.type(weight)
        return product

    @property
    def T(self) -> TransposedFusion:
        """The transpose, which can be multiplied with (``matrix.T @ V``) and nothing else."""
        return TransposedFusion(self)

    def with_weights(self, weights: Mapping[str, float]) -> FusionMatrix:
        """The same blocks with other weights; blocks that are not named keep theirs."""
        pairs = zip(self.blocks, self.weights, strict=True)
        return FusionMatrix(self.blocks, tuple(weights.get(n, w) for (n, _), w in pairs))

    def tocsr(self) -> sparse.csr_matrix:
        """The weighted blocks as one CSR matrix of shape (n, columns), float64."""
        if self.is_lazy:
            return self[:].tocsr()
        weighted = [
            sparse.csr_matrix(matrix, dtype=np.float64) * weight
            for matrix, weight in self._weighted()
        ]
        return sparse.csr_matrix(sparse.hstack(weighted))

    def _weighted(self) -> list[tuple[Any, float]]:
        """Each block's matrix and weight."""
        return [(m, w) for (_, m), w in zip(self.blocks, self.weights, strict=True)]

    def _split(self, W: NDArray[Any]) -> list[NDArray[Any]]:
        """The rows of W that belong to each block."""
        if W.ndim not in (1, 2) or len(W) != self.shape[1]:
            raise SettingError(
                f"fusion: expected {counted(self.shape[1], 'row')} (one for each column of the fusion) to "
                f"multiply with, found shape {W.shape}."
            )
        return np.split(W, np.cumsum([matrix.shape[1] for _, matrix in self.blocks])[:-1])


@dataclass(frozen=True, eq=False)
class TransposedFusion:
    """Transpose of a fusion: only its product with V of shape (n,) or (n, K)."""

    matrix: FusionMatrix

    @property
    def shape(self) -> tuple[int, int]:
        """Columns and items."""
        n, columns = self.matrix.shape
        return columns, n

    def __matmul__(self, V: NDArray[Any]) -> NDArray[Any]:
        """``matrix.T @ V``, of shape (columns,) or (columns, K)."""
        V = np.asarray(V)
        n = len(self.matrix)
        if V.ndim not in (1, 2) or len(V) != n:
            raise SettingError(
                f"fusion: expected {counted(n, 'row')} (one for each item) to multiply the transpose with, "
                f"found shape {V.shape}."
            )
        V = V.astype(np.result_type(self.matrix.dtype, V.dtype), copy=False)
        if self.matrix.is_lazy:
            found = np.zeros((self.shape[0], *V.shape[1:]), V.dtype)
            for rows in spans(n):
                found += self.matrix[rows].T @ V[rows]
            return found
        parts = [weight * _transposed(m, V) for m, weight in self.matrix._weighted()]
        return np.concatenate(parts)


def _sparse_product(matrix: sparse.csr_matrix, W: NDArray[Any]) -> NDArray[Any]:
    """``matrix @ W``; for a few items only with the rows of W that they need."""
    if matrix.nnz < len(W):
        used, places = np.unique(matrix.indices, return_inverse=True)
        shape = (matrix.shape[0], len(used))
        matrix, W = sparse.csr_matrix((matrix.data, places, matrix.indptr), shape), W[used]
    return matrix @ W


def _transposed(block: Any, V: NDArray[Any]) -> NDArray[Any]:
    """``block.T @ V`` in V's precision."""
    if sparse.issparse(block):
        return block.T @ V
    product = np.zeros((block.shape[1], *V.shape[1:]), V.dtype)
    for rows in _slices(block.shape):
        product += block[rows].astype(V.dtype, copy=False).T @ V[rows]
    return product


def _slices(shape: tuple[int, ...]) -> list[slice]:
    """All rows, some at a time: numpy would copy a whole block to change its precision."""
    return spans(shape[0], max(CHUNK // max(shape[1], 1), 1))


def _check_blocks(blocks: list[Any], names: list[str], weights: list[float]) -> None:
    problems = []
    if not blocks:
        problems.append("blocks: expected at least one, found none.")
    for name, block in zip(names, blocks, strict=False):
        if block.ndim != 2 or block.dtype.kind not in "fiub":
            problems.append(
                f"{name}: expected a matrix of numbers, found shape {block.shape} of {block.dtype}."
            )
    rows = [block.shape[0] for block in blocks if block.ndim]
    if len(set(rows)) > 1:
        problems.append(f"blocks: expected the same number of rows in each, found {rows}.")
    if len(names) != len(blocks) or len(set(names)) < len(names):
        problems.append(f"names: expected {len(blocks)}, all different, found {names}.")
    if len(weights) != len(blocks) or not all(np.isfinite(w) and w > 0 for w in weights):
        problems.append(
            f"weights: expected {counted(len(blocks), 'positive number')}, found {weights}."
        )
    if problems:
        raise SettingError("fusion: " + "\n".join(problems))


def missing_blocks(matrix: FusionMatrix) -> NDArray[np.bool_]:
    """Missing blocks of each item, shape (n, blocks), bool: the indicator columns that `Fusion` made.

    Raises
    ------
    SettingError
        If a block does not end with such a column.

    Examples
    --------
    >>> missing_blocks(FusionMatrix.from_blocks([np.array([[0.5, 0], [0, 1]])])).tolist()
    [[False], [True]]
    """
    if matrix.is_lazy:
        some = [missing_blocks(matrix[rows]) for rows in spans(len(matrix))]
        return np.concatenate(some) if some else np.zeros((0, len(matrix.blocks)), bool)
    columns = []
    for name, block in matrix.blocks:
        last = block[:, -1:].toarray() if sparse.issparse(block) else block[:, -1:]
        if not np.isin(last, (0, 1)).all():
            raise SettingError(
                f"fusion: expected block {name} to end with a column that says which items lack it, 1 or "
                "0, as Fusion makes it, found other numbers."
            )
        columns.append(last)
    return np.hstack(columns) == 1


def drop_block(matrix: FusionMatrix, name: str, rows: NDArray[np.int64]) -> FusionMatrix:
    """Set a block of some items to missing.

    Parameters
    ----------
    matrix : FusionMatrix of n rows
    name : str
    rows : ndarray of int
        Numbers of the items.

    Raises
    ------
    SettingError
        If there is no such block.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.5, 0], [0.2, 0]])], ["text"])
    >>> drop_block(matrix, "text", np.array([1])).blocks[0][1].tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    if name not in dict(matrix.blocks):
        raise SettingError(
            f"fusion: expected one of {', '.join(n for n, _ in matrix.blocks)}, found block {name!r}."
        )
    absent = np.zeros(len(matrix), dtype=bool)
    absent[rows] = True
    return FusionMatrix(
        tuple(
            (n, set_missing(block, absent) if n == name else block) for n, block in matrix.blocks
        ),
        matrix.weights,
    )
