"""Descriptions of the stores of a cache, whatever made their embeddings, in one line each."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.cache import EmbeddingStore
from hybrid.extraction.imported_stores import KIND as IMPORTED
from hybrid.extraction.imported_stores import describe_imported_store
from hybrid.extraction.text_lookup import KIND as TEXT
from hybrid.extraction.text_lookup import describe_text_store
from hybrid.utils.counts import counted

_OTHERS: dict[str, Callable[[EmbeddingStore], str]] = {
    TEXT: describe_text_store,
    IMPORTED: describe_imported_store,
}


def describe_store(store: EmbeddingStore) -> str:
    """One line about a store: what made its embeddings, and their number.

    Of a backbone: weights, input, precision.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> from hybrid.extraction.lookup import make_store
    >>> spec = get_backbone("mobilenet-075")
    >>> describe_store(make_store("described", spec, resolve_weights(spec, "random")))
    'mobilenet-075, weights random, seed 0, input 224 x 224, ...: 0 embeddings of 768 numbers (...)'
    """
    said = store.stands_for
    if said.get("kind") in _OTHERS:
        return _OTHERS[said["kind"]](store)
    size = " x ".join(str(side) for side in said.get("input_size", ())) or "?"
    layer, fit = said.get("layer", "last"), said.get("image_rules", {}).get("fit", "squash")
    pooling = "scores" if said.get("tuned") else f"{said.get('pooling', '?')} pooling"
    return (
        f"{said.get('architecture', '?')}, weights {store.recorded.get('weights', 'unknown')}, input "
        f"{size}{'' if fit == 'squash' else f' ({fit})'}, "
        f"{'' if layer == 'last' else f'layer {layer}, '}{pooling}, computed in "
        f"{said.get('precision', '?')}, {store.dtype}: {counted(len(store), 'embedding')} of "
        f"{counted(store.dimension, 'number')} ({store.fingerprint[:12]})"
    )
