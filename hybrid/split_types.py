"""A split, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from hybrid.catalogue_types import Finding


@dataclass(frozen=True)
class SplitMethod:
    """How a split was made.

    Parameters
    ----------
    method : str
        ``iterative``, ``random``, ``temporal``, ``kfold`` or ``legacy-2017``.
    seed : int or None, default=None
        None for a method that draws nothing.
    shares : tuple of 3 floats, or None, default=None
        Wanted shares of train, validation and test.
    by : str or None, default=None
        Column with the time, of a temporal split.
    folds, fold : int or None, default=None
        Of ``kfold``: number of folds, and the fold that is the test part, from 0.
    group_columns : tuple of str, default=()
        Items that share an entry of one of these are in one group.
    near_duplicates : bool or None, default=None
        Whether near-duplicates are in one group; None where it is not known.

    Examples
    --------
    >>> SplitMethod("temporal", by="year").seed is None
    True
    """

    method: str
    seed: int | None = None
    shares: tuple[float, ...] | None = None
    by: str | None = None
    folds: int | None = None
    fold: int | None = None
    group_columns: tuple[str, ...] = ()
    near_duplicates: bool | None = None


@dataclass(frozen=True)
class Split:
    """Which item is train, validation or test.

    Parameters
    ----------
    ids : ndarray of shape (n,), str
    parts : ndarray of shape (n,), str
        One of ``train``, ``validation``, ``test``, or ``unused``.
    groups : ndarray of shape (n,), str
        Items of one group are in one part.
    sha256 : str
        Hash of ids and parts, whatever the order of the rows; see `hybrid.splitting.splits.split_hash`.
    method : SplitMethod or None, default=None
        How it was made; None where that is not known.
    findings : tuple of Finding, default=()
        What is unusual about it, told when it is made; not in its file.
    """

    ids: NDArray[Any]
    parts: NDArray[Any]
    groups: NDArray[Any]
    sha256: str
    method: SplitMethod | None = None
    findings: tuple[Finding, ...] = ()
