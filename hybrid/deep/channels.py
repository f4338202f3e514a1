"""Channels of a deep baseline's own embedding: their weight for each genre, and their activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.backbones.backend import compile_gradient
from hybrid.backbones.networks import Preprocess
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.dataset import predict
from hybrid.deep.items import Items, Posters, usable
from hybrid.deep.network import InferenceMode
from hybrid.deep.train import compile_inference
from hybrid.utils.progress import Progress

ROWS = 256  # embeddings, each once for each label, whose gradients are computed together


@dataclass(frozen=True, eq=False)
class ChannelWeights:
    """Channels of a network on some posters.

    Parameters
    ----------
    coef : ndarray of shape (L, C), float64
        What one standard deviation of the channel adds to the log-odds of each label: mean gradient over the
        posters, times the standard deviation. Exact for a head of one dense layer.
    activations : ndarray of shape (n, C), float64
        Standard deviations above the mean of the posters; NaN rows where a poster cannot be used.
    """

    coef: NDArray[np.float64]
    activations: NDArray[np.float64]


def weigh_channels(
    model: DeepBaseline, items: Items, progress: Progress | None = None
) -> ChannelWeights:
    """Weigh the channels of a network's embedding, by gradients on posters.

    The channels of a network that flattens its last feature map (`vgg16-fc`, `vgg16-conv`) are those of the
    map: their weights are summed over the cells, their activations are the means. Other inputs of the
    network `fused` are taken for missing.

    Parameters
    ----------
    model : DeepBaseline
        Fitted or loaded, with a body.
    items : Items
    progress : Progress, default=Progress()

    Returns
    -------
    ChannelWeights

    Examples
    --------
    >>> from hybrid.deep.description import build_baseline
    >>> from hybrid.deep.options import DeepOptions
    >>> model = build_baseline("small", DeepOptions(input_size=(32, 32)), n_labels=3)
    >>> weigh_channels(model, Items(["1"], [""])).coef.shape
    (3, 64)
    """
    good = usable(items.paths, model.workers)
    posters = Posters(items.take(good).paths, model.spec.body.input_size)
    embeddings = _embed(model, posters, progress or Progress())
    coef = _mean_gradients(model, embeddings)
    if model.spec.flatten:
        channels = model.network_.application.output_shape[-1]
        coef = coef.reshape(len(coef), -1, channels).sum(axis=1)
        embeddings = embeddings.reshape(len(embeddings), -1, channels).mean(axis=1)
    deviation = embeddings.std(axis=0) if len(embeddings) else np.ones(coef.shape[1])
    activations = np.full((len(items), coef.shape[1]), np.nan)
    centred = embeddings - embeddings.mean(axis=0) if len(embeddings) else embeddings
    activations[good] = centred / np.where(deviation > 0, deviation, 1.0)
    return ChannelWeights(coef * deviation, activations)


def _embed(model: DeepBaseline, posters: Posters, progress: Progress) -> NDArray[np.float64]:
    body = model.network_.body
    if not len(posters):
        return np.empty((0, body.output_shape[-1]))
    spec = model.spec.body
    pixels = keras.Input((*spec.input_size, 3), dtype="uint8")
    network = keras.Model(
        pixels, InferenceMode(body)(Preprocess(spec.preprocessing, dtype="float32")(pixels))
    )
    compile_inference(network)
    how = (model.spec.batch_size, model.workers, progress, "embedding with the run's own backbone")
    return predict(network, posters, *how).astype(np.float64)


def _mean_gradients(model: DeepBaseline, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gradient of each label's log-odds by the embedding, averaged over the posters: (L, D)."""
    head, labels = model.network_.embedding_head(), model.n_labels
    points = embeddings if len(embeddings) else np.zeros((1, head.input_shape[-1]))
    size = max(1, ROWS // labels)
    # Each point stands there once for each label, whose log-odds alone count there.
    wanted = ops.convert_to_tensor(np.tile(np.eye(labels, dtype=np.float32), (size, 1)))

    def score(x: Any) -> Any:
        return ops.sum(ops.cast(head(x, training=False), "float32") * wanted)

    gradient, total = compile_gradient(score), np.zeros((labels, points.shape[1]))
    for start in range(0, len(points), size):
        part = points[start : start + size]
        filled = np.concatenate([part, np.zeros((size - len(part), points.shape[1]))])
        found = gradient(np.repeat(filled, labels, axis=0).astype(np.float32))
        total += found.reshape(size, labels, -1)[: len(part)].sum(axis=0, dtype=np.float64)
    return total / len(points)
