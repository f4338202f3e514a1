"""What the layers that do not learn compute: once for all folds and epochs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.deep.dataset import run_keras
from hybrid.deep.train import compile_inference
from hybrid.text_encoders.batches import plan_batches
from hybrid.text_encoders.tokens import Tokens
from hybrid.tuning.batches import STEP, States
from hybrid.utils.files import reserve
from hybrid.utils.progress import Progress

MEMORY = 500 * 2**20  # bytes; more are in a file
BUDGET = 4096  # tokens of a batch, padding included


def state_bytes(tokens: Tokens, width: int) -> int:
    """Bytes of the states of some texts, of float16.

    Examples
    --------
    >>> one = Tokens(np.arange(3, dtype=np.int32), np.array([3]), np.array([0]), np.array([False]))
    >>> state_bytes(one, 384)
    2304
    """
    return int(tokens.lengths.sum()) * width * 2


def compute_states(
    lower: keras.Model, tokens: Tokens, file: Path | None, progress: Progress
) -> States:
    """Compute the states of all tokens after the layers that do not learn.

    Parameters
    ----------
    lower : keras.Model
        See `hybrid.text_encoders.keras_network.build_lower`.
    tokens : Tokens
        Of n texts, one piece each.
    file : Path or None
        A file that is made for them; None keeps them in memory.
    progress : Progress

    Returns
    -------
    States
    """
    starts = np.cumsum(tokens.lengths) - tokens.lengths
    values = _make(file, (int(tokens.lengths.sum()), int(lower.output_shape[-1])))
    compile_inference(lower)
    with (
        progress.bar("computing the lower layers", len(tokens.lengths), "texts") as advance,
        run_keras(),
    ):
        for batch in plan_batches(tokens.lengths, BUDGET, STEP):
            lengths = tokens.lengths[batch.pieces]
            rows = tokens.rows(batch.pieces, batch.width)
            found = lower.predict_on_batch([rows, lengths.astype(np.int32)])
            found = np.asarray(ops.convert_to_numpy(found), dtype=np.float16)
            for row, (piece, length) in enumerate(
                zip(batch.pieces.tolist(), lengths.tolist(), strict=True)
            ):
                values[starts[piece] : starts[piece] + length] = found[row, :length]
            advance(len(batch.pieces))
    return States(values, tokens.lengths)


def _make(file: Path | None, shape: tuple[int, int]) -> NDArray[np.float16]:
    if file is None:
        return np.empty(shape, dtype=np.float16)
    found = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    reserve(file)  # a full disk refuses now
    return found
