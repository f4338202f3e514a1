"""Duplicates of each kind as groups of ids: images, embeddings, texts, titles, columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.catalogue.cells import says_something, split_cell
from hybrid.duplicates.cosine import search_by_cosine
from hybrid.duplicates.cross_polytope import Rows
from hybrid.duplicates.hamming import near_duplicates_by_hamming
from hybrid.duplicates.jaccard import near_duplicates_by_jaccard
from hybrid.duplicates.kinds import (
    NEAR_EMBEDDING,
    NEAR_IMAGE,
    SAME_FILM,
    SAME_IMAGE,
    name_text_kinds,
)
from hybrid.duplicates.members import Members
from hybrid.duplicates.sharing import (
    Describe,
    Ids,
    group_equal_values,
    group_near_values,
    same_and_near,
    say_nothing,
)
from hybrid.duplicates.similarity import count_words, tokenize
from hybrid.duplicates.standardised_rows import StandardisedRows
from hybrid.errors import SettingError, unknown_name
from hybrid.extraction.texts import text_key
from hybrid.images.perceptual_hash import BLANK
from hybrid.types import MAX_SHARED, WARNING, DuplicateGroups
from hybrid.utils.key_index import PackedKeys, index_part

# docs/splits.md has the data that these were chosen on.
MAX_BITS = 18  # Hamming distance of two perceptual hashes of 128 bits
MIN_COSINE = 0.9  # of two embeddings, each dimension standardised
MIN_JACCARD = 0.5  # of the shingles of two texts
MIN_WORDS = 8  # of a text; shorter ones ("No overview found.") say nothing


def same_image_duplicates(members: Members) -> DuplicateGroups:
    """Exact duplicates: items whose posters are the same to the byte.

    Parameters
    ----------
    members : Members
        The items that have each image.

    Returns
    -------
    DuplicateGroups

    Examples
    --------
    >>> same_image_duplicates(Members.of([["f1", "f4"], ["f2"]])).groups
    (('f1', 'f4'),)
    """
    return group_equal_values(SAME_IMAGE, members)


def image_duplicates(
    members: Members,
    codes: NDArray[np.uint8],
    known: NDArray[np.bool_],
    describe: Describe = say_nothing,
) -> list[DuplicateGroups]:
    """Exact and near-duplicate posters, by bytes and by the Hamming distance of their perceptual hashes.

    At most 18 of 128 bits differ. Posters of one colour are near to none. Where more than 12 items have them
    they are one placeholder, as near-duplicates of more than 12 items are: not even those of the same bytes
    are duplicates then, unless something else about them is equal, too.

    Parameters
    ----------
    members : Members of length m
        The items that have each image.
    codes : ndarray of shape (m, 16), uint8
        Perceptual hash of each.
    known : ndarray of shape (m,), bool
        False for an image that cannot be decoded.
    describe : callable, optional
        Id → the titles and texts of the item. By default there are none.

    Returns
    -------
    list of 2 DuplicateGroups

    Examples
    --------
    >>> codes = np.eye(3, 16, dtype=np.uint8)
    >>> members = Members.of([["f1", "f4"], ["f2"], ["f3"]])
    >>> same, near = image_duplicates(members, codes, np.array([True, True, False]))
    >>> same.groups, near.groups
    ((('f1', 'f4'),), (('f1', 'f4', 'f2'),))
    """
    blank = known & (codes == np.frombuffer(BLANK, np.uint8)).all(axis=1)
    rows, alike = np.flatnonzero(known & ~blank), np.flatnonzero(blank)
    pairs = rows[near_duplicates_by_hamming(codes[rows], MAX_BITS)]
    if len({name for i in alike.tolist() for name in members[i]}) > MAX_SHARED:
        links = np.stack([np.full(len(alike), alike[0]), alike], axis=1)
        pairs = np.concatenate([pairs, links])
    return same_and_near((SAME_IMAGE, NEAR_IMAGE), members, pairs, describe)


def near_embedding_duplicates(members: Members, rows: Rows) -> DuplicateGroups:
    """Near-duplicate embeddings: a cosine similarity of at least 0.9, each dimension standardised.

    Parameters
    ----------
    members : Members of length n
        The items that have each image.
    rows : Rows
        The embedding of each, of shape (n, D): an array, or what reads one; NaN where there is none.

    Returns
    -------
    DuplicateGroups
        Their severity is ``"warning"``.

    Examples
    --------
    >>> rows = np.array([[0, 9], [0.1, 9], [9, 0], [8, 1]], dtype=np.float32)
    >>> members = Members.of([["f1"], ["f2"], ["f3"], ["f4"]])
    >>> near_embedding_duplicates(members, rows).groups
    (('f1', 'f2'), ('f3', 'f4'))
    """
    near = search_by_cosine(StandardisedRows(rows), MIN_COSINE)
    found = group_near_values(NEAR_EMBEDDING, members, near.pairs, WARNING)
    return replace(found, note=near.note)


def text_duplicates(
    ids: Sequence[str] | NDArray[np.str_],
    texts: Sequence[str],
    column: str = "overview",
    describe: Describe = say_nothing,
) -> list[DuplicateGroups]:
    """Same and near-same texts: equal but for case and punctuation, or of a Jaccard similarity of 0.5.

    Texts of fewer than 8 words are left out; a character of a script without spaces counts as half a word.
    Where more than 12 items have near-same texts, not even the same ones are duplicates, unless something
    else about them is equal, too.

    Parameters
    ----------
    ids, texts : sequence of n str
    column : str, default="overview"
        The column that they are of, for the names of the kinds.
    describe : callable, optional
        Id → titles and other texts of the item. By default there are none.

    Returns
    -------
    list of 2 DuplicateGroups

    Examples
    --------
    >>> texts = ["A man finds an old map in a house.", "A man finds an old map in a house!"]
    >>> [found.groups for found in text_duplicates(["f1", "f2"], texts)]
    [(('f1', 'f2'),), ()]
    """
    tokens = map(tokenize, texts)
    keys = (
        text_key(" ".join(words)) if count_words(words) >= MIN_WORDS else None for words in tokens
    )
    _, members = Members.collect(ids, PackedKeys.collect(keys))
    first = np.zeros(len(texts), dtype=bool)  # they ascend: texts are read in their order
    first[members.first] = True
    near = near_duplicates_by_jaccard(compress(texts, first), MIN_JACCARD)
    return same_and_near(name_text_kinds(column), members, near, describe)


def are_short(texts: Iterable[str]) -> bool:
    """Whether most of the different texts of a column have fewer than 8 words, as titles have.

    Examples
    --------
    >>> are_short(["Jaws", "Heat", "A man finds an old map in a house."])
    True
    """
    long = list[bool]()

    def keys() -> Iterator[bytes | None]:
        for text in texts:
            words = tokenize(text)
            long.append(count_words(words) >= MIN_WORDS)
            yield text_key(" ".join(words)) if words else None

    packed = PackedKeys.collect(keys())
    different = index_part("", packed.array[packed.named]).row
    return 2 * int(np.array(long, dtype=bool)[packed.named][different].sum()) < len(different)


def title_duplicates(
    ids: Sequence[str] | NDArray[np.str_], titles: Sequence[str], years: Sequence[str]
) -> DuplicateGroups:
    """Items of the same title, but for case and punctuation, and the same year.

    Parameters
    ----------
    ids, titles, years : sequence of n str
        An empty title or year equals nothing.

    Returns
    -------
    DuplicateGroups

    Examples
    --------
    >>> title_duplicates(["f1", "f2", "f3"], ["Jaws", "JAWS!", "Jaws"], ["1975", "1975", ""]).groups
    (('f1', 'f2'),)
    """
    plain = (" ".join(tokenize(title)) for title in titles)
    keys = (
        text_key(f"{title}\0{year}") if title and year else None
        for title, year in zip(plain, years, strict=True)
    )
    _, members = Members.collect(ids, PackedKeys.collect(keys))
    return group_equal_values(SAME_FILM, members)


def column_duplicates(catalogue: Catalogue, column: str, kind: str) -> DuplicateGroups:
    """Items that share an entry of a column, as a warning.

    Parameters
    ----------
    catalogue : Catalogue
    column : str
    kind : str

    Returns
    -------
    DuplicateGroups
    """
    groups = group_by_column(catalogue, column)
    return group_equal_values(kind, Members.of(groups), WARNING)


def group_by_column(catalogue: Catalogue, column: str) -> Ids:
    r"""Group the ids of a catalogue by a column; in a list column by each of its entries.

    Parameters
    ----------
    catalogue : Catalogue
    column : str
        Entries are equal whatever their case. Empty cells and words for nothing, such as N/A, group nothing.

    Returns
    -------
    tuple of tuple of str
        Groups of two or more ids; an item can be in several.

    Raises
    ------
    SettingError
        If there is no such column.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/catalogue.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("id,cast\n1,Ada|Ben\n2,ben\n3,Cem\n")
    >>> group_by_column(load_catalogue(path), "cast")
    (('1', '2'),)
    >>> folder.cleanup()
    """
    found = catalogue.find_column(column)
    if found is None:
        raise SettingError(
            f"--group-column: {unknown_name('column', column, catalogue.table.columns)}"
        )
    cells = catalogue.table[found]
    place, different = pd.factorize(cells.where(says_something(cells), "").to_numpy(dtype=object))
    separator, number = catalogue.columns.label_separator, dict[str, int]()
    entries = [
        [number.setdefault(entry.casefold(), len(number)) for entry in split_cell(cell, separator)]
        for cell in different.tolist()
    ]
    return _sharers(catalogue.ids, place, entries)


def _sharers(
    ids: NDArray[np.str_], place: NDArray[np.int64], entries: Sequence[Sequence[int]]
) -> Ids:
    """Groups of ids that share an entry: item i has ``entries[place[i]]``, numbers from 0 on."""
    lengths = np.array([len(each) for each in entries], dtype=np.int64)
    flat = np.array([entry for each in entries for entry in each], dtype=np.int64)
    each = lengths[place]
    item = np.repeat(np.arange(len(ids)), each)
    first = np.repeat((np.cumsum(lengths) - lengths)[place] - (np.cumsum(each) - each), each)
    entry = flat[first + np.arange(len(item))]
    sizes = np.bincount(entry)
    shared = np.flatnonzero(sizes[entry] > 1)
    order = shared[np.argsort(entry[shared], kind="stable")]
    names, ends = ids[item[order]].tolist(), np.cumsum(sizes[sizes > 1]).tolist()
    return tuple(tuple(names[a:b]) for a, b in zip([0, *ends], ends, strict=False))
