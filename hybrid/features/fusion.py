"""Feature union of the blocks: a transformer of frames to one `FusionMatrix`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import TransformerMixin, clone
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted, validate_data

from hybrid.catalogue.packed import take_table
from hybrid.errors import SettingError
from hybrid.features.frames import frame_tags
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.indicator import add_indicator
from hybrid.features.lazy_block import LazyBlock, spans
from hybrid.features.sparse_shards import write_shards

MISSING = "missing"  # the last column of each block
BlockData = dict[str, Any]  # block → embeddings (n, D) or the catalogue's frame


def block_kind(name: str) -> str:
    """What kind a block is: further blocks of posters and of text embeddings have names of their own.

    Examples
    --------
    >>> block_kind("text-embedding:e5-small"), block_kind("poster"), block_kind("clip#4f0c")
    ('text-embedding', 'poster', 'clip#4f0c')
    """
    return name.partition(":")[0]


class Fusion(TransformerMixin, _BaseComposition, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Feature union of blocks: fit each, and put them side by side as one `FusionMatrix`.

    Parameters
    ----------
    blocks : list of (str, transformer)
        Each takes the catalogue's frame and has ``missing``; one with ``read`` (the posters) reads
        its data from disk once, before it is fitted.
    weights : dict or None, default=None
        Block → factor; 1.0 where it is not named.

    Attributes
    ----------
    fitted_ : list of (str, transformer)
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Columns of the frame that `fit` was given, if it was.

    Notes
    -----
    A `FusionMatrix` is a container of its own, so there is no ``set_output``.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> films = pd.DataFrame({"overview": ["a ghost", "a ghost story"], "year": [1990, 1999]})
    >>> blocks = [("text", TextFeatures(["overview"], max_chars=0)), ("metadata", MetadataFeatures(["year"]))]
    >>> fusion = Fusion(blocks, weights={"text": 2.0}).fit(films)
    >>> fusion.transform(films).shape, fusion.get_feature_names_out().tolist()
    ((2, 4), ['text:ghost', 'text:missing', 'metadata:year=1990-1999', 'metadata:missing'])
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
        """Read the data of each block from disk; the frame itself for blocks that need no other data."""
        return _read(self.blocks, X)

    def look_up(self, X: pd.DataFrame) -> BlockData:
        """As `read`, but lazily: `take_rows` reads from disk, `select_rows` does not."""
        return _look_up(getattr(self, "fitted_", self.blocks), X)

    def fit(self, X: pd.DataFrame | BlockData, y: Any = None) -> Fusion:
        """Fit each block.

        Parameters
        ----------
        X : DataFrame of n items, or what `read` returned for them
        y : ignored

        Raises
        ------
        SettingError
            If there is no block, or a weight is not a positive number or names no block.
        """
        self._check()
        data = X if isinstance(X, dict) else self.read(X)
        self.fitted_ = [(name, _plain_output(block).fit(data[name])) for name, block in self.blocks]
        frames = [part for part in data.values() if isinstance(part, pd.DataFrame)]
        if frames:
            validate_data(self, frames[0], skip_check_array=True)
        return self

    def fit_lazily(self, X: pd.DataFrame) -> Fusion:
        """As `fit`, but embeddings of the cache are read some thousand at a time, never all at once.

        Parameters
        ----------
        X : DataFrame of n items
        """
        return self.fit(_look_up(self.blocks, X))

    def transform_lazily(self, X: pd.DataFrame | BlockData, folder: str | Path) -> FusionMatrix:
        """Encode items so that their rows stay on disk: for more items than fit in memory.

        Embeddings stay in the cache, and are standardised whenever they are read; other blocks are encoded
        some thousand items at a time, and written to a folder as sparse shards (`SparseShards`).

        Parameters
        ----------
        X : DataFrame of n items, or what `look_up` returned for them
            In the order of `storage_order` they are read fastest.
        folder : str or Path
            Where the shards go; must not have any. Remove it when the matrix is no longer needed.

        Returns
        -------
        FusionMatrix of n rows
            Its blocks are `LazyBlock` objects.

        Raises
        ------
        RowsError
            If the disk refuses.
        SettingError
            If the folder has shards.

        Examples
        --------
        >>> from hybrid.features import TextFeatures
        >>> films = pd.DataFrame({"overview": ["a ghost", "a ghost story"]})
        >>> fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))]).fit_lazily(films)
        >>> matrix = fusion.transform_lazily(films, "rows-on-disk")
        >>> matrix.is_lazy, matrix.shape, matrix[1:].tocsr().toarray().tolist()
        (True, (2, 2), [[1.0, 0.0]])
        """
        data = X if isinstance(X, dict) else self.look_up(X)
        found = [
            (name, _stay(block, data[name], Path(folder) / name)) for name, block in self.fitted_
        ]
        weights = self.weights or {}
        return FusionMatrix(tuple(found), tuple(float(weights.get(n, 1.0)) for n, _ in found))

    def storage_order(self, X: pd.DataFrame | BlockData) -> NDArray[np.int64]:
        """Order of n items in which the first block of the cache lies on the disk; theirs, if there is none.

        Parameters
        ----------
        X : DataFrame of n items, or what `look_up` returned for them

        Returns
        -------
        ndarray of shape (n,), int64
            For ``X.iloc[order]``, or `select_rows`.
        """
        self._check()
        data = X if isinstance(X, dict) else dict.fromkeys(self.names, X)
        for name, block in self.blocks:
            if hasattr(block, "storage_order"):
                order: NDArray[np.int64] = block.storage_order(data[name])
                return order
        return np.arange(len(next(iter(data.values()))))

    def transform(self, X: pd.DataFrame | BlockData) -> FusionMatrix:
        """Encode items: a `FusionMatrix` of n rows."""
        check_is_fitted(self)
        data = X if isinstance(X, dict) else _read(self.fitted_, X)
        weights = self.weights or {}
        return FusionMatrix(
            tuple(
                (name, add_indicator(block.transform(data[name]), block.missing(data[name])))
                for name, block in self.fitted_
            ),
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

    def __sklearn_tags__(self) -> Any:
        tags = frame_tags(super().__sklearn_tags__())
        tags.transformer_tags.preserves_dtype = []
        return tags

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


def _plain_output(block: Any) -> Any:
    """An unfitted copy that returns arrays or CSR, whatever scikit-learn's ``transform_output`` is."""
    copy = clone(block)
    return copy.set_output(transform="default") if hasattr(copy, "set_output") else copy


