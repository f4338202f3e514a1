"""Checkpoints of a training, so that an interrupted one can be resumed. No Keras here."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import describe_differences
from hybrid.errors import RunError
from hybrid.utils.files import make_folder, replacing, sync
from hybrid.utils.reading import TRAINING, checked, parse_json
from hybrid.utils.refusals import describe_refusal

Arrays = list[NDArray[Any]]
STATE = "state.npz"
_SCALARS = "scalars"


@dataclass
class TrainingState:
    """State of a training after an epoch: everything that the next epoch starts from.

    Parameters
    ----------
    stage, epoch : int, default=0
        Of the next epoch, from 0.
    best : float, default=inf
        Lowest validation loss of all stages.
    wait : int, default=0
        Epochs of the stage since then.
    history : dict of str to list, default={}
        One entry an epoch: ``stage``, ``loss``, ``val_loss`` …
    best_weights : list of ndarray, default=[]
        The model's weights after the epoch with the lowest loss.
    stage_scores : list of ndarray, default=[]
        Log-odds of the validation items, then of those that are evaluated later, at the end of each stage.
    variables, optimizer : list of ndarray, or of variables, default=[]
        Of the model, with the states of its random generators, and of the optimizer.

    Examples
    --------
    >>> state = TrainingState()
    >>> state.append(stage="top", val_loss=0.5)
    >>> state.stage_losses("top")
    [0.5]
    """

    stage: int = 0
    epoch: int = 0
    best: float = float("inf")
    wait: int = 0
    history: dict[str, list[Any]] = field(default_factory=dict)
    best_weights: Arrays = field(default_factory=list)
    stage_scores: Arrays = field(default_factory=list)
    variables: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)

    def append(self, **values: Any) -> None:
        """Add an epoch to the history."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def stage_losses(self, stage: str) -> list[float]:
        """Return the validation losses of a stage so far."""
        pairs = zip(self.history.get("stage", []), self.history.get("val_loss", []), strict=True)
        return [loss for name, loss in pairs if name == stage]

    def next_stage(self) -> None:
        """Move to the beginning of the next stage; the best loss stays."""
        self.stage, self.epoch, self.wait = self.stage + 1, 0, 0
        self.best_weights, self.variables, self.optimizer = [], [], []


_ARRAYS = ("best_weights", "stage_scores", "variables", "optimizer")
_NUMBERS = ("stage", "epoch", "best", "wait", "history")


class Checkpoint:
    """The file with the state of one training.

    `keras.callbacks.BackupAndRestore` does not serve here: see `hybrid.deep.train.EpochRecorder`.

    Parameters
    ----------
    folder : Path
        Created when the first epoch is written.
    identity : dict
        What must be the same for a training to be resumed: options, seed, items. Values as JSON has them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(Path(folder) / "training", {"seed": 1})
    ...     checkpoint.write(TrainingState(epoch=3))
    ...     checkpoint.read().epoch
    3
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))

    def write(self, state: TrainingState) -> None:
        """Replace the file atomically: after a power cut there is the old one or the new one."""
        scalars = {"identity": self.identity, **{name: getattr(state, name) for name in _NUMBERS}}
        arrays = {
            f"{name}{i:05}": a for name in _ARRAYS for i, a in enumerate(getattr(state, name))
        }
        try:
            make_folder(self.folder)
            with replacing(self.folder / STATE) as temporary:
                with temporary.open("wb") as file:
                    np.savez(file, **{_SCALARS: np.array(json.dumps(scalars)), **arrays})
                sync(temporary)
        except OSError as error:
            raise RunError(
                f"the epoch is lost: {describe_refusal(self.folder / STATE, error)}"
            ) from error

    def read(self) -> TrainingState:
        """Read the state to resume from.

        Raises
        ------
        RunError
            If there is none, or it is that of another training; the message says how they differ.
        """
        path = self.folder / STATE
        try:
            with np.load(checked(path, TRAINING), allow_pickle=False) as file:
                scalars = parse_json(str(file[_SCALARS]))
                lists = {
                    name: [file[key] for key in sorted(file.files) if key.startswith(name)]
                    for name in _ARRAYS
                }
        except FileNotFoundError:
            raise RunError(
                f"--resume: expected a training that was interrupted in {self.folder}, found none. "
                "Leave the option out to start one."
            ) from None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(f"{path}: expected the state of a training, found: {error}.") from error
        try:
            self._compare(scalars.pop("identity"))
            return TrainingState(**{**scalars, **lists})
        except (AttributeError, KeyError, TypeError) as error:
            raise RunError(
                f"{path}: expected the state of a training, found another file ({error}). "
                "Train from the start."
            ) from error

    def remove(self) -> None:
        """Delete the folder and all in it."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()

    def _compare(self, found: dict[str, Any]) -> None:
        if unlike := describe_differences(found, self.identity):
            raise RunError(
                f"--resume: {self.folder} holds another training: {unlike}. Give the same options, or "
                "leave --resume out to start anew."
            )
