"""Blocks → one matrix that keeps dense dense and sparse sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import TransformerMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError

MISSING = "missing"
BlockData = dict[str, Any]  # block → embeddings (n, D) or the catalogue's frame


@dataclass(frozen=True, eq=False)
class FusionMatrix:
    """Blocks side by side, one row an item.

    Parameters
    ----------
    blocks : tuple of (str, matrix)
        Name, and an ndarray or CSR of shape (n, columns); each ends with its indicator column
        ``missing``, 1 where the item lacks the block and its other columns are 0.
    weights : tuple of float
        What each block is multiplied with.
    """

    blocks: tuple[tuple[str, Any], ...]
    weights: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Items and columns."""
        matrices = [matrix for _, matrix in self.blocks]
        return matrices[0].shape[0], sum(m.shape[1] for m in matrices)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> FusionMatrix:
        """Some of the rows."""
        return FusionMatrix(tuple((n, m[rows]) for n, m in self.blocks), self.weights)

    def with_weights(self, weights: Mapping[str, float]) -> FusionMatrix:
        """The same blocks with other weights; blocks that are not named keep theirs."""
        pairs = zip(self.blocks, self.weights, strict=True)
        return FusionMatrix(self.blocks, tuple(weights.get(n, w) for (n, _), w in pairs))

    def tocsr(self) -> sparse.csr_matrix:
        """The weighted blocks as one CSR matrix of shape (n, columns), float64."""
        weighted = [
            sparse.csr_matrix(matrix, dtype=np.float64) * weight
            for (_, matrix), weight in zip(self.blocks, self.weights, strict=True)
        ]
        return sparse.csr_matrix(sparse.hstack(weighted))


class Fusion(TransformerMixin, _BaseComposition):
    """Fit the blocks and put them side by side.

    Parameters
    ----------
    blocks : list of (str, transformer)
        Each takes the catalogue's frame and has ``missing``; one with ``read`` (the posters) reads
        its data from disk once, apart from fitting.
    weights : dict or None
        Block → factor; 1.0 where it is not named.

    Attributes
    ----------
    fitted_ : list of (str, transformer)
    """

    def __init__(
        self, blocks: Sequence[tuple[str, Any]], weights: Mapping[str, float] | None = None
    ) -> None:
        self.blocks = blocks
        self.weights = weights

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters, those of the blocks as ``poster__cache`` and so on."""
        return self._get_params("blocks", deep=deep)

    def set_params(self, **params: Any) -> Fusion:
        """Set parameters, as `get_params` names them."""
        self._set_params("blocks", **params)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(name for name, _ in self.blocks)

    def read(self, X: pd.DataFrame) -> BlockData:
        """Read what each block needs from disk; the frame itself where it needs nothing."""
        return _read(self.blocks, X)

    def fit(self, X: pd.DataFrame | BlockData, y: Any = None) -> Fusion:
        """Fit each block.

        Parameters
        ----------
        X : DataFrame of n items, or what `read` gave for them
        y : ignored

        Raises
        ------
        SettingError
            If there is no block, or a weight is not a positive number or names no block.
        """
        self._check()
        data = X if isinstance(X, dict) else self.read(X)
        self.fitted_ = [(name, clone(block).fit(data[name])) for name, block in self.blocks]
        return self

    def transform(self, X: pd.DataFrame | BlockData) -> FusionMatrix:
        """Encode items."""
        check_is_fitted(self)
        data = X if isinstance(X, dict) else _read(self.fitted_, X)
        weights = self.weights or {}
        return FusionMatrix(
            tuple((name, _with_indicator(block, data[name])) for name, block in self.fitted_),
            tuple(float(weights.get(name, 1.0)) for name, _ in self.fitted_),
        )

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``block:feature`` for each column of the fusion."""
        check_is_fitted(self)
        names = []
        for name, block in self.fitted_:
            names += [f"{name}:{feature}" for feature in block.get_feature_names_out()]
            names.append(f"{name}:{MISSING}")
        return np.array(names, dtype=object)

    def _check(self) -> None:
        problems = []
        if not self.blocks:
            problems.append("blocks: expected at least one, found none.")
        for name, weight in (self.weights or {}).items():
            if name not in self.names:
                problems.append(f"weights: block {name!r} is not among {', '.join(self.names)}.")
            if not (np.isfinite(weight) and weight > 0):
                problems.append(f"weights: expected a positive number for {name}, found {weight}.")
        if problems:
            raise SettingError("fusion: " + "\n".join(problems))


def _read(blocks: Sequence[tuple[str, Any]], X: pd.DataFrame) -> BlockData:
    return {name: block.read(X) if hasattr(block, "read") else X for name, block in blocks}


def take_rows(data: BlockData, rows: NDArray[Any]) -> BlockData:
    """Some items of what `Fusion.read` gave."""
    return {
        name: part.iloc[rows] if isinstance(part, pd.DataFrame) else part[rows]
        for name, part in data.items()
    }


def _with_indicator(block: Any, data: Any) -> Any:
    """A block's matrix, its missing rows set to 0 and told by one more column."""
    matrix = block.transform(data)
    absent = block.missing(data)
    flag = absent.astype(np.float32)[:, None]
    if sparse.issparse(matrix):
        present = sparse.diags((~absent).astype(np.float32))
        return sparse.csr_matrix(sparse.hstack([present @ matrix, flag]), dtype=np.float32)
    return np.hstack([np.where(absent[:, None], np.float32(0), matrix), flag])