def _stay(block: Any, data: Any, folder: Path) -> LazyBlock:
    """A block whose rows stay where they are, or are written to a folder."""
    if hasattr(block, "lazy_block"):
        stay: LazyBlock = block.lazy_block(data)
        return stay
    parts = (data.iloc[rows] for rows in spans(len(data)))
    encoded = (add_indicator(block.transform(part), block.missing(part)) for part in parts)
    return write_shards(folder, encoded, len(block.get_feature_names_out()) + 1)


def _read(blocks: Sequence[tuple[str, Any]], X: pd.DataFrame) -> BlockData:
    return {name: block.read(X) if hasattr(block, "read") else X for name, block in blocks}


def _look_up(blocks: Sequence[tuple[str, Any]], X: pd.DataFrame) -> BlockData:
    return {name: block.look_up(X) if hasattr(block, "look_up") else X for name, block in blocks}


def take_rows(data: BlockData, rows: NDArray[Any] | slice) -> BlockData:
    """Rows of the data that `Fusion.read` or `Fusion.look_up` returned.

    Examples
    --------
    >>> take_rows({"poster": np.arange(4)}, slice(1, 3))["poster"].tolist()
    [1, 2]
    """
    return _take(data, rows, lambda part: part[rows])


def select_rows(data: BlockData, rows: NDArray[np.int64]) -> BlockData:
    """Some of the items of which `Fusion.look_up` returned the data; nothing is read.

    Examples
    --------
    >>> titles = pd.DataFrame({"title": ["A", "B", "C"]})
    >>> select_rows({"text": titles}, np.array([2, 0]))["text"]["title"].tolist()
    ['C', 'A']
    """
    return _take(data, rows, lambda part: part.select(rows))


def _take(data: BlockData, rows: NDArray[Any] | slice, take: Callable[[Any], Any]) -> BlockData:
    """Rows of the data of each block; of a frame that several blocks have, once."""
    frames = {id(part): part for part in data.values() if isinstance(part, pd.DataFrame)}
    taken = {key: take_table(frame, rows) for key, frame in frames.items()}
    return {
        name: taken[id(part)] if isinstance(part, pd.DataFrame) else take(part)
        for name, part in data.items()
    }
