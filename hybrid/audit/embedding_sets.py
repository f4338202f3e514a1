"""Which sets of embeddings an audit could have compared, where it compared none."""

from __future__ import annotations

from dataclasses import replace

from hybrid.cache import EmbeddingCache
from hybrid.duplicates.find import Keys
from hybrid.duplicates.kinds import NEAR_EMBEDDING
from hybrid.extraction.lookup import describe_store
from hybrid.types import Audit


def name_embedding_sets(audit: Audit, keys: Keys, cache: str) -> Audit:
    """Say why an audit compared no embeddings, where the cache has several sets of the catalogue.

    Parameters
    ----------
    audit : Audit
    keys : sequence of bytes or BadPoster
        Of the catalogue, as `hash_catalogue` gives them.
    cache : str

    Returns
    -------
    Audit
        The same where there are not several.

    Examples
    --------
    >>> name_embedding_sets(Audit((), ()), [], "nowhere").skipped
    ()
    """
    known = list({key for key in keys if isinstance(key, bytes)})
    stores = EmbeddingCache(cache).stores()
    whole = [store for store in stores if store.knows(known).all()]
    found = whole or [store for store in stores if store.knows(known).any()]
    if len(found) < 2:
        return audit
    reason = (
        f"{NEAR_EMBEDDING}: there are {len(found)} sets of embeddings of the catalogue: "
        f"{'; '.join(map(describe_store, found))}. Choose with --backbone, --weights or --dtype, or with "
        "--embeddings and the digits in brackets"
    )
    given = (reason if said.startswith(f"{NEAR_EMBEDDING}: ") else said for said in audit.skipped)
    return replace(audit, skipped=tuple(given))
