"""Items, and what a network reads of them: posters or arrays. No Keras here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.poster_paths import split_paths
from hybrid.errors import ExtractionError, SettingError
from hybrid.images.decode import BadPoster
from hybrid.images.files import load_poster
from hybrid.utils.progress import shows_step


@dataclass(frozen=True, eq=False)
class Items:
    """Inputs and labels of n items.

    Parameters
    ----------
    ids : sequence of n str
    paths : sequence of n str
        Poster files, ``""`` where an item has none; several of an item as
        `hybrid.catalogue.poster_paths.join_paths` writes them.
    labels : ndarray of shape (n, L), uint8, optional
    embeddings : ndarray of shape (m, D), float32, optional
        Embeddings of the posters by the frozen body, one after another, NaN where there is none; an item
        without a poster has a row, too. By default they are computed.
    frame : DataFrame of n items, optional
        Columns of the blocks `text` and `metadata`; see `hybrid.catalogue.catalogue.Catalogue.frame`.

    Examples
    --------
    >>> items = Items(["1", "2"], ["posters/1.jpg", ""], np.eye(2, dtype=np.uint8))
    >>> items.take(np.array([False, True])).ids
    ['2']
    """

    ids: Sequence[str]
    paths: Sequence[str]
    labels: NDArray[np.uint8] | None = None
    embeddings: NDArray[np.float32] | None = None
    frame: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of posters of each item, shape (n,); 1 where it has none."""
        return np.array([len(split_paths(path)) for path in self.paths], dtype=np.int64)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The item of each poster, shape (m,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def several(self) -> bool:
        """Whether any item has several posters."""
        return bool((self.counts > 1).any())

    def by_poster(self) -> Items:
        """One item for each poster, with the id, the labels and the other blocks of its item."""
        if not self.several:
            return self
        each = replace(self, embeddings=None).take(self.owners)
        paths = [path for cell in self.paths for path in split_paths(cell)]
        return replace(each, paths=paths, embeddings=self.embeddings)

    def take(self, rows: NDArray[Any]) -> Items:
        """Select items by position or mask."""
        numbers = np.arange(len(self))[rows].tolist()
        return replace(
            self,
            ids=[self.ids[i] for i in numbers],
            paths=[self.paths[i] for i in numbers],
            labels=None if self.labels is None else self.labels[numbers],
            embeddings=None if self.embeddings is None else self.embeddings[self._slots(numbers)],
            frame=None if self.frame is None else self.frame.iloc[numbers],
        )

    def _slots(self, numbers: list[int]) -> NDArray[np.int64]:
        """Where the posters of some items are among those of all."""
        starts = np.cumsum(self.counts) - self.counts
        each = [np.arange(starts[i], starts[i] + self.counts[i]) for i in numbers]
        return np.concatenate([*each, np.empty(0, dtype=np.int64)])


def labels_of(items: Items) -> NDArray[np.uint8]:
    """Return the labels of items; a SettingError if they have none.

    Examples
    --------
    >>> labels_of(Items(["1"], ["1.jpg"], np.ones((1, 2), dtype=np.uint8))).tolist()
    [[1, 1]]
    """
    if items.labels is None:
        raise SettingError("items: expected labels to learn from, found none.")
    return items.labels


class Source(Protocol):
    """What a network reads: an input for each of n items."""

    def __len__(self) -> int:
        """Return the number of items."""

    def read(self, rows: NDArray[np.int64]) -> Any:
        """Read some items: an array of shape (len(rows), …), or a dict of them by input name."""


class Arrays:
    """Rows of an array in memory, or of one that is mapped from a file.

    Parameters
    ----------
    rows : ndarray of shape (n, ...)

    Examples
    --------
    >>> Arrays(np.eye(3)).read(np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read some rows as float32."""
        return np.asarray(self.rows[rows], dtype=np.float32)


class Posters:
    """Posters, decoded and resized when they are read.

    Parameters
    ----------
    paths : sequence of n str
        Files that `usable` found to be good.
    size : (height, width)
        In pixels.

    Examples
    --------
    >>> len(Posters(["posters/1.jpg", "posters/2.jpg"], (224, 224)))
    2
    """

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self.paths = paths
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode some posters: shape (len(rows), height, width, 3).

        Raises
        ------
        ExtractionError
            If a poster can no longer be decoded.
        """
        return np.stack([_decode(self.paths[row], self.size) for row in rows.tolist()])


def _decode(path: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    poster = load_poster(path, size)
    if isinstance(poster, BadPoster):
        raise ExtractionError(f"{path}: was usable when training began, now it {poster.reason}.")
    return poster


@shows_step("looking through the posters")
def usable(paths: Sequence[str], workers: int = 1) -> NDArray[np.bool_]:
    """Return whether each poster can be decoded.

    Parameters
    ----------
    paths : sequence of n str
        Poster files; ``""`` cannot be decoded.
    workers : int, default=1
        Threads.

    Returns
    -------
    ndarray of shape (n,), bool

    Examples
    --------
    >>> usable(["", "no-such-file.jpg"]).tolist()
    [False, False]
    """
    with ThreadPoolExecutor(workers) as pool:
        good = pool.map(lambda path: not isinstance(load_poster(path, (16, 16)), BadPoster), paths)
        return np.array(list(good), dtype=bool)
