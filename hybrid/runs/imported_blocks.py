"""Imported blocks of a model: where they come from, and which items lack what nothing can compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.features import ImportedFeatures
from hybrid.features.fusion import Fusion
from hybrid.runs.provenance import block_stores, describe_cached
from hybrid.runs.record_parts import ImportedRecord
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted, first_few

if TYPE_CHECKING:
    from hybrid.runs.provenance import Model

SHOWN = 3  # ids in a message


def describe_imported(model: Model) -> dict[str, ImportedRecord]:
    """Describe the embeddings of each imported block, as its store says it, by name of the block.

    Parameters
    ----------
    model : HybridClassifier or DeepBaseline
        Need not be fitted.
    """
    return {
        name: ImportedRecord(
            name=str(store.stands_for["block"]),
            fingerprint=store.fingerprint,
            key=store.stands_for,
            cache=describe_cached(store),
            file=_text(store.recorded.get("file")),
            sha256=_text(store.recorded.get("file_sha256")),
            imported=_text(store.recorded.get("imported")),
            licence=_text(store.recorded.get("licence")) or "unknown",
        )
        for name, store in block_stores(model, ImportedFeatures).items()
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


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
