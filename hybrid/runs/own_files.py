"""Files of a run folder that hybrid writes, told by their names; all others are the user's, and are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hybrid.runs.study_files import FOLDER, KINDS
from hybrid.utils.files import TEMPORARY, sync

OWN = frozenset(
    {
        *("run.json", "manifest.json", "provenance.json", "predictions.csv", "stages.csv"),
        *("model.json", "model.npz", "model.blocks.json", "model.blocks.npz"),
        *("model.scoring.json", "model.head.weights.h5"),
        *("model.backbone.weights.h5", "model.frozen.weights.h5"),
        # Of earlier versions.
        *("model.joblib", "model.blocks.joblib", "contributions.csv"),
    }
)
OWN_STUDIES = frozenset(
    {"contributions.csv", *(f"{kind}{end}" for kind in KINDS for end in (".json", ".partial"))}
)


def other_files(folder: Path) -> Iterator[Path]:
    """Files and folders in a run folder that hybrid does not write, relative to it.

    Examples
    --------
    >>> Path("runs/svm/studies").mkdir(parents=True)
    >>> for name in ("run.json", "notes.txt", "studies/curve.json", "studies/why.md"):
    ...     Path("runs/svm", name).touch()
    >>> [path.as_posix() for path in other_files(Path("runs/svm"))]
    ['notes.txt', 'studies/why.md']
    """
    for path in sorted(folder.iterdir()):
        if path.name == FOLDER and path.is_dir() and not path.is_symlink():
            for inner in sorted(path.iterdir()):
                if inner.name not in OWN_STUDIES and not inner.name.startswith(TEMPORARY):
                    yield inner.relative_to(folder)
        elif path.name not in OWN and not path.name.startswith(TEMPORARY):
            yield path.relative_to(folder)


def keep_other_files(old: Path, new: Path) -> None:
    """Put the user's files of a run folder into the one that takes its place, too.

    Both folders have them afterwards, so that they are there whichever of both is lost.

    Parameters
    ----------
    old, new : Path
        What `new` has already stays as it is.

    Raises
    ------
    OSError
        If the disk refuses.

    Examples
    --------
    >>> Path("runs/old").mkdir(parents=True), Path("runs/new").mkdir()
    (None, None)
    >>> _ = Path("runs/old/notes.txt").write_text("mine")
    >>> keep_other_files(Path("runs/old"), Path("runs/new"))
    >>> Path("runs/new/notes.txt").read_text()
    'mine'
    """
    changed = {new}
    for path in other_files(old):
        if path.parent.name:
            (new / path.parent).mkdir(exist_ok=True)
            changed.add(new / path.parent)
        _keep(old / path, new / path)
    for folder in changed:
        sync(folder)


def _keep(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        target.mkdir(exist_ok=True)
        for path in source.iterdir():
            _keep(path, target / path.name)
        shutil.copystat(source, target)
        sync(target)
        return
    with suppress(FileExistsError):
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:  # a file system without links
            if not (source.is_symlink() or source.is_file()):
                reason = f"{source.name} in its folder is a pipe or a device, which cannot be kept"
                raise OSError(error.errno, f"{reason}; move it elsewhere") from error
            shutil.copy2(source, target, follow_symlinks=False)
            if not source.is_symlink():
                sync(target)
