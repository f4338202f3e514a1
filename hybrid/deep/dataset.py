"""Batches of items for Keras; memory does not grow with the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.deep.items import Source
from hybrid.deep.network import count_pieces
from hybrid.utils.progress import Progress
from hybrid.utils.unknown_labels import as_codes

READ_AHEAD = 2  # batches that are read while the network computes, or one a worker


class Batches(keras.utils.PyDataset):
    """Batches of items, for `keras.Model.fit` and `keras.Model.predict`.

    Where a distribution is set (see `hybrid.deep.distribution`), their sizes are multiples of the number
    of devices.

    Parameters
    ----------
    source : Source
        Inputs of n items.
    batch_size : int
    labels : ndarray of shape (n, L), uint8, optional
        By default the batches have inputs alone.
    ids : sequence of n str, default=()
        For messages.
    pieces : int, default=1
        Number of pieces, one after the other, that each batch is divided into to save memory. Their sample
        weights are such that the mean of the pieces' gradients is the gradient of the batch.
    workers : int, default=1
        Threads that read.
    seed : tuple of int, default=(0,)
        See `shuffle`.

    Examples
    --------
    >>> from hybrid.deep.items import Arrays
    >>> batches = Batches(Arrays(np.arange(5.0)), batch_size=2)
    >>> [x.tolist() for (x,) in batches]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    >>> batches.shuffle(epoch=0)
    >>> [x.tolist() for (x,) in batches]
    [[2.0, 4.0], [3.0, 0.0], [1.0]]
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        labels: NDArray[np.uint8] | None = None,
        ids: Sequence[str] = (),
        pieces: int = 1,
        workers: int = 1,
        seed: tuple[int, ...] = (0,),
    ) -> None:
        super().__init__(workers=workers, max_queue_size=max(READ_AHEAD, workers))
        self.source, self.batch_size, self.ids = source, batch_size, ids
        self.labels = None if labels is None else as_codes(labels)
        self.pieces, self.seed = pieces, seed
        distribution = keras.distribution.distribution()
        self.multiple = int(distribution.device_mesh.shape[0]) if distribution else 1
        self.order = np.arange(len(source))
        self.error: Exception | None = None

    def __len__(self) -> int:
        return self.pieces * -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return inputs, with labels and sample weights if there are any.

        Where there are fewer items than Keras needs, the first of the batch fills up, with a weight of 0:
        Keras counts pieces, so each batch has as many, and each device takes an equal part.
        """
        batch, rows = self.batch_rows(index), self.rows(index)
        size = self.multiple * max(1, -(-len(rows) // self.multiple))
        read = np.concatenate([rows, np.repeat(batch[:1], size - len(rows))])
        try:
            x = self.source.read(read)
        except Exception as error:
            self.error = error
            raise
        if self.labels is None:
            return (x,)
        if self.pieces == self.multiple == 1:
            return x, self.labels[read]
        # Keras takes the mean of each piece, and the optimizer the mean of all pieces.
        weight = np.zeros(len(read), dtype=np.float32)
        weight[: len(rows)] = len(read) * self.pieces / len(batch)
        return x, self.labels[read], weight

    def batch_rows(self, index: int) -> NDArray[np.int64]:
        """Return the rows of the batch that an index belongs to."""
        start = index // self.pieces * self.batch_size
        return self.order[start : start + self.batch_size]

    def rows(self, index: int) -> NDArray[np.int64]:
        """Return the rows of an index: those of a piece of a batch."""
        return np.array_split(self.batch_rows(index), self.pieces)[index % self.pieces]

    def shuffle(self, epoch: int) -> None:
        """Draw the order of an epoch from seed and epoch alone, so that a resumed training has it, too."""
        self.order = np.random.default_rng([*self.seed, epoch]).permutation(len(self.source))


def read_ahead(batches: Batches) -> Iterator[tuple[Any, ...]]:
    """Yield the batches in order; threads read a few of them ahead.

    Examples
    --------
    >>> from hybrid.deep.items import Arrays
    >>> [x.tolist() for (x,) in read_ahead(Batches(Arrays(np.arange(3.0)), batch_size=2, workers=2))]
    [[0.0, 1.0], [2.0]]
    """
    step = batches.max_queue_size
    with ThreadPoolExecutor(batches.workers) as pool:
        for start in range(0, len(batches), step):
            yield from pool.map(batches.__getitem__, range(start, min(start + step, len(batches))))


def predict(
    model: keras.Model,
    source: Source,
    batch_size: int,
    workers: int = 1,
    progress: Progress | None = None,
    label: str = "predicting",
) -> NDArray[np.float32]:
    """Return a network's outputs for all items.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    source : Source
        Inputs of n items.
    batch_size : int
    workers : int, default=1
        Threads that read.
    progress : Progress, default=Progress()
    label : str, default="predicting"
        Of the progress bar.

    Returns
    -------
    ndarray of shape (n, ...), float32
        In the order of the items.
    """
    at_once = -(-batch_size // count_pieces(model, batch_size))
    batches = Batches(source, at_once, workers=workers)
    with (
        (progress or Progress()).bar(label, len(source), "items") as advance,
        run_keras(batches),
    ):
        counted = keras.callbacks.LambdaCallback(
            on_predict_batch_end=lambda batch, logs: advance(len(batches.rows(batch)))
        )
        found = model.predict(batches, verbose=0, callbacks=[counted])
    outputs = np.asarray(found, dtype=np.float32)
    return outputs[: len(source)]  # only the last batch is filled up


@contextmanager
def run_keras(*datasets: Batches) -> Iterator[None]:
    """Run a model with its datasets' own errors, and without warnings of retracing.

    TensorFlow wraps the error of a dataset in one of its own; and it warns where each stage, network and
    shape of a batch is traced as it has to be.
    """
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except Exception:
        for error in [dataset.error for dataset in datasets if dataset.error]:
            raise error from None
        raise
    finally:
        logger.setLevel(level)
