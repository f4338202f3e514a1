"""Near-duplicate search in a catalogue: its posters, embeddings and texts are read and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import Cells
from hybrid.duplicates.groups import (
    MIN_WORDS,
    are_short,
    column_duplicates,
    image_duplicates,
    near_embedding_duplicates,
    same_image_duplicates,
    text_duplicates,
    title_duplicates,
)
from hybrid.duplicates.kinds import (
    COLLECTION,
    NEAR_EMBEDDING,
    SAME_FILM,
    SAME_TEXT,
    name_text_kinds,
)
from hybrid.duplicates.members import Members
from hybrid.duplicates.sharing import Describe
from hybrid.duplicates.similarity import count_words, tokenize
from hybrid.duplicates.text_embeddings import near_text_duplicates
from hybrid.extraction.poster_keys import PosterKeys, hash_several, image_files
from hybrid.extraction.text_lookup import catalogue_text_keys
from hybrid.extraction.texts import item_texts
from hybrid.images.decode import BadPoster
from hybrid.images.perceptual_hash import hash_perceptually
from hybrid.types import DuplicateGroups
from hybrid.utils.context import Context
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.progress import shows_step
from hybrid.utils.resources import return_memory

Keys = Sequence[bytes | BadPoster]

OVERVIEW, TITLE, YEAR = "overview", "title", "year"
COLLECTIONS = ("collection", "franchise", "belongs_to_collection", "series")


class StoredRows:
    """The embeddings of some keys, read from the cache when they are asked for.

    Parameters
    ----------
    store : EmbeddingStore
    keys : PackedKeys of length n
        Rows of NaN stand for keys that the store does not hold.
    """

    def __init__(self, store: EmbeddingStore, keys: PackedKeys) -> None:
        self.store, self.keys = store, keys
        self.shape = (len(keys), store.dimension)

    def __getitem__(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        return self.store.read(self.keys[positions])


@dataclass(frozen=True)
class Duplicates:
    """Duplicates and near-duplicates in a catalogue.

    Parameters
    ----------
    kinds : tuple of DuplicateGroups
        One for each kind that was searched for.
    skipped : tuple of str, default=()
        What could not be searched for, or not in all pairs, with the reason.

    Examples
    --------
    >>> same = DuplicateGroups("same image bytes", (("f1", "f7"),))
    >>> Duplicates((same, DuplicateGroups("same collection", (("f1", "f2"),), "warning"))).groups
    [('f1', 'f7')]
    """

    kinds: tuple[DuplicateGroups, ...]
    skipped: tuple[str, ...] = ()

    @property
    def untied(self) -> list[DuplicateGroups]:
        """Kinds with items that share what too many share to be duplicates: all kinds but collections."""
        return [kind for kind in self.kinds if kind.untied and kind.kind != COLLECTION]

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Groups of ids that belong in one part of a split: of all kinds but collections."""
        return [group for kind in self.kinds if kind.kind != COLLECTION for group in kind.groups]


