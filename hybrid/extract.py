"""Wiring: posters → backbone → cache."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.weights import stands_for
from hybrid.cache import EmbeddingCache, EmbeddingStore, fingerprint_of
from hybrid.catalogue import Catalogue
from hybrid.cost import peak_mib
from hybrid.errors import CatalogueError, ExtractionError, SettingError
from hybrid.images import BadPoster, decode_poster, hash_posters, poster_key, read_poster
from hybrid.progress import Progress
from hybrid.records import BadRow, ExtractSummary
from hybrid.runs import library_versions

if TYPE_CHECKING:
    from hybrid.backbones.load import Backbone

BATCH = 32
PART_ROWS = 4096
PART_SECONDS = 30.0  # a job that is killed loses at most this much of its work

# Key and image, or why it cannot be decoded; None where the file vanished since it was hashed.
Decoded = tuple[bytes, NDArray[np.uint8] | BadPoster] | None


def extract_embeddings(
    catalogue: Catalogue,
    backbone: str,
    *,
    weights: str = "imagenet",
    cache: str = ".hybrid-cache",
    seed: int = 0,
    workers: int | None = None,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Embed every poster of a catalogue that the cache does not hold yet.

    Parameters
    ----------
    catalogue : Catalogue
    backbone : str
        Name of a backbone.
    weights : str
        ``"imagenet"``, ``"random"``, a weights file, or the folder of a run that trained the backbone.
    cache : str
        Folder of the embedding cache.
    seed : int
        Of random weights.
    workers : int, optional
        Threads that read and decode; by default one a core.
    batch_size : int
        Posters the backbone takes at once.
    progress : Progress, optional
        Quiet by default.

    Returns
    -------
    ExtractSummary
        Bad posters are in it, with their reasons; they never stop the job.

    Raises
    ------
    CatalogueError
        If the catalogue has no poster column.
    WeightsError, CacheError, SettingError
        If weights, cache or a parameter are wrong.
    """
    start = time.perf_counter()
    _check(catalogue, workers, batch_size)
    progress, workers = progress or Progress(), workers or os.cpu_count() or 1
    spec = get_backbone(backbone)
    found = resolve_weights(spec, weights, seed)
    if found.kind == "random":
        warnings.warn(
            "random weights: these embeddings mean nothing, and nor does any model on them.",
            stacklevel=2,
        )
    store = _make_store(cache, spec, found)
    keys = hash_catalogue(catalogue, workers, progress)
    todo = {
        key: path
        for key, path in zip(keys, catalogue.poster_paths, strict=True)
        if isinstance(key, bytes) and not store.knows(key)
    }
    hits = len({key for key in keys if isinstance(key, bytes) and key in store})
    computed = _compute(spec, found, store, todo, workers, batch_size, progress) if todo else 0
    bad = bad_posters(catalogue, keys, store)
    return ExtractSummary(
        backbone=spec.name,
        fingerprint=store.fingerprint,
        weights=found.words,
        rows=len(catalogue),
        embedded=len(catalogue) - len(bad),
        images=len({key for key in keys if isinstance(key, bytes)}),
        hits=hits,
        computed=computed,
        bad=tuple(bad),
        seconds=time.perf_counter() - start,
        peak_mib=peak_mib(),
    )


def hash_catalogue(
    catalogue: Catalogue, workers: int | None = None, progress: Progress | None = None
) -> list[bytes | BadPoster]:
    """The cache key of each item's poster, or why it has none; n entries."""
    keys: list[bytes | BadPoster] = []
    workers, progress = workers or os.cpu_count() or 1, progress or Progress()
    with progress.bar("reading posters", len(catalogue), "posters") as advance:
        for key in hash_posters(catalogue.poster_paths, workers):
            keys.append(key)
            advance(1)
    for i, reason in catalogue.poster_problems.items():
        keys[i] = BadPoster(reason)
    return keys


def bad_posters(
    catalogue: Catalogue, keys: list[bytes | BadPoster], store: EmbeddingStore
) -> list[BadRow]:
    """The items without an embedding, with the reason, in the order of the file."""
    bad = []
    for i, key in enumerate(keys):
        if isinstance(key, BadPoster):
            reason = key.reason
        elif key in store:
            continue
        else:
            reason = store.failures.get(key, "changed or vanished while it was read; try again")
        bad.append(catalogue.bad_row(i, reason))
    return bad


