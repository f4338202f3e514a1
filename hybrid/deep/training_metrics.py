"""Metrics of an epoch, on log-odds: loss, F1 at a fixed threshold, F1 at the best thresholds, accuracy.

All count every item once, whatever its sample weight, but for items of weight 0. Of the train items they are,
as always in Keras, over the epoch's batches: while the weights change.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hybrid.deep.losses import hide_unknown

GRID = 99  # thresholds that `BestF1` tries: probabilities of 0.01, 0.02 … 0.99


class F1(keras.metrics.F1Score):
    """Weighted F1 of log-odds, at a threshold of 0.5 on the probability.

    Parameters
    ----------
    multiclass : bool, default=False
        Predict the label with the highest log-odds instead.
    n_labels : int, optional
        Makes the variables at once. Where the first batch makes them, Keras traces the training step twice.
    masks : bool, default=False
        Leave out unknown labels, which have a code.

    Examples
    --------
    >>> import numpy as np
    >>> metric = F1()
    >>> metric.update_state(np.array([[1, 0], [1, 1]]), np.array([[2.0, -1.0], [-1.0, 3.0]]))
    >>> round(float(metric.result()), 3)
    0.778
    """

    def __init__(
        self, multiclass: bool = False, n_labels: int | None = None, masks: bool = False
    ) -> None:
        super().__init__(average="weighted", threshold=None if multiclass else 0.5, name="f1")
        self.masks = masks
        if n_labels is not None:
            nothing = np.zeros((1, n_labels), dtype=np.float32)
            self.update_state(nothing, nothing)
            self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch of labels and log-odds, both of shape (n, L), but for items of weight 0."""
        y_true, y_pred = hide_unknown(y_true, ops.convert_to_tensor(y_pred), self.masks)
        y_true = ops.cast(y_true, y_pred.dtype)
        return super().update_state(y_true, ops.sigmoid(y_pred), _sign(sample_weight))


class BestF1(keras.metrics.Metric):
    """Weighted F1 of log-odds, each label at the best of 99 thresholds on its probability.

    The F1 at 0.5 is 0 as long as a network gives no rare label a probability of a half, though it ranks the
    items well. This one follows what the network has learnt. It is optimistic, as the thresholds are chosen
    on the items that they are applied to.

    Parameters
    ----------
    n_labels : int
    masks : bool, default=False
        Leave out unknown labels, which have a code.

    Examples
    --------
    >>> import numpy as np
    >>> metric, fixed = BestF1(1), F1()
    >>> truth, log_odds = np.array([[1], [0], [0]]), np.array([[-2.0], [-3.0], [-4.0]])
    >>> metric.update_state(truth, log_odds), fixed.update_state(truth, log_odds)
    (None, None)
    >>> float(metric.result()), float(fixed.result())
    (1.0, 0.0)
    """

    def __init__(self, n_labels: int, masks: bool = False) -> None:
        super().__init__(name="best_f1")
        self.masks = masks
        grid = np.arange(1, GRID + 1) / (GRID + 1)
        self.thresholds = np.log(grid / (1 - grid)).astype(np.float32)[:, None, None]
        shape = (GRID, n_labels)
        self.hits = self.add_weight(shape=shape, initializer="zeros", name="hits")
        self.predicted = self.add_weight(shape=shape, initializer="zeros", name="predicted")
        self.positive = self.add_weight(shape=(n_labels,), initializer="zeros", name="positive")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and log-odds, both of shape (n, L), but for items of weight 0."""
        y_true, y_pred = hide_unknown(y_true, ops.cast(y_pred, "float32"), self.masks)
        y_true = ops.cast(y_true, "float32")
        above = ops.cast(y_pred[None] > self.thresholds, "float32")
        if sample_weight is not None:
            counted = ops.reshape(ops.sign(ops.cast(sample_weight, "float32")), (-1, 1))
            y_true, above = y_true * counted, above * counted
        self.hits.assign_add(ops.sum(above * y_true, axis=1))
        self.predicted.assign_add(ops.sum(above, axis=1))
        self.positive.assign_add(ops.sum(y_true, axis=0))

    def result(self) -> Any:
        """Return the mean over labels, weighted by their support; 0 without any."""
        both = ops.maximum(self.predicted + self.positive, 1.0)
        best = ops.max(2.0 * self.hits / both, axis=0)
        return ops.sum(best * self.positive) / ops.maximum(ops.sum(self.positive), 1.0)


class Accuracy(keras.metrics.CategoricalAccuracy):
    """Share of the items whose label has the highest log-odds.

    Examples
    --------
    >>> import numpy as np
    >>> metric = Accuracy()
    >>> metric.update_state(np.array([[1, 0], [0, 1]]), np.array([[2.0, -1.0], [3.0, 1.0]]))
    >>> float(metric.result())
    0.5
    """

    def __init__(self) -> None:
        super().__init__(name="accuracy")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch of labels, one an item, and log-odds, but for items of weight 0."""
        return super().update_state(y_true, y_pred, _sign(sample_weight))


class MeanLoss(keras.metrics.MeanMetricWrapper):
    """Mean of a loss over items.

    Keras' own tracker takes the mean of what it minimizes: of losses that sample weights have scaled, for
    gradient accumulation. Here every item counts once, but for those of weight 0.

    Parameters
    ----------
    loss : keras.losses.Loss

    Examples
    --------
    >>> import numpy as np
    >>> metric = MeanLoss(keras.losses.MeanSquaredError())
    >>> y = np.array([[1.0], [2.0], [6.0]])
    >>> metric.update_state(y, np.zeros_like(y), sample_weight=np.array([1.5, 1.5, 0.0]))
    >>> float(metric.result())
    2.5
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(loss.call, name="mean_loss")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; items whose weight is 0 are left out."""
        return super().update_state(y_true, y_pred, _sign(sample_weight))


def epoch_metrics(
    loss: keras.losses.Loss, n_labels: int, multiclass: bool
) -> list[keras.metrics.Metric]:
    """Return the metrics of a training: mean loss, F1, and F1 at the best thresholds or accuracy.

    Parameters
    ----------
    loss : keras.losses.Loss
    n_labels : int
    multiclass : bool
        Whether each item has one label, that with the highest log-odds.

    Examples
    --------
    >>> loss = keras.losses.BinaryCrossentropy(from_logits=True)
    >>> [metric.name for metric in epoch_metrics(loss, n_labels=3, multiclass=False)]
    ['mean_loss', 'f1', 'best_f1']
    """
    masks = bool(getattr(loss, "masks", False))
    further = Accuracy() if multiclass else BestF1(n_labels, masks)
    return [MeanLoss(loss), F1(multiclass, n_labels, masks), further]


def _sign(sample_weight: Any) -> Any:
    return None if sample_weight is None else ops.sign(sample_weight)
