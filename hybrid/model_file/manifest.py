"""manifest.json of a run: size and SHA-256 of each file, so that a file that changed later is named.

It proves that the files are those that were written together. It does not prove by whom: whoever can change a
file can change the manifest, too.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid.errors import RunError
from hybrid.utils.links import FOLLOW, lies_in
from hybrid.utils.reading import MANIFEST as KIND
from hybrid.utils.reading import (
    MODEL,
    UnusableFileError,
    checked,
    hash_file,
    read_json,
)

MANIFEST = "manifest.json"
FORMAT = 1
LATER = ("studies",)  # what is written beside a run when it is there already
# What is read of a run besides its model.
READ = frozenset(
    {
        MANIFEST,
        "run.json",
        "predictions.csv",
        "provenance.json",
        "stages.csv",
        "contributions.csv",
        *LATER,
    }
)


def write_manifest(folder: Path) -> None:
    """Write the manifest of a complete run folder.

    Parameters
    ----------
    folder : Path

    Examples
    --------
    >>> Path("runs/svm").mkdir(parents=True)
    >>> _ = Path("runs/svm/predictions.csv").write_text("id")
    >>> write_manifest(Path("runs/svm"))
    >>> changed_files(Path("runs/svm"))
    []
    >>> _ = Path("runs/svm/predictions.csv").write_text("id,split")
    >>> changed_files(Path("runs/svm"))
    ['predictions.csv']
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {
        name: {"bytes": path.stat().st_size, "sha256": hash_file(path, MODEL)}
        for name, path in names.items()
        if name != MANIFEST and name.split("/")[0] not in LATER
    }
    text = json.dumps({"format": FORMAT, "files": files}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def changed_files(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Files of a run that are not as its manifest says.

    Parameters
    ----------
    folder : Path
    wanted : callable, optional
        Whether a name is looked at; by default all are.

    Returns
    -------
    list of str
        Those that are missing or differ. None are known of a run without a manifest, as earlier versions
        wrote them.

    Raises
    ------
    RunError
        If the manifest cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return []
    files = _read(folder / MANIFEST)
    return [
        name for name, known in files.items() if wanted(name) and not _agrees(folder / name, known)
    ]


def check_model_files(folder: Path) -> None:
    """Check that the files of a model are those that were written with the run.

    Raises
    ------
    RunError
        Names those that are not, or are links that lead out of the folder.
    UnusableFileError
        If one is no regular file.
    """
    refuse_links(folder)
    for path in sorted(folder.glob("model.*")):
        try:
            checked(path, MODEL)
        except UnusableFileError:
            raise
        except OSError as error:
            raise RunError(
                f"{path}: expected a file of the model, found that it cannot be opened: "
                f"{error.strerror or error}. Mend that, take the folder from a copy, or fit the run again."
            ) from error
    if wrong := changed_files(folder, _is_model):
        raise RunError(
            f"{folder}: expected the files of the model that {MANIFEST} lists, found {', '.join(wrong)} "
            "missing, damaged or changed. Take the folder from a copy, or fit the run again."
        )


def refuse_links(folder: Path) -> None:
    """Check that no file of a run is a link to one that lies elsewhere: it could be any file of the machine.

    Links within the folder of the runs are followed; others where ``HYBRID_FOLLOW_LINKS`` is 1.

    Raises
    ------
    RunError
        Names the first that is.

    Examples
    --------
    >>> refuse_links(Path("runs/svm"))
    """
    real = Path(os.path.realpath(folder))
    own = (path for path in _entries(real) if _is_model(path.name) or path.name in READ)
    for path in (*own, *_entries(real / LATER[0])):
        # What is no regular file is refused, or left out, where it is opened.
        if path.is_symlink() and path.exists() and not lies_in(path, real.parent):
            if not (path.is_file() or path.is_dir()):
                continue
            raise RunError(
                f"{folder / path.relative_to(real)}: expected a file of the run, found a link out of "
                f"{folder.parent}. Put the file itself there, or set {FOLLOW}=1 if the link is yours."
            )


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def warn_of_changes(folder: Path) -> None:
    """Warn of files beside the model, such as run.json, that were changed since the run was written."""
    if wrong := changed_files(folder, lambda name: not _is_model(name)):
        warnings.warn(
            f"{folder}: {', '.join(wrong)} missing, damaged or changed since the run was written, as "
            f"{MANIFEST} tells. What is read is what is there.",
            stacklevel=2,
        )


def _is_model(name: str) -> bool:
    return name.startswith("model.")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = read_json(path, KIND)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"another format than {FORMAT}")
        files = data.get("files")
        if not isinstance(files, dict) or not all(map(_is_entry, files.items())):
            raise ValueError("other things than bytes and sha256 of files in the folder")
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: expected the list of the run's files, found {error}. Take the folder from a copy, or "
            "fit the run again."
        ) from error
    return files


def _is_entry(item: tuple[str, Any]) -> bool:
    name, known = item
    inside = bool(name) and not name.startswith("/") and ".." not in name.split("/")
    sound = isinstance(known, dict) and isinstance(known.get("sha256"), str)
    return inside and sound and type(known.get("bytes")) is int


def _agrees(path: Path, known: dict[str, Any]) -> bool:
    try:
        return (
            path.is_file()
            and path.stat().st_size == known["bytes"]
            and hash_file(path, MODEL) == known["sha256"]
        )
    except OSError:
        return False
