"""Hashes of items by id and content, and which items of a split were learnt from. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.provenance import Ancestor, Hashes, ItemHashes
from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import Cells
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
    columns, folded = catalogue.columns, catalogue.folded.columns
    same, near = zip(*map(name_text_kinds, folded), strict=True)
    silent = _find_untied(catalogue, duplicates, same, near)
    texts, rows = (
        _leave_out_shared(numbers, silent)
        for numbers in _number_texts(catalogue, columns.text, [*columns.text, *columns.metadata])
    )
    numbers = (poster_number(key) if isinstance(key, bytes) else 0 for key in keys)
    silent = _find_untied(catalogue, duplicates, [SAME_IMAGE], [NEAR_IMAGE])
    posters = _leave_out_shared(np.fromiter(numbers, np.uint64, len(catalogue)), silent)
    return ItemHashes(
        hash_ids(catalogue.ids), posters, np.where((texts == 0) & (posters == 0), rows, texts)
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
    pairs = [
        (i, key)
        for i, (own, each) in enumerate(zip(keys, sets, strict=False))
        for key in each
        if key != own
    ]
    further = {key for _, key in pairs}  # few: most items have one poster
    shared = Counter(key for each in sets for key in each if key in further)
    pairs = [(i, key) for i, key in pairs if shared[key] <= MAX_SHARED]
    owners = np.array([i for i, _ in pairs], dtype=np.int64)
    posters = np.array([poster_number(key) for _, key in pairs], dtype=np.uint64)
    return owners, ItemHashes(first.ids[owners], posters, np.zeros_like(posters))


def hash_ids(ids: Sequence[str] | NDArray[np.str_]) -> Hashes:
    """Hash ids as `hash_items` does.

    Examples
    --------
    >>> hash_ids(["f1"]).dtype
    dtype('uint64')
    """
    return np.fromiter(map(_hash, ids), np.uint64, len(ids))


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
    catalogue: Catalogue,
    duplicates: Sequence[DuplicateGroups],
    same: Sequence[str],
    near: Sequence[str],
) -> NDArray[np.bool_]:
    """Items that near-duplicates of these kinds leave untied, and no equal value ties: shape (n,)."""
    tied = {name for kind in duplicates if kind.kind in same for ids in kind.groups for name in ids}
    crowd = {
        name for kind in duplicates if kind.kind in near for ids in kind.untied for name in ids
    }
    if not (left := crowd - tied):
        return np.zeros(len(catalogue), dtype=bool)
    return np.isin(catalogue.ids, np.array(sorted(left)))


def _leave_out_shared(numbers: Hashes, untied: NDArray[np.bool_]) -> Hashes:
    """Numbers that so many items have say nothing about any of them: 0 in their place."""
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    items = counts[place]
    return np.where((items > MAX_SHARED) | (untied & (items > 1)), np.uint64(0), numbers)


def _number_texts(catalogue: Catalogue, *sets: Sequence[str]) -> NDArray[np.uint64]:
    """Hash the words of some sets of columns, in the order of the columns' names: shape (sets, n).

    Those of fewer than 8 words are 0. Each cell is read once, and no text is kept.
    """
    names = sorted({name for some in sets for name in some})
    places = [[names.index(name) for name in sorted(some)] for some in sets]
    numbers = np.zeros((len(sets), len(catalogue)), dtype=np.uint64)
    columns = [Cells(catalogue.table[name]) for name in names]
    for i, cells in enumerate(zip(*columns, strict=True)):
        words = [tokenize(cell) for cell in cells]
        for number, some in zip(numbers, places, strict=True):
            text = list(chain.from_iterable(words[place] for place in some))
            if count_words(text) >= MIN_WORDS:
                number[i] = _hash(" ".join(text))
    return numbers


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
