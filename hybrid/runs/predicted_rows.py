"""Predictions of every row of a catalogue's file, also of those that could not be read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.types import Predictions


def all_rows(
    catalogue: Catalogue,
    genres: tuple[str, ...],
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.float64],
) -> tuple[Predictions, NDArray[np.int64]]:
    """Predictions of every row of the file, in its order; empty for those that could not be read."""
    lost = catalogue.left_out
    rows = np.concatenate([catalogue.rows, np.array([row.row for row in lost], dtype=np.int64)])
    order = np.argsort(rows, kind="stable")
    ids = np.concatenate([catalogue.ids.astype(object), [row.id for row in lost]])
    nothing = np.zeros((len(lost), len(genres)), dtype=np.uint8)
    unknown = np.full(nothing.shape, np.nan)
    found = Predictions(
        ids[order].astype(str),
        np.full(len(rows), ""),
        genres,
        np.concatenate([labels, nothing])[order],
        np.concatenate([probabilities, unknown])[order],
    )
    return found, rows
