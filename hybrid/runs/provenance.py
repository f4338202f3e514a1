"""What a run's record says of what the run was made from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.catalogue import POSTER
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import BLOCKS
from hybrid.images.decode import BadPoster
from hybrid.runs.folder import RECORD


def describe_catalogue(catalogue: Catalogue) -> dict[str, Any]:
    """Its hash, the roles of its columns, and how many items it has."""
    return {
        "path": str(catalogue.path),
        "sha256": catalogue.sha256,
        "columns": asdict(catalogue.columns),
        "items": len(catalogue),
        "labelled": int(catalogue.labelled.sum()),
        "bad_rows": len(catalogue.bad_rows),
    }


def describe_backbones(model: HybridClassifier, folder: Path) -> dict[str, Any]:
    """What the record of a run in `folder` says of the embeddings that a head uses.

    Returns
    -------
    dict
        ``backbone``: of the block ``poster``, None where there is none; ``further_backbones``: of each
        other poster block, by its name.
    """
    found = {
        name: _describe(EmbeddingCache(block.cache).find(block.fingerprint), folder)
        for name, block in model.fusion.blocks
        if isinstance(block, PosterFeatures)
    }
    return {"backbone": found.pop(POSTER, None), "further_backbones": found}


def trained_by(backbone: dict[str, Any]) -> Path | None:
    """The run folder that a backbone's weights lie in, if a run of ours trained them."""
    path = backbone["weights"]["path"]
    if not path or Path(path).name != RUN_WEIGHTS or not (Path(path).parent / RECORD).is_file():
        return None
    return Path(path).parent


def _describe(store: EmbeddingStore, folder: Path) -> dict[str, Any]:
    path = store.recorded["path"]
    return {
        "name": store.stands_for["architecture"],
        "fingerprint": store.fingerprint,
        "stands_for": store.stands_for,
        "cache": {
            "path": str(store.folder.parent),
            "embeddings": len(store),
            "bytes": store.bytes_on_disk(),
            "sha256": store.digest(),
        },
        "weights": {
            "kind": store.recorded["kind"],
            "path": path,
            # Where runs move together, the weights of a trained backbone are found from here.
            "relative": None if path is None else os.path.relpath(path, folder.absolute()),
            "digest": store.stands_for["weights"],
            "seed": store.recorded["seed"],
        },
    }


def describe_choice(model: HybridClassifier) -> dict[str, Any]:
    """Parameters that cross-fitting chose, or the head by itself, and the weight of each block."""
    weights = model.fusion_.weights or {}
    return {
        **model.chosen_.parameters,
        **getattr(model.head_, "chosen_", {}),
        "block_weights": {name: float(weights.get(name, 1.0)) for name in model.fusion_.names},
    }


def count_missing(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster],
    rows: Mapping[str, NDArray[np.int64]],
    blocks: Iterable[str],
) -> dict[str, dict[str, int]]:
    """How many items of each part lack a block: for posters, those that name no readable file."""
    columns, table = catalogue.columns, catalogue.table
    lacks = {
        "poster": np.array([isinstance(key, BadPoster) for key in keys]),
        "text": (table[list(columns.text)] == "").all(axis=1).to_numpy(),
        "metadata": (table[list(columns.metadata)] == "").all(axis=1).to_numpy(),
    }
    return {
        block: {part: int(lacks[block][found].sum()) for part, found in rows.items()}
        for block in BLOCKS
        if block in blocks
    }
