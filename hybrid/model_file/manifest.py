"""manifest.json of a run: size and SHA-256 of each file, so that a file that changed later is named.

It proves that the files are those that were written together. It does not prove by whom: whoever can change a
file can change the manifest, too.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid.errors import RunError
from hybrid.utils.reading import MANIFEST as KIND
from hybrid.utils.reading import MODEL, checked, hash_file, read_json

MANIFEST = "manifest.json"
FORMAT = 1
LATER = ("studies",)  # what is written beside a run when it is there already


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
        Names those that are not.
    UnusableFileError
        If one is no regular file.
    """
    for path in sorted(folder.glob("model.*")):
        checked(path, MODEL)
    if wrong := changed_files(folder, _is_model):
        raise RunError(
            f"{folder}: expected the files of the model that {MANIFEST} lists, found {', '.join(wrong)} "
            "missing, damaged or changed. Take the folder from a copy, or fit the run again."
        )


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
