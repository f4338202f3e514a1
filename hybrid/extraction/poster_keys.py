"""Content keys of the posters of a catalogue, and what is wrong with posters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress, islice, repeat
from typing import Any, overload

import numpy as np

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.check import OTHERS
from hybrid.catalogue.poster_paths import join_paths, poster_problem
from hybrid.cluster.connection import use_cluster
from hybrid.extraction.key_sets import KeySets
from hybrid.images.decode import BadPoster
from hybrid.images.hashes import hash_posters
from hybrid.images.hashes_on_cluster import hash_on_cluster
from hybrid.types import BadRow
from hybrid.utils.context import Context
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.progress import Advance
from hybrid.utils.sources import Sources


class PosterKeys(Sequence[bytes | BadPoster]):
    """The content key of each item's poster, or why there is none; no Python object for each.

    Parameters
    ----------
    packed : PackedKeys of length n
        None for an item without a readable poster.
    bad : dict of int to BadPoster
        Those items.

    Examples
    --------
    >>> keys = PosterKeys.collect([b"k" * 32, BadPoster("is too small")])
    >>> keys[1], keys[0] == b"k" * 32, keys == list(keys)
    (BadPoster(reason='is too small'), True, True)
    """

    def __init__(self, packed: PackedKeys, bad: dict[int, BadPoster]) -> None:
        self.packed, self.bad = packed, bad

    @classmethod
    def collect(cls, keys: Iterable[bytes | BadPoster]) -> PosterKeys:
        """Pack keys as they come."""
        if isinstance(keys, PosterKeys):
            return keys
        bad: dict[int, BadPoster] = {}

        def each() -> Iterator[bytes | None]:
            for i, key in enumerate(keys):
                if isinstance(key, BadPoster):
                    bad[i] = key
                yield key if isinstance(key, bytes) else None

        return cls(PackedKeys.collect(each()), bad)

    def __len__(self) -> int:
        return len(self.packed)

    @overload
    def __getitem__(self, place: int) -> bytes | BadPoster: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes | BadPoster]: ...

    def __getitem__(self, place: int | slice) -> Any:
        """One key; or a list of some."""
        if isinstance(place, slice):
            return [self[i] for i in range(len(self))[place]]
        found = self.packed[place]
        return self.bad[range(len(self))[place]] if found is None else found

    def __iter__(self) -> Iterator[bytes | BadPoster]:
        """Each key in turn."""
        return (self.bad[i] if key is None else key for i, key in enumerate(self.packed))

    def __eq__(self, other: object) -> bool:
        """Whether a sequence has the same keys, and the same reasons where there are none."""
        return isinstance(other, PosterKeys | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def hash_catalogue(catalogue: Catalogue, context: Context | None = None) -> PosterKeys:
    """Content hash of each item's poster file, the key of its embedding in the cache.

    Files that the cache remembers, by path, size and times, are not read again.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    context : Context, optional
        Its cache, workers and progress are used.

    Returns
    -------
    PosterKeys of length n
        32 bytes, or the reason why the item has no readable poster file. Of several posters the first that
        is readable; `hash_several` has all.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("hashed", n_items=60)
    >>> films = load_catalogue("hashed/catalogue.csv")
    >>> keys = hash_catalogue(films)
    >>> len(keys), len(keys[0])
    (60, 32)
    """
    n = len(catalogue)
    if catalogue.columns.poster is None:
        return PosterKeys.collect(repeat(BadPoster(poster_problem("")), n))
    context = context or Context()
    problems, several = catalogue.poster_problems, hash_several(catalogue, context)
    paths = catalogue.each_poster_path()

    def each(found: Iterable[bytes | BadPoster]) -> Iterator[bytes | BadPoster]:
        for i, key in enumerate(found):
            if i in problems:
                key = BadPoster(problems[i])
            yield next((one for one in several.get(i, ()) if isinstance(one, bytes)), key)

    with (
        use_cluster(context) as cluster,
        context.progress.bar("reading posters", n, "posters") as advance,
    ):
        if cluster is not None:
            return PosterKeys.collect(each(hash_on_cluster(cluster, context, paths, advance)))
        found = hash_posters(context.cache, paths, context.workers, n)
        return PosterKeys.collect(each(_advancing(found, advance)))


def _advancing(keys: Iterable[bytes | BadPoster], advance: Advance) -> Iterator[bytes | BadPoster]:
    for key in keys:
        yield key
        advance(1)


def hash_several(
    catalogue: Catalogue, context: Context | None = None
) -> dict[int, list[bytes | BadPoster]]:
    """Content hashes of all posters of the items that have several: index → hashes.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("several", n_items=60)
    >>> hash_several(load_catalogue("several/catalogue.csv"))
    {}
    """
    if catalogue.columns.poster is None or not catalogue.several_posters:
        return {}
    context, several = context or Context(), catalogue.several_posters
    paths = [path for each in several.values() for path in each]
    found: Iterator[bytes | BadPoster]
    with use_cluster(context) as cluster:
        if cluster is not None:
            found = iter(hash_on_cluster(cluster, context, paths, lambda count: None))
        else:
            found = hash_posters(context.cache, paths, context.workers)
    return {i: list(islice(found, len(each))) for i, each in several.items()}


def key_sets(
    catalogue: Catalogue, keys: Sequence[bytes | BadPoster], context: Context | None = None
) -> KeySets:
    """Content keys of each item's readable posters, in the order of the cell, each once.

    Parameters
    ----------
    catalogue : Catalogue
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    context : Context, optional

    Returns
    -------
    KeySets of length n

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("sets", n_items=60)
    >>> films = load_catalogue("sets/catalogue.csv")
    >>> len(key_sets(films, [bytes(32)] * 60))
    60
    """
    first, several = PosterKeys.collect(keys).packed, hash_several(catalogue, context)
    sizes = first.named.astype(np.int64)
    if not several:
        return KeySets.of_sizes(first[first.named], sizes)

    def each() -> Iterator[bytes]:
        for i, key in enumerate(first):
            found = dict.fromkeys(several.get(i, [key]))
            readable = [one for one in found if isinstance(one, bytes)]
            sizes[i] = len(readable)
            yield from readable

    return KeySets.of_sizes(PackedKeys.collect(each()), sizes)


def embedded_sets(store: EmbeddingStore, sets: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """The keys of each item that have an embedding; `sets` as `key_sets` gives them."""
    known = iter(store.has([key for each in sets for key in each]).tolist())
    return [list(compress(each, known)) for each in sets]


def different_posters(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster] | None = None,
    context: Context | None = None,
) -> tuple[list[str], list[bytes | None]]:
    """The poster files of each item, without equal ones, and the content key of each file.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    keys : sequence of n bytes or BadPoster, optional
        As `hash_catalogue` gives them; without them those of items with one poster are not known.
    context : Context, optional

    Returns
    -------
    cells : list of n str
        As `hybrid.catalogue.poster_paths.join_paths` writes several; ``""`` for none.
    keys : list of m bytes or None
        One for each file, one after another; None where it is not known, and for an item without a poster.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("different", n_items=60)
    >>> films = load_catalogue("different/catalogue.csv")
    >>> cells, keys = different_posters(films)
    >>> cells == list(films.poster_paths), len(keys)
    (True, 60)
    """
    cells = list(catalogue.poster_paths)
    given: Sequence[bytes | BadPoster | None] = [None] * len(cells) if keys is None else keys
    of_items = [[_readable(key)] for key in given]
    for i, found in hash_several(catalogue, context).items():
        files: dict[bytes | str, str] = {}
        for key, path in zip(found, catalogue.several_posters[i], strict=True):
            files.setdefault(
                _readable(key) or path, path
            )  # without a key they differ by their names
        cells[i] = join_paths(files.values())
        of_items[i] = [key if isinstance(key, bytes) else None for key in files]
    return cells, [key for each in of_items for key in each]


def _readable(key: bytes | BadPoster | None) -> bytes | None:
    return key if isinstance(key, bytes) else None


def image_files(
    catalogue: Catalogue, keys: Sequence[bytes | BadPoster], context: Context | None = None
) -> Sources:
    """Content key → file of every readable poster, those of items with several included.

    Paths are made when they are asked for.

    Parameters
    ----------
    catalogue : Catalogue
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    context : Context, optional

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("images", n_items=60)
    >>> from hybrid.extraction.lookup import hash_catalogue
    >>> films = load_catalogue("images/catalogue.csv")
    >>> keys = hash_catalogue(films)
    >>> len(image_files(films, keys)) == len({key for key in keys if isinstance(key, bytes)})
    True
    """
    n, packed = len(keys), PosterKeys.collect(keys).packed
    further = [
        (key, path)
        for i, each in hash_several(catalogue, context).items()
        for key, path in zip(each, catalogue.several_posters[i], strict=True)
        if isinstance(key, bytes)
    ]
    if further:
        packed = packed.append(PackedKeys.collect(key for key, _ in further))

    def read(number: int) -> str:
        return catalogue.poster_files(number)[0] if number < n else further[number - n][1]

    return Sources.collect(packed, np.arange(len(packed)), read)


def count_embedded(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster],
    store: EmbeddingStore,
    context: Context | None = None,
) -> int:
    """Count the items of which a poster has an embedding.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    store : EmbeddingStore
    context : Context, optional
    """
    embedded = store.has(PosterKeys.collect(keys).packed)
    for i, each in hash_several(catalogue, context).items():
        embedded[i] = store.has([key for key in each if isinstance(key, bytes)]).any()
    return int(embedded.sum())


def bad_posters(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster],
    store: EmbeddingStore,
    left: Collection[bytes] = (),
    context: Context | None = None,
) -> list[BadRow]:
    """List the items that cannot be embedded, with the reason, in the order of the file.

    Images in `left` are not listed: nobody has tried to embed them yet. Nor are any items where the catalogue
    tells that none's poster is a file.
    """
    if catalogue.posters_told:
        return []
    bad, failures, keys = [], store.failures(), PosterKeys.collect(keys)
    several = hash_several(catalogue, context)
    lacks = np.flatnonzero(~store.has(keys.packed)).tolist()
    for i in sorted({*lacks, *several, *catalogue.part_problems}):
        each = several.get(i, [keys[i]])
        known = [key for key in each if isinstance(key, bytes)]
        embedded = set(compress(known, store.has(known).tolist()))
        more = OTHERS if embedded else ""
        for reason in catalogue.part_problems.get(i, ()):
            bad.append(catalogue.bad_row(i, f"{reason}{more}"))
        for key in each:
            if isinstance(key, BadPoster):
                bad.append(catalogue.bad_row(i, f"{key.reason}{more}"))
            elif key not in embedded and key not in left:
                reason = failures.get(key, "changed or vanished while it was read; try again")
                bad.append(catalogue.bad_row(i, f"{reason}{more}"))
    return bad
