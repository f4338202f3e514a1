"""Wiring: a catalogue → what is alike in it, and what gives its labels away."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.catalogue import split_cell
from hybrid.duplicates.kinds import (
    COLLECTION,
    NEAR_EMBEDDING,
    NEAR_IMAGE,
    NEAR_TEXT,
    SAME_FILM,
    SAME_IMAGE,
    SAME_TEXT,
)
from hybrid.duplicates.similarity import (
    Pairs,
    connected_components,
    group_equal,
    near_duplicates_by_cosine,
    near_duplicates_by_hamming,
    near_duplicates_by_jaccard,
    tokenize,
)
from hybrid.errors import SettingError, unknown_name
from hybrid.images.decode import BadPoster, read_poster
from hybrid.images.hashes import load_perceptual_hashes, save_perceptual_hashes
from hybrid.images.perceptual_hash import BLANK, perceptual_hash
from hybrid.types import LEAK, WARNING, DuplicateGroups
from hybrid.utils.context import Context

Keys = Sequence[bytes | BadPoster]

# docs/splits.md tells what these were chosen on.
LOOK_BITS = 18  # of 128 that two looks may differ in
COSINE = 0.9  # of two embeddings, each dimension standardised
JACCARD = 0.5  # of two overviews' runs of three words
MIN_WORDS = 8  # of an overview; shorter ones ("No overview found.") tell nothing
BOILERPLATE = 20  # items; an overview that more of them share is nobody's
OVERVIEW, TITLE, YEAR = "overview", "title", "year"
COLLECTIONS = ("collection", "franchise", "belongs_to_collection", "series")


@dataclass(frozen=True)
class Duplicates:
    """What is alike in a catalogue, kind by kind, and what could not be looked for."""

    kinds: tuple[DuplicateGroups, ...]
    skipped: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Ids that belong together; what is only a collection does not."""
        return [group for kind in self.kinds if kind.kind != COLLECTION for group in kind.groups]


