"""A layer that brings embeddings to unit scale before a head; afterwards it is folded into the head."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class UnitScale(keras.layers.Layer):
    """Embeddings (n, D) divided by their root mean square, one number, float32; it is not learnt.

    Backbones differ in it: 0.05 to 4.4 on film posters. Without it one learning rate of the head is too high
    for some and too low for others.

    Examples
    --------
    >>> layer = UnitScale()
    >>> layer.adapt(np.array([[1.0, 7.0], [5.0, 5.0]], np.float32))
    >>> np.asarray(layer(np.array([[10.0, 0.0]], np.float32))).tolist()
    [[2.0, 0.0]]
    """

    def __init__(self) -> None:
        super().__init__(dtype="float32")
        self.rms = self.add_weight((), "ones", trainable=False, name="rms")

    def call(self, x: Any) -> Any:
        """Scale embeddings."""
        return keras.ops.cast(x, "float32") / self.rms

    def adapt(self, embeddings: NDArray[Any]) -> None:
        """Take the root mean square of some embeddings of shape (n, D); of zeros, nothing is changed."""
        rms = float(np.sqrt(np.mean(np.square(embeddings, dtype=np.float64))))
        self.rms.assign(rms or 1.0)

    def fold(self, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """The kernel (D, L) on embeddings as they are, from that of a layer after this one.

        Examples
        --------
        >>> layer = UnitScale()
        >>> layer.adapt(np.array([[1.0, 7.0], [5.0, 5.0]], np.float32))
        >>> layer.fold(np.array([[5.0], [10.0]], np.float32)).tolist()
        [[1.0], [2.0]]
        """
        return kernel / np.float32(self.rms)
