"""Batches of token states for training: of similar length, shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NEAR = 16  # batches whose items are sorted by length together
STEP = 16  # widths are multiples of it

# States and lengths, labels.
Batch: TypeAlias = tuple[tuple[NDArray[np.float16], NDArray[np.int32]], NDArray[np.float32]]


@dataclass(frozen=True)
class States:
    """Token states of n texts after the layers that do not learn.

    Parameters
    ----------
    values : ndarray of shape (total, H), float16
        Of all tokens, text by text.
    lengths : ndarray of shape (n,), int64
        Tokens of each text.
    """

    values: NDArray[np.float16]
    lengths: NDArray[np.int64]

    def rows(self, texts: NDArray[np.int64], width: int) -> NDArray[np.float16]:
        """The states of some texts: (len(texts), width, H), filled up with zeros."""
        starts = np.cumsum(self.lengths) - self.lengths
        found = np.zeros((len(texts), width, self.values.shape[1]), dtype=self.values.dtype)
        for row, text in enumerate(texts.tolist()):
            start, length = starts[text], self.lengths[text]
            found[row, :length] = self.values[start : start + length]
        return found


class TextBatches:
    """Batches of states and labels, sorted by length.

    Parameters
    ----------
    states : States
    labels : ndarray of shape (n, L), float32
    texts : ndarray of int
    size : int
        Items of a batch.
    """

    def __init__(
        self,
        states: States,
        labels: NDArray[np.float32],
        texts: NDArray[np.int64],
        size: int,
    ) -> None:
        self.states, self.labels, self.texts, self.size = states, labels, texts, size
        self.batches = self.cut(texts)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for number in range(len(self)):
            yield self[number]

    def __getitem__(self, number: int) -> Batch:
        texts = self.batches[number]
        lengths = self.states.lengths[texts]
        width = int(-(-lengths.max() // STEP) * STEP)
        rows = self.states.rows(texts, width)
        return (rows, lengths.astype(np.int32)), self.labels[texts]

    def shuffle(self) -> None:
        """Keep the order, in which they are judged alone."""

    def cut(self, texts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Sort texts by length and cut them into batches."""
        some = texts[np.argsort(self.states.lengths[texts], kind="stable")]
        return [some[start : start + self.size] for start in range(0, len(some), self.size)]


class TrainingBatches(TextBatches):
    """Batches of states and labels, in another order each epoch.

    Parameters
    ----------
    states : States
    labels : ndarray of shape (n, L), float32
    texts : ndarray of int
        Those to learn from.
    size : int
        Items of a batch.
    seed : int
    """

    def __init__(
        self,
        states: States,
        labels: NDArray[np.float32],
        texts: NDArray[np.int64],
        size: int,
        seed: int,
    ) -> None:
        super().__init__(states, labels, texts, size)
        self.random = np.random.default_rng(seed)
        self.shuffle()

    def shuffle(self) -> None:
        """Deal the items anew: random pools, sorted by length, cut into batches, in random order."""
        order = self.random.permutation(self.texts)
        pool = NEAR * self.size
        cut = [batch for i in range(0, len(order), pool) for batch in self.cut(order[i : i + pool])]
        self.batches = [cut[i] for i in self.random.permutation(len(cut))]
