"""Blocks of rows as the solver takes them: read, shuffled and with their Gram matrices, some ahead of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import SPAN
from hybrid.heads.svm.column_slices import Piece, PieceRows, cut

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
RUN = 256  # rows that lie together and are read at once: a chunk of the cache's parts
BLOCK = 128  # rows whose coordinate steps share a Gram matrix


@dataclass(frozen=True, eq=False)
class Visit:
    """A block of rows: where they lie among those that were read, their features, their Gram matrix."""

    rows: Rows
    parts: list[PieceRows]
    gram: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows that are in memory at a time: their numbers, and the blocks to visit."""

    rows: Rows
    visits: list[Visit]


def draw_batches(n: int, random: np.random.RandomState) -> list[tuple[Rows, Rows]]:
    """All of n rows in batches: for each the rows, ascending, and the order in which to visit them.

    A batch has runs of rows from all over the data, so that neighbours that are alike meet rows that are
    not, and yet the disk is read in pieces of many rows.

    Examples
    --------
    >>> [(rows, order)] = draw_batches(3, np.random.RandomState(0))
    >>> rows.tolist(), sorted(order.tolist())
    ([0, 1, 2], [0, 1, 2])
    """
    runs = random.permutation(-(-n // RUN))
    batches = []
    for chosen in np.array_split(runs, -(-len(runs) * RUN // SPAN)):
        starts = np.sort(chosen) * RUN
        rows = np.concatenate([np.arange(s, min(s + RUN, n)) for s in starts])
        batches.append((rows, random.permutation(len(rows))))
    return batches


def prepare(
    matrix: FusionMatrix, rows: Rows, order: Rows, dtype: np.dtype[Any], squares: Floats
) -> Batch:
    """Read rows, and compute the Gram matrix of each block of them; `squares` are the squared weights."""
    pieces = read_pieces(matrix, rows, dtype)
    visits = []
    for block in np.array_split(order, -(-len(order) // BLOCK)):
        parts = [piece.take(block) for piece in pieces]
        gram = np.zeros((len(block), len(block)), dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # is looked for below
            for part, square in zip(parts, squares, strict=True):
                part.add_gram(square, gram)
        visits.append(Visit(block, parts, gram))
    if not all(np.isfinite(visit.gram.diagonal()).all() for visit in visits):
        raise not_finite(matrix, rows)
    return Batch(rows, visits)


def read_pieces(matrix: FusionMatrix, rows: Any, dtype: np.dtype[Any]) -> list[Piece]:
    """Read rows: one piece a block, also where that has no columns."""
    return [cut(block, dtype, 1)[0] for _, block in matrix[rows].blocks]


def not_finite(matrix: FusionMatrix, rows: Rows) -> SettingError:
    """The error for rows with numbers that are not finite, or too large for their precision."""
    for name, block in matrix[rows].blocks:
        lengths = np.asarray(abs(block).sum(axis=1), dtype=np.float64).ravel()
        if not np.isfinite(lengths).all():
            row = rows[np.flatnonzero(~np.isfinite(lengths))[0]]
            return SettingError(
                f"{name}: expected finite numbers, found NaN or infinity in row {row:,}. Set missing rows "
                "to 0, as Fusion does."
            )
    return SettingError("fusion: expected finite numbers, found some too large to be squared.")
