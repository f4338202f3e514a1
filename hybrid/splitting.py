"""Wiring: catalogue → split, and the audit of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid.audit import audit_split
from hybrid.catalogue import Catalogue
from hybrid.images import BadPoster
from hybrid.progress import Progress
from hybrid.records import Audit, Split
from hybrid.splits import SHARES, make_split
from hybrid.stores import hash_catalogue


def split_catalogue(
    catalogue: Catalogue,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    cache: str = ".hybrid-cache",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Split:
    """Split the labelled items of a catalogue; items with the same image are never parted.

    Parameters
    ----------
    catalogue : Catalogue
    shares : sequence of 3 floats
        Of train, validation and test.
    seed, workers : int
    cache : str
        Folder of the embedding cache, which remembers the posters' hashes.
    progress : Progress, optional

    Raises
    ------
    CatalogueError
        If there are no labels.
    """
    catalogue.require_labels()
    labelled = np.flatnonzero(catalogue.labelled)
    ids, keys = catalogue.ids, hash_catalogue(catalogue, cache, workers, progress)
    first: dict[bytes, str] = {}
    groups = []
    for i in labelled.tolist():
        key, name = keys[i], str(ids[i])
        groups.append(name if isinstance(key, BadPoster) else first.setdefault(key, name))
    return make_split(
        ids[labelled], catalogue.labels[labelled], groups=groups, shares=shares, seed=seed
    )


def audit_catalogue(
    catalogue: Catalogue,
    split: Split,
    cache: str = ".hybrid-cache",
    workers: int | None = None,
    progress: Progress | None = None,
    keys: Sequence[bytes | BadPoster] | None = None,
) -> Audit:
    """Audit a split of a catalogue; reads the posters' bytes, unless their `keys` are given."""
    keys = hash_catalogue(catalogue, cache, workers, progress) if keys is None else keys
    named = zip(catalogue.ids.tolist(), keys, strict=True)
    return audit_split(split, {name: key for name, key in named if not isinstance(key, BadPoster)})
