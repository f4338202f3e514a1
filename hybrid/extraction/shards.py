"""Who computes what: images dealt to shares, so that several processes can work on one store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

from hybrid.cache import EmbeddingStore, Leases
from hybrid.utils.progress import Advance


class Shares:
    """The images that are still to be computed for one store, in 256 shares by the first byte of their keys.

    Parameters
    ----------
    store : EmbeddingStore
    todo : mapping of key to path
    """

    def __init__(self, store: EmbeddingStore, todo: Mapping[bytes, str]) -> None:
        self.store = store
        self._leases = Leases(store.folder)
        self.left: dict[str, dict[bytes, str]] = {}
        for key, path in todo.items():
            self.left.setdefault(key[:1].hex(), {})[key] = path

    def __enter__(self) -> Shares:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Leave all shares to others."""
        self._leases.release()

    def renew(self) -> None:
        """Say that this process is still at work."""
        self._leases.renew()

    def take(self, share: str) -> tuple[dict[bytes, str], int]:
        """The images of a share, if no other process works on it, and how many are done meanwhile."""
        if share not in self.left or not self._leases.acquire(share):
            return {}, 0
        self.store.refresh()  # it may have been done by another process since we looked
        images = self.left.pop(share)
        done = self.store.has(list(images))
        return dict(compress(images.items(), (~done).tolist())), int(done.sum())

    def drop_done(self) -> int:
        """Leave out what other processes have done, and count it."""
        if not self.left:
            return 0
        self.store.refresh()
        dropped = 0
        for share, images in list(self.left.items()):
            done = self.store.knows(list(images))
            dropped += int(done.sum())
            self.left[share] = dict(compress(images.items(), (~done).tolist()))
            if not self.left[share]:
                del self.left[share]
        return dropped


def take_all(several: Sequence[Shares], advance: Advance) -> Iterator[tuple[str, list[int]]]:
    """Take what no other process works on, share by share, for several stores.

    Parameters
    ----------
    several : sequence of Shares
    advance : callable
        Told how many images other processes turn out to have done.

    Yields
    ------
    path, numbers
        A file, and the positions in `several` of the stores that lack its embedding.
    """
    for share in sorted({share for shares in several for share in shares.left}):
        wanted: dict[bytes, list[int]] = {}
        paths: dict[bytes, str] = {}
        for number, shares in enumerate(several):
            images, done = shares.take(share)
            advance(done)
            paths |= images
            for key in images:
                wanted.setdefault(key, []).append(number)
        for key, numbers in wanted.items():
            yield paths[key], numbers
