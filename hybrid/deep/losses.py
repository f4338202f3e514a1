"""Losses of the deep baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def genre_weights(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The study's weights: w_j = n of the most frequent genre / n_j.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        1 where a train item has the label.

    Returns
    -------
    ndarray of shape (L,), float32
        1 for the most frequent genre, more for rarer ones; 0 for a genre without items, which could
        only teach the network to say no.
    """
    counts = labels.sum(axis=0, dtype=np.float64)
    weights = np.divide(counts.max(), counts, out=np.zeros_like(counts), where=counts > 0)
    return weights.astype(np.float32)


class WeightedCrossEntropy(keras.losses.Loss):
    """Sum over genres of w_j times the binary cross-entropy, averaged over the batch.

    Parameters
    ----------
    weights : sequence of L floats
        One a genre, as `genre_weights` gives them.
    """

    def __init__(
        self,
        weights: Sequence[float] | NDArray[np.float32],
        name: str = "weighted_cross_entropy",
    ) -> None:
        super().__init__(name=name)
        self.weights = [float(w) for w in weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each item: y_true and y_pred have shape (n, L), y_pred in [0, 1]."""
        entropy = ops.binary_crossentropy(ops.cast(y_true, y_pred.dtype), y_pred)
        return ops.sum(entropy * ops.convert_to_tensor(self.weights, dtype=y_pred.dtype), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {"weights": self.weights, "name": self.name}
