"""Audit of what a model, and the runs that trained its backbones, have learnt from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.item_hashes import find_learnt, hash_further, hash_items
from hybrid.audit.leaks import BACKBONE_TRAINED_ON_TEST, RUN_TRAINED_ON_TEST, audit_learnt
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.catalogue import Catalogue
from hybrid.types import Audit, DuplicateGroups, Split


@dataclass(frozen=True, eq=False)
class HashedItems:
    """Items by id, with the hashes that tell whether a run has learnt from them.

    Parameters
    ----------
    ids : ndarray of shape (n + further,), str
        Of n items, then of those that have further posters, once for each of these.
    hashes : ItemHashes
        Of the same items.
    catalogue : str
        SHA-256 of their catalogue.
    further : int, default=0
        Number of further posters.
    """

    ids: NDArray[Any]
    hashes: ItemHashes
    catalogue: str
    further: int = 0

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        keys: Sequence[object],
        sets: Sequence[Sequence[bytes]] = (),
        duplicates: Sequence[DuplicateGroups] = (),
    ) -> HashedItems:
        """Hash all items of a catalogue; parameters as for `hash_items` and `hash_further`."""
        first = hash_items(catalogue, keys, duplicates)
        owners, more = hash_further(first, keys, sets)
        ids = np.concatenate([catalogue.ids, catalogue.ids[owners]])
        return cls(ids, first.then(more), catalogue.sha256, len(more))

    def take(self, rows: NDArray[Any]) -> HashedItems:
        """Select items, with all their posters, by position or mask."""
        n = len(self.ids) - self.further
        chosen = np.arange(n)[rows]
        if self.further:
            more = n + np.flatnonzero(np.isin(self.ids[n:], self.ids[chosen]))
            chosen = np.concatenate([chosen, more])
        further = int((chosen >= n).sum())
        return HashedItems(self.ids[chosen], self.hashes.take(chosen), self.catalogue, further)


@dataclass(frozen=True, eq=False)
class RunProvenance:
    """What a run has learnt from, and what it was tested on.

    Parameters
    ----------
    run : Ancestor
        The run itself.
    backbones : Provenance
        Of the weights that its embeddings were made with, or that its network started from.
    test : ItemHashes or None
        Its test items, in the order of predictions.csv; None if they are not known by content.
    untold : str, default=""
        Why the items of the run itself are not all known, if they are not.
    """

    run: Ancestor
    backbones: Provenance
    test: ItemHashes | None = None
    untold: str = ""

    @property
    def model(self) -> Provenance:
        """Of what the run trained: the run, and all of its ancestors."""
        return self.backbones.then(self.run)


def audit_backbones(
    audit: Audit,
    split: Split,
    items: HashedItems,
    backbones: Provenance,
    whole: Split | None = None,
) -> Audit:
    """Add to an audit whether an ancestor of a model was trained on test items.

    Parameters
    ----------
    audit : Audit
    split : Split
        Its test items are counted.
    items : HashedItems
        The items of the split, in any order; there may be more.
    backbones : Provenance
        Of the model's backbones. Each weights file of unknown origin is listed in `skipped`.
    whole : Split, optional
        What `split` was narrowed from: a test item leaks, too, where an item of its group was learnt from
        that is not of the task. By default `split`.

    Returns
    -------
    Audit

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.audit.item_hashes import hash_ids
    >>> ids, none = np.array(["a", "b"]), np.zeros(2, dtype=np.uint64)
    >>> split = Split(ids, np.array(["train", "test"]), ids, "")
    >>> learnt = ItemHashes(hash_ids(ids), none, none)
    >>> scratch = Ancestor("d", "scratch", "c", "s", learnt)
    >>> found = audit_backbones(
    ...     Audit((), ()), split, HashedItems(ids, learnt, "c"), Provenance((scratch,), ("net.h5",))
    ... )
    >>> found.leaks[0].items, found.skipped
    (('b',), ('backbone trained on test items: it cannot be told what net.h5 has learnt from',))
    """
    kind = BACKBONE_TRAINED_ON_TEST
    untold = [f"it cannot be told what {name} has learnt from" for name in backbones.unknown]
    return _audit(audit, split, items, backbones.ancestors, kind, untold, whole)


def audit_own_items(
    audit: Audit,
    split: Split,
    items: HashedItems,
    found: RunProvenance,
    whole: Split | None = None,
) -> Audit:
    """Add to an audit whether a run itself was trained on test items; parameters as `audit_backbones`."""
    untold = [found.untold] if found.untold else []
    return _audit(audit, split, items, (found.run,), RUN_TRAINED_ON_TEST, untold, whole)


@dataclass(frozen=True)
class LearntItems:
    """What backbones have learnt from the test items of a split.

    Parameters
    ----------
    items : tuple of str, default=()
        Ids of those that they have learnt from.
    by : tuple of str, default=()
        Runs that did, by name.
    unknown : tuple of str, default=()
        What cannot be told, as in `Audit.skipped`.
    """

    items: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def find_learnt_items(
    split: Split, items: HashedItems, backbones: Provenance, whole: Split | None = None
) -> LearntItems:
    """Find what backbones have learnt from the test items of a split; parameters as `audit_backbones`.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.audit.item_hashes import hash_ids
    >>> ids, none = np.array(["a", "b"]), np.zeros(2, dtype=np.uint64)
    >>> split = Split(ids, np.array(["train", "test"]), ids, "")
    >>> learnt = ItemHashes(hash_ids(ids), none, none)
    >>> scratch = Provenance((Ancestor("d", "scratch", "c", "s", learnt),))
    >>> find_learnt_items(split, HashedItems(ids, learnt, "c"), scratch)
    LearntItems(items=('b',), by=('scratch',), unknown=())
    """

    def ask(runs: Provenance) -> Audit:
        return audit_backbones(Audit((), ()), split, items, runs, whole)

    found = ask(backbones)
    by = [run.name for run in backbones.ancestors if ask(Provenance((run,))).leaked]
    return LearntItems(tuple(sorted(found.leaked)), tuple(by), found.skipped)


def _audit(
    audit: Audit,
    split: Split,
    items: HashedItems,
    runs: Sequence[Ancestor],
    kind: str,
    untold: list[str],
    whole: Split | None,
) -> Audit:
    learnt: dict[str, str] = {}
    for run in runs:
        names = _learnt_by(run, whole or split, items)
        if names is None:
            untold.append(
                f"it cannot be told for {run.name}: its items share ids with these, and there are no posters "
                "or texts to compare"
            )
            continue
        for name in names:
            learnt.setdefault(name, run.name)
    if runs:
        audit = audit_learnt(audit, split, learnt, kind)
    skipped = [f"{kind}: {reason}" for reason in untold]
    more = tuple(entry for entry in skipped if entry not in audit.skipped)
    return replace(audit, skipped=(*audit.skipped, *more))


def _learnt_by(run: Ancestor, split: Split, items: HashedItems) -> set[str] | None:
    """Ids that a run has learnt from, or from an item of their group; None where it cannot be told."""
    found = find_learnt(run, items.hashes, items.catalogue)
    if found is None:
        return None
    names = set(items.ids[found].tolist())
    group_of = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    groups = {group_of[name] for name in names if name in group_of} - {""}
    return names | {name for name, group in group_of.items() if group in groups}
