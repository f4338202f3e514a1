"""Predictions of every row of a catalogue's file, also of those that could not be read, as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import Cells
from hybrid.runs.predictions_file import write_predicted
from hybrid.types import Predictions
from hybrid.utils.context import Context
from hybrid.utils.read_only import read_only

Floats = NDArray[np.float64]


class Predicted(NamedTuple):
    """What a model predicts of n items.

    Parameters
    ----------
    pieces : generator of ndarray of shape (some items, L)
        Probabilities of the items, in their order; one piece at least.
    label : callable
        Probabilities → labels.
    lacking : dict of str to tuple of str
        Imported block → ids of the items that have no embedding.
    """

    pieces: Generator[Floats, None, None]
    label: Callable[[Floats], NDArray[np.uint8]]
    lacking: dict[str, tuple[str, ...]]


def write_every_row(
    out: Path, catalogue: Catalogue, genres: tuple[str, ...], predicted: Predicted, context: Context
) -> None:
    """Write ``predictions.csv`` with a line for every row of the file, piece by piece, as they are predicted.

    Parameters
    ----------
    out : Path
    catalogue : Catalogue
        Of n items.
    genres : tuple of L str
    predicted : Predicted
    context : Context

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    ids = iter(Cells(catalogue.table[catalogue.columns.id]))
    names = chain(ids, genres, (row.id for row in catalogue.left_out))
    quoted = any("\r" in name for name in names)
    with (
        read_only(),
        closing(predicted.pieces) as pieces,
        context.progress.bar("predicting", len(catalogue), "items") as advance,
    ):

        def shown() -> Iterator[Floats]:
            for piece in pieces:
                yield piece
                advance(len(piece))

        write_predicted(out, every_row(catalogue, genres, shown(), predicted.label), quoted)


def every_row(
    catalogue: Catalogue,
    genres: tuple[str, ...],
    pieces: Iterable[Floats],
    label: Callable[[Floats], NDArray[np.uint8]],
) -> Iterator[Predictions]:
    """Yield predictions of every row of the file, in its order; empty for those that could not be read.

    Parameters
    ----------
    catalogue : Catalogue
    genres : tuple of L str
    pieces, label
        See `Predicted`.

    Yields
    ------
    Predictions
        For each piece.
    """
    ids, lost = catalogue.table[catalogue.columns.id], catalogue.left_out
    numbers = np.array([row.row for row in lost], dtype=np.int64)
    start = told = 0
    for probabilities in pieces:
        stop = start + len(probabilities)
        rows = catalogue.rows[start:stop]
        upto = len(lost) if stop == len(ids) else int(np.searchsorted(numbers, rows[-1]))
        shape = (upto - told, len(genres))
        order = np.argsort(np.concatenate([rows, numbers[told:upto]]), kind="stable")
        names = [*ids.iloc[start:stop], *(row.id for row in lost[told:upto])]
        yield Predictions(
            np.array(names, dtype=str)[order],
            np.full(len(order), ""),
            genres,
            np.concatenate([label(probabilities), np.zeros(shape, dtype=np.uint8)])[order],
            np.concatenate([probabilities, np.full(shape, np.nan)])[order],
        )
        start, told = stop, upto
