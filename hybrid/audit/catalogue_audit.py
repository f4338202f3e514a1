"""Audit of a catalogue's split, and its repair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid.audit.label_leakage import LabelLeak, find_label_leakage
from hybrid.audit.leaks import COLUMN_LEAKS_LABEL, LABEL_IN_TEXT, add_warnings, audit_split
from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.duplicates.find import Duplicates, find_duplicates
from hybrid.extraction.lookup import hash_catalogue
from hybrid.images.decode import BadPoster
from hybrid.splitting.methods import check_group_sizes, connected_groups
from hybrid.splitting.splits import (
    make_split,
)
from hybrid.types import PARTS, Audit, Split
from hybrid.utils.context import Context, limited_by_context


@limited_by_context
def audit_catalogue(
    catalogue: Catalogue,
    split: Split,
    *,
    keys: Sequence[bytes | BadPoster] | None = None,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Audit:
    """Audit a split of a catalogue; reads the posters' bytes, unless their `keys` are given.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    keys : sequence of n bytes or BadPoster, optional
        As `hash_catalogue` gives them.
    store : EmbeddingStore, optional
        Embeddings to be compared, too.
    context : Context, optional
        Its cache remembers the posters' hashes.
    """
    return _audit(catalogue, split, _look(catalogue, keys, store, context))


@limited_by_context
def repair_split(
    catalogue: Catalogue,
    split: Split,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> tuple[Split, Audit]:
    """Make groups of what the audit finds alike, and deal all items anew in the split's own shares.

    Returns
    -------
    Split, Audit
        The new split, of all labelled items, by iterative stratification; and what its audit finds.
    """
    context = context or Context()
    catalogue.require_labels()
    duplicates = _look(catalogue, None, store, context)
    known: dict[str, list[str]] = {}
    for name, group in zip(split.ids.tolist(), split.groups.tolist(), strict=True):
        known.setdefault(group, []).append(name)
    rows = np.flatnonzero(catalogue.labelled)
    ids = catalogue.ids[rows]
    groups = connected_groups(ids, [*duplicates.groups, *known.values()])
    counts = np.array([(split.parts == part).sum() for part in PARTS])
    shares = (counts / max(counts.sum(), 1)).tolist()
    check_group_sizes(groups, shares)
    new = make_split(ids, catalogue.labels[rows], groups=groups, shares=shares, seed=context.seed)
    return new, _audit(catalogue, new, duplicates)


def _look(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster] | None,
    store: EmbeddingStore | None,
    context: Context | None,
) -> Duplicates:
    keys = hash_catalogue(catalogue, context) if keys is None else keys
    return find_duplicates(catalogue, keys, store=store, context=context)


def _audit(catalogue: Catalogue, split: Split, duplicates: Duplicates) -> Audit:
    audit = audit_split(split, duplicates.kinds, duplicates.skipped)
    if not catalogue.labelled.any():
        return audit
    ids = catalogue.ids

    def tell(found: Sequence[LabelLeak]) -> list[tuple[str, list[str]]]:
        return [(f"{g.genre} by {g.column}, {g.score:.2f}", ids[g.items].tolist()) for g in found]

    named, told = find_label_leakage(catalogue)
    audit = add_warnings(audit, LABEL_IN_TEXT, tell(named), split)
    return add_warnings(audit, COLUMN_LEAKS_LABEL, tell(told), split)
