"""Embedding the pending posters of some jobs in this process: shard by shard, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from itertools import chain

from hybrid.backbones.devices import has_gpu
from hybrid.extraction.decoding import Decoders
from hybrid.extraction.decoding_processes import make_decoders
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.extraction.plan import ExtractSettings, Job, load_target
from hybrid.extraction.shards import ShardQueue, claim_shards, rounds
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts, until_interrupted
from hybrid.utils.progress import Advance, Progress

WAIT_SECONDS = 1.0  # between two checks of what other processes have embedded


@dataclass(frozen=True)
class Work:
    """What was done for one backbone: embedded images, its own seconds, and those of them to load it."""

    computed: int = 0
    seconds: float = 0.0
    loading: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second, once it was loaded."""
        embedding = self.seconds - self.loading
        return self.computed / embedding if embedding > 0 else 0.0


def embed_here(
    jobs: Sequence[Job],
    settings: ExtractSettings,
    context: Context,
    *,
    lease: str = "",
    interrupts: AbstractContextManager[Interrupts] | None = None,
    decoders: AbstractContextManager[Decoders] | None = None,
) -> dict[str, Work]:
    """Embed the pending images of all jobs and write them, part by part.

    Parameters
    ----------
    jobs : sequence of Job
        A file that several of them want is decoded once.
    settings : ExtractSettings
    context : Context
    lease : str, default=""
        Of all images together; without one they are leased shard by shard.
    interrupts : context manager of Interrupts, optional
        By default the signals of this process.
    decoders : context manager of Decoders, optional
        By default those of `decoders_for`, closed at the end.

    Returns
    -------
    dict of str to Work
        Fingerprint of the store → what was done.

    Raises
    ------
    KeyboardInterrupt
        When the batches under way are embedded and written.
    """
    clock = WallClock()
    writers = [PartWriter(job.store, clock, job.choice.device) for job in jobs]
    hits, total = sum(job.hits for job in jobs), sum(len(job.todo) for job in jobs)
    names = ", ".join(job.spec.name for job in jobs)

    def note() -> str:
        embedded, failed = sum(w.embedded for w in writers), sum(w.failed for w in writers)
        return f"{hits} cached, {embedded} computed, {failed} failed"

    with ExitStack() as stack:
        # First: processes start while the network is loaded.
        decoding = stack.enter_context(decoders or closing(decoders_for(jobs, context.workers)))
        for writer in writers:
            stack.callback(writer.close)
        targets = []
        for job, writer in zip(jobs, writers, strict=True):
            targets.append(load_target(job, writer, settings, context.progress))
            clock.charge(writer)
            clock.add(writer, job.seconds)
        loading = [clock.spent(writer) for writer in writers]
        queues = [stack.enter_context(ShardQueue(job.store, job.todo, lease)) for job in jobs]
        advance = stack.enter_context(
            context.progress.bar(f"embedding ({names})", total, "posters", note)
        )
        try:
            with interrupts or until_interrupted() as interrupted:
                _embed(
                    queues,
                    targets,
                    writers,
                    decoding,
                    context.progress,
                    advance,
                    clock,
                    interrupted,
                )
        except KeyboardInterrupt:
            context.progress.say(
                f"stopped: {note()}; all of them are saved. Run the same command again to continue."
            )
            raise
        return {
            writer.store.fingerprint: Work(writer.embedded, clock.spent(writer), before)
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
    interrupted: Interrupts,
) -> None:
    """Embed shard by shard until nothing is pending; at the end wait for other processes."""
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


def decoders_for(jobs: Sequence[Job], workers: int) -> Decoders:
    """What decodes for these jobs: processes where a GPU computes.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int
        Number of threads or processes.
    """
    gpu = has_gpu() and any(job.choice.engine == "keras" for job in jobs)
    paths = chain.from_iterable(job.todo.values() for job in jobs)
    return make_decoders(workers, gpu, sum(len(job.todo) for job in jobs), paths)
