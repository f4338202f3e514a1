"""Cache look-up: keys of a catalogue's posters, and the stores with their embeddings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.licences import weights_licence
from hybrid.backbones.weights import fingerprint_fields, must_download
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.columns import POSTER
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.descriptions import describe_store as describe_store
from hybrid.extraction.pooling import check_pooling, read_pooled
from hybrid.extraction.poster_keys import bad_posters as bad_posters
from hybrid.extraction.poster_keys import hash_catalogue as hash_catalogue
from hybrid.extraction.poster_keys import image_files, key_sets
from hybrid.extraction.provenance import provenance_to_store
from hybrid.images.decode import BadPoster
from hybrid.types import EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.counts import agree, counted
from hybrid.utils.environment import library_versions
from hybrid.utils.options import one_or_each


def find_store(
    catalogue: Catalogue,
    select: EmbeddingSelector | None = None,
    context: Context | None = None,
    *,
    keys: Sequence[bytes | BadPoster] | None = None,
) -> EmbeddingStore:
    """The store with the embeddings of a catalogue's posters.

    Parameters
    ----------
    catalogue : Catalogue
    select : EmbeddingSelector, optional
        Which embeddings; needed where the cache has several sets of this catalogue.
    context : Context, optional
        Its cache, workers and seed (of random weights) are used.
    keys : sequence of bytes or BadPoster, optional
        As `hash_catalogue` gives them; by default the poster files are hashed.

    Raises
    ------
    ExtractionError
        If there is none, or it lacks some of the posters.
    SettingError
        If there are several; the message lists them. Or if weights are named without their backbone.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("found", n_items=60)
    >>> films = load_catalogue("found/catalogue.csv")
    >>> context = Context(cache="found/cache")
    >>> spec = get_backbone("mobilenet-075")
    >>> store = make_store("found/cache", spec, resolve_weights(spec, "random"))
    >>> keys = [key for key in hash_catalogue(films) if isinstance(key, bytes)]
    >>> store.append(keys, np.ones((len(keys), 768), dtype=np.float32))
    >>> find_store(films, EmbeddingSelector("mobilenet-075"), context).dimension
    768
    """
    select, context = select or EmbeddingSelector(), context or Context()
    cache, backbone = context.cache, select.backbone
    stores = _candidates(select, context)
    found = hash_catalogue(catalogue, context) if keys is None else keys
    wanted = image_files(catalogue, found, context).packed
    lacks = {store: int((~store.knows(wanted)).sum()) for store in stores}
    whole = [store for store in stores if wanted and not lacks[store]]
    stores = whole or [store for store in stores if lacks[store] < len(wanted)]
    if not stores:
        named = f" of backbone {backbone}" if backbone else ""
        raise ExtractionError(
            f"expected embeddings{named} for {catalogue.path} in {cache}, found none. Make them with: "
            f"hybrid extract --backbone {backbone or 'NAME'}. hybrid cache ls lists what the cache has."
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
            f"{lacks[stores[0]]:,} of {counted(len(wanted), 'different poster')} "
            f"{agree(lacks[stores[0]], '{have|has}')} no embedding in {cache} ({describe_store(stores[0])}). "
            "Go on with: hybrid extract, with the same --backbone and --weights."
        )
    return stores[0]


def find_poster_blocks(
    catalogue: Catalogue,
    select: EmbeddingSelector | Sequence[EmbeddingSelector] = (),
    context: Context | None = None,
) -> dict[str, EmbeddingStore]:
    """The stores with the embeddings of a catalogue's posters, one for each poster block.

    Parameters
    ----------
    catalogue : Catalogue
    select : EmbeddingSelector or sequence of EmbeddingSelector, default=()
        One for each block. Without any there is one block, of the embeddings that were extracted.
    context : Context, optional
        As for `find_store`.

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

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("blocks", n_items=60)
    >>> films = load_catalogue("blocks/catalogue.csv")
    >>> context = Context(cache="blocks/cache")
    >>> spec = get_backbone("mobilenet-075")
    >>> store = make_store("blocks/cache", spec, resolve_weights(spec, "random"))
    >>> keys = [key for key in hash_catalogue(films) if isinstance(key, bytes)]
    >>> store.append(keys, np.ones((len(keys), 768), dtype=np.float32))
    >>> list(find_poster_blocks(films, (), context))
    ['poster']
    """
    several = [select] if isinstance(select, EmbeddingSelector) else select or [EmbeddingSelector()]
    found: dict[str, EmbeddingStore] = {}
    for each in several:
        try:
            store = find_store(catalogue, each, context)
        except ExtractionError as error:
            raise ExtractionError(f"{error} Or leave the posters out with --blocks.") from error
        if store.fingerprint in [other.fingerprint for other in found.values()]:
            raise SettingError(
                f"expected different embeddings for each block, found twice: {describe_store(store)}."
            )
        found[_block_name(store, found)] = store
    return found


def load_embeddings(
    catalogue: Catalogue,
    select: EmbeddingSelector | None = None,
    context: Context | None = None,
    pooling: str = "mean",
) -> NDArray[np.float32]:
    """The embeddings of a catalogue's posters, as `extract_embeddings` put them into the cache.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    select : EmbeddingSelector, optional
        Which embeddings; needed where the cache has several sets of this catalogue.
    context : Context, optional
        Its cache, workers and seed (of random weights) are used.
    pooling : {"mean", "max", "first"}, default="mean"
        How the embeddings of several posters of an item become one.

    Returns
    -------
    ndarray of shape (n, d), float32
        Row by row as the items of the catalogue; NaN for an item without a usable poster.

    Raises
    ------
    ExtractionError
        If there are none, or some of the posters lack theirs.
    SettingError
        If there are several sets; the message lists them. Or if the pooling is unknown.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("loaded", n_items=60)
    >>> films = load_catalogue("loaded/catalogue.csv")
    >>> context = Context(cache="loaded/cache")
    >>> spec = get_backbone("mobilenet-075")
    >>> store = make_store("loaded/cache", spec, resolve_weights(spec, "random"))
    >>> keys = [key for key in hash_catalogue(films) if isinstance(key, bytes)]
    >>> store.append(keys, np.ones((len(keys), 768), dtype=np.float32))
    >>> embeddings = load_embeddings(films, context=context)
    >>> embeddings.shape, int(np.isnan(embeddings).all(axis=1).sum()) == 60 - len(keys)
    ((60, 768), True)
    """
    check_pooling(pooling)
    keys = hash_catalogue(catalogue, context)
    store = find_store(catalogue, select, context, keys=keys)
    return read_pooled(store, key_sets(catalogue, keys, context), pooling)


def embedding_selectors(
    backbones: Sequence[str] = (),
    weights: Sequence[str] = (),
    dtype: str | None = None,
    fingerprints: Sequence[str] = (),
) -> tuple[EmbeddingSelector, ...]:
    """One selector for each poster block, of options that can be given several times.

    Parameters
    ----------
    backbones, weights, fingerprints : sequence of str, default=()
        Each has one value for each block, one for all, or none.
    dtype : str, optional
        Of all blocks.

    Raises
    ------
    SettingError
        If two of them have different numbers of values.

    Examples
    --------
    >>> from hybrid.extraction.lookup import embedding_selectors
    >>> for select in embedding_selectors(["inception", "vgg16"], ["imagenet"]):
    ...     print(select.backbone, select.weights)
    inception imagenet
    vgg16 imagenet
    """
    said = {"--backbone": backbones, "--weights": weights, "--embeddings": fingerprints}
    count = max(1, *map(len, said.values()))
    each = [one_or_each(option, values, count) for option, values in said.items()]
    return tuple(
        EmbeddingSelector(backbone, weight, dtype, digits)
        for backbone, weight, digits in zip(*each, strict=True)
    )


def selector_problems(select: EmbeddingSelector) -> list[str]:
    """One message for each field that means nothing without another."""
    if select.weights is None or select.backbone is not None:
        return []
    return [f"--weights {select.weights}: expected --backbone with it, whose weights they are."]


def _block_name(store: EmbeddingStore, taken: Collection[str]) -> str:
    if not taken:
        return POSTER
    layer = store.stands_for.get("layer", "last")
    name = f"{POSTER}:{store.stands_for.get('architecture', '?')}"
    name += "" if layer == "last" else f"/{layer}"
    return f"{name}#{store.fingerprint[:6]}" if name in taken else name


def _candidates(select: EmbeddingSelector, context: Context) -> list[EmbeddingStore]:
    """The stores that the selector admits, whatever the catalogue."""
    if problems := selector_problems(select):
        raise SettingError("\n".join(problems))
    cache = EmbeddingCache(context.cache)
    stores = cache.stores()
    if not select.names_any and (damaged := cache.damaged()):
        raise ExtractionError(
            f"{damaged[0]} Until then it cannot be told whether they are wanted: choose with --backbone and "
            "--weights, or with --embeddings and the first digits of a fingerprint."
        )
    stores = [store for store in stores if "kind" not in store.stands_for]  # of posters
    if select.dtype:
        stores = [store for store in stores if store.dtype == select.dtype]
    if select.backbone:
        stores = _of_backbone(stores, get_backbone(select.backbone), select.weights, context.seed)
    return [store for store in stores if store.fingerprint.startswith(select.fingerprint or "")]


def _of_backbone(
    stores: list[EmbeddingStore], spec: BackboneSpec, weights: str | None, seed: int
) -> list[EmbeddingStore]:
    """The stores of a backbone: by its name, and by the digest of its weights where they are named."""
    named = [store for store in stores if store.stands_for.get("architecture") == spec.name]
    if spec.has_own_weights:
        if spec.own_file is None or not spec.own_file.is_file():
            return named
        digest = resolve_weights(spec, weights or "imagenet").digest
        same = [store for store in stores if store.stands_for.get("weights") == digest]
        return [store for store in named if store in same] or same  # whatever its name was
    stores = named
    if weights is None:
        return stores
    if weights == "imagenet" and must_download(spec):
        # Only their digest is wanted, and a store knows whose it is: nothing is downloaded.
        return [store for store in stores if store.recorded.get("kind") == "imagenet"]
    digest = resolve_weights(spec, weights, seed).digest
    return [store for store in stores if store.stands_for.get("weights") == digest]


def named_as_stored(spec: BackboneSpec, weights: Weights, context: Context) -> BackboneSpec:
    """A backbone whose file holds network and weights, under the name that the cache knows it by.

    The name is part of a fingerprint: with it, a file that was renamed, or lies elsewhere, is no other
    backbone. Any other backbone is returned as it is.
    """
    if not spec.has_own_weights:
        return spec
    stores = EmbeddingCache(context.cache).stores()
    names = [
        str(store.stands_for["architecture"])
        for store in stores
        if "kind" not in store.stands_for and store.stands_for.get("weights") == weights.digest
    ]
    return spec if not names or spec.name in names else replace(spec, name=names[0])


def make_store(
    cache: str,
    spec: BackboneSpec,
    weights: Weights,
    dtype: str = "float16",
    precision: str = "float32",
) -> EmbeddingStore:
    """The store of a backbone with these weights, created if missing.

    Parameters
    ----------
    cache : str
        Folder of the cache.
    spec : BackboneSpec
    weights : Weights
    dtype : {"float16", "float32"}, default="float16"
        Data type of the stored embeddings.
    precision : str, default="float32"
        Numeric precision that they are computed in.

    Examples
    --------
    >>> spec = get_backbone("mobilenet-075")
    >>> store = make_store("made", spec, resolve_weights(spec, "random"))
    >>> len(store), store.dimension, store.dtype
    (0, 768, 'float16')
    """
    recorded = {
        "weights": weights.description,
        "kind": weights.kind,
        "path": None if weights.path is None else str(weights.path),
        "seed": weights.seed,
        "licence": weights_licence(spec, weights),
        "versions": library_versions(),
    }
    fields = fingerprint_fields(spec, weights, dtype, precision)
    return EmbeddingCache(cache).make(fields, recorded, provenance_to_store(weights))
