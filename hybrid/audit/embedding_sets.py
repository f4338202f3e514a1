"""Which embeddings an audit compares, and which it could have compared where it compared none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.duplicates.find import Keys
from hybrid.duplicates.kinds import NEAR_EMBEDDING, NEAR_TEXT_EMBEDDING
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.lookup import describe_store, find_store
from hybrid.extraction.text_lookup import find_text_store
from hybrid.types import Audit, EmbeddingSelector, TextSelector
from hybrid.utils.context import Context


def find_compared_store(
    catalogue: Catalogue, select: EmbeddingSelector | None, keys: Keys, context: Context
) -> EmbeddingStore | None:
    """Find the embeddings that an audit compares.

    Parameters
    ----------
    catalogue : Catalogue
    select : EmbeddingSelector or None
        By default those of the catalogue, if there is one set.
    keys : sequence of bytes or BadPoster
        As `hash_catalogue` gives them.
    context : Context

    Returns
    -------
    EmbeddingStore or None
        None where none are named and there is not one set: the audit lists it among what could not be
        searched for.

    Raises
    ------
    ExtractionError, SettingError
        If embeddings are named that are not there.

    Examples
    --------
    >>> find_compared_store(catalogue, None, keys, Context()).dimension  # doctest: +SKIP
    768
    """
    try:
        return find_store(catalogue, select, context, keys=keys)
    except (ExtractionError, SettingError):
        if select is not None and select.names_any:
            raise
        return None


def find_compared_texts(
    catalogue: Catalogue, select: TextSelector | None, context: Context
) -> tuple[EmbeddingStore | None, str]:
    """Find the text embeddings that an audit compares.

    Parameters
    ----------
    catalogue : Catalogue
    select : TextSelector or None
        By default those of the catalogue, if there is one set.
    context : Context

    Returns
    -------
    EmbeddingStore or None
    str
        Why there is none, for what the audit could not search for; empty where the catalogue has no texts.

    Raises
    ------
    ExtractionError, SettingError
        If embeddings are named that are not there.

    Examples
    --------
    >>> find_compared_texts(catalogue, None, Context())[0].dimension  # doctest: +SKIP
    384
    """
    named = select is not None and select != TextSelector()
    if not catalogue.columns.text and not named:
        return None, ""
    try:
        return find_text_store(catalogue, select, context), ""
    except (ExtractionError, SettingError) as error:
        if named:
            raise
        said = str(error).replace("; each that is given is a block of its own", "")
        return None, f"{NEAR_TEXT_EMBEDDING}: {said}"


def name_embedding_sets(audit: Audit, sets: Sequence[Sequence[bytes]], cache: str) -> Audit:
    """Say why an audit compared no embeddings, where the cache has several sets of the catalogue.

    Parameters
    ----------
    audit : Audit
    sets : sequence of sequences of bytes
        Keys of the posters of each item, as `key_sets` gives them.
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
    known = list({key for each in sets for key in each})
    if not known:
        return audit
    stores = [s for s in EmbeddingCache(cache).stores() if "kind" not in s.stands_for]  # of posters
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
