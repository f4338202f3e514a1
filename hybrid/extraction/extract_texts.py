"""Embedding extraction: the texts of a catalogue → text encoder → cache."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from itertools import islice

from hybrid.cache import compact, is_worth_compacting
from hybrid.catalogue import Catalogue
from hybrid.errors import CacheError
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.shards import ShardQueue
from hybrid.extraction.text_plan import TextJob, plan_text_job
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.types import TextEmbeddingOptions, TextExtractPlan, TextExtractSummary
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Advance
from hybrid.utils.read_only import reads_only
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
    options, settings, context = (
        options or TextEmbeddingOptions(),
        settings or ExtractSettings(engine="auto"),
        context or Context(),
    )
    job = plan_text_job(catalogue, text_encoder, options, settings, context)
    seconds, loading, longer, computed = job.seconds, job.seconds, 0, 0
    if job.todo:
        seconds, loading, longer, computed = _compute(job, options, context)
    if is_worth_compacting(job.store):
        try:
            compact(job.store)
        except CacheError as error:  # the embeddings are safe
            warnings.warn(f"{error}", stacklevel=2)
    there = job.store.has(job.keys)
    embedding = seconds - loading
    return TextExtractSummary(
        text_encoder=job.spec.name,
        fingerprint=job.store.fingerprint,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        licence=job.spec.licence,
        rows=len(catalogue),
        embedded=int(there.sum()),
        missing=job.keys.count(None),
        texts=job.texts,
        hits=job.hits,
        computed=computed,
        left=job.left,
        longer=longer,
        max_length=job.spec.max_length,
        chunks=options.chunks,
        seconds=seconds if computed else 0.0,
        rate=computed / embedding if computed and embedding > 0 else 0.0,
        peak_mib=peak_mib(),
    )


@reads_only
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
    options, settings, context = (
        options or TextEmbeddingOptions(),
        settings or ExtractSettings(engine="auto"),
        context or Context(),
    )
    job = plan_text_job(catalogue, text_encoder, options, settings, context)
    number_bytes = 2 if options.dtype == "float16" else 4
    return TextExtractPlan(
        text_encoder=job.spec.name,
        fingerprint=job.store.fingerprint,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        licence=job.spec.licence,
        rows=len(catalogue),
        missing=job.keys.count(None),
        texts=job.texts,
        hits=job.hits,
        to_compute=len(job.todo),
        left=job.left,
        seconds=_estimate(job, options) if job.todo else 0.0,
        bytes=len(job.todo) * (job.spec.dimension * number_bytes + 32),
    )


def _compute(
    job: TextJob, options: TextEmbeddingOptions, context: Context
) -> tuple[float, float, int, int]:
    """Embed the pending texts and write them: seconds, those of them to load, long texts, all texts."""
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
            ShardQueue(job.store, job.todo) as queue,
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
    return clock.spent(writer), loading, longer, writer.embedded


def _embed(
    queue: ShardQueue,
    encoder: TextEncoder,
    writer: PartWriter,
    clock: WallClock,
    advance: Advance,
    context: Context,
) -> int:
    """Embed window by window until nothing is pending; at the end wait for other processes."""
    longer, waiting = 0, False
    with until_interrupted() as interrupted:
        while queue.pending:
            for window in _windows(queue, advance):
                if interrupted():
                    raise KeyboardInterrupt
                tokens = encoder.tokenizer(list(window.values()), encoder.chunks)
                longer += int(tokens.longer.sum())
                rows = encoder.embed(tokens)
                clock.charge(writer)
                writer.add(list(window), rows, {})
                queue.renew()
                advance(len(window))
            clock.charge(writer)
            writer.flush()
            queue.release()  # else two processes could wait for each other
            advance(queue.drop_finished())
            if queue.pending:
                if not waiting:
                    context.progress.say("waiting for another process that embeds the last texts")
                waiting = True
                interrupted.wait(WAIT_SECONDS)
                clock.skip()
    return longer


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


def _estimate(job: TextJob, options: TextEmbeddingOptions) -> float:
    """Seconds to embed what is pending, measured on some of it; loading aside."""
    encoder = job.encoder or TextEncoder(job.spec, job.choice, options.chunks)
    texts = iter(job.todo.values())
    encoder(list(islice(job.todo.values(), 8)))  # the first batch is slower than all others
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < TRIAL_SECONDS:
        some = list(islice(texts, TRIAL))
        if not some:
            break
        encoder(some)
        done += len(some)
    return len(job.todo) / done * (time.perf_counter() - start)