@shows_step("searching for duplicates")
def find_duplicates(
    catalogue: Catalogue,
    keys: Keys,
    *,
    store: EmbeddingStore | None = None,
    texts: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Duplicates:
    """Find duplicates and near-duplicates: posters, embeddings, texts, titles, collections.

    Texts are searched in each text column, and in a column ``overview`` whatever its role. Columns of short
    texts are left out.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    store : EmbeddingStore, optional
        Embeddings of posters to be compared; by default none.
    texts : EmbeddingStore, optional
        Embeddings of all the texts to be compared; by default none.
    context : Context, optional
        Its cache remembers the perceptual hashes of the posters; its workers decode the others.

    Returns
    -------
    Duplicates

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> from hybrid.extraction.lookup import hash_catalogue
    >>> duplicates = find_duplicates(catalogue, hash_catalogue(catalogue, context), context=context)
    >>> [(kind.kind, len(kind.groups)) for kind in duplicates.kinds][:2]
    [('same image bytes', 1), ('near-duplicate poster', 2)]
    >>> duplicates.skipped[-1]
    'same collection: no column collection, franchise, belongs_to_collection, series'
    >>> folder.cleanup()
    """
    ids, table = catalogue.ids, catalogue.folded
    return_memory()  # each search needs some of its own
    kinds, skipped = _compare_posters(catalogue, keys, store, context)
    return_memory()
    found, left_out = _compare_texts(catalogue)
    if texts is not None:
        found.append(_compare_text_embeddings(catalogue, texts, found))
    kinds, skipped = kinds + found, skipped + left_out
    if TITLE in table.columns and YEAR in table.columns:
        kinds.append(title_duplicates(ids, Cells(table[TITLE]), Cells(table[YEAR])))
    else:
        skipped.append(f"{SAME_FILM}: no columns {TITLE} and {YEAR}")
    collection = next((name for name in COLLECTIONS if name in table.columns), None)
    if collection is not None:
        kinds.append(column_duplicates(catalogue, collection, COLLECTION))
    else:
        skipped.append(f"{COLLECTION}: no column {', '.join(COLLECTIONS)}")
    skipped += [f"{kind.kind}: {kind.note}" for kind in kinds if kind.note]
    return Duplicates(tuple(kinds), tuple(skipped))


def _compare_posters(
    catalogue: Catalogue, keys: Keys, store: EmbeddingStore | None, context: Context | None
) -> tuple[list[DuplicateGroups], list[str]]:
    """Duplicates by bytes, perceptual hashes and embeddings; and what was not compared."""
    images, members = _items_by_image(catalogue, keys, context)
    files = image_files(catalogue, keys, context)
    hashes = hash_perceptually(files.only(images), context or Context())
    describe = _describe(catalogue, _text_columns(catalogue))
    kinds = image_duplicates(members, *hashes.find(images), describe)
    if store is not None:
        return [*kinds, near_embedding_duplicates(members, StoredRows(store, images))], []
    reason = "hybrid audit takes those of the catalogue, if there is one set"
    return kinds, [f"{NEAR_EMBEDDING}: no embeddings were given; {reason}"]


def _compare_texts(catalogue: Catalogue) -> tuple[list[DuplicateGroups], list[str]]:
    """Duplicates by each text column; and what was not compared."""
    columns = _text_columns(catalogue)
    if not columns:
        return [], [f"{SAME_TEXT}: no column {OVERVIEW}, and no other text column"]
    kinds, skipped = list[DuplicateGroups](), []
    for column in columns:
        cells = Cells(catalogue.folded[column])
        if column != OVERVIEW and are_short(cells):
            skipped.append(f"{name_text_kinds(column)[0]}: its texts are too short to tell")
            continue
        others = [other for other in columns if other != column]
        describe = _describe(catalogue, others)
        kinds += text_duplicates(catalogue.ids, cells, column, describe)
    return kinds, skipped


def _compare_text_embeddings(
    catalogue: Catalogue, store: EmbeddingStore, told: Sequence[DuplicateGroups]
) -> DuplicateGroups:
    """Near-same texts by their embeddings, but for pairs that are told; short texts are left out."""
    whole = item_texts(catalogue.frame, catalogue.columns.text)
    keys = catalogue_text_keys(catalogue, store)
    long = [count_words(tokenize(text)) >= MIN_WORDS for text in whole]
    wanted = (key if good else None for key, good in zip(keys, long, strict=True))
    different, members = Members.collect(catalogue.ids, PackedKeys.collect(wanted))
    return near_text_duplicates(members, StoredRows(store, different), told)


def _text_columns(catalogue: Catalogue) -> list[str]:
    """Names of the columns that are searched for same texts, as `Catalogue.folded` has them."""
    folded = catalogue.folded.columns.tolist()
    used = dict(zip(catalogue.table.columns, folded, strict=True))
    named = [OVERVIEW] if OVERVIEW in folded else []
    named += [used[name] for name in catalogue.columns.text]
    return [name for name in dict.fromkeys(named) if name not in (TITLE, *COLLECTIONS)]


def _describe(catalogue: Catalogue, columns: Sequence[str]) -> Describe:
    """What an item is called, and what is said about it in some columns, word by word."""
    table = catalogue.folded
    place: dict[str, int] = {}
    cells = {name: Cells(table[name]) for name in (TITLE, *columns) if name in table.columns}

    def describe(name: str) -> list[tuple[str, str]]:
        if not place:  # few catalogues need it
            place.update((other, i) for i, other in enumerate(catalogue.ids.tolist()))
        said = [(column, " ".join(tokenize(one[place[name]]))) for column, one in cells.items()]
        return [(column, words) for column, words in said if words]

    return describe


def _items_by_image(
    catalogue: Catalogue, keys: Keys, context: Context | None
) -> tuple[PackedKeys, Members]:
    """Different content keys, and the items that have each image, once, among all of their posters."""
    several = hash_several(catalogue, context)
    packed, items = PosterKeys.collect(keys).packed, np.arange(len(keys))
    if several:
        alone = np.ones(len(packed), dtype=bool)
        alone[list(several)] = False
        more = [
            (i, key)
            for i, found in several.items()
            for key in dict.fromkeys(found)
            if isinstance(key, bytes)
        ]
        further = PackedKeys.collect(key for _, key in more)
        items = np.concatenate([items[alone], np.array([i for i, _ in more], dtype=np.int64)])
        order = np.argsort(items, kind="stable")
        packed, items = packed[alone].append(further)[order], items[order]
    return Members.collect(catalogue.ids, packed, items)


def find_exact_duplicates(
    catalogue: Catalogue, keys: Keys, context: Context | None = None
) -> DuplicateGroups:
    """Find exact duplicates: items that have a poster which is the same to the byte.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    context : Context, optional
        Its cache remembers the hashes of the posters.

    Returns
    -------
    DuplicateGroups

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> from hybrid.extraction.lookup import hash_catalogue
    >>> len(find_exact_duplicates(catalogue, hash_catalogue(catalogue, context)).groups)
    1
    >>> folder.cleanup()
    """
    _, members = _items_by_image(catalogue, keys, context)
    return same_image_duplicates(members)
