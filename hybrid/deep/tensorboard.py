"""TensorBoard event files of the training curves. No Keras here.

`keras.callbacks.TensorBoard` would number the epochs of each stage from 0 again, one over the other, write
the curves of train and validation to two folders, and need TensorFlow on any backend. These files have
the names and the epochs of run.json.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from hybrid.deep.checkpoint import TrainingState
from hybrid.errors import MissingExtraError


def open_tensorboard(folder: Path) -> Callable[[TrainingState], None]:
    """Return a function that writes the last epoch of a training state to TensorBoard.

    Parameters
    ----------
    folder : Path
        For the event files.

    Returns
    -------
    callable
        Takes a `TrainingState`. Epochs are numbered from 1 through all stages.

    Raises
    ------
    MissingExtraError
        If the package tensorboard is not installed.
    """
    try:
        summary = importlib.import_module("tensorboard.summary")
    except ImportError as error:
        raise MissingExtraError(
            f"--tensorboard: expected the package tensorboard, found that it cannot be imported ({error}). "
            "Install it with: pip install tensorboard; or leave the option out: run.json has the curves, "
            "too."
        ) from error
    writer = summary.Writer(str(folder))

    def note(state: TrainingState) -> None:
        step = len(state.history["loss"])
        for name, values in state.history.items():
            if name != "stage":
                writer.add_scalar(name, values[-1], step)
        writer.flush()

    return note
