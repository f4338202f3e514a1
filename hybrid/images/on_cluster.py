"""Posters that the workers of a cluster read, in blocks; what they found is kept as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hybrid.cluster.blocks import BlockRun, SetAside
from hybrid.cluster.connection import Cluster
from hybrid.cluster.division import divide
from hybrid.errors import ClusterError
from hybrid.images.memo import saved_often
from hybrid.images.references import join_folder
from hybrid.utils.counts import counted
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Advance
from hybrid.utils.read_only import is_read_only
from hybrid.utils.threads import map_ahead

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn

R = TypeVar("R")


class _Posters(NamedTuple):
    """Posters for one worker: what their results are kept by, and absolute paths."""

    places: list[int]
    paths: list[str]


def read_on_cluster(
    cluster: Cluster,
    function: Callable[[str], R],
    posters: Iterable[tuple[int, str]],
    keep: Callable[[int, R], None],
    advance: Advance,
    save: Callable[[], None] | None = None,
) -> None:
    """Call a function on posters in the workers of a cluster.

    Parameters
    ----------
    cluster : Cluster
    function : callable
        Of the path of a poster; pickled.
    posters : iterable of (int, str)
        Place and path, ``""`` for none. The files have the same paths on all workers.
    keep : callable
        Called with the place and the result of each, as they come.
    advance : callable
        Called with the number of further posters.
    save : callable, optional
        Remembers what was kept: called every minute, and at the end, whatever ends it.

    Raises
    ------
    ClusterError
        If workers died while they read some of them, when all others are done.
    """
    here, aside = Path.cwd(), list[SetAside]()
    blocks = [
        _Posters([i for i, _ in some], [path and join_folder(here, path) for _, path in some])
        for some in divide(list(posters), len(cluster.workers()))
    ]
    with until_interrupted() as interrupted, saved_often(save or _nothing) as look:
        for result in BlockRun(cluster, partial(_read_block, function), blocks, interrupted):
            if isinstance(result, SetAside):
                aside.append(result)
                continue
            for place, found in result:
                keep(place, found)
            advance(len(result))
            look()
        interrupted.obey()
    if aside:
        raise _set_aside_error(aside, remembered=save is not None and not is_read_only())


def _nothing() -> None:
    """Remember nothing."""


def _read_block(
    function: Callable[[str], R], block: _Posters, turn: Turn
) -> Sequence[tuple[int, R]]:
    """Call the function on the posters of a block in a worker."""
    found: list[tuple[int, R]] = []
    with ThreadPoolExecutor(turn.threads) as pool:
        each = map_ahead(pool, function, block.paths)
        for place, (_, result) in zip(block.places, each, strict=True):
            turn.interrupts.obey()
            found.append((place, result))
    return found


def _set_aside_error(aside: Sequence[SetAside], remembered: bool) -> ClusterError:
    lines = [
        f"  {counted(len(block.paths), 'poster')}, from {block.paths[0]} to {block.paths[-1]}: {reason}"
        for block, reason, _ in aside
    ]
    others = "A cache remembers all others. " if remembered else ""
    return ClusterError(
        f"expected all posters to be read, found {counted(len(aside), 'block')} set aside:\n"
        + "\n".join(lines)
        + f"\n{others}Without --cluster the command shows which poster it is."
    )
