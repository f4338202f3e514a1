"""Data on workers, which may die, and results that depend on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

from hybrid.cluster.connection import Cluster

TICK_SECONDS = 0.002
FETCH_SECONDS = 60.0
NOTICE_SECONDS = 0.5


class LostError(Exception):
    """A worker died with data that a result depends on."""


def send(cluster: Cluster, data: Any, workers: list[str] | None = None) -> Any:
    """Send data to a worker, one of those that are named; it is lost if that dies.

    Raises
    ------
    LostError
        If a worker died, or the scheduler is gone.
    """
    try:
        return cluster.client.scatter(data, workers=workers, hash=False)
    except (OSError, TimeoutError, CancelledError, RuntimeError, ValueError) as error:
        raise LostError(f"a worker could not be sent its rows ({error})") from error


def held(cluster: Cluster, data: Sequence[Any]) -> list[bool]:
    """Whether a worker still has each of what was sent, some time after one was found to be dead.

    Parameters
    ----------
    cluster : Cluster
    data : sequence of Future or None
        None is held by nobody.
    """
    time.sleep(NOTICE_SECONDS)  # until the scheduler has noticed all that died at once
    there = [each for each in data if each is not None and each.status == "finished"]
    try:
        found = cluster.client.who_has(there) if there else {}
    except (OSError, TimeoutError, CancelledError, RuntimeError, ValueError):
        found = {}
    return [each is not None and bool(found.get(each.key)) for each in data]


def wait_for(cluster: Cluster, future: Any) -> Any:
    """The result of a future.

    Parameters
    ----------
    cluster : Cluster
    future : Future

    Raises
    ------
    LostError
        If data that it depends on was lost with a worker, or the scheduler is gone.
    """
    from distributed import KilledWorker

    while future.status == "pending":
        if cluster.is_lost:
            raise LostError("the scheduler is gone")
        time.sleep(TICK_SECONDS)
    if future.status == "error" and not isinstance(future.exception(), KilledWorker):
        return future.result()  # raises
    if future.status != "finished":
        raise LostError(f"a worker died ({future.status})")
    try:
        return future.result(FETCH_SECONDS)
    except (OSError, TimeoutError, CancelledError) as error:
        raise LostError("a worker died with the result") from error
