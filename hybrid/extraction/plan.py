"""Planning an extraction: settings, validated, and for each backbone what the cache lacks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hybrid.backbones import BackboneSpec, Weights, resolve_weights
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.engine_benchmark import fastest_engine
from hybrid.backbones.engines import choose_engine, choose_onnx_engine, load_backbone
from hybrid.backbones.licences import LICENCES, check_licences, weights_licence
from hybrid.cache import DTYPES, EmbeddingStore, check_takes_rows
from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError, WeightsError
from hybrid.extraction.configured_spec import configured_spec
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.lookup import hash_catalogue, make_store, named_as_stored
from hybrid.extraction.pipeline import Target
from hybrid.extraction.poster_keys import PosterKeys, image_files
from hybrid.extraction.precision_check import TRIED, check_precision, resolve_precision
from hybrid.extraction.share import Shard, check_settled, take_share
from hybrid.extraction.writer import Writer
from hybrid.images.decode import Geometry
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.progress import Progress
from hybrid.utils.read_only import is_read_only
from hybrid.utils.sources import Sources

LARGE_BYTES = 2**30  # of a cache whose check takes seconds

Keys = PosterKeys


@dataclass(frozen=True)
class ExtractSettings:
    """Options of an extraction that change no embedding beyond the stated tolerance.

    Parameters
    ----------
    engine : {"keras", "openvino", "auto"}, default="keras"
        Inference engine; see `hybrid.backbones.engines.choose_engine`.
    batch_size : int, optional
        Posters the backbone takes at once; by default what suits the engine.
    retry_failed : bool, default=False
        Retry images that could not be decoded before.
    limit : int, optional
        Maximum number of images to embed for each backbone; the next call continues.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse weights whose licence is not known to permit commercial use.
    shard : Shard, optional
        Only the items that belong to it; other processes embed those of the others.

    Examples
    --------
    >>> from hybrid.extraction.plan import ExtractSettings
    >>> ExtractSettings(batch_size=0).problems()
    ['--batch-size: expected 1 or more, found 0.']
    """

    engine: str = "keras"
    batch_size: int | None = None
    retry_failed: bool = False
    limit: int | None = None
    licence: str = "any"
    shard: Shard | None = None

    @property
    def shard_name(self) -> str | None:
        """The shard as summaries name it, such as ``"3/16"``; None without one."""
        return None if self.shard is None else str(self.shard)

    def problems(self) -> list[str]:
        """One message for each value that is out of range."""
        numbers = {"batch-size": self.batch_size, "limit": self.limit}
        unknown = f"--licence: expected {' or '.join(LICENCES)}, found {self.licence!r}."
        return (
            [
                f"--{name}: expected 1 or more, found {value}."
                for name, value in numbers.items()
                if value is not None and value < 1
            ]
            + [unknown] * (self.licence not in LICENCES)
            + (self.shard.problems() if self.shard else [])
        )


def choose_for(spec: BackboneSpec, engine: str, precision: str) -> EngineChoice:
    """The inference engine and the precision for a backbone: of an ONNX file, or one of Keras."""
    choose = choose_engine if spec.onnx is None else choose_onnx_engine
    return choose(engine, precision)


class Job(NamedTuple):
    """What is to be embedded with one backbone.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    choice : EngineChoice
    engine : Engine or None
        Where the check of the precision has loaded it.
    store : EmbeddingStore
        Where the embeddings go.
    images, hits : int
        Different images of the catalogue, and how many of them are in the store.
    todo : mapping of bytes to str
        Key → path of the images to embed.
    left : collection of bytes
        Keys of the images beyond the limit.
    seconds : float, default=0.0
        Spent to settle precision and engine, which is part of what the embeddings cost.
    """

    spec: BackboneSpec
    weights: Weights
    choice: EngineChoice
    engine: Engine | None
    store: EmbeddingStore
    images: int
    hits: int
    todo: Mapping[bytes, str]
    left: Collection[bytes]
    seconds: float = 0.0


def plan_jobs(
    catalogue: Catalogue,
    backbones: Sequence[str | BackboneSpec],
    weights: Sequence[str],
    options: EmbeddingOptions,
    settings: ExtractSettings,
    context: Context,
) -> tuple[Catalogue, list[Job], Keys]:
    """Validate the parameters, hash the posters, and find what each store lacks.

    Returns
    -------
    share : Catalogue
        The items of the shard, where the settings name one; else the catalogue.
    jobs : list of Job
        One for each backbone.
    keys : PosterKeys of length n
        Of the items of the share, see `hash_catalogue`.
    """
    _check(catalogue, backbones, weights, options, settings)
    catalogue = take_share(catalogue, settings.shard)
    names = list(weights) * len(backbones) if len(weights) == 1 else list(weights)
    check_licences_ahead(settings.licence, zip(backbones, names, strict=True), (), options)
    specs = [
        configured_spec(backbone, options, name)
        for backbone, name in zip(backbones, names, strict=True)
    ]
    resolved = _resolve(specs, names, context.seed)
    specs = [named_as_stored(*pair, context) for pair in zip(specs, resolved, strict=True)]
    pairs = zip(specs, resolved, strict=True)
    check_licences(settings.licence, ((s.name, weights_licence(s, each)) for s, each in pairs))
    if any(each.kind == "random" for each in resolved):
        warnings.warn(
            "random weights: these embeddings mean nothing, and nor does any model on them.",
            stacklevel=5,
        )
    keys = hash_catalogue(catalogue, context)
    images = image_files(catalogue, keys, context)
    jobs = [
        _plan_job(
            spec,
            each,
            choose_for(spec, settings.engine, options.precision),
            images,
            options,
            settings,
            context,
        )
        for spec, each in zip(specs, resolved, strict=True)
    ]
    return catalogue, jobs, keys


def _resolve(specs: Sequence[BackboneSpec], names: Sequence[str], seed: int) -> list[Weights]:
    """The weights of each backbone; an error names all that are wrong."""
    found, errors = list[Weights](), list[WeightsError]()
    for spec, name in zip(specs, names, strict=True):
        try:
            found.append(resolve_weights(spec, name, seed))
        except WeightsError as error:
            errors.append(error)
    if errors:
        raise WeightsError("\n".join(map(str, errors))) from errors[0]
    return found


def _plan_job(
    spec: BackboneSpec,
    weights: Weights,
    choice: EngineChoice,
    images: Sources,
    options: EmbeddingOptions,
    settings: ExtractSettings,
    context: Context,
) -> Job:
    """Settle precision and engine, make the store, and find what it lacks."""
    known, engine = resolve_precision(choice, options, context.cache, spec, weights), None
    start = time.perf_counter()
    check_settled(settings.shard, known)
    if known is None:
        check_cache(context)
        best = _fastest(choice, spec, weights, settings, context)
        some = images.by_key(TRIED)
        engine = check_precision(best, spec, weights, some, settings.batch_size, context)
        known = engine.choice
    seconds = time.perf_counter() - start
    store = make_store(context.cache, spec, weights, options.dtype, known.precision)
    announce_verification(store.bytes_on_disk(), context.progress)
    store.verify(images.packed)
    there = store.has(images.packed)
    done = there if settings.retry_failed else store.knows(images.packed)
    lacks = np.flatnonzero(~done)
    todo = lacks[: settings.limit]
    if len(todo):
        check_cache(context)
    if len(todo) and engine is None:
        known = _fastest(known, spec, weights, settings, context)
    return Job(
        spec,
        weights,
        known,
        engine,
        store,
        images=len(images),
        hits=int(there.sum()),
        todo=images.take(todo),
        left=images.take(lacks[len(todo) :]),
        seconds=seconds,
    )


def check_one_machine(settings: ExtractSettings, context: Context) -> None:
    """Check that the work is not divided in two ways, and that a plan measures the machine it is of.

    Raises
    ------
    SettingError

    Examples
    --------
    >>> check_one_machine(ExtractSettings(), Context())
    """
    if context.cluster is None:
        return
    if settings.shard is not None:
        raise SettingError(
            f"--shard: expected none with --cluster, which divides the work itself, found {settings.shard}."
        )
    if is_read_only():
        raise SettingError(
            "--dry-run: expected none with --cluster, found both: it measures this machine alone. Leave "
            "--cluster out to see what is to be computed."
        )


def check_cache(context: Context) -> None:
    """Check that embeddings can be written, before they are computed.

    Raises
    ------
    SettingError
        If the folder of the cache cannot be made or written to.

    Examples
    --------
    >>> check_cache(Context(cache="checked"))
    """
    if not is_read_only():
        check_takes_rows(context.cache)


def announce_verification(size: int, progress: Progress) -> None:
    """Say that the checksums of a store are verified, where that takes seconds.

    Parameters
    ----------
    size : int
        Of the store, in bytes.
    progress : Progress

    Examples
    --------
    >>> announce_verification(10, Progress(quiet=False))
    """
    if size > LARGE_BYTES:
        progress.say("verifying the checksums of the cache")


def _fastest(
    choice: EngineChoice,
    spec: BackboneSpec,
    weights: Weights,
    settings: ExtractSettings,
    context: Context,
) -> EngineChoice:
    """With ``--engine auto``, the faster engine where there are two for the processor."""
    if settings.engine != "auto" or choice.engine != "openvino" or spec.onnx is not None:
        return choice
    return fastest_engine(choice, spec, weights, context.progress)


def _check(
    catalogue: Catalogue,
    backbones: Sequence[str | BackboneSpec],
    weights: Sequence[str],
    options: EmbeddingOptions,
    settings: ExtractSettings,
) -> None:
    catalogue.require_posters()
    problems = settings.problems()
    if options.dtype not in DTYPES:
        problems.append(f"--dtype: expected {' or '.join(DTYPES)}, found {options.dtype!r}.")
    if not backbones:
        problems.append("--backbone: expected at least one, found none.")
    if len(set(backbones)) < len(backbones):
        problems.append(f"--backbone: expected each once, found {', '.join(map(str, backbones))}.")
    if len(weights) not in (1, len(backbones)):
        problems.append(
            f"--weights: expected one, or one for each of {counted(len(backbones), 'backbone')}, found "
            f"{len(weights)}."
        )
    if len(backbones) > 1 and options.layer != "last":
        problems.append(f"--layer: expected one backbone with it, found {len(backbones)}.")
    if problems:
        raise SettingError("\n".join(problems))


def load_target(job: Job, writer: Writer, settings: ExtractSettings, progress: Progress) -> Target:
    """Load a job's backbone; report the engine and the precision."""
    progress.say(
        f"embedding with {job.spec.name}, weights {job.weights.description}, {job.choice.description}"
    )
    engine = job.engine or load_backbone(job.spec, job.weights, job.choice, settings.batch_size)
    return Target(Geometry(job.spec.input_size, job.spec.fit), engine, writer)
