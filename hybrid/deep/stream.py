"""Posters from disk to the network, batch by batch; memory does not grow with the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.errors import ExtractionError
from hybrid.images import BadPoster, load_poster


class PosterStream(keras.utils.PyDataset):
    """Batches of (posters, labels), shuffled anew each epoch.

    Parameters
    ----------
    paths : sequence of n str
        Files that `usable` found to be good.
    labels : ndarray of shape (n, L), or None
        None to predict.
    size : (height, width)
    batch_size : int
    seed : int or None
        None keeps the order.
    workers : int
        Threads that decode ahead.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: NDArray[np.uint8] | None,
        size: tuple[int, int],
        batch_size: int,
        seed: int | None,
        workers: int,
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers)
        self.paths = paths
        self.labels = labels
        self.size = size
        self.batch_size = batch_size
        self.random = None if seed is None else np.random.default_rng(seed)
        self.order: NDArray[np.int64] = np.arange(len(paths), dtype=np.int64)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.paths) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], ...]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        posters = np.stack([_decode(self.paths[i], self.size) for i in rows])
        return (posters,) if self.labels is None else (posters, self.labels[rows])

    def on_epoch_end(self) -> None:
        """Shuffle."""
        if self.random is not None:
            self.order = self.random.permutation(len(self.paths))


def _decode(path: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    poster = load_poster(path, size)
    if isinstance(poster, BadPoster):
        raise ExtractionError(f"{path}: was usable when training began, now it {poster.reason}.")
    return poster


def usable(paths: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each poster can be decoded, shape (n,); ``""`` cannot."""
    good = [not isinstance(load_poster(path, (16, 16)), BadPoster) for path in paths]
    return np.array(good, dtype=bool)
