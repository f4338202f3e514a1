"""Embedding the pending texts of a job on the workers of a cluster, which write them to the cache."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hybrid.backbones.engine import EngineChoice
from hybrid.cache import EmbeddingCache, fingerprint_of
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster
from hybrid.cluster.division import divide
from hybrid.errors import WeightsError
from hybrid.extraction.cluster_blocks import BlockDone, run_blocks
from hybrid.extraction.embed_texts import Computed, embed_texts_here
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.text_plan import TextJob, configured_encoder
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.local_copy import absolute_location

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn


@dataclass(frozen=True)
class TextOrder:
    """What all blocks have in common: the encoder as it was named, and where its embeddings go.

    Parameters
    ----------
    name : str
        A folder with the same path on all workers, or a name that each of them has the files of.
    options : TextEmbeddingOptions
    engine : str
    precision : str
    cache : str
        Absolute path, the same on all workers.
    fingerprint : str
    """

    name: str
    options: TextEmbeddingOptions
    engine: str
    precision: str
    cache: str
    fingerprint: str

    @classmethod
    def of(
        cls,
        name: str,
        options: TextEmbeddingOptions,
        settings: ExtractSettings,
        context: Context,
        job: TextJob,
    ) -> TextOrder:
        """The order of a job, whose precision is settled."""
        return cls(
            str(Path(name).absolute()) if Path(name).exists() else name,
            options,
            settings.engine,
            job.choice.precision,
            absolute_location(context.cache),
            job.store.fingerprint,
        )


class TextBlock(NamedTuple):
    """Texts for one worker.

    Parameters
    ----------
    number : int
    todo : tuple of one dict of bytes to str
        Key → text, without the encoder's prefix.
    """

    number: int
    todo: tuple[dict[bytes, str]]

    @property
    def names(self) -> list[str]:
        """The starts of the texts."""
        return [text[:30] for text in self.todo[0].values()]


def embed_texts_on_cluster(
    cluster: Cluster, job: TextJob, order: TextOrder, context: Context
) -> tuple[Computed, list[SetAside]]:
    """Embed the pending texts of a job, in blocks.

    Parameters
    ----------
    cluster : Cluster
    job : TextJob
    order : TextOrder
    context : Context

    Returns
    -------
    computed : Computed
        Seconds are those that passed here.
    aside : list of SetAside
        Blocks that were given up.

    Raises
    ------
    ClusterError
        If the scheduler is gone, or no worker can do anything.
    KeyboardInterrupt
        When what the workers have computed is written.
    """
    parts = divide(list(job.todo), len(cluster.workers()))
    blocks = [
        TextBlock(number, ({key: job.todo[key] for key in some},))
        for number, some in enumerate(parts)
    ]
    done = run_blocks(
        cluster,
        partial(embed_text_block, order),
        blocks,
        [(job.store, job.todo)],
        job.spec.name,
        "texts",
        context.progress,
    )
    return Computed(done.seconds, 0.0, done.longer, done.computed[0]), done.aside


# What a worker keeps from block to block.
_loaded: dict[TextOrder, TextEncoder] = {}


def embed_text_block(order: TextOrder, block: TextBlock, turn: Turn) -> BlockDone:
    """Embed a block in a worker, and write it.

    Parameters
    ----------
    order : TextOrder
    block : TextBlock
    turn : Turn

    Returns
    -------
    BlockDone

    Raises
    ------
    CacheError
        If the worker does not see the cache, or cannot write to it.
    WeightsError
        If its encoder is missing, or another one.
    KeyboardInterrupt
        When it was told to stop, and the window under way is written.
    """
    store = EmbeddingCache(order.cache).find(order.fingerprint, only_append=True)
    encoder, (todo,) = _load(order), block.todo
    job = TextJob(encoder.spec, encoder.engine.choice, encoder, store, [], 0, 0, todo, 0, 0.0)
    context = Context(order.cache, turn.threads)
    lease = uuid.uuid4().hex  # of this block alone: the scheduler says who does what
    signals = nullcontext(turn.interrupts)
    done = embed_texts_here(job, order.options.chunks, context, lease=lease, interrupts=signals)
    return BlockDone(len(todo), tuple(done.longer))


def _load(order: TextOrder) -> TextEncoder:
    """The encoder, as this worker computes it; kept until another order comes."""
    if order not in _loaded:
        _loaded.clear()
        options = order.options
        spec = configured_encoder(order.name, options)
        found = fingerprint_of(
            spec.fingerprint_fields(
                chunks=options.chunks, precision=order.precision, dtype=options.dtype
            )
        )
        if found != order.fingerprint:
            raise WeightsError(
                f"expected the text encoder {spec.name} with fingerprint {order.fingerprint[:12]}… as where "
                f"the command runs, found {found[:12]}… at {spec.place}."
            )
        choice: EngineChoice = spec.choose_engine(order.engine, order.precision)
        _loaded[order] = TextEncoder(spec, choice, options.chunks)
    return _loaded[order]
