"""Losses of the deep baselines: sums over genres, averaged over the batch.

For an item with labels y in {0, 1}, probabilities p and log-odds x, p = 1 / (1 + exp(-x)), each loss is a
sum over the genres j. From log-odds, log p = -log(1 + exp(-x)) and log(1 - p) = -log(1 + exp(x)) are
computed without p, so that no confident mistake loses its gradient to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.errors import unknown_name
from hybrid.utils.unknown_labels import as_no

SURELY_NOT = -30.0  # log-odds
EPSILON = 1e-7  # probabilities are clipped to EPSILON and 1 - EPSILON


def genre_weights(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the class weights of the study: w_j = n of the most frequent genre / n_j.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        1 where a train item has the label.

    Returns
    -------
    ndarray of shape (L,), float32
        1 for the most frequent genre, more for rarer ones; 0 for a genre without items, which has no
        positive examples.

    Examples
    --------
    >>> genre_weights(np.array([[1, 0], [1, 1]], dtype=np.uint8)).tolist()
    [1.0, 2.0]
    """
    counts = as_no(labels).sum(axis=0, dtype=np.float64)
    weights = np.divide(counts.max(), counts, out=np.zeros_like(counts), where=counts > 0)
    return weights.astype(np.float32)


def make_loss(
    name: str, labels: NDArray[np.uint8], smoothing: float = 0.0, multiclass: bool = False
) -> keras.losses.Loss:
    """Make a loss on log-odds.

    Parameters
    ----------
    name : str
        ``"weighted"``, ``"plain"``, ``"focal"`` or ``"asymmetric"``; with `multiclass`, one of the
        first two.
    labels : ndarray of shape (n, L), uint8
        Of the train items; for the weights. Of a masked array, the loss leaves out cells of `CODE`.
    smoothing : float, default=0.0
        Labels become y (1 - s) + s / 2; with `multiclass`, y (1 - s) + s / L.
    multiclass : bool, default=False
        One label an item: softmax, not a sigmoid for each label.

    Examples
    --------
    >>> loss = make_loss("weighted", np.array([[1, 0], [1, 1]], dtype=np.uint8))
    >>> loss.weights
    [1.0, 2.0]
    """
    settings: dict[str, Any] = {"from_logits": True, "label_smoothing": smoothing}
    weights = genre_weights(labels)
    if multiclass:
        return ClassCrossEntropy(
            weights if name == "weighted" else np.ones_like(weights), **settings
        )
    masks = isinstance(labels, np.ma.MaskedArray)
    if name == "weighted":
        return WeightedCrossEntropy(weights, **settings).leaving_out(masks)
    losses = {"plain": CrossEntropy, "focal": Focal, "asymmetric": Asymmetric}
    if name not in losses:
        raise unknown_name("loss", name, ("weighted", *losses))
    return losses[name](**settings).leaving_out(masks)


def hide_unknown(y_true: Any, y_pred: Any, masks: bool) -> tuple[Any, Any]:
    """Labels and log-odds; with `masks`, a label that is surely not there, and said so, in unknown cells."""
    if not masks:
        return y_true, y_pred
    unknown = ops.cast(y_true, "float32") > 1.5
    rest = ops.where(unknown, ops.zeros_like(y_pred), ops.cast(y_true, y_pred.dtype))
    return rest, ops.where(unknown, ops.full_like(y_pred, SURELY_NOT), y_pred)


