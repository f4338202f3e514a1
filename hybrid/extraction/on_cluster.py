"""Embedding the pending posters of some jobs on the workers of a cluster, which write them to the cache."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hybrid.backbones import BackboneSpec, Weights, resolve_weights
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.cache import EmbeddingCache
from hybrid.cluster.blocks import SetAside
from hybrid.cluster.connection import Cluster
from hybrid.cluster.division import divide
from hybrid.errors import WeightsError
from hybrid.extraction.cluster_blocks import BlockDone, run_blocks
from hybrid.extraction.decoding import Decoders
from hybrid.extraction.decoding_processes import DecodingProcesses, any_in_parquet
from hybrid.extraction.embed import Work, decoders_for, embed_here
from hybrid.extraction.plan import ExtractSettings, Job, choose_for
from hybrid.images.references import join_folder
from hybrid.utils.context import Context
from hybrid.utils.local_copy import absolute_location
from hybrid.utils.progress import Progress

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn


class Encoding(NamedTuple):
    """A backbone as a worker needs it.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
        Whose file has the same path on the worker, or lies where it was downloaded to.
    precision : str
    fingerprint : str
        Of the store, which the cache has.
    """

    spec: BackboneSpec
    weights: Weights
    precision: str
    fingerprint: str


@dataclass(frozen=True)
class Order:
    """What all blocks have in common.

    Parameters
    ----------
    cache : str
        Absolute path, the same on all workers.
    encodings : tuple of Encoding
    settings : ExtractSettings
        Engine and batch size.
    """

    cache: str
    encodings: tuple[Encoding, ...]
    settings: ExtractSettings


class Block(NamedTuple):
    """Posters for one worker.

    Parameters
    ----------
    number : int
    todo : tuple of dict of bytes to str
        Key → absolute path of the images to embed, for each encoding.
    """

    number: int
    todo: tuple[dict[bytes, str], ...]

    @property
    def names(self) -> list[str]:
        """The files, each once."""
        return list(dict.fromkeys(path for each in self.todo for path in each.values()))


def embed_on_cluster(
    cluster: Cluster, jobs: Sequence[Job], settings: ExtractSettings, context: Context
) -> tuple[dict[str, Work], list[SetAside]]:
    """Embed the pending images of all jobs, in blocks.

    Parameters
    ----------
    cluster : Cluster
    jobs : sequence of Job
    settings : ExtractSettings
    context : Context
        Its cache, and the posters, have the same paths on all workers.

    Returns
    -------
    work : dict of str to Work
        Fingerprint of the store → what was done; seconds are those that passed here.
    aside : list of SetAside
        Blocks that were given up.

    Raises
    ------
    ClusterError
        If the scheduler is gone, or no worker can do anything.
    KeyboardInterrupt
        When what the workers have computed is written.
    """
    done = run_blocks(
        cluster,
        partial(embed_block, _order(jobs, settings, context)),
        list(make_blocks(jobs, len(cluster.workers()))),
        [(job.store, job.todo) for job in jobs],
        ", ".join(job.spec.name for job in jobs),
        "posters",
        context.progress,
    )
    pairs = zip(jobs, done.computed, strict=True)
    return {job.store.fingerprint: Work(count, done.seconds) for job, count in pairs}, done.aside


def make_blocks(jobs: Sequence[Job], workers: int) -> Iterator[Block]:
    """Divide the images of all jobs: up to 4,096 in a block, fewer where each worker would have few blocks.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int

    Yields
    ------
    Block
        Images in the order of the catalogue, each in one block.
    """
    keys = list(dict.fromkeys(key for job in jobs for key in job.todo))
    here = Path.cwd()
    for number, some in enumerate(divide(keys, workers)):
        yield Block(
            number,
            tuple(
                {key: join_folder(here, job.todo[key]) for key in some if key in job.todo}
                for job in jobs
            ),
        )


def _order(jobs: Sequence[Job], settings: ExtractSettings, context: Context) -> Order:
    encodings = tuple(
        Encoding(
            _with_absolute_paths(job.spec),
            job.weights,
            job.choice.precision,
            job.store.fingerprint,
        )
        for job in jobs
    )
    return Order(absolute_location(context.cache), encodings, settings)


def _with_absolute_paths(spec: BackboneSpec) -> BackboneSpec:
    """The same backbone for a process in another folder."""
    if spec.onnx is not None:
        return replace(spec, onnx=replace(spec.onnx, file=spec.onnx.file.absolute()))
    if spec.tuned is not None:
        return replace(spec, tuned=replace(spec.tuned, folder=spec.tuned.folder.absolute()))
    return spec


# What a worker keeps from block to block: loading a network takes longer than many a block.
_loaded: dict[tuple[object, ...], tuple[EngineChoice, Engine]] = {}


def embed_block(order: Order, block: Block, turn: Turn) -> BlockDone:
    """Embed a block in a worker, and write it.

    Parameters
    ----------
    order : Order
    block : Block
    turn : Turn

    Returns
    -------
    BlockDone

    Raises
    ------
    CacheError
        If the worker does not see the cache, or cannot write to it.
    WeightsError
        If its weights are other ones.
    KeyboardInterrupt
        When it was told to stop, and the batches under way are written.
    """
    context = Context(order.cache, turn.threads, progress=Progress())
    cache = EmbeddingCache(order.cache)
    jobs = []
    for encoding, todo in zip(order.encodings, block.todo, strict=True):
        store = cache.find(encoding.fingerprint, only_append=True)
        choice, engine = _load(encoding, order)
        job = Job(encoding.spec, encoding.weights, choice, engine, store, 0, 0, todo, frozenset())
        jobs.append(job)
    lease = uuid.uuid4().hex  # of this block alone: the scheduler says who does what
    busy = [job for job in jobs if job.todo]
    signals, decoders = nullcontext(turn.interrupts), _kept_decoders(order, block, busy, context)
    embed_here(busy, order.settings, context, lease=lease, interrupts=signals, decoders=decoders)
    return BlockDone(len(block.names))


# What else it keeps: processes take seconds to start.
_processes: dict[tuple[object, ...], DecodingProcesses] = {}


@contextmanager
def _kept_decoders(
    order: Order, block: Block, jobs: Sequence[Job], context: Context
) -> Iterator[Decoders]:
    """What decodes a block; processes are kept for the next one, unless it is of another order."""
    key = (*(_loading(each, order.settings) for each in order.encodings), context.workers)
    kept = None if any_in_parquet(block.names) else _processes.pop(key, None)
    while _processes:
        _processes.popitem()[1].close()
    with ExitStack() as stack:
        decoders = kept or decoders_for(jobs, context.workers)
        stack.push(closing(decoders))
        yield decoders
        if isinstance(decoders, DecodingProcesses):  # and nothing has failed
            _processes[key] = decoders
            stack.pop_all()


def _load(encoding: Encoding, order: Order) -> tuple[EngineChoice, Engine]:
    """The backbone with its weights, as this worker computes it; kept until another order comes."""
    wanted = {_loading(each, order.settings) for each in order.encodings}
    for other in set(_loaded) - wanted:
        del _loaded[other]
    key = _loading(encoding, order.settings)
    if key not in _loaded:
        settings, spec = order.settings, encoding.spec
        weights = _own_weights(encoding)
        choice = choose_for(spec, settings.engine, encoding.precision)
        _loaded[key] = choice, load_backbone(spec, weights, choice, settings.batch_size)
    return _loaded[key]


def _loading(encoding: Encoding, settings: ExtractSettings) -> tuple[object, ...]:
    """What an engine depends on."""
    return encoding.fingerprint, encoding.precision, settings.engine, settings.batch_size


def _own_weights(encoding: Encoding) -> Weights:
    """The weights as this machine has them, which must be the same.

    Raises
    ------
    WeightsError
        If they are not there, or are others.
    """
    weights, spec = encoding.weights, encoding.spec
    own = "imagenet" if spec.has_own_weights else weights.kind
    found = resolve_weights(spec, str(weights.path) if own == "file" else own, weights.seed)
    if found.digest != weights.digest:
        raise WeightsError(
            f"expected the weights of {spec.name} with SHA-256 {weights.digest[:12]}… as where the "
            f"command runs, found {found.digest[:12]}… at {found.description}."
        )
    return found