def find_store(
    catalogue: Catalogue,
    *,
    cache: str = ".hybrid-cache",
    backbone: str | None = None,
    weights: str | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> EmbeddingStore:
    """The store with this catalogue's embeddings.

    Parameters
    ----------
    catalogue : Catalogue
    cache : str
        Folder of the embedding cache.
    backbone : str, optional
        By default the one that was extracted for this catalogue.
    weights : str, optional
        As in `extract_embeddings`; needed where one backbone was extracted with several weights.
    seed : int
        Of random weights.

    Raises
    ------
    ExtractionError
        If there is none, or it lacks some of the posters.
    SettingError
        If there are several; the message lists them.
    """
    embeddings = EmbeddingCache(cache)
    spec = get_backbone(backbone) if backbone else None
    stores = embeddings.stores()
    if spec and weights:
        wanted = fingerprint_of(stands_for(spec, resolve_weights(spec, weights, seed)))
        stores = [store for store in stores if store.fingerprint == wanted]
    elif spec:
        stores = [store for store in stores if store.stands_for["architecture"] == spec.name]
    keys = {key for key in hash_catalogue(catalogue, workers) if isinstance(key, bytes)}
    lacks = {store: sum(not store.knows(key) for key in keys) for store in stores}
    whole = [store for store in stores if keys and not lacks[store]]
    stores = whole or [store for store in stores if lacks[store] < len(keys)]
    if not stores:
        named = f" of backbone {backbone}" if backbone else ""
        raise ExtractionError(
            f"expected embeddings{named} for {catalogue.path} in {cache}, found none. Make them with: "
            f"hybrid extract --backbone {backbone or 'NAME'}; or leave the posters out with --blocks."
        )
    if len(stores) > 1:
        listed = "\n".join(f"  {describe_store(store)}" for store in stores)
        raise SettingError(
            f"expected one set of embeddings for {catalogue.path}, found {len(stores)}:\n{listed}\n"
            "Choose with --backbone, and with --weights where one backbone is listed twice."
        )
    if lacks[stores[0]]:
        raise ExtractionError(
            f"{lacks[stores[0]]} of {len(keys)} different posters have no embedding in {cache} "
            f"({describe_store(stores[0])}). Go on with: hybrid extract, with the same --backbone and "
            "--weights."
        )
    return stores[0]


def describe_store(store: EmbeddingStore) -> str:
    """A store in words."""
    rows = f"{len(store)} embeddings of {store.dimension} numbers"
    weights = store.recorded.get("weights", "unknown")
    return (
        f"{store.stands_for['architecture']}, weights {weights}: {rows} ({store.fingerprint[:12]})"
    )


def _check(catalogue: Catalogue, workers: int | None, batch_size: int) -> None:
    if catalogue.columns.poster is None:
        raise CatalogueError(
            f"{catalogue.path}: expected a column 'poster' with the image files, found "
            f"{', '.join(catalogue.table.columns)}."
        )
    problems = []
    if workers is not None and workers < 1:
        problems.append(f"--workers: expected 1 or more, found {workers}.")
    if batch_size < 1:
        problems.append(f"--batch-size: expected 1 or more, found {batch_size}.")
    if problems:
        raise SettingError("\n".join(problems))


def _make_store(cache: str, spec: BackboneSpec, weights: Weights) -> EmbeddingStore:
    recorded = {
        "weights": weights.words,
        "kind": weights.kind,
        "path": None if weights.path is None else str(weights.path),
        "seed": weights.seed,
        "versions": library_versions(),
    }
    return EmbeddingCache(cache).make(stands_for(spec, weights), recorded)


def _compute(
    spec: BackboneSpec,
    weights: Weights,
    store: EmbeddingStore,
    todo: Mapping[bytes, str],
    workers: int,
    batch_size: int,
    progress: Progress,
) -> int:
    """Decode and embed the images of `todo`, and write them part by part; count the embedded."""
    progress.say(f"loading {spec.name}, weights {weights.words}")
    from hybrid.backbones.load import load_backbone

    writer = _PartWriter(store)
    network = load_backbone(spec, weights)
    decoded = _decode_ahead(todo.values(), spec.input_size, workers, ahead=batch_size + 2 * workers)
    with progress.bar(f"embedding ({spec.name})", len(todo), "posters") as advance:
        try:
            while batch := list(islice(decoded, batch_size)):
                _embed(network, batch, writer)
                advance(len(batch))
        except KeyboardInterrupt:
            progress.say("stopping; what is computed is kept, run the command again to go on")
            raise
        finally:
            decoded.close()
            writer.flush()
    return writer.written


def _embed(network: Backbone, batch: list[Decoded], writer: _PartWriter) -> None:
    read = [entry for entry in batch if entry is not None]
    good = [(key, image) for key, image in read if not isinstance(image, BadPoster)]
    failed = {key: image.reason for key, image in read if isinstance(image, BadPoster)}
    if good:
        posters = np.stack([image for _, image in good])
        writer.add([key for key, _ in good], network(posters))
    writer.fail(failed)


def _decode_ahead(
    paths: Iterable[str], size: tuple[int, int], workers: int, ahead: int
) -> Generator[Decoded, None, None]:
    """Decode in threads, in order, at most `ahead` images before they are taken."""

    def one(path: str) -> Decoded:
        data = read_poster(path)
        if isinstance(data, BadPoster):
            return None
        # Keyed by the bytes that are decoded here, even if the file changed since it was hashed.
        return poster_key(data), decode_poster(data, size)

    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Decoded]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(one, path))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _PartWriter:
    """Collects rows and writes a part when it is large or old enough."""

    def __init__(self, store: EmbeddingStore) -> None:
        self.store = store
        self.written = 0
        self._clear()

    def _clear(self) -> None:
        self.keys: list[bytes] = []
        self.rows: list[NDArray[np.float32]] = []
        self.failures: dict[bytes, str] = {}
        self.since = time.monotonic()

    def add(self, keys: list[bytes], embeddings: NDArray[np.float32]) -> None:
        self.keys += keys
        self.rows.append(embeddings)
        if len(self.keys) >= PART_ROWS or time.monotonic() - self.since > PART_SECONDS:
            self.flush()

    def fail(self, reasons: Mapping[bytes, str]) -> None:
        self.failures.update(reasons)

    def flush(self) -> None:
        if self.keys:
            self.store.append(self.keys, np.concatenate(self.rows))
            self.written += len(self.keys)
        self.store.append_failures(self.failures)
        self._clear()
