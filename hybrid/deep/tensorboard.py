"""TensorBoard's event files, written by TensorBoard's own package. No Keras here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from hybrid.deep.checkpoint import TrainingState
from hybrid.errors import MissingExtraError


def open_tensorboard(folder: Path) -> Callable[[TrainingState], None]:
    """Give a function that writes the last epoch of a state, numbered through all stages.

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
