"""Embedding extraction: the texts of a catalogue → text encoder → cache."""

from __future__ import annotations

import time
from itertools import compress, islice

from hybrid.catalogue import Catalogue
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import use_cluster
from hybrid.extraction.cluster_blocks import set_aside_error
from hybrid.extraction.embed_texts import Computed, embed_texts_here
from hybrid.extraction.plan import ExtractSettings, check_one_machine
from hybrid.extraction.share import lease_prefix
from hybrid.extraction.text_findings import text_findings
from hybrid.extraction.text_plan import TextJob, plan_text_job
from hybrid.extraction.texts_on_cluster import TextOrder, embed_texts_on_cluster
from hybrid.extraction.writer import compact_afterwards
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.types import TextEmbeddingOptions, TextExtractPlan, TextExtractSummary
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import plans_only
from hybrid.utils.resources import peak_mib

TRIAL = 512  # texts that a dry run measures the rate on, at most
TRIAL_SECONDS = 5.0


@limited_by_context
def extract_texts(
    catalogue: Catalogue,
    text_encoder: str,
    *,
    options: TextEmbeddingOptions | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> TextExtractSummary:
    """Embed the texts of a catalogue with a text encoder; embeddings in the cache are not computed again.

    The text of an item is its text columns, joined. Equal texts are embedded once.

    Parameters
    ----------
    catalogue : Catalogue
    text_encoder : str
        A folder, or a name that `hybrid.text_encoders.registry.resolve_text_encoder` knows.
    options : TextEmbeddingOptions, optional
        What else changes an embedding: chunks, maximum length, prefix, precision, dtype.
    settings : ExtractSettings, optional
        Engine (by default the fastest that is there) and limit.
    context : Context, optional
        Cache, workers and progress.

    Returns
    -------
    TextExtractSummary
        Items without a text are counted in it; they have no embedding.

    Raises
    ------
    CatalogueError
        If the catalogue has no text column.
    WeightsError, CacheError, SettingError
        If encoder, cache or a parameter are wrong.
    KeyboardInterrupt
        After Ctrl-C, when the window under way is embedded and written.

    Examples
    --------
    >>> from hybrid import extract_texts, load_catalogue
    >>> films = load_catalogue("catalogue.csv")  # doctest: +SKIP
    >>> extract_texts(films, "all-MiniLM-L6-v2").embedded  # doctest: +SKIP
    594
    """
    options, settings, context = _defaults(options, settings, context)
    with use_cluster(context) as cluster:
        share, job = plan_text_job(catalogue, text_encoder, options, settings, context)
        if not job.todo:
            done, aside = Computed(job.seconds, job.seconds, [], 0), list[SetAside]()
        elif cluster is None:
            lease = lease_prefix(settings.shard)
            done, aside = embed_texts_here(job, options.chunks, context, lease=lease), []
        else:
            order = TextOrder.of(text_encoder, options, settings, context, job)
            done, aside = embed_texts_on_cluster(cluster, job, order, context)
    compact_afterwards(job.store)
    if aside:
        raise set_aside_error(aside, "text")
    there = job.store.has(job.keys)
    embedding = done.seconds - done.loading
    return TextExtractSummary(
        text_encoder=job.spec.name,
        fingerprint=job.store.fingerprint,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        licence=job.spec.licence,
        rows=len(job.keys),
        embedded=int(there.sum()),
        missing=job.keys.count(None),
        texts=job.texts,
        hits=job.hits,
        computed=done.texts,
        left=job.left,
        longer=len(done.longer),
        max_length=job.spec.max_length,
        chunks=options.chunks,
        prefix=job.spec.prefix,
        last_layers=options.last_layers,
        seconds=done.seconds if done.texts else 0.0,
        rate=done.texts / embedding if done.texts and embedding > 0 else 0.0,
        peak_mib=peak_mib(),
        findings=text_findings(share, job, options.chunks, done.longer, done.texts),
        shard=settings.shard_name,
        others=len(catalogue) - len(job.keys),
    )


@plans_only
@limited_by_context
def plan_text_extraction(
    catalogue: Catalogue,
    text_encoder: str,
    *,
    options: TextEmbeddingOptions | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> TextExtractPlan:
    """Estimate what `extract_texts` would compute, its time and its disk space; nothing is written."""
    options, settings, context = _defaults(options, settings, context)
    share, job = plan_text_job(catalogue, text_encoder, options, settings, context)
    number_bytes = 2 if options.dtype == "float16" else 4
    tried, longer, seconds = _try(job, options) if job.todo else (0, [], 0.0)
    return TextExtractPlan(
        text_encoder=job.spec.name,
        fingerprint=job.store.fingerprint,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        licence=job.spec.licence,
        rows=len(job.keys),
        missing=job.keys.count(None),
        texts=job.texts,
        hits=job.hits,
        to_compute=len(job.todo),
        left=job.left,
        tried=tried,
        longer=len(longer),
        max_length=job.spec.max_length,
        chunks=options.chunks,
        prefix=job.spec.prefix,
        last_layers=options.last_layers,
        seconds=seconds,
        bytes=len(job.todo) * (job.spec.dimension * number_bytes + 32),
        findings=text_findings(share, job, options.chunks, longer, tried),
        shard=settings.shard_name,
        others=len(catalogue) - len(job.keys),
    )


def _defaults(
    options: TextEmbeddingOptions | None, settings: ExtractSettings | None, context: Context | None
) -> tuple[TextEmbeddingOptions, ExtractSettings, Context]:
    settings, context = settings or ExtractSettings(engine="auto"), context or Context()
    check_one_machine(settings, context)
    return options or TextEmbeddingOptions(), settings, context


def _try(job: TextJob, options: TextEmbeddingOptions) -> tuple[int, list[bytes], float]:
    """Embed some of what is pending: their number, the keys of long ones, seconds for all; loading aside."""
    encoder = job.encoder or TextEncoder(job.spec, job.choice, options.chunks)
    encoder(list(islice(job.todo.values(), 8)))  # the first batch is slower than all others
    items, longer = iter(job.todo.items()), list[bytes]()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < TRIAL_SECONDS:
        some = dict(islice(items, TRIAL))
        if not some:
            break
        tokens = encoder.tokenizer(list(some.values()), options.chunks)
        longer += compress(some, tokens.longer.tolist())
        encoder.embed(tokens)
        done += len(some)
    return done, longer, len(job.todo) / done * (time.perf_counter() - start)
