"""Reduced precision, checked on the user's own posters by the cosine with float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache
from hybrid.images.decode import BadPoster
from hybrid.images.files import load_poster
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.progress import Progress

TRIED = 64
MARGIN = 0.9995  # cosine with float32 asked of those; 0.999 is promised of every poster


def resolve_precision(
    choice: EngineChoice,
    options: EmbeddingOptions,
    cache: str,
    spec: BackboneSpec,
    weights: Weights,
) -> EngineChoice | None:
    """Engine and precision, where no check of the posters is needed; else None.

    ``--precision auto`` keeps the precision of the embeddings in the cache: of two, that of more embeddings.

    Parameters
    ----------
    choice : EngineChoice
        What `choose_engine` says for the precision in `options`.
    options : EmbeddingOptions
    cache : str
        Folder of the embedding cache.
    spec : BackboneSpec
    weights : Weights
    """

    def fields(precision: str) -> dict[str, Any]:
        return fingerprint_fields(spec, weights, options.dtype, precision)

    return keep_precision(choice, options.precision, cache, fields)


def keep_precision(
    choice: EngineChoice, asked: str, cache: str, fields: Callable[[str], dict[str, Any]]
) -> EngineChoice | None:
    """Engine and precision, where the user or the cache settles the precision; else None.

    Parameters
    ----------
    choice : EngineChoice
        What the engine would take.
    asked : str
        The value of ``--precision``.
    cache : str
        Folder of the embedding cache.
    fields : callable
        Precision → what the embeddings in it stand for.

    Examples
    --------
    >>> choice = EngineChoice("keras", "float32", "processor")
    >>> keep_precision(choice, "auto", "nowhere", lambda precision: {}) == choice
    True
    """
    if asked != "auto" or choice.precision == "float32":
        return choice
    there = EmbeddingCache(cache)
    stores = {each: there.look_up(fields(each)) for each in (choice.precision, "float32")}
    found = [(len(store), precision) for precision, store in stores.items() if store is not None]
    if not found:
        return None
    return replace(choice, precision=max(found, key=lambda pair: pair[0])[1])


def check_precision(
    choice: EngineChoice,
    spec: BackboneSpec,
    weights: Weights,
    paths: Sequence[str],
    batch_size: int | None,
    context: Context,
) -> Engine:
    """Load the engine in reduced precision if its embeddings agree with float32; else in float32.

    Parameters
    ----------
    choice : EngineChoice
        With the fast precision.
    spec : BackboneSpec
    weights : Weights
    paths : sequence of str
        Posters, in random order; the first ones that can be decoded are compared.
    batch_size : int, optional
        As for `load_backbone`.
    context : Context
        Its workers decode; its progress reports the result.
    """
    posters, progress = _decode(paths[:TRIED], spec, context.workers), context.progress

    def load(precision: str) -> Engine:
        return load_backbone(spec, weights, replace(choice, precision=precision), batch_size)

    if not len(posters):
        return load("float32")
    progress.say(f"checking {choice.precision} on {counted(len(posters), 'poster')} ({spec.name})")
    exact = load("float32")(posters)  # one engine in memory at a time
    fast = load(choice.precision)
    if compare_precision(fast(posters), exact, choice.precision, progress):
        return fast
    del fast
    return load("float32")


def compare_precision(
    fast: NDArray[np.float32], exact: NDArray[np.float32], precision: str, progress: Progress
) -> bool:
    """Whether embeddings in reduced precision agree with those in float32; it is said which are used.

    Parameters
    ----------
    fast, exact : ndarray of shape (n, d), float32
        Of the same items, 1 or more.
    precision : str
        Of the fast ones.
    progress : Progress

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.utils.progress import Progress
    >>> one = np.ones((1, 2), dtype=np.float32)
    >>> compare_precision(one, one, "bfloat16", Progress())
    True
    """
    worst = float(cosines(fast, exact).min())
    if worst >= MARGIN:
        progress.say(
            f"{precision} is used: its lowest cosine with float32 is {worst:.5f} (required: {MARGIN})"
        )
        return True
    progress.say(
        f"float32 is used: the lowest cosine of {precision} with float32 is {worst:.5f} (required: "
        f"{MARGIN}); --precision {precision} takes it anyway"
    )
    return False


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine similarity of each row of `a` with the same row of `b`.

    Parameters
    ----------
    a, b : ndarray of shape (n, d), float32

    Returns
    -------
    ndarray of shape (n,), float64
        1 where both rows are zero, 0 where one is.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.extraction.precision_check import cosines
    >>> cosines(np.float32([[1, 0], [1, 1]]), np.float32([[2, 0], [0, 0]]))
    array([1., 0.])
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = (a == b).all(axis=1).astype(np.float64)
    return np.divide((a * b).sum(axis=1), lengths, out=same, where=lengths > 0)


def _decode(paths: Sequence[str], spec: BackboneSpec, workers: int) -> NDArray[np.uint8]:
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda path: load_poster(path, spec.input_size, spec.fit), paths))
    good = [image for image in found if not isinstance(image, BadPoster)]
    return np.stack(good) if good else np.empty((0, *spec.input_size, 3), dtype=np.uint8)
