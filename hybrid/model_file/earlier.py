"""Models of earlier versions, which were pickles: they are recognised, and never read."""

from __future__ import annotations

from pathlib import Path

from hybrid.errors import RunError

# What earlier versions wrote → what the same is written as now.
PICKLES = {"model.joblib": "model.json", "model.blocks.joblib": "model.blocks.json"}


def require_files(folder: Path, *names: str) -> None:
    """Check that a run has the files of its model.

    Parameters
    ----------
    folder : Path
        The run folder.
    *names : str

    Raises
    ------
    RunError
        If one is missing; says how to convert a run of an earlier version.

    Examples
    --------
    >>> require_files(Path("runs/svm"), "model.json")
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: runs/svm: expected the model model.json, found no such file. Fit it again.
    """
    for name in names:
        if (folder / name).exists():
            continue
        old = [earlier for earlier in pickles(folder) if PICKLES[earlier] in names]
        if old:
            raise RunError(
                f"{folder}: expected the model {name}, found {old[0]}, which an earlier version of hybrid "
                "wrote. It is a pickle: to open it runs whatever code it holds. If you made the run "
                f"yourself, convert it once: hybrid convert {folder} --allow-pickle. Else fit it again."
            )
        raise RunError(f"{folder}: expected the model {name}, found no such file. Fit it again.")


def pickles(folder: Path) -> list[str]:
    """The pickles that are in a run folder.

    Examples
    --------
    >>> pickles(Path("runs/svm"))
    []
    """
    return [name for name in PICKLES if (folder / name).is_file()]
