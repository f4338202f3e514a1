"""A run of an earlier version, whose model is a pickle → one that holds none. Nothing else opens a pickle."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import joblib

from hybrid.errors import RunError, SettingError
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier
from hybrid.model_file import load_model, save_model
from hybrid.model_file.earlier import PICKLES, pickles
from hybrid.model_file.manifest import MANIFEST
from hybrid.runs.folder import new_run
from hybrid.runs.own_files import other_files
from hybrid.runs.record import RunRecord
from hybrid.utils.reading import MODEL, checked

CLASSES = {"model.json": HybridClassifier, "model.blocks.json": Fusion}


def convert_run(folder: str | Path, *, allow_pickle: bool = False) -> tuple[str, ...]:
    """Write the model of a run of an earlier version as JSON and arrays.

    The run is replaced in one step; its record, predictions and studies stay as they are. The model answers
    as before, to the bit.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    allow_pickle : bool, default=False
        Run what the pickle holds. It can hold any program: allow it for your own runs alone.

    Returns
    -------
    tuple of str
        The pickles that were replaced; none where the run holds none.

    Raises
    ------
    RunError
        If the folder is no run, holds no model, or a pickle that the installed libraries cannot open.
    SettingError
        If it is not allowed.

    Examples
    --------
    >>> convert_run("runs/svm", allow_pickle=True)  # doctest: +SKIP
    ('model.joblib',)
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    record.require_model(folder)
    names = pickles(folder)
    if not names:  # also where the disk refused after the last step, and the command is run again
        return ()
    if not allow_pickle:
        raise SettingError(
            f"{folder}: {names[0]} is a pickle, and to open it runs whatever code it holds. If you made the "
            "run yourself, allow it with --allow-pickle."
        )
    warnings.warn(
        f"{folder}: {', '.join(names)} is opened, and whatever code it holds is run.", stacklevel=2
    )
    models = {PICKLES[name]: _unpickle(folder / name) for name in names}
    if "metric" in record.settings and "model.json" in models:
        models["model.json"].metric = record.settings[
            "metric"
        ]  # which earlier formats called otherwise
    with new_run(folder) as new:
        _copy_own(folder, new, {*names, MANIFEST})
        for name, model in models.items():
            save_model(model, new / name)
            load_model(new / name, CLASSES[name])  # what cannot be read does not replace anything
    return tuple(names)


def _copy_own(folder: Path, new: Path, but: set[str]) -> None:
    """Copy what hybrid wrote; what is the user's stays when the run is replaced."""
    others = {folder / path for path in other_files(folder)}

    def ignored(parent: str, names: list[str]) -> list[str]:
        left_out = but if Path(parent) == folder else set()
        return [name for name in names if name in left_out or Path(parent, name) in others]

    shutil.copytree(folder, new, ignore=ignored, symlinks=True, dirs_exist_ok=True)


def _unpickle(path: Path) -> Any:
    try:
        model = joblib.load(checked(path, MODEL))
    except Exception as error:  # it is any code
        raise RunError(
            f"{path}: expected a model that the installed libraries can open, found: {error!r}. Install the "
            "versions that run.json has under environment, or fit the run again."
        ) from error
    wanted = CLASSES[PICKLES[path.name]]
    if type(model) is not wanted:
        raise RunError(
            f"{path}: expected a {wanted.__name__}, found a {type(model).__name__}. Fit the run again."
        )
    return model
