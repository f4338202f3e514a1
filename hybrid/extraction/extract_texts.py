"""Embedding extraction: the texts of a catalogue → text encoder → cache."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import compress, islice
from typing import NamedTuple

from hybrid.catalogue import Catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.shards import ShardQueue, rounds
from hybrid.extraction.share import lease_prefix
from hybrid.extraction.text_findings import text_findings
from hybrid.extraction.text_plan import TextJob, plan_text_job
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter, compact_afterwards
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.tokens import Tokens
from hybrid.types import TextEmbeddingOptions, TextExtractPlan, TextExtractSummary
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Advance
from hybrid.utils.read_only import plans_only
from hybrid.utils.resources import peak_mib

WINDOW = 512  # texts that are sorted by their length at once
WAIT_SECONDS = 1.0  # between two checks of what other processes have embedded
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
    job = plan_text_job(catalogue, text_encoder, options, settings, context)
    done = (
        _compute(job, options, settings, context)
        if job.todo
        else Computed(job.seconds, job.seconds, [], 0)
    )
    compact_afterwards(job.store)
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
        findings=text_findings(job.share, job, options.chunks, done.longer, done.texts),
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
    job = plan_text_job(catalogue, text_encoder, options, settings, context)
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
        findings=text_findings(job.share, job, options.chunks, longer, tried),
        shard=settings.shard_name,
        others=len(catalogue) - len(job.keys),
    )


def _defaults(
    options: TextEmbeddingOptions | None, settings: ExtractSettings | None, context: Context | None
) -> tuple[TextEmbeddingOptions, ExtractSettings, Context]:
    settings = settings or ExtractSettings(engine="auto")
    return options or TextEmbeddingOptions(), settings, context or Context()


class Computed(NamedTuple):
    """What was embedded: seconds, those of them to load; keys of long texts; number of all texts."""

    seconds: float
    loading: float
    longer: list[bytes]
    texts: int


def _compute(
    job: TextJob, options: TextEmbeddingOptions, settings: ExtractSettings, context: Context
) -> Computed:
    """Embed the pending texts and write them."""
    clock = WallClock()
    writer = PartWriter(job.store, clock, job.choice.device)
    say = context.progress.say
    try:
        clock.add(writer, job.seconds)
        say(f"embedding with {job.spec.name}, {job.choice.description}")
        encoder = job.encoder or TextEncoder(job.spec, job.choice, options.chunks)
        clock.charge(writer)
        loading = clock.spent(writer)
        with (
            ShardQueue(job.store, job.todo, lease_prefix(settings.shard)) as queue,
            context.progress.bar(
                f"embedding ({job.spec.name})",
                len(job.todo),
                "texts",
                lambda: f"{job.hits} cached, {writer.embedded} computed",
            ) as advance,
        ):
            try:
                longer = _embed(queue, encoder, writer, clock, advance, context)
            except KeyboardInterrupt:
                writer.flush()
                say(
                    f"stopped: {writer.embedded} computed; all of them are saved. Run the same command "
                    "again to continue."
                )
                raise
    finally:
        writer.close()
    return Computed(clock.spent(writer), loading, longer, writer.embedded)


def _embed(
    queue: ShardQueue,
    encoder: TextEncoder,
    writer: PartWriter,
    clock: WallClock,
    advance: Advance,
    context: Context,
) -> list[bytes]:
    """Embed window by window until nothing is pending; at the end wait for other processes.

    Returns
    -------
    list of bytes
        Keys of the texts that are longer than the encoder reads at once.
    """
    longer: list[bytes] = []
    progress = context.progress
    with until_interrupted() as interrupted:
        for _ in rounds([queue], "texts", advance, clock, interrupted, progress, WAIT_SECONDS):
            with closing(_tokenised(_windows(queue, advance), encoder)) as windows:
                for keys, tokens in windows:
                    if interrupted():
                        raise KeyboardInterrupt
                    longer += compress(keys, tokens.longer.tolist())
                    rows = encoder.embed(tokens)
                    clock.charge(writer)
                    writer.add(keys, rows, {})
                    queue.renew()
                    advance(len(keys))
            clock.charge(writer)
            writer.flush()
    return longer


def _tokenised(
    windows: Iterable[dict[bytes, str]], encoder: TextEncoder
) -> Generator[tuple[list[bytes], Tokens], None, None]:
    """Tokenise each window in a thread, while the one before it is computed."""
    under_way: deque[tuple[list[bytes], Future[Tokens]]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for window in windows:
            tokens = pool.submit(encoder.tokenizer, list(window.values()), encoder.chunks)
            under_way.append((list(window), tokens))
            if len(under_way) > 1:
                keys, first = under_way.popleft()
                yield keys, first.result()
        for keys, last in under_way:
            yield keys, last.result()


def _windows(queue: ShardQueue, advance: Advance) -> Iterator[dict[bytes, str]]:
    """Claim shards until a window is full: key → text."""
    window: dict[bytes, str] = {}
    for text, key in _claimed(queue, advance):
        window[key] = text
        if len(window) == WINDOW:
            yield window
            window = {}
    if window:
        yield window


def _claimed(queue: ShardQueue, advance: Advance) -> Iterator[tuple[str, bytes]]:
    for shard in sorted(queue.pending):
        texts, finished = queue.claim(shard)
        advance(finished)
        for key, text in texts.items():
            yield text, key


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
