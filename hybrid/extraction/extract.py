"""Embedding extraction: the posters of a catalogue → backbones → cache."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from hybrid.backbones import BackboneSpec
from hybrid.catalogue import Catalogue
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster, use_cluster
from hybrid.extraction.cluster_blocks import set_aside_error
from hybrid.extraction.embed import Work, decoders_for, embed_here
from hybrid.extraction.lookup import bad_posters
from hybrid.extraction.on_cluster import embed_on_cluster
from hybrid.extraction.pipeline import EmbeddingPipeline
from hybrid.extraction.plan import (
    ExtractSettings,
    Job,
    Keys,
    check_one_machine,
    load_target,
    plan_jobs,
)
from hybrid.extraction.poster_keys import count_embedded
from hybrid.extraction.share import lease_prefix
from hybrid.extraction.writer import compact_afterwards
from hybrid.types import EmbeddingOptions, ExtractPlan, ExtractSummary
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import plans_only
from hybrid.utils.resources import peak_mib

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
    ClusterError
        If the cluster of the context cannot be reached, or gave up some of the posters; all others are
        embedded.
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
    with use_cluster(context) as cluster:
        share, jobs, keys = plan_jobs(catalogue, backbones, weights, options, settings, context)
        busy = [job for job in jobs if job.todo]
        work, aside = _embed(busy, settings, context, cluster)
    for job in jobs:
        compact_afterwards(job.store)
    if aside:
        raise set_aside_error(aside, "poster")
    others = len(catalogue) - len(share)
    summaries = (
        _summary(share, keys, job, work.get(job.store.fingerprint, Work()), context) for job in jobs
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
    settings, context = settings or ExtractSettings(), context or Context()
    check_one_machine(settings, context)
    return options or EmbeddingOptions(), settings, context


def _embed(
    jobs: Sequence[Job], settings: ExtractSettings, context: Context, cluster: Cluster | None
) -> tuple[dict[str, Work], list[SetAside]]:
    """Embed what is pending, here or on a cluster: the work, and blocks that were given up."""
    if not jobs:
        return {}, []
    if cluster is None:
        return embed_here(jobs, settings, context, lease=lease_prefix(settings.shard)), []
    return embed_on_cluster(cluster, jobs, settings, context)


def _summary(
    catalogue: Catalogue, keys: Keys, job: Job, work: Work, context: Context
) -> ExtractSummary:
    bad = bad_posters(catalogue, keys, job.store, job.left, context)
    return ExtractSummary(
        backbone=job.spec.name,
        fingerprint=job.store.fingerprint,
        weights=job.weights.description,
        engine=job.choice.engine,
        precision=job.choice.precision,
        device=job.choice.device,
        rows=len(catalogue),
        embedded=count_embedded(catalogue, keys, job.store, context),
        images=job.images,
        hits=job.hits,
        computed=work.computed,
        left=len(job.left),
        bad=tuple(bad),
        seconds=work.seconds,
        rate=work.rate,
        peak_mib=peak_mib(),
    )


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
    with closing(decoders_for([job], context.workers)) as decoders:
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
