"""Embedding extraction: the posters of a catalogue → backbones → cache."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

from hybrid.backbones import BackboneSpec
from hybrid.backbones.devices import has_gpu
from hybrid.catalogue import Catalogue
from hybrid.extraction.decoding import Decoders
from hybrid.extraction.decoding_processes import make_decoders
from hybrid.extraction.lookup import bad_posters
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.extraction.plan import ExtractSettings, Job, Keys, load_target, plan_jobs
from hybrid.extraction.poster_keys import embedded_sets, key_sets
from hybrid.extraction.shards import ShardQueue, claim_shards, rounds
from hybrid.extraction.share import lease_prefix
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter, compact_afterwards
from hybrid.types import EmbeddingOptions, ExtractPlan, ExtractSummary
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Advance, Progress
from hybrid.utils.read_only import plans_only
from hybrid.utils.resources import peak_mib

WAIT_SECONDS = 1.0  # between two checks of what other processes have embedded
TRIAL_SECONDS = 5.0  # of the measurement that a dry run estimates from


def extract_embeddings(
    catalogue: Catalogue,
    backbone: str | BackboneSpec,
    *,
    weights: str = "imagenet",
    options: EmbeddingOptions | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> ExtractSummary:
    """Embed the posters of a catalogue with one backbone; embeddings in the cache are not computed again.

    Parameters
    ----------
    catalogue : Catalogue
    backbone : str or BackboneSpec
        Name of a backbone, or an ONNX file; or what is known of one.
    weights : str, default="imagenet"
        ``"imagenet"``, ``"random"``, a weights file, or the folder of a run that trained the backbone.
    options : EmbeddingOptions, optional
        What else changes an embedding: layer, pooling, input size, fit, precision, dtype.
    settings : ExtractSettings, optional
        Engine, batch size, limit, whether to retry images that could not be decoded.
    context : Context, optional
        Cache, workers, seed (of random weights) and progress.

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
    KeyboardInterrupt
        After Ctrl-C, when the batches under way are embedded and written.

    Examples
    --------
    >>> from hybrid import extract_embeddings, load_catalogue
    >>> films = load_catalogue("catalogue.csv")  # doctest: +SKIP
    >>> extract_embeddings(films, "mobilenet-075").embedded  # doctest: +SKIP
    594
    """
    (summary,) = extract_backbones(
        catalogue,
        [backbone],
        weights=[weights],
        options=options,
        settings=settings,
        context=context,
    )
    return summary


@limited_by_context
def extract_backbones(
    catalogue: Catalogue,
    backbones: Sequence[str | BackboneSpec],
    *,
    weights: Sequence[str] = ("imagenet",),
    options: EmbeddingOptions | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> tuple[ExtractSummary, ...]:
    """Embed the posters of a catalogue with several backbones; each file is decoded once for all.

    As `extract_embeddings`, but `weights` has one entry for all backbones or one for each. Seconds and rate
    in the summaries are each backbone's own, as its embeddings cost; peak memory is that of the whole call.
    """
    options, settings, context = _defaults(options, settings, context)
    share, jobs, keys = plan_jobs(catalogue, backbones, weights, options, settings, context)
    busy = [job for job in jobs if job.todo]
    work = _compute(busy, settings, context) if busy else {}
    for job in jobs:
        compact_afterwards(job.store)
    others = len(catalogue) - len(share)
    summaries = (
        _summary(share, keys, job, work.get(job.store.fingerprint, _Work()), context)
        for job in jobs
    )
    return tuple(replace(each, shard=settings.shard_name, others=others) for each in summaries)


@plans_only
@limited_by_context
def plan_extraction(
    catalogue: Catalogue,
    backbones: Sequence[str | BackboneSpec],
    *,
    weights: Sequence[str] = ("imagenet",),
    options: EmbeddingOptions | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> tuple[ExtractPlan, ...]:
    """Estimate what `extract_backbones` would compute, its time and its disk space.

    Some of the posters are embedded for a few seconds to measure the throughput; nothing is written.
    """
    options, settings, context = _defaults(options, settings, context)
    share, jobs, _ = plan_jobs(catalogue, backbones, weights, options, settings, context)
    others = len(catalogue) - len(share)
    return tuple(replace(_plan(job, settings, context), others=others) for job in jobs)


def _defaults(
    options: EmbeddingOptions | None, settings: ExtractSettings | None, context: Context | None
) -> tuple[EmbeddingOptions, ExtractSettings, Context]:
    return options or EmbeddingOptions(), settings or ExtractSettings(), context or Context()


@dataclass(frozen=True)
class _Work:
    """What was done for one backbone: embedded images, its own seconds, and those of them to load it."""

    computed: int = 0
    seconds: float = 0.0
    loading: float = 0.0

    @property
    def rate(self) -> float:
        embedding = self.seconds - self.loading
        return self.computed / embedding if embedding > 0 else 0.0


def _summary(
    catalogue: Catalogue, keys: Keys, job: Job, work: _Work, context: Context
) -> ExtractSummary:
    bad = bad_posters(catalogue, keys, job.store, job.left, context)
    sets = embedded_sets(job.store, key_sets(catalogue, keys, context))
    return ExtractSummary(
        backbone=job.spec.name,
        fingerprint=job.store.fingerprint,
        weights=job.weights.description,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        rows=len(catalogue),
        embedded=sum(map(bool, sets)),
        images=job.images,
        hits=job.hits,
        computed=work.computed,
        left=len(job.left),
        bad=tuple(bad),
        seconds=work.seconds,
        rate=work.rate,
        peak_mib=peak_mib(),
    )


def _compute(jobs: Sequence[Job], settings: ExtractSettings, context: Context) -> dict[str, _Work]:
    """Embed the pending images of all jobs and write them, part by part: fingerprint of the store → work."""
    clock = WallClock()
    writers = [PartWriter(job.store, clock, job.choice.device) for job in jobs]
    hits, total = sum(job.hits for job in jobs), sum(len(job.todo) for job in jobs)
    names = ", ".join(job.spec.name for job in jobs)

    def note() -> str:
        embedded, failed = sum(w.embedded for w in writers), sum(w.failed for w in writers)
        return f"{hits} cached, {embedded} computed, {failed} failed"

    with ExitStack() as stack:
        # First: processes start while the network is loaded.
        decoders = stack.enter_context(closing(_decoders(jobs, context.workers)))
        for writer in writers:
            stack.callback(writer.close)
        targets = []
        for job, writer in zip(jobs, writers, strict=True):
            targets.append(load_target(job, writer, settings, context.progress))
            clock.charge(writer)
            clock.add(writer, job.seconds)
        loading = [clock.spent(writer) for writer in writers]
        only = lease_prefix(settings.shard)
        queues = [stack.enter_context(ShardQueue(job.store, job.todo, only)) for job in jobs]
        advance = stack.enter_context(
            context.progress.bar(f"embedding ({names})", total, "posters", note)
        )
        try:
            _embed(queues, targets, writers, decoders, context.progress, advance, clock)
        except KeyboardInterrupt:
            context.progress.say(
                f"stopped: {note()}; all of them are saved. Run the same command again to continue."
            )
            raise
        return {
            writer.store.fingerprint: _Work(writer.embedded, clock.spent(writer), before)
            for writer, before in zip(writers, loading, strict=True)
        }


def _embed(
    queues: Sequence[ShardQueue],
    targets: Sequence[Target],
    writers: Sequence[PartWriter],
    decoders: Decoders,
    progress: Progress,
    advance: Advance,
    clock: WallClock,
) -> None:
    """Embed shard by shard until nothing is pending; at the end wait for other processes."""
    with until_interrupted() as interrupted:
        for _ in rounds(queues, "posters", advance, clock, interrupted, progress, WAIT_SECONDS):
            pipeline = EmbeddingPipeline(decoders, advance, clock)
            try:
                for path, numbers in claim_shards(queues, advance):
                    interrupted.obey()
                    pipeline.put(path, [targets[number] for number in numbers])
                    for number in numbers:
                        queues[number].renew()
                pipeline.finish()
            finally:
                _close(pipeline, writers, clock)


def _close(pipeline: EmbeddingPipeline, writers: Sequence[PartWriter], clock: WallClock) -> None:
    """Finish and write the batches that are being computed."""
    try:
        pipeline.close()
    finally:
        clock.share(writers)
        for writer in writers:
            writer.flush()


def _decoders(jobs: Sequence[Job], workers: int) -> Decoders:
    """What decodes for these jobs: processes where a GPU computes."""
    gpu = has_gpu() and any(job.choice.engine == "keras" for job in jobs)
    return make_decoders(workers, gpu, [path for job in jobs for path in job.todo.values()])


def _plan(job: Job, settings: ExtractSettings, context: Context) -> ExtractPlan:
    seconds = len(job.todo) / _measure_rate(job, settings, context) if job.todo else 0.0
    number_bytes = 2 if job.store.dtype == "float16" else 4
    return ExtractPlan(
        backbone=job.spec.name,
        fingerprint=job.store.fingerprint,
        weights=job.weights.description,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        images=job.images,
        hits=job.hits,
        to_compute=len(job.todo),
        left=len(job.left),
        seconds=seconds,
        bytes=len(job.todo) * (job.spec.dimension * number_bytes + 32),
        shard=settings.shard_name,
    )


class _CountingWriter:
    """Counts embeddings instead of writing them."""

    def __init__(self) -> None:
        self.images = 0

    def add(self, keys: Sequence[bytes], rows: Any, failures: Mapping[bytes, str]) -> None:
        self.images += len(keys) + len(failures)


def _measure_rate(job: Job, settings: ExtractSettings, context: Context) -> float:
    """Throughput in posters a second, measured on some of the pending ones."""
    counter, paths = _CountingWriter(), cycle(job.todo.values())
    with closing(_decoders([job], context.workers)) as decoders:
        target = load_target(job, counter, settings, context.progress)
        batch = target.engine.batch_size
        pipeline = EmbeddingPipeline(decoders, lambda n: None)

        def embed(n: int) -> None:
            for path in islice(paths, n):
                pipeline.put(path, [target])
            pipeline.finish()

        try:
            embed(batch)  # the first batch is slower than all others
            counter.images, start = 0, time.perf_counter()
            while time.perf_counter() - start < TRIAL_SECONDS and counter.images < len(job.todo):
                embed(4 * batch)
            return counter.images / (time.perf_counter() - start)
        finally:
            pipeline.close()
