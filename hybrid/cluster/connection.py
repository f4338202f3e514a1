"""The connection to a cluster: opened once a command, made again where the scheduler was restarted."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hybrid.cluster.address import Address, parse_address
from hybrid.errors import ClusterError, MissingExtraError
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.interrupt import Interrupts
from hybrid.utils.progress import Progress

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

CONNECT_SECONDS = 30.0
AGAIN_SECONDS = 5.0  # to try it once, while a scheduler is restarted: signals are looked at between
BACK_SECONDS = 300.0  # for a scheduler that is restarted
PAUSE_SECONDS = 1.0
BLOCKS = "hybrid-blocks-"  # how the names of runs of blocks begin, on the scheduler
DEATHS = 3  # of workers under one block, which is then set aside


class Cluster:
    """A cluster that is connected to; `use_cluster` makes it.

    Parameters
    ----------
    address : Address
    client : distributed.Client
    progress : Progress
    local : LocalCluster, optional
        That of this machine, which is kept at its number of processes.

    Attributes
    ----------
    client : distributed.Client
        Another one after the scheduler was restarted.
    """

    def __init__(
        self,
        address: Address,
        client: Client,
        progress: Progress,
        local: LocalCluster | None = None,
    ) -> None:
        self.address, self.client, self.progress, self.local = address, client, progress, local

    def workers(self) -> list[str]:
        """Addresses of the workers that are there; none while the scheduler is away."""
        if self.is_lost:
            return []
        try:
            found = sorted(self.client.nthreads())
        except (OSError, TimeoutError, RuntimeError, ValueError):
            return []
        if self.local is not None and len(found) < (self.address.processes or 0):
            # Dask gives up a process that did not start again within 15 seconds.
            self.local.scale(self.address.processes)
        return found

    def described(self) -> str:
        """For the record of what a fit cost, beside the processor of the command."""
        return f", and {counted(len(self.workers()), 'worker')} of a cluster"

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler is gone, for good or to come back."""
        return self.client.status != "running"

    def reconnect(self, interrupted: Interrupts | None = None) -> None:
        """Connect to a scheduler that was restarted, unless the command is interrupted meanwhile.

        Parameters
        ----------
        interrupted : Interrupts, optional
            By default signals raise.

        Raises
        ------
        ClusterError
            If there is none within five minutes; at once, where the command had started it.
        """
        if self.address.processes is not None:  # it would come back elsewhere
            raise ClusterError(_LOST.format("that it has ended"))
        self.progress.say("the scheduler of the cluster is gone; waiting until it is back")
        _close(self.client)
        until, interrupted = time.monotonic() + BACK_SECONDS, interrupted or Interrupts()
        while time.monotonic() < until and not interrupted():
            with suppress(ClusterError):
                self.client = _connect(self.address, AGAIN_SECONDS)
                self.progress.say("the scheduler is back")
                return
            time.sleep(PAUSE_SECONDS)
        if not interrupted():
            raise ClusterError(_LOST.format("none for five minutes"))


_LOST = (
    "expected the scheduler of the cluster to answer, found {}. What was finished is kept: "
    "the same command again continues, with the cluster or without it."
)

# Dask gives each of them a level of its own.
_LOGGERS = ("distributed", "distributed.client", "distributed.gc")

_open: ContextVar[Cluster | None] = ContextVar("cluster", default=None)
_kept: ContextVar[ExitStack | None] = ContextVar("kept connections", default=None)


def current_cluster() -> Cluster | None:
    """The cluster that is connected to, for what lies below the functions that take a context; None without.

    Examples
    --------
    >>> current_cluster() is None
    True
    """
    return _open.get()


@contextmanager
def use_cluster(context: Context) -> Iterator[Cluster | None]:
    """Connect to the cluster of a context inside a ``with`` block; nested ones share the connection.

    Inside `one_connection` it stays open until the end of that.

    Parameters
    ----------
    context : Context

    Yields
    ------
    Cluster or None
        None where the context names no cluster.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    ClusterError
        If there is no scheduler, or it has another version of `hybrid`.

    Examples
    --------
    >>> with use_cluster(Context()) as cluster:
    ...     cluster is None
    True
    """
    if context.cluster is None:
        yield None
        return
    address, shared = parse_address(context.cluster), _open.get()
    if shared is not None and shared.address == address:
        yield shared
        return
    with ExitStack() as own:
        stack = _kept.get() or own
        cluster = stack.enter_context(_opened(address, context))
        token = _open.set(cluster)
        stack.callback(_open.reset, token)
        yield cluster


