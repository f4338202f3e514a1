"""What an extraction has to do: settings, checked; and for each backbone what the cache lacks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

from hybrid.backbones import BackboneSpec, Weights, configure, get_backbone, resolve_weights
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.engine_benchmark import fastest_engine
from hybrid.backbones.engines import choose_engine, load_backbone
from hybrid.cache import DTYPES, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import CatalogueError, SettingError
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.extraction.pipeline import Target
from hybrid.extraction.precision_check import settled, try_precision
from hybrid.extraction.writer import Writer
from hybrid.images.decode import BadPoster, Geometry
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

LARGE_BYTES = 2**30  # of a cache whose check takes seconds

Keys = list[bytes | BadPoster]


@dataclass(frozen=True)
class ExtractSettings:
    """How an extraction runs; nothing here changes an embedding beyond the stated tolerance.

    Parameters
    ----------
    engine : {"keras", "openvino", "auto"}, default="keras"
        What computes; see `hybrid.backbones.engines.choose_engine`.
    batch_size : int, optional
        Posters the backbone takes at once; by default what suits the engine.
    retry_failed : bool, default=False
        Try again the images that could not be decoded before.
    limit : int, optional
        Compute at most so many images for each backbone; the next call goes on.

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

    def problems(self) -> list[str]:
        """What is out of range, a message each."""
        numbers = {"batch-size": self.batch_size, "limit": self.limit}
        return [
            f"--{name}: expected 1 or more, found {value}."
            for name, value in numbers.items()
            if value is not None and value < 1
        ]


def chosen_spec(backbone: str, options: EmbeddingOptions) -> BackboneSpec:
    """The spec of a backbone with the layer, pooling, input size and fit of the options."""
    return configure(
        get_backbone(backbone),
        layer=options.layer,
        pooling=options.pooling,
        input_size=options.input_size,
        fit=options.fit,
    )


class Job(NamedTuple):
    """One backbone's part: what it is, where its embeddings go, and the images it has and lacks.

    `engine` is there if a trial has loaded it.
    """

    spec: BackboneSpec
    weights: Weights
    choice: EngineChoice
    engine: Engine | None
    store: EmbeddingStore
    images: int
    hits: int
    todo: dict[bytes, str]
    left: frozenset[bytes]


def prepare(
    catalogue: Catalogue,
    backbones: Sequence[str],
    weights: Sequence[str],
    options: EmbeddingOptions,
    settings: ExtractSettings,
    context: Context,
) -> tuple[list[Job], Keys]:
    """Check everything, hash the posters, and find out what each store lacks."""
    _check(catalogue, backbones, weights, options, settings)
    choice = choose_engine(settings.engine, options.precision)
    specs = [chosen_spec(name, options) for name in backbones]
    names = list(weights) * len(specs) if len(weights) == 1 else list(weights)
    found = [
        resolve_weights(spec, name, context.seed) for spec, name in zip(specs, names, strict=True)
    ]
    if any(each.kind == "random" for each in found):
        warnings.warn(
            "random weights: these embeddings mean nothing, and nor does any model on them.",
            stacklevel=5,
        )
    keys = hash_catalogue(catalogue, context)
    images = {
        key: path
        for key, path in zip(keys, catalogue.poster_paths, strict=True)
        if isinstance(key, bytes)
    }
    jobs = []
    in_random_order = [images[key] for key in sorted(images)]  # by hash
    for spec, each in zip(specs, found, strict=True):
        known, engine = settled(choice, options, context.cache, spec, each), None
        if known is None:
            best = _fastest(choice, spec, each, settings, context)
            engine = try_precision(best, spec, each, in_random_order, settings.batch_size, context)
            known = engine.choice
        store = make_store(context.cache, spec, each, options.dtype, known.precision)
        job = _job(spec, each, known, engine, store, images, settings, context)
        if job.todo and engine is None:
            job = job._replace(choice=_fastest(known, spec, each, settings, context))
        jobs.append(job)
    return jobs, keys


def _fastest(
    choice: EngineChoice,
    spec: BackboneSpec,
    weights: Weights,
    settings: ExtractSettings,
    context: Context,
) -> EngineChoice:
    """With ``--engine auto``, where there are two engines for the processor: the faster one."""
    if settings.engine != "auto" or choice.engine != "openvino":
        return choice
    return fastest_engine(choice, spec, weights, context.progress)


def _check(
    catalogue: Catalogue,
    backbones: Sequence[str],
    weights: Sequence[str],
    options: EmbeddingOptions,
    settings: ExtractSettings,
) -> None:
    if catalogue.columns.poster is None:
        raise CatalogueError(
            f"{catalogue.path}: expected a column 'poster' with the image files, found "
            f"{', '.join(catalogue.table.columns)}."
        )
    problems = settings.problems()
    if options.dtype not in DTYPES:
        problems.append(f"--dtype: expected {' or '.join(DTYPES)}, found {options.dtype!r}.")
    if not backbones:
        problems.append("--backbone: expected at least one, found none.")
    if len(set(backbones)) < len(backbones):
        problems.append(f"--backbone: expected each once, found {', '.join(backbones)}.")
    if len(weights) not in (1, len(backbones)):
        problems.append(
            f"--weights: expected one, or one for each of {len(backbones)} backbones, found "
            f"{len(weights)}."
        )
    if len(backbones) > 1 and options.layer != "last":
        problems.append(f"--layer: expected one backbone with it, found {len(backbones)}.")
    if problems:
        raise SettingError("\n".join(problems))


def _job(
    spec: BackboneSpec,
    weights: Weights,
    choice: EngineChoice,
    engine: Engine | None,
    store: EmbeddingStore,
    images: Mapping[bytes, str],
    settings: ExtractSettings,
    context: Context,
) -> Job:
    if store.bytes_on_disk() > LARGE_BYTES:
        context.progress.say("checking the hashes of the cache")
    store.verify(list(images))
    there = store.has(list(images))
    done = there if settings.retry_failed else store.knows(list(images))
    lacks = list(compress(images, (~done).tolist()))
    todo, left = lacks[: settings.limit], lacks[len(lacks[: settings.limit]) :]
    return Job(
        spec,
        weights,
        choice,
        engine,
        store,
        images=len(images),
        hits=int(there.sum()),
        todo={key: images[key] for key in todo},
        left=frozenset(left),
    )


def load_target(job: Job, writer: Writer, settings: ExtractSettings, progress: Progress) -> Target:
    """Load a job's backbone; say which engine computes it, in which precision."""
    progress.say(
        f"embedding with {job.spec.name}, weights {job.weights.description}, {job.choice.description}"
    )
    engine = job.engine or load_backbone(job.spec, job.weights, job.choice, settings.batch_size)
    return Target(Geometry(job.spec.input_size, job.spec.fit), engine, writer)
