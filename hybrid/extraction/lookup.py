"""Wiring: a catalogue's posters and the cache: their keys, and the store that holds their embeddings."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.catalogue import POSTER
from hybrid.errors import ExtractionError, SettingError
from hybrid.images.decode import BadPoster
from hybrid.images.hashes import hash_posters
from hybrid.types import BadRow
from hybrid.utils.environment import library_versions
from hybrid.utils.progress import Progress


def hash_catalogue(
    catalogue: Catalogue,
    cache: str = ".hybrid-cache",
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[bytes | BadPoster]:
    """The cache key of each item's poster, or why it has none; n entries.

    Files that the cache remembers, by path, size and times, are not read again.
    """
    keys: list[bytes | BadPoster] = []
    workers, progress = workers or os.cpu_count() or 1, progress or Progress()
    with progress.bar("reading posters", len(catalogue), "posters") as advance:
        for key in hash_posters(cache, catalogue.poster_paths, workers):
            keys.append(key)
            advance(1)
    for i, reason in catalogue.poster_problems.items():
        keys[i] = BadPoster(reason)
    return keys


def bad_posters(
    catalogue: Catalogue,
    keys: list[bytes | BadPoster],
    store: EmbeddingStore,
    left: Collection[bytes] = (),
) -> list[BadRow]:
    """The items that cannot be embedded, with the reason, in the order of the file.

    Images in `left` are left out: nobody has tried to embed them yet.
    """
    bad, failures = [], store.failures()
    embedded = store.has([None if isinstance(key, BadPoster) else key for key in keys])
    for i, key in enumerate(keys):
        if isinstance(key, BadPoster):
            bad.append(catalogue.bad_row(i, key.reason))
        elif not embedded[i] and key not in left:
            reason = failures.get(key, "changed or vanished while it was read; try again")
            bad.append(catalogue.bad_row(i, reason))
    return bad


def find_store(
    catalogue: Catalogue,
    *,
    cache: str = ".hybrid-cache",
    backbone: str | None = None,
    weights: str | None = None,
    dtype: str | None = None,
    embeddings: str | None = None,
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
    dtype : str, optional
        ``"float16"`` or ``"float32"``; needed where both were extracted.
    embeddings : str, optional
        The fingerprint, or its first digits, where nothing else tells two stores apart.
    seed : int
        Of random weights.

    Raises
    ------
    ExtractionError
        If there is none, or it lacks some of the posters.
    SettingError
        If there are several; the message lists them.
    """
    stores = _candidates(EmbeddingCache(cache), backbone, weights, dtype, seed)
    stores = [store for store in stores if store.fingerprint.startswith(embeddings or "")]
    found = set(hash_catalogue(catalogue, cache, workers))
    keys = [key for key in found if isinstance(key, bytes)]
    lacks = {store: int((~store.knows(keys)).sum()) for store in stores}
    whole = [store for store in stores if keys and not lacks[store]]
    stores = whole or [store for store in stores if lacks[store] < len(keys)]
    if not stores:
        named = f" of backbone {backbone}" if backbone else ""
        raise ExtractionError(
            f"expected embeddings{named} for {catalogue.path} in {cache}, found none. Make them with: "
            f"hybrid extract --backbone {backbone or 'NAME'}; or leave the posters out with --blocks. "
            "hybrid cache explain tells what the cache has, and why it is not this."
        )
    if len(stores) > 1:
        listed = "\n".join(f"  {describe_store(store)}" for store in stores)
        raise SettingError(
            f"expected one set of embeddings for {catalogue.path}, found {len(stores)}:\n{listed}\n"
            "Choose with --backbone, --weights or --dtype, or with --embeddings and the digits in brackets; "
            "each --embeddings that is given is a block of its own."
        )
    if lacks[stores[0]]:
        raise ExtractionError(
            f"{lacks[stores[0]]} of {len(keys)} different posters have no embedding in {cache} "
            f"({describe_store(stores[0])}). Go on with: hybrid extract, with the same --backbone and "
            "--weights."
        )
    return stores[0]


