"""Execution context of a job: cache, workers, seed, progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from hybrid.errors import SettingError
from hybrid.utils.progress import Progress, current_progress, show_progress
from hybrid.utils.resources import default_workers, limit_workers

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Context:
    """Where and how a job runs: the cache, the number of workers, the seed, the progress display.

    A function that takes a context uses ``Context()`` if it gets none.

    Parameters
    ----------
    cache : str, default=".hybrid-cache"
        Folder of the embedding cache, which also remembers the hashes of the posters, or a URL (``s3://``,
        ``gs://``, ``http://``). A path is turned into a str.
    workers : int, optional
        Number of threads, 1 or more; by default the number of cores that the process may use
        (see `hybrid.utils.resources.usable_cores`).
    seed : int, default=0
        Seed of everything random: splits, cross-fitting, bootstrap, random weights.
    progress : Progress, optional
        Display of the progress on stderr; by default there is none.
    cluster : str, optional
        Dask cluster that computes, as `hybrid.cluster.address.parse_address` reads it; by default this
        process does.

    Raises
    ------
    SettingError
        If `workers` is less than 1 or `seed` is negative.

    Examples
    --------
    >>> from hybrid.utils.context import Context
    >>> context = Context(cache="embeddings", workers=2)
    >>> context.workers, context.seed, context.progress.quiet
    (2, 0, True)
    """

    cache: str = ".hybrid-cache"
    workers: int = field(default_factory=default_workers)
    seed: int = 0
    progress: Progress = field(default_factory=Progress)
    cluster: str | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.workers < 1:
            problems.append(f"--workers: expected 1 or more, found {self.workers}.")
        if self.seed < 0:
            problems.append(f"--seed: expected 0 or more, found {self.seed}.")
        if problems:
            raise SettingError("\n".join(problems))
        object.__setattr__(self, "cache", os.fspath(self.cache))


def limited_by_context(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that nothing it calls uses more threads than its context has workers.

    The progress of the context is what `hybrid.utils.progress.current_progress` then returns. The context is
    its argument ``context``, or the attribute ``context`` of its argument ``experiment``;
    without any, limit and progress that are in force stay.
    """
    parameters = signature(function)

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            given = parameters.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # whose message names the function
        context = given.get("context") or getattr(given.get("experiment"), "context", None)
        progress = current_progress() if context is None else context.progress
        workers = default_workers() if context is None else context.workers
        with limit_workers(workers), show_progress(progress):
            return function(*args, **kwargs)

    return call
