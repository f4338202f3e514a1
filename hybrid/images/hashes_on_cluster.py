"""Content hashes of posters, read by the workers of a cluster; what the cache remembers is not read again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hybrid.cluster.connection import Cluster
from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.images.hashes import look_up, rememberable
from hybrid.images.memo import Memo, load_memo, remember
from hybrid.images.on_cluster import read_on_cluster
from hybrid.remote.objects import Listings
from hybrid.utils.context import Context
from hybrid.utils.local_copy import local_copy
from hybrid.utils.progress import Advance

BLOCK = 4096  # posters that are looked up at once

Keys = list[bytes | BadPoster]


def hash_on_cluster(
    cluster: Cluster, context: Context, paths: Iterable[str], advance: Advance
) -> Keys:
    """Hash poster files.

    Parameters
    ----------
    cluster : Cluster
    context : Context
        Its cache remembers them, as they come.
    paths : iterable of n str
        ``""`` stands for an item without a poster. The files have the same paths on all workers.
    advance : callable
        Called with the number of further posters.

    Returns
    -------
    list of n bytes or BadPoster
        As `hybrid.images.hashes.hash_posters` yields them.

    Raises
    ------
    ClusterError
        If workers died while they read some of them; all others are remembered.
    """
    file = local_copy(context.cache) / "memo" / "keys"
    memo, now = load_memo(file), time.time_ns()
    keys, entries, unknown = _recall(memo, paths, advance)
    new: dict[int, bytes | BadPoster] = {}

    def save() -> None:
        # Other processes may have remembered theirs meanwhile: the memo is read again.
        remember(file, rememberable(entries[list(new)], list(new.values()), now))
        for position, key in new.items():
            keys[position] = key
        new.clear()

    posters = [(position, str(keys[position])) for position in unknown]
    read_on_cluster(cluster, hash_poster, posters, new.__setitem__, advance, save)
    found: Keys = keys  # type: ignore[assignment]
    return found


def _recall(
    memo: Memo, paths: Iterable[str], advance: Advance
) -> tuple[list[bytes | str | BadPoster], NDArray[np.void], list[int]]:
    """The remembered keys, the path of each of the others, entries, and the others' positions."""
    keys, entries, unknown = list[bytes | str | BadPoster](), [], list[int]()
    coming, listings = iter(paths), Listings()
    while block := list(islice(coming, BLOCK)):
        found, same, some = look_up(memo, block, listings)
        for path, key, known in zip(block, found, same.tolist(), strict=True):
            if not known:
                unknown.append(len(keys))
            keys.append(key if known else path)
        entries.append(some)
        advance(int(same.sum()))
    return keys, np.concatenate(entries) if entries else look_up(memo, [])[2], unknown