@contextmanager
def one_connection() -> Iterator[None]:
    """Let the first connection to a cluster inside a ``with`` block stay until its end, for all that follow.

    Examples
    --------
    >>> with one_connection():
    ...     pass
    """
    with ExitStack() as stack:
        token = _kept.set(stack)
        try:
            yield
        finally:
            _kept.reset(token)


@contextmanager
def _opened(address: Address, context: Context) -> Iterator[Cluster]:
    _check_installed()
    with ExitStack() as stack:
        stack.enter_context(_quiet_dask())
        if address.processes is None:
            cluster = Cluster(address, _connect(address, CONNECT_SECONDS), context.progress)
        else:
            local, client = stack.enter_context(_local(address.processes, context))
            cluster = Cluster(address, client, context.progress, local)
        stack.callback(lambda: _close(cluster.client))
        yield cluster


def _check_installed() -> None:
    try:
        import cryptography as cryptography
        import distributed as distributed
    except ImportError as error:
        raise MissingExtraError(
            f"--cluster: expected Dask's distributed, found that {error.name} is not installed. "
            'Install it with: pip install "hybrid-posters[cluster]"'
        ) from error


def _connect(address: Address, seconds: float) -> Client:
    from distributed import Client

    place = str(address.file or address.scheduler)
    if address.file is not None and not address.file.is_file():
        raise ClusterError(
            f"--cluster: expected the file that a scheduler wrote, found none at {place}."
        )
    options: dict[str, Any] = {"timeout": seconds, "set_as_default": False}
    try:
        if address.file is not None:
            client = Client(scheduler_file=place, **options)
        else:
            client = Client(place, **options)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"--cluster: expected a scheduler at {place}, found none within {seconds:.0f} s "
            f"({error}). Start one with: dask scheduler"
        ) from error
    client.register_plugin(_blocks_plugin())
    return client


@contextmanager
def _quiet_dask() -> Iterator[None]:
    """What goes wrong is told by hybrid; Dask would print its own lines between."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _close(client: Client) -> None:
    with suppress(OSError, TimeoutError, RuntimeError):
        client.close(timeout=PAUSE_SECONDS)


@contextmanager
def _local(processes: int, context: Context) -> Iterator[tuple[LocalCluster, Client]]:
    """Workers on this machine, which share its threads; other users lack the key to connect."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with (
        # A death is told at once, of fits as well: `BlockRun` counts, and rows are sent again.
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=0,
            threads_per_worker=max(1, context.workers // processes),
            memory_limit=0,
            dashboard_address=None,
            # Its statistics would be served to all machines, on a port that another run may have.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            security=Security.temporary(),
            silence_logs=logging.CRITICAL,
        ) as local,
        Client(local, set_as_default=False, direct_to_workers=True) as client,
    ):
        client.register_plugin(_deaf_plugin())
        client.register_plugin(_blocks_plugin())
        local.scale(processes)
        client.wait_for_workers(processes, timeout=CONNECT_SECONDS * max(1, processes))
        yield local, client


def _blocks_plugin() -> Any:
    """What the scheduler does otherwise with a block than with a task.

    Deaths are told at once: by its default, it hands a block of a dead worker on three times. And it forgets
    blocks that are done: what it notes of each for its dashboard, it would keep for as long as it runs.
    """
    from distributed import SchedulerPlugin

    class Blocks(SchedulerPlugin):
        name, idempotent = "hybrid-blocks", True

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, *rest: Any, **more: Any) -> None:
            if finish == "processing" and isinstance(key, tuple) and key[0].startswith(BLOCKS):
                task = self.scheduler.tasks[key]
                task.suspicious = self.scheduler.allowed_failures
                spans = getattr(self.scheduler.extensions.get("spans"), "spans", {})
                noted = getattr(spans.get(task.group.span_id), "_metadata", None) or {}
                noted.get("collections", []).clear()

    return Blocks()


def _deaf_plugin() -> Any:
    """Workers leave Ctrl-C to the command: a terminal sends it to all processes."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        name = "hybrid-signals"

        def setup(self, worker: Any) -> None:
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)

    return Deaf()