def find_poster_blocks(
    catalogue: Catalogue,
    *,
    cache: str = ".hybrid-cache",
    backbones: Sequence[str] = (),
    weights: Sequence[str] = (),
    dtype: str | None = None,
    embeddings: Sequence[str] = (),
    seed: int = 0,
    workers: int | None = None,
) -> dict[str, EmbeddingStore]:
    """The stores with this catalogue's embeddings, each a block.

    Parameters
    ----------
    catalogue : Catalogue
    backbones, weights, embeddings : sequence of str
        As in `find_store`, one for each block; one alone is of all, and none says nothing.
    cache, dtype, seed, workers
        As in `find_store`.

    Returns
    -------
    dict of str to EmbeddingStore
        The first is the block ``poster``. Each other is ``poster:`` and its backbone, with ``/layer`` where
        that is not the last one, and ``#`` and digits of its fingerprint where that name is taken.

    Raises
    ------
    ExtractionError
        If there is none, or one lacks some of the posters.
    SettingError
        If there are several for one block, or one for two; the message lists them.
    """
    said = {"--backbone": backbones, "--weights": weights, "--embeddings": embeddings}
    count = max(1, *map(len, said.values()))
    each = [one_or_each(option, values, count) for option, values in said.items()]
    found: dict[str, EmbeddingStore] = {}
    for backbone, weight, digits in zip(*each, strict=True):
        store = find_store(
            catalogue,
            cache=cache,
            backbone=backbone,
            weights=weight,
            dtype=dtype,
            embeddings=digits,
            seed=seed,
            workers=workers,
        )
        if store.fingerprint in [other.fingerprint for other in found.values()]:
            raise SettingError(
                f"expected different embeddings for each block, found twice: {describe_store(store)}."
            )
        found[_block_name(store, found)] = store
    return found


def one_or_each(option: str, values: Sequence[str], count: int) -> list[str | None]:
    """What was said of each of `count` blocks: one value is for all, and none leaves it open."""
    if len(values) not in (0, 1, count):
        raise SettingError(
            f"{option}: expected one, or one for each of {count} poster blocks, found {len(values)}."
        )
    return [*values] if len(values) == count else [values[0] if values else None] * count


def _block_name(store: EmbeddingStore, taken: Collection[str]) -> str:
    if not taken:
        return POSTER
    layer = store.stands_for.get("layer", "last")
    name = f"{POSTER}:{store.stands_for.get('architecture', '?')}"
    name += "" if layer == "last" else f"/{layer}"
    return f"{name}#{store.fingerprint[:6]}" if name in taken else name


def _candidates(
    cache: EmbeddingCache, backbone: str | None, weights: str | None, dtype: str | None, seed: int
) -> list[EmbeddingStore]:
    """The stores that fit what the user says."""
    spec, stores = get_backbone(backbone) if backbone else None, cache.stores()
    if dtype:
        stores = [store for store in stores if store.dtype == dtype]
    if spec and weights:
        digest = resolve_weights(spec, weights, seed).digest
        stores = [store for store in stores if store.stands_for.get("weights") == digest]
    if spec:
        return [store for store in stores if store.stands_for.get("architecture") == spec.name]
    return stores


def describe_store(store: EmbeddingStore) -> str:
    """A store in words."""
    said = store.stands_for
    size = " x ".join(str(side) for side in said.get("input_size", ())) or "?"
    layer, fit = said.get("layer", "last"), said.get("image_rules", {}).get("fit", "squash")
    return (
        f"{said.get('architecture', '?')}, weights {store.recorded.get('weights', 'unknown')}, "
        f"input {size}{'' if fit == 'squash' else f' ({fit})'}, "
        f"{'' if layer == 'last' else f'layer {layer}, '}{said.get('pooling', '?')} pooling, "
        f"computed in {said.get('precision', '?')}, {store.dtype}: {len(store)} embeddings of "
        f"{store.dimension} numbers ({store.fingerprint[:12]})"
    )


def make_store(
    cache: str,
    spec: BackboneSpec,
    weights: Weights,
    dtype: str = "float16",
    precision: str = "float32",
) -> EmbeddingStore:
    """The store of a backbone with these weights; made where there is none."""
    recorded = {
        "weights": weights.description,
        "kind": weights.kind,
        "path": None if weights.path is None else str(weights.path),
        "seed": weights.seed,
        "versions": library_versions(),
    }
    return EmbeddingCache(cache).make(fingerprint_fields(spec, weights, dtype, precision), recorded)
