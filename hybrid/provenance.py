"""Which embeddings a run was made from, as run.json says it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import POSTER
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.runs import RECORD


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