class CrossEntropy(keras.losses.Loss):
    """Binary cross-entropy, summed over genres: - sum_j [y log p + (1 - y) log(1 - p)].

    `keras.losses.BinaryCrossentropy` takes the mean over genres, and `keras.losses.BinaryFocalCrossentropy`
    clips probabilities, so that a confident mistake has no gradient.

    Parameters
    ----------
    from_logits : bool, default=False
        Predictions are log-odds, not probabilities.
    label_smoothing : float, default=0.0
        s: labels become y (1 - s) + s / 2.
    name : str, optional

    Examples
    --------
    >>> y, p = np.array([[1, 0]]), np.array([[0.5, 0.5]], dtype=np.float32)
    >>> round(float(CrossEntropy()(y, p)), 3)
    1.386
    """

    settings: tuple[str, ...] = ("from_logits", "label_smoothing", "name")

    def __init__(
        self, *, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.masks = False

    def leaving_out(self, masks: bool) -> CrossEntropy:
        """Set whether cells of `CODE` are left out, and return self; else each label is 0 or 1."""
        self.masks = masks
        return self

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each item, shape (n,), from labels and predictions of shape (n, L)."""
        known = ops.cast(ops.cast(y_true, "float32") < 1.5, y_pred.dtype) if self.masks else None
        y_true, y_pred = hide_unknown(y_true, y_pred, self.masks)
        y = ops.cast(y_true, y_pred.dtype) * (1.0 - self.label_smoothing)
        y = y + 0.5 * self.label_smoothing
        if self.from_logits:
            p, log_p, log_q = ops.sigmoid(y_pred), ops.log_sigmoid(y_pred), ops.log_sigmoid(-y_pred)
        else:
            p = ops.clip(y_pred, EPSILON, 1.0 - EPSILON)
            log_p, log_q = ops.log(p), ops.log1p(-p)
        terms = self.terms(y, p, log_p, log_q)
        return -ops.sum(terms if known is None else terms * known, axis=-1)

    def terms(self, y: Any, p: Any, log_p: Any, log_q: Any) -> Any:
        """Return minus the loss of each genre, from y, p, log p and log(1 - p)."""
        return y * log_p + (1.0 - y) * log_q

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {name: getattr(self, name) for name in self.settings}


class WeightedCrossEntropy(CrossEntropy):
    """Weighted binary cross-entropy, the study's loss: - sum_j w_j [y log p + (1 - y) log(1 - p)].

    Parameters
    ----------
    weights : sequence of L floats
        One for each genre; see `genre_weights`.
    **settings
        See `CrossEntropy`.

    Examples
    --------
    >>> y, p = np.array([[1, 0]]), np.array([[0.5, 0.5]], dtype=np.float32)
    >>> round(float(WeightedCrossEntropy([1.0, 2.0])(y, p)), 3)
    2.079
    """

    settings = ("weights", *CrossEntropy.settings)

    def __init__(self, weights: Sequence[float] | NDArray[np.float32], **settings: Any) -> None:
        super().__init__(**settings)
        self.weights = [float(w) for w in weights]

    def terms(self, y: Any, p: Any, log_p: Any, log_q: Any) -> Any:
        """See `CrossEntropy`."""
        return super().terms(y, p, log_p, log_q) * ops.convert_to_tensor(
            self.weights, dtype=p.dtype
        )


class Focal(CrossEntropy):
    """Focal loss: - sum_j [a y (1 - p)^g log p + (1 - a) (1 - y) p^g log(1 - p)].

    Lin, Goyal, Girshick, He and Dollár, "Focal Loss for Dense Object Detection", 2017
    (arXiv:1708.02002), equation 5.

    Parameters
    ----------
    alpha : float, default=0.25
    gamma : float, default=2.0
    **settings
        See `CrossEntropy`.

    Examples
    --------
    >>> y, p = np.array([[1, 0]]), np.array([[0.5, 0.5]], dtype=np.float32)
    >>> round(float(Focal()(y, p)), 3)
    0.173
    """

    settings = ("alpha", "gamma", *CrossEntropy.settings)

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.alpha = alpha
        self.gamma = gamma

    def terms(self, y: Any, p: Any, log_p: Any, log_q: Any) -> Any:
        """See `CrossEntropy`."""
        yes = self.alpha * y * _power(1.0 - p, self.gamma) * log_p
        return yes + (1.0 - self.alpha) * (1.0 - y) * _power(p, self.gamma) * log_q


class Asymmetric(CrossEntropy):
    """Asymmetric loss (ASL): - sum_j [y (1 - p)^g+ log p + (1 - y) q^g- log(1 - q)], q = max(p - m, 0).

    Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter and Zelnik-Manor, "Asymmetric Loss for Multi-Label
    Classification", 2021 (arXiv:2009.14119), equations 5 to 7.

    Parameters
    ----------
    positive, negative : float, default=0.0 and 4.0
        g+ and g-.
    margin : float, default=0.05
        m.
    **settings
        See `CrossEntropy`.

    Examples
    --------
    >>> y, p = np.array([[1, 0]]), np.array([[0.5, 0.05]], dtype=np.float32)
    >>> round(float(Asymmetric()(y, p)), 3)
    0.693
    """

    settings = ("positive", "negative", "margin", *CrossEntropy.settings)

    def __init__(
        self, positive: float = 0.0, negative: float = 4.0, margin: float = 0.05, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.positive = positive
        self.negative = negative
        self.margin = margin

    def terms(self, y: Any, p: Any, log_p: Any, log_q: Any) -> Any:
        """See `CrossEntropy`."""
        shifted = ops.maximum(p - self.margin, 0.0)
        # With a margin, 1 - q is never near 0, so it needs no log-odds.
        log_rest = ops.log1p(-shifted) if self.margin else log_q
        yes = y * _power(1.0 - p, self.positive) * log_p
        return yes + (1.0 - y) * _power(shifted, self.negative) * log_rest


class ClassCrossEntropy(WeightedCrossEntropy):
    """Weighted categorical cross-entropy of items with one label each: - sum_j w_j y_j log softmax(x)_j.

    Parameters
    ----------
    weights : sequence of L floats
    from_logits : bool, default=False
    label_smoothing : float, default=0.0
        s: labels become y (1 - s) + s / L.

    Examples
    --------
    >>> y, p = np.array([[1, 0]]), np.array([[0.5, 0.5]], dtype=np.float32)
    >>> round(float(ClassCrossEntropy([2.0, 1.0])(y, p)), 3)
    1.386
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each item, shape (n,), from labels and predictions of shape (n, L)."""
        y = ops.cast(y_true, y_pred.dtype) * (1.0 - self.label_smoothing)
        y = y + self.label_smoothing / len(self.weights)
        log_p = (
            ops.log_softmax(y_pred, axis=-1)
            if self.from_logits
            else ops.log(ops.clip(y_pred, EPSILON, 1.0))
        )
        return -ops.sum(y * log_p * ops.convert_to_tensor(self.weights, dtype=log_p.dtype), axis=-1)


def _power(x: Any, exponent: float) -> Any:
    """``x ** exponent``; without the infinite slope that a backend gives 0 ** 0."""
    return 1.0 if exponent == 0 else ops.power(x, exponent)
