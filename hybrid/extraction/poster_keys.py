"""Content keys of the posters of items that have several, and what is wrong with posters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import compress, islice

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.images.decode import BadPoster
from hybrid.images.hashes import hash_posters
from hybrid.types import BadRow
from hybrid.utils.context import Context


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
    context, several = context or Context(), catalogue.several_posters
    if not several:
        return {}
    paths = [path for each in several.values() for path in each]
    found = hash_posters(context.cache, paths, context.workers)
    return {i: list(islice(found, len(each))) for i, each in several.items()}


def key_sets(
    catalogue: Catalogue, keys: Sequence[bytes | BadPoster], context: Context | None = None
) -> list[list[bytes]]:
    """Content keys of each item's readable posters, in the order of the cell, each once.

    Parameters
    ----------
    catalogue : Catalogue
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    context : Context, optional

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("sets", n_items=60)
    >>> films = load_catalogue("sets/catalogue.csv")
    >>> len(key_sets(films, [bytes(32)] * 60))
    60
    """
    sets = [[key] if isinstance(key, bytes) else [] for key in keys]
    for i, each in hash_several(catalogue, context).items():
        sets[i] = list(dict.fromkeys(key for key in each if isinstance(key, bytes)))
    return sets


def image_files(
    catalogue: Catalogue, keys: Sequence[bytes | BadPoster], context: Context | None = None
) -> dict[bytes, str]:
    """Content key → file of every readable poster, those of items with several included.

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
    pairs = list(zip(keys, catalogue.poster_paths, strict=True))
    for i, each in hash_several(catalogue, context).items():
        pairs += zip(each, catalogue.several_posters[i], strict=True)
    return {key: path for key, path in pairs if isinstance(key, bytes)}


def bad_posters(
    catalogue: Catalogue,
    keys: list[bytes | BadPoster],
    store: EmbeddingStore,
    left: Collection[bytes] = (),
) -> list[BadRow]:
    """List the items that cannot be embedded, with the reason, in the order of the file.

    Images in `left` are not listed: nobody has tried to embed them yet. Nor are any items where the catalogue
    tells that none's poster is a file.
    """
    if catalogue.posters_told:
        return []
    bad, failures = [], store.failures()
    several = hash_several(catalogue)
    every = [several.get(i, [key]) for i, key in enumerate(keys)]
    known = [key for each in every for key in each if isinstance(key, bytes)]
    embedded = set(compress(known, store.has(known).tolist()))
    for i, each in enumerate(every):
        more = "; the item's other posters are used" if embedded.intersection(each) else ""
        for key in each:
            if isinstance(key, BadPoster):
                bad.append(catalogue.bad_row(i, f"{key.reason}{more}"))
            elif key not in embedded and key not in left:
                reason = failures.get(key, "changed or vanished while it was read; try again")
                bad.append(catalogue.bad_row(i, f"{reason}{more}"))
    return bad
