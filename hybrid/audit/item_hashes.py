"""Hashes of items by id and content, and which items of a split were learnt from. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.provenance import Ancestor, Hashes, ItemHashes
from hybrid.catalogue import Catalogue
from hybrid.duplicates.groups import MIN_WORDS
from hybrid.duplicates.kinds import NEAR_IMAGE, SAME_IMAGE, name_text_kinds
from hybrid.duplicates.similarity import count_words, tokenize
from hybrid.types import MAX_SHARED, DuplicateGroups

MIN_AGREEING = 0.1  # share of the ids that two catalogues have in common


def hash_items(
    catalogue: Catalogue, keys: Sequence[object], duplicates: Sequence[DuplicateGroups] = ()
) -> ItemHashes:
    r"""Hash the ids and the contents of a catalogue's items.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    keys : sequence of n bytes or BadPoster
        Content keys of the posters, as `hybrid.extraction.lookup.hash_catalogue` gives them.
    duplicates : sequence of DuplicateGroups, optional
        Of the catalogue: what they leave untied, such as a placeholder that was saved in several ways, says
        nothing, either.

    Returns
    -------
    ItemHashes
        `posters`: of the file's bytes. `texts`: of the words of all text columns; for an item without a
        poster, where these do not suffice, of text and metadata. Fewer than 8 words say nothing, nor do
        words or posters that more than 12 items share.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue import load_catalogue
    >>> text = "id,title,genres\n1,Jaws,Horror\n2,One of these days all of this ends,Drama\n"
    >>> _ = Path("films.csv").write_text(text)
    >>> found = hash_items(load_catalogue("films.csv"), [b"0" * 32, None])
    >>> (found.posters > 0).tolist(), (found.texts > 0).tolist()
    ([True, False], [False, True])
    """
    columns = catalogue.columns
    same, near = zip(*map(name_text_kinds, catalogue.folded.columns), strict=True)
    silent = _find_untied(duplicates, same, near)
    texts = _texts(catalogue, columns.text, silent)
    rows = _texts(catalogue, [*columns.text, *columns.metadata], silent)
    shared = Counter(key for key in keys if isinstance(key, bytes))
    silent = _find_untied(duplicates, [SAME_IMAGE], [NEAR_IMAGE])
    own = [
        None if isinstance(key, bytes) and _is_everybodys(shared[key], name in silent) else key
        for name, key in zip(catalogue.ids.tolist(), keys, strict=True)
    ]
    content = [
        text or ("" if isinstance(key, bytes) else row)
        for key, text, row in zip(own, texts, rows, strict=True)
    ]
    posters = [poster_number(key) if isinstance(key, bytes) else 0 for key in own]
    return ItemHashes(
        np.array([_hash(name) for name in catalogue.ids.tolist()], dtype=np.uint64),
        np.array(posters, dtype=np.uint64),
        np.array([_hash(text) if text else 0 for text in content], dtype=np.uint64),
    )


def hash_further(
    first: ItemHashes, keys: Sequence[object], sets: Sequence[Sequence[bytes]]
) -> tuple[NDArray[np.int64], ItemHashes]:
    """Hash the posters of items that have several, apart from those in `keys`.

    Parameters
    ----------
    first : ItemHashes
        Of the n items, as `hash_items` gives it.
    keys : sequence of n bytes or BadPoster
        As for `hash_items`.
    sets : sequence of n sequences of bytes
        All posters of each item, as `hybrid.extraction.poster_keys.key_sets` gives them; or none at all.

    Returns
    -------
    owners : ndarray of shape (m,), int
        The item of each further poster.
    hashes : ItemHashes
        m rows, each with the id of its item. Posters that more than 12 items share say nothing.

    Examples
    --------
    >>> one = np.ones(2, dtype=np.uint64)
    >>> a, b = b"a" * 32, b"b" * 32
    >>> owners, more = hash_further(ItemHashes(one, one, one), [a, None], [[a, b], []])
    >>> owners.tolist(), more.texts.tolist()
    ([0], [0])
    """
    shared = Counter(key for each in sets for key in each)
    pairs = [
        (i, key)
        for i, (own, each) in enumerate(zip(keys, sets, strict=False))
        for key in each
        if key != own and shared[key] <= MAX_SHARED
    ]
    owners = np.array([i for i, _ in pairs], dtype=np.int64)
    posters = np.array([poster_number(key) for _, key in pairs], dtype=np.uint64)
    return owners, ItemHashes(first.ids[owners], posters, np.zeros_like(posters))


def hash_ids(ids: Sequence[str]) -> Hashes:
    """Hash ids as `hash_items` does.

    Examples
    --------
    >>> hash_ids(["f1"]).dtype
    dtype('uint64')
    """
    return np.array([_hash(name) for name in ids], dtype=np.uint64)


def poster_number(key: bytes) -> int:
    """The content key of a poster as `ItemHashes.posters` has it.

    Examples
    --------
    >>> poster_number(bytes([1, 1]) + bytes(30))
    257
    """
    return _number(key)


def find_learnt(run: Ancestor, items: ItemHashes, catalogue: str) -> NDArray[np.bool_] | None:
    """Find the items that a run has learnt from.

    An item was learnt from if the run has learnt from its poster or its text; or from its id, if both
    catalogues number alike: they are the same file, the run's is not known, or two rows or more, and a
    tenth of those that can be compared, agree in id and content.

    Parameters
    ----------
    run : Ancestor
    items : ItemHashes
        n items.
    catalogue : str
        SHA-256 of their catalogue.

    Returns
    -------
    ndarray of shape (n,), bool, or None
        None if it cannot be told: they share ids with the run's items, and there is nothing to compare.

    Examples
    --------
    >>> def hashes(*numbers):
    ...     return np.array(numbers, dtype=np.uint64)
    >>> run = Ancestor("d", "scratch", "c", "s", ItemHashes(hashes(1, 2), hashes(7, 8), hashes(0, 0)))
    >>> moved = ItemHashes(hashes(1, 2, 3), hashes(5, 6, 7), hashes(0, 0, 0))
    >>> find_learnt(run, moved, "another").tolist()
    [False, False, True]
    >>> find_learnt(run, moved, "c").tolist()
    [True, True, True]
    """
    known = run.items
    same_content = _in(items.posters, known.posters) | _in(items.texts, known.texts)
    same_id = _in(items.ids, known.ids)
    if run.catalogue in (catalogue, "") or not same_id.any():
        return same_content | same_id
    _, ours, theirs = np.intersect1d(items.ids, known.ids, return_indices=True)
    mine, other = items.take(ours), known.take(theirs)
    agree = _equal(mine.posters, other.posters) | _equal(mine.texts, other.texts)
    compared = _both(mine.posters, other.posters) | _both(mine.texts, other.texts)
    if not compared.any():
        return None
    enough = agree.sum() >= MIN_AGREEING * compared.sum()
    alike = enough and (agree.sum() > 1 or agree[compared].all())
    return same_content | same_id if alike else same_content


def _find_untied(
    duplicates: Sequence[DuplicateGroups], same: Sequence[str], near: Sequence[str]
) -> set[str]:
    """Items that near-duplicates of these kinds leave untied, and no equal value ties."""
    tied = {name for kind in duplicates if kind.kind in same for ids in kind.groups for name in ids}
    crowd = {
        name for kind in duplicates if kind.kind in near for ids in kind.untied for name in ids
    }
    return crowd - tied


def _is_everybodys(items: int, untied: bool) -> bool:
    """Whether what so many items have says nothing about any of them."""
    return items > MAX_SHARED or (untied and items > 1)


def _texts(catalogue: Catalogue, names: Sequence[str], untied: Set[str]) -> list[str]:
    """The words of some columns, in the order of the columns' names; empty where they say nothing."""
    if not names:
        return [""] * len(catalogue)
    cells = zip(*(catalogue.table[name].tolist() for name in sorted(names)), strict=True)
    words = [tokenize(" ".join(row)) for row in cells]
    texts = [" ".join(some) if count_words(some) >= MIN_WORDS else "" for some in words]
    shared = Counter(texts)
    return [
        "" if _is_everybodys(shared[text], name in untied) else text
        for name, text in zip(catalogue.ids.tolist(), texts, strict=True)
    ]


def _hash(text: str) -> int:
    return _number(hashlib.sha256(text.encode()).digest())


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")


def _in(hashes: Hashes, known: Hashes) -> NDArray[np.bool_]:
    return np.isin(hashes, known[known > 0]) & (hashes > 0)


def _both(a: Hashes, b: Hashes) -> NDArray[np.bool_]:
    return (a > 0) & (b > 0)


def _equal(a: Hashes, b: Hashes) -> NDArray[np.bool_]:
    return (a == b) & _both(a, b)
