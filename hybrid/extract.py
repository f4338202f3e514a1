"""Wiring: posters → backbone → cache."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import compress, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.cache import DTYPES, PART_ROWS, Claims, EmbeddingStore, compact, is_worth_compacting
from hybrid.catalogue import Catalogue
from hybrid.cost import peak_mib
from hybrid.errors import CacheError, CatalogueError, SettingError
from hybrid.images import BadPoster, decode_poster, poster_key, read_poster
from hybrid.progress import Advance, Progress
from hybrid.records import ExtractSummary
from hybrid.stores import bad_posters, hash_catalogue, make_store

if TYPE_CHECKING:
    from hybrid.backbones.load import Backbone

BATCH = 32
PART_SECONDS = 30.0  # a job that is killed loses at most this much of its work
LARGE_BYTES = 2**30  # of a cache whose check takes seconds
WAIT_SECONDS = 1.0  # between two looks at what other processes have done

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
    dtype: str = "float16",
    retry_failed: bool = False,
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
    dtype : str
        ``"float16"`` or ``"float32"``: how embeddings are stored.
    retry_failed : bool
        Try again the images that could not be decoded before.
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
    _check(catalogue, workers, batch_size, dtype)
    progress, workers = progress or Progress(), workers or os.cpu_count() or 1
    spec = get_backbone(backbone)
    found = resolve_weights(spec, weights, seed)
    if found.kind == "random":
        warnings.warn(
            "random weights: these embeddings mean nothing, and nor does any model on them.",
            stacklevel=2,
        )
    store = make_store(cache, spec, found, dtype)
    keys = hash_catalogue(catalogue, cache, workers, progress)
    images = {
        key: path
        for key, path in zip(keys, catalogue.poster_paths, strict=True)
        if isinstance(key, bytes)
    }
    if store.bytes_on_disk() > LARGE_BYTES:
        progress.say("checking the hashes of the cache")
    store.prove(list(images))
    there = store.has(list(images))
    done = there if retry_failed else store.knows(list(images))
    todo = dict(compress(images.items(), (~done).tolist()))
    computed = _compute(spec, found, store, todo, workers, batch_size, progress) if todo else 0
    _tidy(store, progress)
    bad = bad_posters(catalogue, keys, store)
    return ExtractSummary(
        backbone=spec.name,
        fingerprint=store.fingerprint,
        weights=found.words,
        rows=len(catalogue),
        embedded=len(catalogue) - len(bad),
        images=len(images),
        hits=int(there.sum()),
        computed=computed,
        bad=tuple(bad),
        seconds=time.perf_counter() - start,
        peak_mib=peak_mib(),
    )


def _check(catalogue: Catalogue, workers: int | None, batch_size: int, dtype: str) -> None:
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
    if dtype not in DTYPES:
        problems.append(f"--dtype: expected {' or '.join(DTYPES)}, found {dtype!r}.")
    if problems:
        raise SettingError("\n".join(problems))


def _tidy(store: EmbeddingStore, progress: Progress) -> None:
    """Compact the store where that is worth it; what fails then is no harm to what was computed."""
    if not is_worth_compacting(store):
        return
    progress.say("putting small parts of the cache together")
    try:
        compact(store)
    except CacheError as error:
        warnings.warn(f"{error}", stacklevel=2)


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

    network, writer = load_backbone(spec, weights), _PartWriter(store)
    shares, waiting = _deal(todo), False
    with (
        Claims(store.folder) as claims,
        progress.bar(f"embedding ({spec.name})", len(todo), "posters") as advance,
    ):
        while shares:
            decoded = _decode_ahead(
                _claimed(shares, claims, store, advance),
                spec.input_size,
                workers,
                ahead=batch_size + 2 * workers,
            )
            try:
                while batch := list(islice(decoded, batch_size)):
                    _embed(network, batch, writer)
                    claims.renew()
                    advance(len(batch))
            except KeyboardInterrupt:
                progress.say("stopping; what is computed is kept, run the command again to go on")
                raise
            finally:
                decoded.close()
                writer.flush()
            claims.release()  # else two processes could wait for each other
            _drop_done(shares, store, advance)
            if shares:
                if not waiting:
                    progress.say("waiting for another process, which embeds the last posters")
                waiting = True
                time.sleep(WAIT_SECONDS)
    return writer.written


def _deal(todo: Mapping[bytes, str]) -> dict[str, dict[bytes, str]]:
    """Deal images to 256 shares by the first byte of their keys, so that processes can share the work."""
    shares: dict[str, dict[bytes, str]] = {}
    for key, path in todo.items():
        shares.setdefault(key[:1].hex(), {})[key] = path
    return dict(sorted(shares.items()))


def _claimed(
    shares: dict[str, dict[bytes, str]], claims: Claims, store: EmbeddingStore, advance: Advance
) -> Iterator[str]:
    """Take out of `shares` those that no other process works on, and yield their posters."""
    for share in list(shares):
        if claims.take(share):
            store.refresh()  # it may have been done by another process since we looked
            images = shares.pop(share)
            done = store.has(list(images))
            advance(int(done.sum()))
            yield from compress(images.values(), (~done).tolist())


def _drop_done(
    shares: dict[str, dict[bytes, str]], store: EmbeddingStore, advance: Advance
) -> None:
    """Take out of `shares` what other processes have done meanwhile."""
    if not shares:
        return
    store.refresh()
    for share, images in list(shares.items()):
        done = store.knows(list(images))
        advance(int(done.sum()))
        shares[share] = dict(compress(images.items(), (~done).tolist()))
        if not shares[share]:
            del shares[share]


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
