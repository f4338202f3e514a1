"""What the weights behind cached embeddings have learnt from: kept in their store."""

from __future__ import annotations

from pathlib import Path

from hybrid.backbones import Weights
from hybrid.backbones.provenance import Provenance
from hybrid.backbones.weights import describe_unknown
from hybrid.cache import EmbeddingStore
from hybrid.cache.sealed import read_provenance
from hybrid.errors import WeightsError


def provenance_to_store(weights: Weights) -> bytes | None:
    """What a store keeps of its weights' provenance; None where kind and digest say all that is known.

    Parameters
    ----------
    weights : Weights

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> provenance_to_store(resolve_weights(get_backbone("vgg16"), "random")) is None
    True
    """
    learnt = weights.provenance
    told = weights.kind == "file" and (learnt.ancestors or not learnt.unknown)
    return learnt.to_bytes() if told else None


def store_provenance(store: EmbeddingStore) -> Provenance:
    """What the weights that a store's embeddings were made with have learnt from.

    It lies in the store itself: whatever became of the weights file since, it is that of these embeddings.

    Parameters
    ----------
    store : EmbeddingStore

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> from hybrid.extraction.lookup import make_store
    >>> spec = get_backbone("mobilenet-075")
    >>> store_provenance(make_store("learnt", spec, resolve_weights(spec, "random")))
    Provenance(ancestors=(), unknown=())
    """
    content = read_provenance(store.folder)
    if content is not None:
        try:
            return Provenance.from_bytes(content)
        except WeightsError:  # of a newer format
            return _unknown(store)
    known = store.recorded.get("kind") in ("imagenet", "random")
    # A text encoder is given, like the weights of ImageNet; one that was tuned says what it learnt from.
    given = store.stands_for.get("kind") == "text" and not store.stands_for.get("tuned")
    return Provenance() if known or given else _unknown(store)


def made_elsewhere(block: str) -> Provenance:
    """Provenance of imported embeddings of which nobody has said what they have learnt from.

    Examples
    --------
    >>> made_elsewhere("clip").unknown
    ('clip (imported)',)
    """
    return Provenance(unknown=(f"{block} (imported)",))


def _unknown(store: EmbeddingStore) -> Provenance:
    if store.stands_for.get("kind") == "imported":
        return made_elsewhere(str(store.stands_for.get("block")))
    path = store.recorded.get("path") or store.recorded.get("weights") or "weights"
    digest = str(store.stands_for.get("weights"))
    return Provenance(unknown=(describe_unknown(Path(str(path)).name, digest),))
