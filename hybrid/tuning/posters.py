"""The posters that an encoder learns from: read once, to tell which are usable and which are the same."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.tuned import pixel_numbers
from hybrid.backbones.tuned_folder import hash_numbers
from hybrid.extraction.decoding import decode_into
from hybrid.images.decode import Geometry
from hybrid.tuning.folds import join_groups
from hybrid.utils.progress import Progress


@dataclass(frozen=True, eq=False)
class UsablePosters:
    """The posters of some items that can be used.

    Parameters
    ----------
    paths : list of m str
        Files.
    owners : ndarray of shape (m,), int64
        The item of each.
    pixels, files : ndarray of shape (m,), uint64
        What identifies each, by its pixels and by its file; see `hybrid.backbones.tuned`.
    """

    paths: list[str]
    owners: NDArray[np.int64]
    pixels: NDArray[np.uint64]
    files: NDArray[np.uint64]

    def groups(self, n: int) -> NDArray[np.uint64]:
        """Number of each of n items, the same where two share a poster, directly or through others.

        Examples
        --------
        >>> two = np.array([7, 7], np.uint64)
        >>> UsablePosters(["a.jpg", "b.jpg"], np.array([0, 2]), two, two).groups(3).tolist()
        [0, 1, 0]
        """
        every = np.concatenate([self.owners, np.arange(n)])
        # An item without a poster is alone: numbers of posters are even, those of items are odd.
        kinds = np.unique(self.pixels, return_inverse=True)[1]
        joined = join_groups(every, np.concatenate([2 * kinds, 2 * np.arange(n) + 1]))
        return joined[len(self.owners) :].astype(np.uint64)


def read_posters(
    cells: Sequence[Sequence[str]], size: tuple[int, int], workers: int, progress: Progress
) -> UsablePosters:
    """Decode the posters of some items, as an extraction does; those that it finds bad are left out.

    Parameters
    ----------
    cells : sequence of sequences of str
        Poster files of each item.
    size : (height, width)
        That the encoder reads.
    workers : int
        Threads.
    progress : Progress
    """
    pairs = [(path, owner) for owner, cell in enumerate(cells) for path in cell if path]

    def read(path: str) -> tuple[bytes, int] | None:
        pixels = np.empty((*size, 3), dtype=np.uint8)
        found = decode_into(path, [(Geometry(size), pixels)])
        if found is None or found[1]:
            return None
        return found[0], int(pixel_numbers(pixels[None])[0])

    numbers = []
    with (
        progress.bar("reading posters", len(pairs), "posters") as advance,
        ThreadPoolExecutor(workers) as pool,
    ):
        for found in pool.map(read, [path for path, _ in pairs]):
            numbers.append(found)
            advance(1)
    good = [(*pair, *found) for pair, found in zip(pairs, numbers, strict=True) if found]
    return UsablePosters(
        [path for path, *_ in good],
        np.array([owner for _, owner, *_ in good], dtype=np.int64),
        np.array([pixels for *_, pixels in good], dtype=np.uint64),
        hash_numbers([key for _, _, key, _ in good]),
    )
