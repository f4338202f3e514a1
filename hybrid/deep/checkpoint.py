"""How far a training is, and one file that holds it, so that a killed one can go on. No Keras here."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import RunError
from hybrid.utils.files import make_folder, replacing, sync

Arrays = list[NDArray[Any]]
STATE = "state.npz"
_WORDS = "words"


@dataclass
class Course:
    """How far a training is, after some epoch.

    Parameters
    ----------
    stage, epoch : int
        Of the next epoch, from 0.
    best : float
        Lowest validation loss of all stages.
    since : int
        Epochs of the stage since then.
    history : dict of str to list
        One entry an epoch: ``stage``, ``loss``, ``val_loss`` …
    best_weights : list of ndarray
        What learns in the stage, as it was then.
    variables, optimizer : list of ndarray, or of what NumPy makes one
        Everything that the next epoch starts from, the states of random generators included.
    """

    stage: int = 0
    epoch: int = 0
    best: float = float("inf")
    since: int = 0
    history: dict[str, list[Any]] = field(default_factory=dict)
    best_weights: Arrays = field(default_factory=list)
    variables: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)

    def note(self, **values: Any) -> None:
        """Add an epoch to the history."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def losses(self, stage: str) -> list[float]:
        """Validation losses of a stage so far."""
        pairs = zip(self.history.get("stage", []), self.history.get("val_loss", []), strict=True)
        return [loss for name, loss in pairs if name == stage]


_LISTS = ("best_weights", "variables", "optimizer")
_NUMBERS = ("stage", "epoch", "best", "since", "history")


class Checkpoint:
    """The file with the course of one training.

    Parameters
    ----------
    folder : Path
        Made when the first epoch is written.
    identity : dict
        What must be the same for a training to go on: options, seed, items.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))

    def write(self, course: Course) -> None:
        """Replace the file; after a power cut there is the old one or the new one."""
        make_folder(self.folder)
        words = {"identity": self.identity, **{name: getattr(course, name) for name in _NUMBERS}}
        arrays = {
            f"{name}{i:05}": a for name in _LISTS for i, a in enumerate(getattr(course, name))
        }
        try:
            with replacing(self.folder / STATE) as temporary:
                with temporary.open("wb") as file:
                    np.savez(file, **{_WORDS: np.array(json.dumps(words)), **arrays})
                sync(temporary)
        except OSError as error:
            raise RunError(
                f"{self.folder}: the epoch cannot be kept: {error.strerror or error}."
            ) from error

    def read(self) -> Course:
        """The course to go on with.

        Raises
        ------
        RunError
            If there is none, or it is that of another training; says in what they differ.
        """
        path = self.folder / STATE
        try:
            with np.load(path, allow_pickle=False) as file:
                words = json.loads(str(file[_WORDS]))
                lists = {
                    name: [file[key] for key in sorted(file.files) if key.startswith(name)]
                    for name in _LISTS
                }
        except FileNotFoundError:
            raise RunError(
                f"--resume: expected a training that was interrupted in {self.folder}, found none. "
                "Leave the option out to start one."
            ) from None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(f"{path}: expected the state of a training, found: {error}.") from error
        self._compare(words.pop("identity"))
        return Course(**{**words, **lists})

    def remove(self) -> None:
        """Delete the file and its folder; the training is done."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()

    def _compare(self, found: dict[str, Any]) -> None:
        names = sorted({*found, *self.identity})
        unlike = [name for name in names if found.get(name) != self.identity.get(name)]
        if unlike:
            listed = "; ".join(
                f"{name}: expected {found.get(name)}, found {self.identity.get(name)}"
                for name in unlike
            )
            raise RunError(
                f"--resume: {self.folder} holds another training: {listed}. Give the same options, or "
                "leave --resume out to start anew."
            )