def find_duplicates(
    catalogue: Catalogue,
    keys: Keys,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> Duplicates:
    """Look for items that are alike: posters, embeddings, overviews, title and year, collections.

    Parameters
    ----------
    catalogue : Catalogue
    keys : sequence of n bytes or BadPoster
        As `hash_catalogue` gives them.
    store : EmbeddingStore, optional
        Embeddings to be compared, too.
    context : Context, optional
        Its cache remembers the posters' perceptual hashes; its workers decode the others.
    """
    ids = catalogue.ids.tolist()
    by_key = _members(ids, [key if isinstance(key, bytes) else None for key in keys])
    kinds, skipped = [find_exact_duplicates(catalogue, keys)], []
    kinds.append(_near_images(catalogue, keys, by_key, context or Context()))
    if store is None:
        skipped.append(
            f"{NEAR_EMBEDDING}: no embeddings were given; "
            "hybrid audit takes those of the catalogue, if there is one set"
        )
    else:
        kinds.append(_near_embeddings(by_key, store))
    table, columns = catalogue.table, catalogue.table.columns
    if OVERVIEW in columns:
        kinds += _texts(ids, table[OVERVIEW].tolist())
    else:
        skipped.append(f"{SAME_TEXT}: no column {OVERVIEW}")
    if TITLE in columns and YEAR in columns:
        films = zip(table[TITLE].tolist(), table[YEAR].tolist(), strict=True)
        named = [(" ".join(tokenize(t)), y) if tokenize(t) and y else None for t, y in films]
        kinds.append(DuplicateGroups(SAME_FILM, _named(ids, group_equal(named))))
    else:
        skipped.append(f"{SAME_FILM}: no columns {TITLE} and {YEAR}")
    collection = next((name for name in COLLECTIONS if name in columns), None)
    if collection is None:
        skipped.append(f"{COLLECTION}: no column {', '.join(COLLECTIONS)}")
    else:
        kinds.append(DuplicateGroups(COLLECTION, group_by_column(catalogue, collection), WARNING))
    return Duplicates(tuple(kinds), tuple(skipped))


def find_exact_duplicates(catalogue: Catalogue, keys: Keys) -> DuplicateGroups:
    """Items whose posters are the same to the byte."""
    known = [key if isinstance(key, bytes) else None for key in keys]
    return DuplicateGroups(SAME_IMAGE, _named(catalogue.ids.tolist(), group_equal(known)))


def group_by_column(catalogue: Catalogue, column: str) -> tuple[tuple[str, ...], ...]:
    """Ids that share an entry of a column; a list column's items share any one of theirs.

    Raises
    ------
    SettingError
        If there is no such column.
    """
    if column not in catalogue.table.columns:
        raise SettingError(
            f"--group-column: {unknown_name('column', column, catalogue.table.columns)}"
        )
    separator, ids = catalogue.columns.label_separator, catalogue.ids.tolist()
    held: dict[str, list[str]] = {}
    for name, cell in zip(ids, catalogue.table[column].tolist(), strict=True):
        for entry in split_cell(cell, separator):
            held.setdefault(entry.casefold(), []).append(name)
    return tuple(tuple(group) for group in held.values() if len(group) > 1)


def _members(ids: Sequence[str], values: Iterable[Hashable | None]) -> dict[Hashable, list[str]]:
    """Value → the ids that have it; None is left out."""
    found: dict[Hashable, list[str]] = {}
    for name, value in zip(ids, values, strict=True):
        if value is not None:
            found.setdefault(value, []).append(name)
    return found


def _named(ids: Sequence[str], groups: Iterable[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(ids[i] for i in group) for group in groups)


def _alike(
    kind: str, members: dict[Hashable, list[str]], pairs: Pairs, severity: str = LEAK
) -> DuplicateGroups:
    """Values that are alike, directly or by way of others, as groups of the ids that have them.

    Parameters
    ----------
    kind : str
    members : dict of value to list of str
    pairs : ndarray of shape (m, 2)
        Places in `members`.
    severity : str
    """
    names = list(members.values())
    component = connected_components(len(names), pairs.tolist())
    groups = group_equal(component.tolist())
    same: dict[str, Hashable] = {
        name: value for group in groups for value in group for name in names[value]
    }
    return DuplicateGroups(
        kind, tuple(tuple(n for i in g for n in names[i]) for g in groups), severity, same
    )


def _near_images(
    catalogue: Catalogue,
    keys: Keys,
    by_key: dict[Hashable, list[str]],
    context: Context,
) -> DuplicateGroups:
    looks = _look_at(catalogue, keys, context)
    codes = [looks[key] if looks.get(key, BLANK) != BLANK else None for key in by_key]
    return _alike(NEAR_IMAGE, by_key, near_duplicates_by_hamming(codes, LOOK_BITS))


def _look_at(catalogue: Catalogue, keys: Keys, context: Context) -> dict[Hashable, bytes]:
    """The look of each readable poster; those that the cache remembers are not decoded again."""
    known = load_perceptual_hashes(context.cache)
    paths = dict(zip(keys, catalogue.poster_paths, strict=True))
    new = {key: paths[key] for key in paths if isinstance(key, bytes) and key not in known}
    if not new:
        return dict(known.items())
    found: dict[bytes, bytes] = {}
    with (
        context.progress.bar("hashing posters", len(new), "posters") as advance,
        ThreadPoolExecutor(context.workers) as pool,
    ):
        for key, look in zip(new, pool.map(_look_at_file, new.values()), strict=True):
            if look is not None:
                found[key] = look
            advance(1)
    save_perceptual_hashes(context.cache, {**known, **found})
    return dict({**known, **found}.items())


def _look_at_file(path: str) -> bytes | None:
    data = read_poster(path)
    return None if isinstance(data, BadPoster) else perceptual_hash(data)


def _near_embeddings(by_key: dict[Hashable, list[str]], store: EmbeddingStore) -> DuplicateGroups:
    """In place, since the embeddings of a large catalogue are most of the memory that an audit takes."""
    rows = store.read([key for key in by_key if isinstance(key, bytes)])
    known = ~np.isnan(rows[:, 0])
    rows -= rows.mean(axis=0, where=known[:, None], dtype=np.float64) if known.any() else 0
    rows[~known] = 0  # like nothing, itself included
    rows /= _lengths("ij,ij->j", rows)
    rows /= _lengths("ij,ij->i", rows)[:, None]
    return _alike(NEAR_EMBEDDING, by_key, near_duplicates_by_cosine(rows, COSINE), WARNING)


def _lengths(axes: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lengths of columns or rows, to divide by: 1 where one is 0."""
    lengths = np.sqrt(np.einsum(axes, rows, rows))
    return np.where(lengths > 0, lengths, 1).astype(np.float32)


def _texts(ids: Sequence[str], texts: Sequence[str]) -> list[DuplicateGroups]:
    """Overviews that are the same but for marks and capitals, and those that are nearly the same."""
    plain = [" ".join(said) if len(said := tokenize(text)) >= MIN_WORDS else None for text in texts]
    members = {t: m for t, m in _members(ids, plain).items() if len(m) <= BOILERPLATE}
    same = tuple(tuple(names) for names in members.values() if len(names) > 1)
    near = near_duplicates_by_jaccard([str(text) for text in members], JACCARD)
    return [DuplicateGroups(SAME_TEXT, same), _alike(NEAR_TEXT, members, near)]
