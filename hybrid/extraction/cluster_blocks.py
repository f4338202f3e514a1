"""What blocks of posters and of texts have in common on a cluster: the run, its progress, its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hybrid.cache import EmbeddingStore
from hybrid.cluster.blocks import BlockRun, SetAside
from hybrid.cluster.connection import Cluster
from hybrid.errors import ClusterError
from hybrid.utils.counts import counted
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Progress

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn

NAMED = 3  # posters of a block, in a message


class EmbeddingBlock(Protocol):
    """A block that is embedded.

    Parameters
    ----------
    number : int
    todo : tuple of dict of bytes to str
        Key → what to embed, for each store.
    """

    @property
    def number(self) -> int:
        """From 0."""

    @property
    def todo(self) -> tuple[dict[bytes, str], ...]:
        """Key → what to embed, for each store."""

    @property
    def names(self) -> list[str]:
        """What a message calls its contents."""


class Progressed:
    """Whether the stores have more of a block than when it was last looked at.

    Parameters
    ----------
    stores : sequence of EmbeddingStore
    """

    def __init__(self, stores: Sequence[EmbeddingStore]) -> None:
        self._stores = stores
        self._known: dict[int, int] = {}

    def __call__(self, block: EmbeddingBlock) -> bool:
        """Look at the stores."""
        known = 0
        for store, todo in zip(self._stores, block.todo, strict=True):
            store.refresh(max_age=0.0)
            known += int(store.knows(list(todo)).sum())
        before, self._known[block.number] = self._known.get(block.number, 0), known
        return known > before


class BlockDone(NamedTuple):
    """What a worker did.

    Parameters
    ----------
    size : int
        Posters or texts of its block.
    longer : tuple of bytes, default=()
        Keys of the texts that are too long to be read at once.
    """

    size: int
    longer: tuple[bytes, ...] = ()


class Embedded(NamedTuple):
    """What the workers did.

    Parameters
    ----------
    computed : list of int
        Embeddings of each store: what it has now, since a block may have been done twice, or in part.
    seconds : float
        That passed here.
    longer : list of bytes
        See `BlockDone`.
    aside : list of SetAside
        Blocks that were given up.
    """

    computed: list[int]
    seconds: float
    longer: list[bytes]
    aside: list[SetAside]


def run_blocks(
    cluster: Cluster,
    function: Callable[[Any, Turn], BlockDone],
    blocks: Sequence[EmbeddingBlock],
    pending: Sequence[tuple[EmbeddingStore, Mapping[bytes, str]]],
    name: str,
    unit: str,
    progress: Progress,
) -> Embedded:
    """Embed blocks on the workers, and say so.

    Parameters
    ----------
    cluster : Cluster
    function : callable
        Embeds a block in a worker, and writes it.
    blocks : sequence of EmbeddingBlock
    pending : sequence of (EmbeddingStore, mapping of bytes to str)
        Each store, and what it lacks.
    name : str
        Of the encoders.
    unit : str
        ``"posters"`` or ``"texts"``.
    progress : Progress

    Returns
    -------
    Embedded

    Raises
    ------
    ClusterError
        If the scheduler is gone, or no worker can do anything.
    KeyboardInterrupt
        When what the workers have computed is written.
    """
    start, aside, longer = time.perf_counter(), list[SetAside](), list[bytes]()
    total = sum(len(block.names) for block in blocks)
    progress.say(
        f"embedding with {name} on {counted(len(cluster.workers()), 'worker')} of the cluster, in "
        f"{counted(len(blocks), 'block')}"
    )
    with (
        until_interrupted() as interrupted,
        progress.bar(f"embedding ({name})", total, unit) as advance,
    ):
        progressed = Progressed([store for store, _ in pending])
        for result in BlockRun(cluster, function, blocks, interrupted, progressed):
            if isinstance(result, SetAside):
                aside.append(result)
            else:
                longer += result.longer
                advance(result.size)
        computed = [_count(store, todo) for store, todo in pending]
        if interrupted():
            progress.say(
                f"stopped: {sum(computed)} computed; all of them are saved. Run the same command again to "
                "continue."
            )
    return Embedded(computed, time.perf_counter() - start, longer, aside)


def _count(store: EmbeddingStore, todo: Mapping[bytes, str]) -> int:
    store.refresh(max_age=0.0)
    return int(store.has(list(todo)).sum())


def set_aside_error(aside: Sequence[SetAside], unit: str) -> ClusterError:
    """What to say of blocks that were given up, when all others are done.

    Parameters
    ----------
    aside : sequence of SetAside
    unit : str
        ``"poster"`` or ``"text"``.
    """
    lines = [_line(block, reason, unit) for block, reason, _ in aside]
    return ClusterError(
        f"expected all {unit}s to be embedded, found {counted(len(aside), 'block')} set aside:\n"
        + "\n".join(lines)
        + "\nAll others are in the cache. The same command again tries these; without --cluster it shows at "
        f"which {unit} it fails."
    )


def _line(block: Any, reason: str, unit: str) -> str:
    names = block.names
    named = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return f"  block {block.number} of {counted(len(names), unit)} ({named}): {reason}"
