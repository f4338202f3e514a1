"""Content hashes of posters, read by the workers of a cluster; what the cache remembers is not read again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.cluster.blocks import BlockRun, SetAside
from hybrid.cluster.connection import Cluster
from hybrid.cluster.division import divide
from hybrid.errors import ClusterError
from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.images.hashes import look_up, rememberable
from hybrid.images.memo import Memo, load_memo, remember
from hybrid.images.references import join_folder
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Advance

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn

BLOCK = 4096  # posters that are looked up at once

Keys = list[bytes | BadPoster]


class _Unknown(NamedTuple):
    """Posters that must be read: where they stand among all, and absolute paths."""

    positions: list[int]
    paths: list[str]


def hash_on_cluster(
    cluster: Cluster, context: Context, paths: Iterable[str], advance: Advance
) -> Keys:
    """Hash poster files.

    Parameters
    ----------
    cluster : Cluster
    context : Context
        Its cache remembers them.
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
    file = Path(context.cache) / "memo" / "keys"
    memo, now = load_memo(file), time.time_ns()
    keys, entries, unknown = _recall(memo, paths, advance)
    blocks = [
        _Unknown(some, [keys[i] for i in some])  # type: ignore[misc]
        for some in divide(unknown, len(cluster.workers()))
    ]
    aside = list[SetAside]()
    with until_interrupted() as interrupted:
        for result in BlockRun(cluster, _hash_block, blocks, interrupted):
            if isinstance(result, SetAside):
                aside.append(result)
                continue
            for position, key in result:
                keys[position] = key
            advance(len(result))
        interrupted.obey()
    found: Keys = keys  # type: ignore[assignment]
    if unknown:
        # Other processes may have remembered theirs meanwhile: the memo is read again.
        remember(file, rememberable(entries[unknown], [found[i] for i in unknown], now))
    if aside:
        raise _set_aside_error(aside)
    return found


def _recall(
    memo: Memo, paths: Iterable[str], advance: Advance
) -> tuple[list[bytes | str | BadPoster], NDArray[np.void], list[int]]:
    """The remembered keys, an absolute path for each of the others, entries, and the others' positions."""
    keys, entries, unknown = list[bytes | str | BadPoster](), [], list[int]()
    here, coming = Path.cwd(), iter(paths)
    while block := list(islice(coming, BLOCK)):
        found, same, some = look_up(memo, block)
        for path, key, known in zip(block, found, same.tolist(), strict=True):
            if not known:
                unknown.append(len(keys))
            keys.append(key if known else path and join_folder(here, path))
        entries.append(some)
        advance(int(same.sum()))
    return keys, np.concatenate(entries) if entries else look_up(memo, [])[2], unknown


def _hash_block(block: _Unknown, turn: Turn) -> list[tuple[int, bytes | BadPoster]]:
    """Read the files of a block in a worker."""
    with ThreadPoolExecutor(turn.threads) as pool:
        found: Sequence[bytes | BadPoster] = list(pool.map(hash_poster, block.paths))
    turn.interrupts.obey()
    return list(zip(block.positions, found, strict=True))


def _set_aside_error(aside: Sequence[SetAside]) -> ClusterError:
    lines = [
        f"  {counted(len(block.paths), 'poster')}, from {block.paths[0]} to {block.paths[-1]}: {reason}"
        for block, reason in aside
    ]
    return ClusterError(
        f"expected all posters to be read, found {counted(len(aside), 'block')} set aside:\n"
        + "\n".join(lines)
        + "\nA cache remembers all others. Without --cluster it shows which poster it is."
    )
