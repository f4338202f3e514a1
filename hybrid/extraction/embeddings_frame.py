"""Embeddings of a catalogue as data: one block, whichever kind, row by row as its items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.columns import POSTER
from hybrid.errors import SettingError
from hybrid.extraction.imported_stores import KIND as IMPORTED
from hybrid.extraction.imported_stores import catalogue_keys, find_imported_store
from hybrid.extraction.lookup import find_store, hash_catalogue
from hybrid.extraction.pooling import check_pooling, read_pooled
from hybrid.extraction.poster_keys import embedded_sets, key_sets
from hybrid.extraction.text_lookup import TEXT_EMBEDDING, catalogue_text_keys, find_text_store
from hybrid.types import EmbeddingSelector, ImportedSelector, TextSelector
from hybrid.utils.context import Context
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.read_only import reads_only

Selector = EmbeddingSelector | TextSelector | ImportedSelector
OF_OTHERS = ("backbone", "weights", "dtype", "text-encoder", "poster-pooling")
BLOCK = 4096  # items that are read at once


@dataclass(frozen=True)
class EmbeddingSet:
    """The embeddings of the items of a catalogue in a store.

    Parameters
    ----------
    store : EmbeddingStore
    keys : list of n lists of bytes
        Of each item, those that the store has: one for each of its posters, or one, or none.
    pooling : str
        How those of several posters become one.
    """

    store: EmbeddingStore
    keys: list[list[bytes]]
    pooling: str

    @property
    def there(self) -> list[int]:
        """Positions of the items that have an embedding."""
        return [i for i, each in enumerate(self.keys) if each]

    def blocks(self, items: list[int]) -> Iterator[NDArray[np.float32]]:
        """Embeddings of some items, block by block; NaN where an item has none."""
        for start in range(0, len(items), BLOCK):
            some = [self.keys[i] for i in items[start : start + BLOCK]]
            yield read_pooled(self.store, some, self.pooling)


def as_selector(selector: Selector | str | None) -> Selector:
    """A selector from the name of a block: ``poster``, ``text-embedding``, or an imported one.

    Examples
    --------
    >>> as_selector("clip"), as_selector("text-embedding")
    (ImportedSelector(block='clip', fingerprint=None), TextSelector(text_encoder=None, ...))
    """
    if selector is None or selector == POSTER:
        return EmbeddingSelector()
    if selector == TEXT_EMBEDDING:
        return TextSelector()
    return ImportedSelector.parse(selector) if isinstance(selector, str) else selector


def imported_selection(block: str, fingerprint: str | None, *commands: str) -> ImportedSelector:
    """The selector of imported embeddings, where no option of other embeddings was typed.

    Parameters
    ----------
    block : str
        As ``--block`` has it.
    fingerprint : str or None
        As ``--embeddings`` has it.
    *commands : str
        Those whose typed options are checked.

    Raises
    ------
    SettingError
        The message lists all options that would have no effect.

    Examples
    --------
    >>> imported_selection("clip", None, "export").block
    'clip'
    """
    given = given_options(dict.fromkeys(OF_OTHERS, (None, None)), *commands)
    rule = Rule(OF_OTHERS, False, "--block names imported embeddings")
    if problems := list_unused([rule], given):
        raise SettingError("\n".join(problems))
    named = ImportedSelector.parse(block)
    return ImportedSelector(named.block, named.fingerprint or fingerprint)


def find_embeddings(
    catalogue: Catalogue,
    selector: Selector | str | None = None,
    context: Context | None = None,
    pooling: str = "mean",
) -> EmbeddingSet:
    """Find the embeddings of a catalogue's posters, texts or items in the cache.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    selector : EmbeddingSelector, TextSelector, ImportedSelector or str, optional
        Which ones; see `embeddings`.
    context : Context, optional
    pooling : {"mean", "max", "first"}, default="mean"

    Raises
    ------
    ExtractionError, SettingError
        If there are none, or several sets.
    """
    check_pooling(pooling)
    selector, context = as_selector(selector), context or Context()
    if isinstance(selector, EmbeddingSelector):
        found = hash_catalogue(catalogue, context)
        store = find_store(catalogue, selector, context, keys=found)
        return EmbeddingSet(
            store, embedded_sets(store, key_sets(catalogue, found, context)), pooling
        )
    if isinstance(selector, TextSelector):
        store = find_text_store(catalogue, selector, context)
        keys = catalogue_text_keys(catalogue, store)
    else:
        store = find_imported_store(catalogue, selector, context)
        keys = catalogue_keys(catalogue, store, context)
    sets = [[] if key is None else [key] for key in keys]
    return EmbeddingSet(store, embedded_sets(store, sets), pooling)


def store_keys(
    catalogue: Catalogue, store: EmbeddingStore, context: Context | None = None
) -> list[bytes]:
    """The different keys that the items of a catalogue would have in a store of texts, or an imported one.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> from hybrid.cache import EmbeddingCache
    >>> _ = write_sample("keyed", n_items=60)
    >>> films = load_catalogue("keyed/catalogue.csv")
    >>> fields = {"kind": "imported", "of": "item", "dimension": 2}
    >>> len(store_keys(films, EmbeddingCache("keyed/cache").make(fields)))
    60
    """
    if store.stands_for.get("kind") == IMPORTED:
        keys = catalogue_keys(catalogue, store, context or Context())
    else:
        keys = catalogue_text_keys(catalogue, store)
    return list(dict.fromkeys(key for key in keys if key is not None))


@reads_only
def embeddings(
    catalogue: Catalogue,
    selector: Selector | str | None = None,
    context: Context | None = None,
    pooling: str = "mean",
) -> pd.DataFrame:
    """The embeddings of a catalogue as a frame, indexed by id.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    selector : EmbeddingSelector, TextSelector, ImportedSelector or str, optional
        Which embeddings: of posters, of texts, or imported ones; or the name of a block, ``"poster"``,
        ``"text-embedding"`` or that of an imported one. By default those of the posters. What it leaves open
        must be unambiguous.
    context : Context, optional
        Its cache and workers are used.
    pooling : {"mean", "max", "first"}, default="mean"
        How the embeddings of several posters of an item become one.

    Returns
    -------
    DataFrame of shape (n, D), float32
        In the order of the catalogue; columns are numbers from 0; NaN for an item without an embedding.

    Raises
    ------
    ExtractionError
        If there are none.
    SettingError
        If there are several sets; the message lists them.

    Examples
    --------
    >>> from hybrid import import_embeddings, load_catalogue, write_sample
    >>> _ = write_sample("framed", n_items=60)
    >>> films, context = load_catalogue("framed/catalogue.csv"), Context(cache="framed/cache")
    >>> made = pd.DataFrame(np.ones((2, 3)), index=films.ids[:2])
    >>> _ = import_embeddings(made, films, block="clip", context=context)
    >>> found = embeddings(films, "clip", context)
    >>> found.shape, int(found[0].isna().sum())
    ((60, 3), 58)
    """
    found = find_embeddings(catalogue, selector, context, pooling)
    rows = np.empty((len(found.keys), found.store.dimension), dtype=np.float32)
    start = 0
    for block in found.blocks(list(range(len(rows)))):
        rows[start : start + len(block)] = block
        start += len(block)
    index = pd.Index(catalogue.ids.astype(object), name=catalogue.columns.id)
    return pd.DataFrame(rows, index=index)
