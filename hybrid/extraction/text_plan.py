"""Planning an extraction of texts: the encoder, its precision, and what the cache lacks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.licences import check_licences
from hybrid.cache import DTYPES, EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import CatalogueError, SettingError
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.plan import ExtractSettings, announce_verification, check_cache
from hybrid.extraction.precision_check import TRIED, compare_precision, keep_precision
from hybrid.extraction.share import check_settled, take_share
from hybrid.extraction.texts import frame_text_keys, item_texts
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.spec import CHUNKS, TextEncoderSpec
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.environment import library_versions
from hybrid.utils.sources import Sources

SHORTEST = 3  # tokens: two special ones and one of the text


class TextJob(NamedTuple):
    """What is to be embedded with one text encoder.

    Parameters
    ----------
    spec : TextEncoderSpec
    choice : EngineChoice
    encoder : TextEncoder or None
        Where the check of the precision has loaded it.
    store : EmbeddingStore
    keys : sequence of n bytes or None
        Of each item's text.
    texts : int
        Different texts.
    hits : int
        Those that are in the store.
    todo : mapping of bytes to str
        Key → text to embed, without the encoder's prefix.
    left : int
        Texts beyond the limit.
    seconds : float
        Spent to settle the precision, which is part of what the embeddings cost.
    """

    spec: TextEncoderSpec
    choice: EngineChoice
    encoder: TextEncoder | None
    store: EmbeddingStore
    keys: Sequence[bytes | None]
    texts: int
    hits: int
    todo: Mapping[bytes, str]
    left: int
    seconds: float


def configured_encoder(
    name: str, options: TextEmbeddingOptions, *, download: bool = True
) -> TextEncoderSpec:
    """The encoder of this name with the maximum length, the prefix and the layers of the options.

    Parameters
    ----------
    name : str
    options : TextEmbeddingOptions
    download : bool, default=True
        As for `hybrid.text_encoders.registry.resolve_text_encoder`.

    Raises
    ------
    SettingError
        If an option is out of range; the message lists all.
    WeightsError
        If it cannot be found, downloaded or read.
    """
    problems = []
    if options.chunks not in CHUNKS:
        problems.append(f"--chunks: expected {' or '.join(CHUNKS)}, found {options.chunks!r}.")
    if options.dtype not in DTYPES:
        problems.append(f"--dtype: expected {' or '.join(DTYPES)}, found {options.dtype!r}.")
    if options.max_length is not None and options.max_length < SHORTEST:
        problems.append(f"--max-length: expected {SHORTEST} or more, found {options.max_length}.")
    if options.last_layers < 1:
        problems.append(f"--last-layers: expected 1 or more, found {options.last_layers}.")
    if problems:
        raise SettingError("\n".join(problems))
    spec = resolve_text_encoder(name, download=download)
    longest = spec.positions
    if longest is not None and options.max_length is not None and options.max_length > longest:
        raise SettingError(
            f"--max-length: expected at most {longest:,}, the positions of {spec.name}, found "
            f"{options.max_length:,}."
        )
    return replace(
        spec.average_layers(options.last_layers),
        max_length=options.max_length or spec.max_length,
        prefix=spec.prefix if options.prefix is None else options.prefix,
    )


def check_text_job(
    catalogue: Catalogue, name: str, options: TextEmbeddingOptions, settings: ExtractSettings
) -> TextEncoderSpec:
    """The encoder of an extraction, once all that can be checked without loading it is right.

    Raises
    ------
    CatalogueError
        If the catalogue has no text column.
    SettingError, WeightsError
        As `configured_encoder`, or if the licence is refused.
    """
    problems = settings.problems()
    if problems:
        raise SettingError("\n".join(problems))
    if not catalogue.columns.text:
        raise CatalogueError(
            f"{catalogue.path}: expected a text column, found none. Name it with --text COLUMN."
        )
    check_licences_ahead(settings.licence, (), [name])
    spec = configured_encoder(name, options)
    check_licences(settings.licence, [(spec.name, spec.licence)])
    return spec


def plan_text_job(
    catalogue: Catalogue,
    name: str,
    options: TextEmbeddingOptions,
    settings: ExtractSettings,
    context: Context,
) -> tuple[Catalogue, TextJob]:
    """Validate the parameters, settle the precision, and find what the store lacks.

    Returns
    -------
    share : Catalogue
        The n items: those of the shard, where the settings name one; else the catalogue.
    job : TextJob
    """
    spec = check_text_job(catalogue, name, options, settings)
    catalogue = take_share(catalogue, settings.shard)
    frame, columns = catalogue.frame, catalogue.columns.text
    keys = frame_text_keys(frame, columns, spec.prefix)

    def read(row: int) -> str:  # a slice: of packed columns a list of rows would copy the whole
        return item_texts(frame.iloc[row : row + 1], columns)[0]

    wanted = Sources.collect(keys, np.arange(len(keys)), read)
    start = time.perf_counter()
    choice = spec.choose_engine(settings.engine, options.precision)
    known, encoder = known_precision(spec, choice, options, context), None
    check_settled(settings.shard, known)
    if known is None:
        check_cache(context)
        some = wanted.by_key(TRIED)
        encoder = check_text_precision(spec, choice, options.chunks, some, context)
        known = encoder.engine.choice
    seconds = time.perf_counter() - start
    store = make_text_store(context.cache, spec, options, known.precision)
    announce_verification(store.bytes_on_disk(), context.progress)
    store.verify(wanted.packed)
    there = store.has(wanted.packed)
    lacks = np.flatnonzero(~there)
    todo = lacks[: settings.limit]
    if len(todo):
        check_cache(context)
    job = TextJob(
        spec,
        known,
        encoder,
        store,
        keys,
        texts=len(wanted),
        hits=int(there.sum()),
        todo=wanted.take(todo),
        left=len(lacks) - len(todo),
        seconds=seconds,
    )
    return catalogue, job


def known_precision(
    spec: TextEncoderSpec, choice: EngineChoice, options: TextEmbeddingOptions, context: Context
) -> EngineChoice | None:
    """Engine and precision, where no check of the texts is needed; else None.

    ``--precision auto`` keeps the precision of the embeddings in the cache: of two, that of more embeddings.
    """

    def fields(precision: str) -> dict[str, Any]:
        return spec.fingerprint_fields(
            chunks=options.chunks, precision=precision, dtype=options.dtype
        )

    return keep_precision(choice, options.precision, context.cache, fields)


def check_text_precision(
    spec: TextEncoderSpec,
    choice: EngineChoice,
    chunks: str,
    texts: Sequence[str],
    context: Context,
) -> TextEncoder:
    """Load the encoder in reduced precision if its embeddings agree with float32; else in float32.

    Parameters
    ----------
    spec : TextEncoderSpec
    choice : EngineChoice
        With the fast precision.
    chunks : {"first", "mean"}
    texts : sequence of str
        In random order; the first ones are compared.
    context : Context
        Its progress reports the result.
    """

    def load(precision: str) -> TextEncoder:
        return TextEncoder(spec, replace(choice, precision=precision), chunks)

    some, say = texts[:TRIED], context.progress.say
    if not some:
        return load("float32")
    say(f"checking {choice.precision} on {counted(len(some), 'text')} ({spec.name})")
    exact = load("float32")(some)  # one encoder in memory at a time
    fast = load(choice.precision)
    if compare_precision(fast(some), exact, choice.precision, context.progress):
        return fast
    del fast
    return load("float32")


def make_text_store(
    cache: str, spec: TextEncoderSpec, options: TextEmbeddingOptions, precision: str
) -> EmbeddingStore:
    """The store of a text encoder's embeddings, created if missing."""
    recorded = {
        "text_encoder": spec.name,
        "weights": spec.name,
        "kind": "file",
        "path": str(spec.place),
        "licence": spec.licence,
        "versions": library_versions(),
    }
    fields = spec.fingerprint_fields(
        chunks=options.chunks, precision=precision, dtype=options.dtype
    )
    return EmbeddingCache(cache).make(fields, recorded, spec.provenance_bytes())
