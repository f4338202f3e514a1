"""Audit of the cache: whether the weights behind its embeddings have learnt from test items of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid.audit.ancestry import HashedItems, find_learnt_items
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue
from hybrid.extraction.embeddings_frame import store_keys
from hybrid.extraction.lookup import describe_store
from hybrid.extraction.provenance import store_provenance
from hybrid.types import Split
from hybrid.utils.context import Context
from hybrid.utils.counts import counted


@dataclass(frozen=True)
class CachedBackbone:
    """What the weights behind one set of embeddings have learnt from.

    Parameters
    ----------
    fingerprint : str
        Of the set.
    description : str
        Backbone, weights, input, precision, as `hybrid.extraction.lookup.describe_store` gives it.
    verdict : {"clean", "leak", "unknown"}
        Whether a run on these embeddings leaks, on this split.
    items : tuple of str, default=()
        Test items that the weights have learnt from.
    count : int, default=0
        Their number.
    tests : int, default=0
        Number of test items.
    share : float, default=0.0
        ``count / tests``.
    learnt_by : tuple of str, default=()
        Runs that trained the weights and have learnt from them.
    unknown : tuple of str, default=()
        What cannot be told, as in `Audit.skipped`.

    Examples
    --------
    >>> CachedBackbone("9f2c", "vgg16, weights imagenet", "clean").sentence
    'vgg16, weights imagenet'
    """

    fingerprint: str
    description: str
    verdict: str
    items: tuple[str, ...] = ()
    count: int = 0
    tests: int = 0
    share: float = 0.0
    learnt_by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """One line for terminal and page."""
        parts = [self.description]
        if self.count:
            who = " and ".join(self.learnt_by)
            has = "has" if len(self.learnt_by) == 1 else "have"
            parts.append(
                f"{who}, which trained the weights, {has} learnt from {self.count:,} of the "
                f"{counted(self.tests, 'test item')}: do not use it with this split"
            )
        parts += [entry.partition(": ")[2] for entry in self.unknown]
        return ": ".join([parts[0], "; ".join(parts[1:])]) if parts[1:] else parts[0]


def audit_cached_backbones(
    split: Split,
    items: HashedItems,
    sets: Sequence[Sequence[bytes]],
    cache: str,
    whole: Split | None = None,
    catalogue: Catalogue | None = None,
) -> tuple[CachedBackbone, ...]:
    """Ask of each set of embeddings of a catalogue whether its weights have learnt from test items.

    Parameters
    ----------
    split : Split
        Its test items are counted.
    items : HashedItems
        Of the catalogue.
    sets : sequence of sequences of bytes
        Keys of the posters of each item, as `key_sets` gives them. Sets of embeddings without any of these
        posters are left out.
    cache : str
        Folder of the cache.
    whole : Split, optional
        As for `audit_backbones`.
    catalogue : Catalogue, optional
        Whose texts the sets of text embeddings are looked through for, as the others are for its posters.

    Returns
    -------
    tuple of CachedBackbone
        Those that leak first, then those of which it cannot be told.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.backbones.provenance import ItemHashes
    >>> nothing = np.array([], dtype=str)
    >>> split = Split(nothing, nothing, nothing, "")
    >>> audit_cached_backbones(split, HashedItems(nothing, ItemHashes(), ""), [], "nowhere")
    ()
    """
    known = list({key for each in sets for key in each})
    tests = len(set(split.ids[split.parts == "test"].tolist()))
    found = []
    for store in EmbeddingCache(cache).stores():
        keys = known
        if "kind" in store.stands_for:  # of texts, or imported
            keys = [] if catalogue is None else store_keys(catalogue, store, Context(cache))
        if not store.has(keys).any():
            continue
        learnt = find_learnt_items(split, items, store_provenance(store), whole)
        found.append(
            CachedBackbone(
                fingerprint=store.fingerprint,
                description=describe_store(store),
                verdict="leak" if learnt.items else "unknown" if learnt.unknown else "clean",
                items=learnt.items,
                count=len(learnt.items),
                tests=tests,
                share=len(learnt.items) / max(tests, 1),
                learnt_by=learnt.by,
                unknown=learnt.unknown,
            )
        )
    order = ("leak", "unknown", "clean")
    return tuple(sorted(found, key=lambda one: (order.index(one.verdict), one.description)))


def restriction_in_words(backbones: Sequence[CachedBackbone]) -> str:
    """With which sets of embeddings a clean split is not to be used; appended to "the split is clean".

    Examples
    --------
    >>> bad, good = CachedBackbone("1", "small", "leak"), CachedBackbone("2", "vgg16", "clean")
    >>> restriction_in_words([bad, good])
    ', but NOT with 1 of the 2 sets of embeddings in the cache'
    >>> restriction_in_words([good])
    ''
    """
    verdicts = [each.verdict for each in backbones]
    leaking, untold = verdicts.count("leak"), verdicts.count("unknown")
    among = f"of the {len(verdicts)} sets of embeddings in the cache"
    if len(verdicts) == 1:
        among = "the set of embeddings in the cache"
    if leaking:
        where = among if len(verdicts) == 1 else f"{leaking} {among}"
        return f", but NOT with {where}" + (
            f", and it cannot be told of {untold}" if untold else ""
        )
    if untold:
        where = among if len(verdicts) == 1 else f"{untold} {among}"
        return f", but it cannot be told of {where}"
    return ""
