"""What blocks of posters and of texts have in common on a cluster: their progress, their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hybrid.cache import EmbeddingStore
from hybrid.cluster.blocks import SetAside
from hybrid.errors import ClusterError
from hybrid.utils.counts import counted

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
            store.refresh()
            known += int(store.knows(list(todo)).sum())
        before, self._known[block.number] = self._known.get(block.number, 0), known
        return known > before


def set_aside_error(aside: Sequence[SetAside], unit: str) -> ClusterError:
    """What to say of blocks that were given up, when all others are done.

    Parameters
    ----------
    aside : sequence of SetAside
    unit : str
        ``"poster"`` or ``"text"``.
    """
    lines = [_line(block, reason, unit) for block, reason in aside]
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
