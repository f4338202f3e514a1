"""The very files that a run was fitted on: found by their hashes, seen from the run, not from the caller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hybrid.backbones.digests import digests
from hybrid.errors import HybridError, RunError, WeightsError
from hybrid.remote.address import remote_url
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import WeightsRecord
from hybrid.splitting.split_file import read_split
from hybrid.utils.links import lies_in
from hybrid.utils.reading import CATALOGUE, hash_file

SHOWN = 12  # digits of a hash


def find_catalogue(folder: Path, record: RunRecord) -> Path:
    """Find the catalogue that a run was fitted on.

    It is searched for in the project that the run is in, at the recorded path, and in the current directory;
    a file that lies in neither, or at a URL, is not read. The first file with the recorded hash is taken.
    Where no hash was recorded, the file of this name in the project is taken.

    Parameters
    ----------
    folder : Path
        The run folder.
    record : RunRecord

    Returns
    -------
    Path

    Raises
    ------
    RunError
        If there is none with this hash. Another version of the catalogue could have other labels.

    Examples
    --------
    >>> from hybrid.runs.record import RunRecord
    >>> find_catalogue(Path("runs/svm"), RunRecord())
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: runs/svm: expected the catalogue that the run was fitted on, found none at ...
    """
    known = record.catalogue
    return _find(folder, "catalogue", "catalogue.csv", known.path, known.sha256, _hash_file)


def find_split(folder: Path, record: RunRecord) -> Path:
    """Find the split that a run was fitted on, as `find_catalogue` finds its catalogue.

    Raises
    ------
    RunError
        If there is none with the recorded hash.

    Examples
    --------
    >>> from hybrid.runs.record import RunRecord
    >>> find_split(Path("runs/svm"), RunRecord())
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: runs/svm: expected the split that the run was fitted on, found none at ...
    """
    known = record.split
    return _find(folder, "splits", "splits.csv", known.path, known.sha256, _hash_split)


def find_weights_file(folder: Path, backbone: str, recorded: WeightsRecord, *trusted: Path) -> str:
    """Find the weights file that the embeddings of a run were made with, seen from the run or where it was.

    Like a catalogue, a file that lies neither in the project that the run is in nor in the current directory
    is not read. The one with the recorded hash is taken; else any, whose hash the caller refuses.

    Parameters
    ----------
    folder : Path
        The run folder.
    backbone : str
        Its name, for the message.
    recorded : WeightsRecord
    *trusted : Path
        Folders whose files are read as well.

    Raises
    ------
    WeightsError
        If there is none.

    Examples
    --------
    >>> find_weights_file(Path("runs/svm"), "vgg16", WeightsRecord(path="net.weights.h5"))
    Traceback (most recent call last):
    ...
    hybrid.errors.WeightsError: runs/svm: expected the weights of vgg16 at net.weights.h5, found no such...
    """
    project = folder.absolute().parent.parent
    places = [folder.absolute() / recorded.relative] if recorded.relative else []
    places += [Path(recorded.path)] if recorded.path else []
    exist = [place for place in places if place.is_file()]
    there = [place for place in exist if lies_in(place, project, Path(), *trusted)]
    right = (p for p in there if len(there) < 2 or digests(p)["sha256"] == recorded.digest)
    for place in (*right, *there):
        return str(place)
    seen = "no such file"
    if exist:
        seen = f"one outside the project at {exist[0]}, which is read only where you name it"
    raise WeightsError(
        f"{folder}: expected the weights of {backbone} at {recorded.path}, found {seen}. Name it with "
        f"--weights PATH, whatever it is called: its SHA-256 is {str(recorded.digest)[:SHOWN]}…"
    )


def is_own_catalogue(path: Path, record: RunRecord) -> bool:
    """Whether a file is the catalogue that a run was fitted on; True where no hash was recorded.

    Examples
    --------
    >>> is_own_catalogue(Path("new.csv"), RunRecord())
    True
    """
    wanted = record.catalogue.sha256
    return wanted is None or _hash_file(path) == wanted


def _find(
    folder: Path,
    option: str,
    usual: str,
    recorded: str | None,
    sha256: str | None,
    hash_of: Callable[[Path], str | None],
) -> Path:
    project = folder.parent.parent
    names = [Path(recorded), Path(Path(recorded).name)] if recorded else []
    if sha256 is None:
        names = names[-1:]
    # An absolute path stays what it is when it is joined to a folder.
    places = [*(project / name for name in names), *names]
    if sha256 is not None:  # then any name will do
        places += [project / usual, Path(usual)]
    exist = [place for place in dict.fromkeys(places) if place.is_file()]
    # A run that someone else made could name any file of this machine.
    scope = (project, Path()) if sha256 is not None else (project,)
    there = [place for place in exist if lies_in(place, *scope)]
    found = next((p for p in there if sha256 is None or hash_of(p) == sha256), None)
    if found is not None:
        return found
    what = {"splits": "split"}.get(option, option)
    wanted = f" (sha256 {sha256[:SHOWN]}…)" if sha256 else ""
    seen = f"none at {recorded or 'a recorded path'}"
    if recorded and remote_url(recorded):  # of a run that someone else made it could be any
        seen = f"its URL {recorded}, which is read only where you name it"
    elif exist and not there:
        seen = f"one outside the project at {exist[0]}, which is read only where you name it"
    elif there:
        seen = f"another one at {there[0]} ({(hash_of(there[0]) or 'unreadable')[:SHOWN]}…)"
    raise RunError(
        f"{folder}: expected the {what} that the run was fitted on{wanted}, found {seen}. Name it with "
        f"--{option}, or fit the run again."
    )


def _hash_file(path: Path) -> str | None:
    try:
        return hash_file(path, CATALOGUE)
    except OSError:
        return None


def _hash_split(path: Path) -> str | None:
    try:
        return read_split(path).sha256
    except HybridError:
        return None
