"""Before a command: what killed ones left in the project, and in the folders that the arguments name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hybrid.errors import HybridError
from hybrid.utils.leftovers import remove_leftovers
from hybrid.utils.outputs import RECORDS

RUNS, STUDIES = "runs", "studies"
# Names that hybrid.runs.replacement gives; it is loaded only where there are any.
_RUN = re.compile(r"\.(?P<run>.+)\.(?:[0-9a-f]{32}\.(?:tmp|old)|(?P<lock>lock))", re.DOTALL)
LOCK_SECONDS = 60.0  # an older lock is tried: a younger one may be about to be taken


def remove_all_leftovers(arguments: Sequence[str]) -> None:
    """Recover runs that lost their names, and remove temporary files of processes that are gone.

    Parameters
    ----------
    arguments : sequence of str
        Of the command. The folders that they name, or that hold what they name, are looked at, and the
        current one; in each of them also its runs with their studies.

    Examples
    --------
    >>> remove_all_leftovers(["predict", "runs/svm", "--out=predictions.csv"])
    """
    for folder in _folders(arguments):
        for each in (folder, folder / RECORDS, folder / STUDIES, folder / RUNS):
            remove_leftovers(each)
        for runs in (folder, folder / RUNS):
            _recover_runs(runs)
        with suppress(OSError):
            for run in (folder / RUNS).iterdir():
                remove_leftovers(run / STUDIES)


def _folders(arguments: Sequence[str]) -> set[Path]:
    found = {Path()}
    for argument in arguments:
        with suppress(OSError, ValueError):
            path = Path(argument.partition("=")[2] if argument.startswith("--") else argument)
            found |= {each for each in (path, path.parent) if each.is_dir()}
    return found


def _recover_runs(folder: Path) -> None:
    for name in sorted(_left(folder)):
        from hybrid.runs.replacement import recover_run

        with suppress(HybridError, OSError):  # another process writes it, or nobody may
            recover_run(folder / name)


def _left(folder: Path) -> Iterator[str]:
    """Names of the runs of which something was left."""
    with suppress(OSError):
        for path in folder.iterdir():
            match = _RUN.fullmatch(path.name)
            if match and (not match["lock"] or _is_old_lock(path, match["run"])):
                yield match["run"]


def _is_old_lock(path: Path, run: str) -> bool:
    status = path.lstat()
    old = status.st_size == 0 and time.time() - status.st_mtime > LOCK_SECONDS
    return old and (path.parent.name == RUNS or path.with_name(run).is_dir())
