"""Reading rows by key from the parts of a store, while other processes may move them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybrid.cache.contents import Contents, SnapshotError, View, in_threads
from hybrid.cache.costs import RowCosts, gather_costs
from hybrid.cache.parts import Part
from hybrid.cache.verified_files import ChangedError, DamageError
from hybrid.errors import CacheError
from hybrid.utils.counts import agree
from hybrid.utils.key_index import Keys, are_named, key_array

RETRIES = 5  # where parts vanish while they are read
Found = TypeVar("Found")


class Rows(NamedTuple):
    """Rows of one part, ascending, and where they were asked for."""

    part: str
    rows: NDArray[np.uint32]
    at: NDArray[np.int64]


class RowReader:
    """Reads embeddings and their costs from the parts of a store.

    Parameters
    ----------
    contents : Contents
        Of the store.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents

    def read(self, keys: Sequence[bytes | None], dimension: int) -> NDArray[np.float32]:
        """Read embeddings; see `EmbeddingStore.read`."""
        wanted, named = key_array(keys), are_named(keys)

        def read() -> NDArray[np.float32]:
            matrix = np.empty((len(wanted), dimension), dtype=np.float32)
            places = [*self._places(wanted, named)]
            absent = np.ones(len(wanted), dtype=bool)
            for place in places:
                absent[place.at] = False
            matrix[absent] = np.nan
            in_threads(
                lambda place: self._use_part(
                    place.part, lambda part: part.read(place.rows, matrix, place.at)
                ),
                places,
            )
            return matrix

        return self._retry(read, wanted, named)

    def read_costs(self, keys: Sequence[bytes | None]) -> RowCosts:
        """Read what embeddings cost; see `EmbeddingStore.row_costs`."""
        wanted, named = key_array(keys), are_named(keys)

        def read() -> RowCosts:
            places = [*self._places(wanted, named)]
            found = in_threads(lambda place: self._use_part(place.part, Part.read_costs), places)
            pairs = zip(places, found, strict=True)
            return gather_costs(
                len(wanted), [(place.at, costs.take(place.rows)) for place, costs in pairs]
            )

        return self._retry(read, wanted, named)

    def storage_order(self, keys: Sequence[bytes | None]) -> NDArray[np.int64]:
        """Order of keys on the disk; see `EmbeddingStore.storage_order`."""
        wanted, named = key_array(keys), are_named(keys)
        found = [place.at for place in self._places(wanted, named)]
        there = np.concatenate([np.empty(0, np.int64), *found])
        absent = np.ones(len(wanted), dtype=bool)
        absent[there] = False
        return np.concatenate([there, np.flatnonzero(absent)])

    def _places(self, wanted: Keys, named: NDArray[np.bool_]) -> Iterator[Rows]:
        """The rows of each part that holds some of the keys."""
        for index in self.contents.view.indexes:
            place = np.where(named, index.find(wanted), -1)
            at = np.flatnonzero(place >= 0)
            part, row = index.part[place[at]], index.row[place[at]]
            order = np.lexsort((row, part))
            borders = np.flatnonzero(np.diff(part[order])) + 1
            for some in np.split(order, borders) if len(order) else ():
                yield Rows(index.parts[part[some[0]]], row[some], at[some])

    def _use_part(self, name: str, use: Callable[[Part], Found]) -> Found:
        """Use a part that was verified; verify it again where it is another file."""
        try:
            try:
                return use(self.contents.verify_part(name))
            except ChangedError:
                return use(self.contents.verify_part(name, changed=True))
        except DamageError as damage:
            self.contents.quarantine(self.contents.part_path(name), str(damage))
            raise
        except ChangedError as error:
            raise CacheError(f"{name} changes while it is read; try again.") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CacheError(f"cannot read {name}: {error.strerror}.") from error

    def _retry(self, read: Callable[[], Found], wanted: Keys, named: NDArray[np.bool_]) -> Found:
        """Read, and again where another process moved the parts; raise if a damaged part had a key."""
        contents = self.contents
        before = contents.view
        for _ in range(RETRIES):
            try:
                return read()
            except FileNotFoundError:  # compacted and removed by another process
                contents.refresh()
            except SnapshotError as error:
                contents.ignore_snapshot(str(error))
                contents.reload()
            except DamageError:
                contents.reload()
            lost = int(
                (find_keys(before, wanted, named) & ~find_keys(contents.view, wanted, named)).sum()
            )
            if lost:
                raise CacheError(
                    f"{lost:,} of the embeddings that were asked for {agree(lost, '{were|was}')} in a "
                    f"damaged part of {contents.folder}. Run hybrid extract again, with the same --backbone "
                    "and --weights, to compute them again."
                )
        raise CacheError(f"{contents.folder}: its parts vanish while they are read; try again.")


def find_keys(view: View, wanted: Keys, named: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which keys a view has."""
    found = np.zeros(len(wanted), dtype=bool)
    for index in view.indexes:
        found |= index.find(wanted) >= 0
    return found & named
