"""Imported blocks of a model: which items lack them, as nothing can compute them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.features import ImportedFeatures
from hybrid.features.fusion import Fusion
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted, first_few

SHOWN = 3  # ids in a message


def lacking_rows(fusion: Fusion, frame: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Which items of a frame lack each imported block: block → shape (n,).

    Parameters
    ----------
    fusion : Fusion
        Fitted.
    frame : DataFrame of n items
    """
    return {
        name: ~block.present(frame)
        for name, block in fusion.fitted_
        if isinstance(block, ImportedFeatures)
    }


def count_lacking(
    fusion: Fusion, frame: pd.DataFrame, rows: Mapping[str, NDArray[np.int64]]
) -> dict[str, dict[str, int]]:
    """Count the items of each part that lack an imported block: block → part → number.

    Parameters
    ----------
    fusion : Fusion
    frame : DataFrame
        Of all items.
    rows : mapping of str to ndarray of int
        Part → row numbers in the frame.
    """
    return {
        name: {part: int(lacks[found].sum()) for part, found in rows.items()}
        for name, lacks in lacking_rows(fusion, frame).items()
    }


def lacking_ids(fusion: Fusion, frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Ids of the items of a frame that lack an imported block: block → ids; no block that none lacks."""
    ids = frame.index.astype(str)
    found = lacking_rows(fusion, frame).items()
    return {name: tuple(ids[lacks].tolist()) for name, lacks in found if lacks.any()}


def lacking_findings(lacking: Mapping[str, tuple[str, ...]], items: int) -> tuple[Finding, ...]:
    """What to tell of items that lack a block.

    Examples
    --------
    >>> print(lacking_findings({"clip": ("7", "9")}, 4)[0].message)
    2 of 4 items lack the block clip, such as 7, 9, and are predicted without it. Import theirs with: ...
    """
    found = []
    for name, ids in lacking.items():
        block = name.partition("#")[0]
        said = agree(len(ids), "{lack|lacks}")
        message = (
            f"{len(ids):,} of {counted(items, 'item')} {said} the block {name}, such as "
            f"{first_few(ids, SHOWN)}, and {agree(len(ids), '{are|is}')} predicted without it. Import theirs "
            f"with: hybrid import-embeddings FILE --block {block} --add"
        )
        found.append(Finding("items without a block", message, len(ids), examples=ids[:SHOWN]))
    return tuple(found)
