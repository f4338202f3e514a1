"""Import of embeddings that were made elsewhere: file or frame → cache."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.backbones.provenance import Provenance
from hybrid.cache import DTYPES, PART_ROWS, EmbeddingCache, EmbeddingStore, check_takes_rows
from hybrid.catalogue import Catalogue
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.imported_file import read_embeddings
from hybrid.extraction.imported_rows import SHOWN, CheckedEmbeddings, check_rows, check_same_key
from hybrid.extraction.imported_stores import (
    KIND,
    OF,
    describe_imported_store,
    frame_keys,
    imported_stores,
    item_key,
    lacking_ids,
    name_problems,
)
from hybrid.extraction.provenance import made_elsewhere, store_provenance
from hybrid.extraction.writer import compact_afterwards
from hybrid.types import Finding, ImportedSelector, ImportedSummary, ImportSettings
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import agree, counted, first_few
from hybrid.utils.environment import library_versions
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.reading import EMBEDDINGS, hash_file
from hybrid.utils.row_file import row_blocks, take_rows
from hybrid.utils.spilled import let_pages_go

TRAINED_ON = ("none", "unknown")
APPENDED = 2**28  # bytes that are stored at a time


@limited_by_context
def import_embeddings(
    source: str | Path | pd.DataFrame,
    catalogue: Catalogue | None = None,
    *,
    block: str,
    ids: str | Path | None = None,
    id_column: str | None = None,
    vector_column: str | None = None,
    settings: ImportSettings | None = None,
    context: Context | None = None,
) -> ImportedSummary:
    """Import embeddings that were made elsewhere into the cache, as a block of features.

    The same content is the same set of embeddings, whatever its order or format; other content under the
    same name is another one.

    Parameters
    ----------
    source : str, Path or DataFrame
        ``.npz`` with arrays ``ids`` and ``embeddings``, ``.npy`` with `ids`, ``.parquet`` or ``.jsonl`` with
        a column of vectors; or a frame that is indexed by id, with a column of vectors or one column for
        each dimension.
    catalogue : Catalogue, optional
        Needed unless vectors belong to items; else it only tells which ids it does not have.
    block : str
        Name of the block, for instance ``"clip"``.
    ids : str or Path, optional
        Of ``.npy``: text file with one id a line.
    id_column, vector_column : str, optional
        Names of the columns or arrays, where they are not the usual ones.
    settings : ImportSettings, optional
        What a vector belongs to, data type, licence, what the encoder has learnt from.
    context : Context, optional
        Its cache is used.

    Returns
    -------
    ImportedSummary

    Raises
    ------
    SettingError
        If a parameter is wrong; the message lists all.
    ExtractionError
        If the file cannot be used: another format, NaN in parts of a vector, two vectors of an id, no id of
        the catalogue. Nothing is imported then.
    CacheError
        If the cache cannot be written.

    Examples
    --------
    >>> vectors = pd.DataFrame({"id": ["a", "b"], "embedding": [[1.0, 2.0], [3.0, 4.0]]})
    >>> summary = import_embeddings(vectors, block="clip", context=Context(cache="imported"))
    >>> summary.added, summary.dimension
    (2, 2)
    """
    settings, context = settings or ImportSettings(), context or Context()
    _check_settings(block, settings, catalogue)
    raw = read_embeddings(source, ids=ids, id_column=id_column, vector_column=vector_column)
    where = "the frame" if isinstance(source, pd.DataFrame) else str(source)
    checked = check_rows(raw, where, settings.dtype)
    unknown = _unknown_ids(checked, catalogue, where)
    keys, rows = _keyed(checked, settings.of, catalogue, context)
    check_takes_rows(context.cache)
    if settings.add:
        store = _store_to_add_to(block, settings, checked, context)
    else:
        frame = isinstance(source, pd.DataFrame)
        sha256 = None if frame else hash_file(Path(where), EMBEDDINGS)
        store = _make_store(block, settings, checked, where, sha256, context)
    present = store.has(keys)
    _check_same_values(store, keys, rows, present)
    _append(store, keys, rows)
    compact_afterwards(store)
    return _summary(
        block,
        settings,
        checked,
        store,
        catalogue,
        unknown,
        (len(keys), int(present.sum())),
        context,
    )


def _check_settings(block: str, settings: ImportSettings, catalogue: Catalogue | None) -> None:
    problems = name_problems(block)
    if settings.of not in OF:
        problems.append(f"--of: expected {', '.join(OF)}, found {settings.of!r}.")
    if settings.dtype not in (None, *DTYPES):
        problems.append(f"--dtype: expected {' or '.join(DTYPES)}, found {settings.dtype!r}.")
    if settings.trained_on not in (None, *TRAINED_ON):
        problems.append(
            f"--trained-on: expected {' or '.join(TRAINED_ON)}, found {settings.trained_on!r}."
        )
    if settings.add and (settings.licence or settings.trained_on):
        problems.append(
            "--licence, --trained-on: expected none with --add: what was said of the block holds for all "
            "of it."
        )
    needs = {"poster": "poster column", "text": "text column"}.get(settings.of)
    if needs and catalogue is None:
        problems.append(f"--of {settings.of}: expected a catalogue with its {needs}, found none.")
    elif needs and catalogue is not None and not getattr(catalogue.columns, settings.of):
        problems.append(
            f"--of {settings.of}: expected a {needs}, found none in {catalogue.path}. Name it with "
            f"{'--poster-column' if settings.of == 'poster' else '--text'}."
        )
    if problems:
        raise SettingError("\n".join(problems))


def _unknown_ids(
    checked: CheckedEmbeddings, catalogue: Catalogue | None, where: str
) -> tuple[str, ...]:
    """Ids that the catalogue does not have."""
    if catalogue is None:
        return ()
    known = set(catalogue.ids.tolist())
    unknown = tuple(name for name in checked.ids if name not in known)
    if len(unknown) == len(checked.ids):
        some = catalogue.ids[: SHOWN + 1].tolist()
        raise ExtractionError(
            f"{where}: expected ids of {catalogue.path}, such as {first_few(some, SHOWN)}, "
            f"found none among {counted(len(unknown), 'id')}, such as {first_few(unknown, SHOWN)}. "
            "Name their column with --id-name, or that of the catalogue with --id-column."
        )
    return unknown


def _keyed(
    checked: CheckedEmbeddings, of: str, catalogue: Catalogue | None, context: Context
) -> tuple[PackedKeys, NDArray[np.floating]]:
    """The key of each row that has one, and those rows."""
    if of == "item" or catalogue is None:
        return PackedKeys.collect(item_key(name) for name in checked.ids), checked.rows
    frame, columns = catalogue.frame, catalogue.columns.text
    keys = frame_keys(frame, of, columns, context.cache, context.workers)
    of_id = dict(zip(catalogue.ids.tolist(), keys, strict=True))
    each = [of_id.get(name) or None for name in checked.ids]
    if not any(each):
        raise ExtractionError(
            f"--of {of}: expected items with a {'readable ' * (of == 'poster')}{of}, found none among those "
            "of the file. Use --of item."
        )
    first = check_same_key(each, checked.ids, checked.rows, of)
    rows = take_rows(checked.rows, first, checked.rows.dtype)
    return PackedKeys.collect(each[i] for i in first), rows


def _make_store(
    block: str,
    settings: ImportSettings,
    checked: CheckedEmbeddings,
    where: str,
    sha256: str | None,
    context: Context,
) -> EmbeddingStore:
    fields = {
        "kind": KIND,
        "block": block,
        "of": settings.of,
        "dimension": checked.rows.shape[1],
        "dtype": checked.rows.dtype.name,
        "content": checked.digest,
    }
    recorded = {
        "kind": KIND,
        "file": None if sha256 is None else Path(where).name,
        "file_sha256": sha256,
        "imported": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "path": None,
        "seed": None,
        "weights": f"{block}, made elsewhere",
        "licence": settings.licence or "unknown",
        "versions": library_versions(),
    }
    learnt = {"none": Provenance(), "unknown": made_elsewhere(block)}.get(settings.trained_on or "")
    return EmbeddingCache(context.cache).make(
        fields, recorded, None if learnt is None else learnt.to_bytes()
    )


def _store_to_add_to(
    block: str, settings: ImportSettings, checked: CheckedEmbeddings, context: Context
) -> EmbeddingStore:
    """The only store of this name, of the same kind of vectors."""
    selected = ImportedSelector(block)
    stores = [
        store
        for store in imported_stores(context, selected)
        if store.stands_for["of"] == settings.of and store.dimension == checked.rows.shape[1]
    ]
    if len(stores) != 1:
        listed = "".join(
            f"\n  {describe_imported_store(store)}" for store in imported_stores(context, selected)
        )
        raise ExtractionError(
            f"--add: expected one set of embeddings {block!r}, of each {settings.of}, with "
            f"{counted(checked.rows.shape[1], 'number')} each in {context.cache}, found {len(stores)}."
            f"{listed}\nWithout --add this file becomes a set of its own."
        )
    return stores[0]


def _append(store: EmbeddingStore, keys: PackedKeys, rows: NDArray[np.floating]) -> None:
    """Store all rows, some whole parts at a time, of which no page is needed again."""
    part = PART_ROWS * rows.shape[1] * rows.itemsize
    size = PART_ROWS * max(1, APPENDED // part)
    for start in range(0, len(rows), size):
        some = slice(start, start + size)
        store.append(cast(Sequence[bytes], keys[some]), rows[some])  # no key is None
        let_pages_go()


def _check_same_values(
    store: EmbeddingStore, keys: PackedKeys, rows: NDArray[np.floating], present: NDArray[np.bool_]
) -> None:
    """Raise where the store has another vector for a key."""
    places, wrong = np.flatnonzero(present), 0
    for part in row_blocks(rows, len(places)):
        some = places[part]
        there = store.read(keys[some])
        given = rows[some].astype(store.dtype).astype(np.float32)
        wrong += int((there != given).any(axis=1).sum())
    if wrong:
        raise ExtractionError(
            f"expected the vectors that the cache has, found others for {counted(wrong, 'item')} of "
            f"{counted(len(places), 'item')} ({describe_imported_store(store)}). Without --add the file "
            "becomes a set of its own."
        )


def _summary(
    block: str,
    settings: ImportSettings,
    checked: CheckedEmbeddings,
    store: EmbeddingStore,
    catalogue: Catalogue | None,
    unknown: tuple[str, ...],
    keys: tuple[int, int],
    context: Context,
) -> ImportedSummary:
    findings = list(checked.findings)
    if unknown:
        fate = "kept for other catalogues" if settings.of == "item" else "left out"
        message = (
            f"{counted(len(unknown), 'id')} {agree(len(unknown), '{are|is}')} not in the catalogue, such as "
            f"{first_few(unknown, SHOWN)}, and {agree(len(unknown), '{are|is}')} {fate}"
        )
        findings.append(Finding("unknown ids", message, len(unknown), examples=unknown[:SHOWN]))
    lacking: tuple[str, ...] = ()
    if catalogue is not None:
        lacking = lacking_ids(catalogue, store, context)
    if lacking:
        some = lacking[:SHOWN]
        message = (
            f"{counted(len(lacking), 'item')} of the catalogue {agree(len(lacking), '{have|has}')} no "
            f"embedding, such as {first_few(lacking, SHOWN)}: the block is missing there"
        )
        findings.append(Finding("items without an embedding", message, len(lacking), examples=some))
    licence = str(store.recorded.get("licence", "unknown"))
    if settings.licence not in (None, licence):
        message = f"the licence stays {licence!r}, as these embeddings were imported before"
        findings.append(Finding("licence", message, 1))
    return ImportedSummary(
        block=block,
        of=settings.of,
        fingerprint=store.fingerprint,
        dimension=store.dimension,
        dtype=store.dtype,
        licence=licence,
        trained_on="unknown" if store_provenance(store).unknown else "none",
        rows=checked.read,
        missing=checked.missing,
        unnamed=checked.unnamed,
        repeated=checked.repeated,
        added=keys[0] - keys[1],
        present=keys[1],
        items=0 if catalogue is None else len(catalogue),
        embedded=0 if catalogue is None else len(catalogue) - len(lacking),
        lacking=lacking,
        unknown=unknown,
        findings=tuple(findings),
    )
