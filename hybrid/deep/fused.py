"""A deep baseline on fused blocks: text alone, or posters, text and metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.fused_network import Blocks, FusedNetwork, PixelsAndBlocks
from hybrid.deep.items import Items, Posters, Source, usable
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import HEAD, Stage, get_network
from hybrid.errors import SettingError
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.utils.progress import Progress


class FusedBaseline(DeepBaseline):
    """Deep baseline on text, or on posters, text and metadata; see `DeepBaseline`.

    An item without a poster is predicted from its other blocks.

    Parameters
    ----------
    network : str
        ``"text"`` or ``"fused"``.
    options, seed, workers, tensorboard, decision, devices
        See `DeepBaseline`.
    fusion : Fusion, optional
        The blocks, not fitted. Required by `fit`.

    Attributes
    ----------
    fusion_ : Fusion
        Fitted on train.

    Examples
    --------
    >>> model = FusedBaseline("fused", DeepOptions(body="vgg16"))
    >>> model.spec.blocks, model.spec.body.name
    (('poster', 'text', 'metadata'), 'vgg16')
    """

    network_: FusedNetwork

    def __init__(
        self,
        network: str,
        options: DeepOptions | None = None,
        seed: int = 0,
        workers: int = 1,
        tensorboard: Path | None = None,
        decision: DecisionOptions | None = None,
        fusion: Fusion | None = None,
        devices: str = "1",
    ) -> None:
        super().__init__(network, options, seed, workers, tensorboard, decision, devices)
        self.fusion = fusion

    @property
    def _has_poster(self) -> bool:
        return self.spec.backbone is not None

    def _prepare(self, train: Items) -> None:
        if self.fusion is None or (self._has_poster and train.embeddings is None):
            raise SettingError(
                f"{self.spec.name}: expected blocks and, if one is of posters, embeddings to learn from."
            )
        self.fusion_: Fusion = clone(self.fusion).fit(self._data(train))

    def _network(self, n_labels: int) -> FusedNetwork:
        fitted = self.fusion_.fitted_
        columns = {name: len(block.get_feature_names_out()) + 1 for name, block in fitted}
        return FusedNetwork(self.spec, n_labels, columns, dict(fitted).get("poster"))

    def _data(self, items: Items) -> dict[str, Any]:
        frame = items.frame
        return {"poster": items.embeddings, "text": frame, "metadata": frame}

    def _usable(self, items: Items) -> NDArray[np.bool_]:
        return np.ones(len(items), dtype=bool)

    def poster_model(self, item: Items) -> keras.Model:
        """See `DeepBaseline.poster_model`; the item's other blocks stay as they are."""
        return self.network_.poster_model(dict(self._pixels(item).matrix.blocks))

    def parts_of(self, stage: Stage) -> tuple[keras.Model | None, keras.Model]:
        """See `DeepBaseline.parts_of`."""
        return None, self.network_.learner(stage)

    def _source(
        self,
        stage: Stage,
        lower: keras.Model | None,
        items: Items,
        path: Path,
        progress: Progress,
    ) -> Source:
        if stage.trains == HEAD:
            return Blocks(self.fusion_.transform(self._data(items)))
        return self._pixels(items)

    def _inference_inputs(self, items: Items) -> tuple[keras.Model, Source]:
        known = items.embeddings is not None and not self.spec.trains_body
        if known or not self._has_poster:
            return self._head, Blocks(self.fusion_.transform(self._data(items)))
        return self._whole, self._pixels(items)

    def _pixels(self, items: Items) -> PixelsAndBlocks:
        """Return posters as pixels, and the other blocks by their fitted transformers."""
        known = items.embeddings
        good = usable(items.paths, self.workers) if known is None else ~np.isnan(known[:, 0])
        width = self.network_.columns["poster"] - 1
        blank = {**self._data(items), "poster": np.full((len(items), width), np.nan, np.float32)}
        matrix = self.fusion_.transform(blank)
        others = [(name, block) for name, block in matrix.blocks if name != "poster"]
        weights = tuple(1.0 for _ in others)
        posters = Posters(items.take(good).paths, self.spec.body.input_size)
        return PixelsAndBlocks(posters, good, FusionMatrix(tuple(others), weights))


def make_baseline(
    network: str,
    options: DeepOptions | None = None,
    seed: int = 0,
    workers: int = 1,
    tensorboard: Path | None = None,
    decision: DecisionOptions | None = None,
    fusion: Fusion | None = None,
    devices: str = "1",
) -> DeepBaseline:
    """Make the deep baseline of a network.

    Parameters
    ----------
    network, options, seed, workers, tensorboard, decision, devices
        See `DeepBaseline`.
    fusion : Fusion, optional
        See `FusedBaseline`.

    Examples
    --------
    >>> type(make_baseline("text")).__name__
    'FusedBaseline'
    """
    if get_network(network).fused:
        return FusedBaseline(
            network, options, seed, workers, tensorboard, decision, fusion, devices
        )
    return DeepBaseline(network, options, seed, workers, tensorboard, decision, devices)
