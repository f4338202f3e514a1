"""Atomic replacement of a run folder: a lock, the exchange of names, recovery of what a kill left."""

from __future__ import annotations

import functools
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hybrid.errors import RunError
from hybrid.runs.own_files import keep_other_files
from hybrid.runs.study_files import list_studies
from hybrid.utils.files import exchange, locked, remove_tree, sync, sync_tree
from hybrid.utils.interrupt import undisturbed
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import nearest_folder, write_problem

NEW, OLD = (
    "tmp",
    "old",
)  # suffixes of folders beside the run: not yet, and no longer, under its name
_LEFT = re.compile(rf"\.(?P<run>.+)\.(?P<mark>[0-9a-f]{{32}})\.(?P<kind>{NEW}|{OLD})", re.DOTALL)
_held: dict[str, tuple[int, int]] = {}  # folder → process and thread that hold it

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a run in a ``with`` block.

    One thread can hold a run several times. The lock ends with the process.

    Raises
    ------
    RunError
        If another process or thread writes the run, or its folder cannot be made.

    Examples
    --------
    >>> with hold_run(Path("runs/svm")):
    ...     sorted(path.name for path in Path("runs").iterdir())
    ['.svm.lock']
    """
    key, holder = str(folder.resolve()), (os.getpid(), threading.get_ident())
    if _held.get(key) == holder:
        yield
        return
    made = not folder.parent.exists()
    with ExitStack() as stack:
        try:
            if reason := write_problem(nearest_folder(folder.parent)):
                raise RunError(
                    f"cannot write the run {folder}: {reason}. Make room there, or see to your rights."
                )
            if made:
                folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder.with_name(f".{folder.name}.lock")))
        except BlockingIOError:
            raise RunError(
                f"{folder}: expected no other process to write this run, found one (a fit or a study). "
                "Wait for it; a fit can also choose another --name."
            ) from None
        except OSError as error:
            raise RunError(describe_refusal(f"the run {folder}", error)) from error
        _held[key] = holder
        stack.callback(_held.pop, key)
        yield
    if made:
        with suppress(OSError):  # not empty: the run is there
            folder.parent.rmdir()


def holding_run(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a fit: from its start, no other process writes the run of its argument `experiment`.

    Studies of the run that it replaces belong to another model and are gone; it says so.
    """

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        experiment: Any = kwargs.get("experiment", args[0] if args else None)
        folder = getattr(experiment, "folder", None)
        if not isinstance(folder, Path) or not folder.name:
            return function(*args, **kwargs)  # whose message says what is wrong
        with hold_run(folder):
            studies = list_studies(folder)
            result = function(*args, **kwargs)
        if studies and experiment is not None:
            experiment.context.progress.say(
                f"{folder}: the run is replaced, and with it go its studies ({', '.join(studies)}), which "
                "were of the old model; make them anew with hybrid study"
            )
        return result

    return call


def temporary_folder(folder: Path) -> Path:
    """Name of a folder beside a run, where the next one is written."""
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{NEW}")


def put_in_place(temporary: Path, folder: Path) -> None:
    """Give a complete folder its name, in place of the run that has it, which is removed.

    The user's own files in the run are in the new folder before.
    At each moment either the old or the new folder has the name. Where the system cannot exchange names,
    there is a moment without one, and `recover_run` finds the run again.

    Parameters
    ----------
    temporary : Path
        A name that `temporary_folder` gave.
    folder : Path

    Raises
    ------
    OSError
        If the disk refuses, or there is meanwhile something else; the old run has its name then.
    """
    sync_tree(temporary)
    if folder.is_dir() and not folder.is_symlink():
        keep_other_files(folder, temporary)
    with undisturbed():
        new = not folder.exists()
        if new:
            temporary.rename(folder)
        elif not exchange(temporary, folder):
            _move_aside(temporary, folder)
        try:
            sync(folder.parent)
        except OSError:
            _give_back(temporary, folder, new)
            raise
        remove_tree(temporary)


def _give_back(temporary: Path, folder: Path, new: bool) -> None:
    """Give the name back, if the disk allows: a fit that is told to have failed has changed nothing."""
    with suppress(OSError):
        if new:
            folder.rename(temporary)
        elif temporary.exists():
            exchange(temporary, folder)


def _move_aside(temporary: Path, folder: Path) -> None:
    old = temporary.with_suffix(f".{OLD}")
    try:
        folder.rename(old)
        temporary.rename(folder)
    finally:
        if not folder.exists() and old.exists():
            old.rename(folder)
        remove_tree(old)


def recover_run(folder: Path) -> bool:
    """Put a run back that a kill left without its name, and remove what else was left beside it.

    Returns
    -------
    bool
        Whether a run was put back.

    Raises
    ------
    RunError
        If another process writes the run.
    OSError
        If it cannot be put back.
    """
    with hold_run(folder):
        left = {(mark, kind): path for mark, kind, path in _left_beside(folder)}
        found = False
        for (mark, kind), path in left.items():
            if kind == OLD and not folder.exists():
                # The new run was complete before the old one was moved.
                left.get((mark, NEW), path).rename(folder)
                found = True
        for path in left.values():
            remove_tree(path)
    return found


def lost_runs(runs: Path) -> list[Path]:
    """Runs in a folder that a kill left without their names; see `recover_run`."""
    names = (_LEFT.fullmatch(path.name) for path in _listed(runs))
    found = {match["run"] for match in names if match and match["kind"] == OLD}
    return sorted(runs / name for name in found if not (runs / name).exists())


def _left_beside(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for path in _listed(folder.parent):
        match = _LEFT.fullmatch(path.name)
        if match and match["run"] == folder.name:
            yield match["mark"], match["kind"], path


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
