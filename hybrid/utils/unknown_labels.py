"""Label matrices with unknown cells: neither yes nor no, and left out of fits and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CODE = 255  # of an unknown cell where an array cannot be masked: in the batches of a network
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def read_labels(y: ArrayLike) -> NDArray[Any]:
    """Read labels that may be unknown.

    Parameters
    ----------
    y : array-like of shape (n, L)
        0 and 1; NaN, or masked in a masked array, where the label is unknown.

    Returns
    -------
    ndarray of shape (n, L)
        A masked array, with 0 beneath the mask, where a cell is unknown; else a plain array.

    Examples
    --------
    >>> read_labels([[1.0, np.nan]]).mask.tolist(), type(read_labels([[1, 0]])).__name__
    ([[False, True]], 'ndarray')
    """
    mask = np.ma.getmaskarray(y) if isinstance(y, np.ma.MaskedArray) else None
    values = np.asarray(y)
    if values.dtype.kind == "f":
        unknown = np.isnan(values)
        mask = unknown if mask is None else mask | unknown
    if mask is None or not mask.any():
        return values
    return np.ma.MaskedArray(np.where(mask, 0, values), mask)


def known_cells(truth: NDArray[Any]) -> Flags | None:
    """Which cells are known, of the shape of `truth`; None where all are.

    Examples
    --------
    >>> known_cells(np.ma.MaskedArray([[1, 0]], [[False, True]])).tolist()
    [[True, False]]
    """
    if not isinstance(truth, np.ma.MaskedArray) or not np.ma.getmaskarray(truth).any():
        return None
    return ~np.ma.getmaskarray(truth)


def as_no(truth: NDArray[Any]) -> NDArray[Any]:
    """The labels with 0 in unknown cells, as a plain array.

    Examples
    --------
    >>> as_no(np.ma.MaskedArray([[1, 1]], [[False, True]])).tolist()
    [[1, 0]]
    """
    if not isinstance(truth, np.ma.MaskedArray):
        return truth
    return np.asarray(truth.filled(0))


def as_codes(truth: NDArray[Any]) -> NDArray[Any]:
    """The labels with `CODE` in unknown cells, as a plain array.

    Examples
    --------
    >>> as_codes(np.ma.MaskedArray(np.array([[1, 1]], np.uint8), [[False, True]])).tolist()
    [[1, 255]]
    """
    return np.asarray(truth.filled(CODE)) if isinstance(truth, np.ma.MaskedArray) else truth


def hide_unknown(truth: NDArray[Any], scores: Floats) -> tuple[NDArray[Any], Floats]:
    """Labels with 0, and scores with NaN, in unknown cells: what leaves NaN out leaves them out.

    Examples
    --------
    >>> truth = np.ma.MaskedArray([[1, 0]], [[False, True]])
    >>> [part.tolist() for part in hide_unknown(truth, np.array([[0.5, 0.7]]))]
    [[[1, 0]], [[0.5, nan]]]
    """
    known = known_cells(truth)
    if known is None:
        return as_no(truth), scores
    return as_no(truth), np.where(known, scores, np.nan)


def known_mean(truth: NDArray[Any]) -> Floats:
    """Share of the items with a known label that have it, of shape (L,); 0 where none is known.

    Examples
    --------
    >>> known_mean(np.ma.MaskedArray([[1], [0], [0]], [[False], [False], [True]])).tolist()
    [0.5]
    """
    known = known_cells(truth)
    if known is None:
        return np.asarray(as_no(truth).mean(axis=0, dtype=np.float64))
    return as_no(truth).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def same_for_all(truth: NDArray[Any]) -> Flags:
    """Which labels all or none of the items with a known label have, of shape (L,).

    Examples
    --------
    >>> same_for_all(np.ma.MaskedArray([[1], [0]], [[False], [True]])).tolist()
    [True]
    """
    known = known_cells(truth)
    if known is None:
        return np.asarray(np.ptp(as_no(truth), axis=0) == 0)
    yes = as_no(truth) != 0
    return ~((yes & known).any(axis=0) & (~yes & known).any(axis=0))


def had_by_all(truth: NDArray[Any]) -> Flags:
    """Which labels all items with a known label have, of shape (L,).

    Examples
    --------
    >>> had_by_all(np.ma.MaskedArray([[1], [0]], [[False], [True]])).tolist()
    [True]
    """
    known = known_cells(truth)
    yes = as_no(truth) != 0
    return np.asarray((yes if known is None else yes | ~known).all(axis=0))
