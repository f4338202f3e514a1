"""What runs on a worker: one block at a time, with all of its threads, until it is told to stop."""

from __future__ import annotations

import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from distributed import Event, get_worker

from hybrid._version import __version__
from hybrid.errors import ClusterError
from hybrid.utils.interrupt import Interrupts

POLL_SECONDS = 1.0  # between two looks whether the command was interrupted

B = TypeVar("B")
R = TypeVar("R")

# A worker with several threads gets several blocks; each wants all threads, and the network once.
_one_at_a_time = threading.Lock()


class Turn(NamedTuple):
    """What a block may use.

    Parameters
    ----------
    threads : int
        Of the worker.
    interrupts : Interrupts
        Tell once the command was interrupted: what is done should be kept, and the block given up.
    worker : str
        Its address.
    tell : callable
        Delivers something before the end of the block.
    """

    threads: int
    interrupts: Interrupts
    worker: str
    tell: Callable[[Any], None]


class Begun(NamedTuple):
    """Delivered when a block begins."""


class Told(NamedTuple):
    """Delivered before the end of a block.

    Parameters
    ----------
    part : object
    """

    part: Any


class Failure(NamedTuple):
    """An error of a block. It is delivered as results are: Dask loses one whose traceback is long.

    Parameters
    ----------
    error : Exception
    worker : str
        Address.
    traceback : str
    """

    error: Exception
    worker: str
    traceback: str

    @classmethod
    def of(cls, error: Exception, worker: str) -> Failure:
        """With the error itself where it can be pickled, or what it says."""
        told = "".join(traceback.format_exception(error))
        # Dask would have them pickled, frame by frame.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # whatever that error's own methods raise
            error = ClusterError(f"{type(error).__name__}: {error}")
        return cls(error, worker, told)


def run_block(
    function: Callable[[B, Turn], R], block: B, run: str, number: int, version: str
) -> None:
    """Call a function on a block, and deliver what it returns, unless the run was stopped.

    Parameters
    ----------
    function : callable
    block : object
    run : str
        Name of the queue for results, and of the event that says that the command was interrupted.
    number : int
        Of the attempt, delivered with the result.
    version : str
        Of the `hybrid` that asks, which must be this one's.
    """
    worker = get_worker()
    client, key = worker._get_client(), worker.get_current_task()

    def is_stopped() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled" or event.is_set()

    with _one_at_a_time:
        event = Event(run, client=client)

        def deliver(outcome: Any) -> None:
            # The command's queue. A `Queue` would make one for each block, even if the command is gone.
            data = pickle.dumps((number, outcome))
            client.sync(client.scheduler.queue_put, name=run, data=data)

        deliver(Begun())  # it is not to blame for a death before
        try:
            turn = Turn(
                worker.state.nthreads,
                Interrupts(),
                worker.address,
                lambda part: deliver(Told(part)),
            )
            outcome: Any = _call(function, block, turn, is_stopped, version)
        except Exception as error:
            outcome = Failure.of(error, worker.address)
        except KeyboardInterrupt:
            return
        deliver(outcome)


def _call(
    function: Callable[[B, Turn], R],
    block: B,
    turn: Turn,
    is_stopped: Callable[[], bool],
    version: str,
) -> R:
    """Call the function while another thread looks whether the command was interrupted."""
    if version != __version__:
        raise ClusterError(
            f"expected hybrid {version}, as where the command runs, found {__version__}."
        )
    if is_stopped():
        raise KeyboardInterrupt
    over = threading.Event()
    threading.Thread(target=_watch, args=(is_stopped, turn.interrupts, over), daemon=True).start()
    try:
        return function(block, turn)
    finally:
        over.set()


def _watch(is_stopped: Callable[[], bool], interrupts: Interrupts, over: threading.Event) -> None:
    """Interrupt the block when it was told to stop, nobody waits for it, or that cannot be asked."""
    while not over.wait(POLL_SECONDS):
        try:
            told = is_stopped()
        except (OSError, TimeoutError, RuntimeError):  # the scheduler is gone: what is done is kept
            told = True
        if told:
            interrupts.number = signal.SIGINT
            return
