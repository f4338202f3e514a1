"""A deep baseline on fused blocks: text alone, or posters, text, metadata and embeddings of the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.backbones.load import dtype_policy
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.dataset import predict
from hybrid.deep.fused_network import (
    Blocks,
    FusedNetwork,
    MaskedBlocks,
    PixelsAndBlocks,
    input_name,
)
from hybrid.deep.items import Items, Posters, Source, usable
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import FUSED, HEAD, Stage, get_network
from hybrid.deep.several_posters import mean_log_odds, usable_examples, usable_posters
from hybrid.deep.train import compile_inference
from hybrid.errors import SettingError
from hybrid.extraction.pooling import pool_rows
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.utils.progress import Progress


class FusedBaseline(DeepBaseline):
    """Deep baseline on text, or on the blocks of `make_hybrid`; see `DeepBaseline`.

    An item without a poster is predicted from its other blocks. Of several posters the embeddings are pooled;
    where the body is trained, each is an example, as in `DeepBaseline`.

    Parameters
    ----------
    network : str
        ``"text"`` or ``"fused"``.
    options, seed, workers, tensorboard, decision, devices
        See `DeepBaseline`.
    fusion : Fusion, optional
        The blocks, not fitted. Required by `fit`. The network `fused` reads these, whatever the options say.

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
        options = options or DeepOptions()
        if fusion is not None and network == FUSED:
            usual = get_network(network).blocks
            options = replace(options, blocks=None if fusion.names == usual else fusion.names)
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
        """Return what each block reads: the frame, or rows of the cache; of posters, what the items have."""
        poster = items.embeddings
        fusion = self.fusion_ if hasattr(self, "fusion_") else self.fusion
        if items.frame is None or fusion is None:
            raise SettingError(
                f"{self.spec.name}: expected blocks, and items with a frame to read them from."
            )
        if poster is not None:
            poster = pool_rows(poster, items.counts.tolist(), self.options.poster_pooling)
        blocks = getattr(fusion, "fitted_", fusion.blocks)
        others = Fusion([(name, block) for name, block in blocks if name != "poster"])
        return {"poster": poster, **others.read(items.frame)}

    def _examples(self, items: Items) -> tuple[Items, NDArray[np.int64]]:
        """Return the items, or one for each of their posters where the body is trained; none is left out."""
        if not (items.several and self._has_poster):
            return items, np.arange(len(items))
        if not self.spec.pools_posters:
            return usable_examples(items, usable_posters(items, self.workers), keep_all=True)
        if items.embeddings is None:
            items = replace(items, embeddings=self._embed(items))
        return items, np.arange(len(items))

    def _embed(self, items: Items) -> NDArray[np.float32]:
        """Embed each poster with the frozen body: shape (m, D), NaN where it cannot be decoded."""
        good = usable_posters(items, self.workers)
        found = np.full((len(good), self.network_.columns["poster"] - 1), np.nan, np.float32)
        if good.any():
            paths = np.array(items.by_poster().paths, dtype=object)[good].tolist()
            with dtype_policy(self.options.precision):
                model = self.network_.embedder()
            compile_inference(model)
            posters = Posters(paths, self.spec.body.input_size)
            found[good] = predict(model, posters, self.spec.batch_size, self.workers)
        return found

    def score_subsets(self, item: Items) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Score an item with each subset of the blocks that it has; the others are masked.

        Parameters
        ----------
        item : Items
            One item.

        Returns
        -------
        names : tuple of n str
            Blocks that the item has.
        scores : ndarray of shape (2 ** n, L), float64
            Log-odds, with block k in row s where bit k of s is set.
        """
        examples, owners = self._examples(item)
        if self._has_poster and examples.embeddings is None:
            examples = replace(examples, embeddings=self._embed(examples))
        matrix = self.fusion_.transform(self._data(examples))
        blocks = Blocks(matrix).read(np.arange(len(examples)))
        names = tuple(n for n in self.fusion_.names if not blocks[input_name(n)][:, -1].all())
        source, multiclass = MaskedBlocks(matrix, names), self.options.task == "multiclass"
        with self._scope():
            scores = predict(self._head, source, self.spec.batch_size, self.workers)
        each = np.split(scores, 1 << len(names))
        return names, np.concatenate([mean_log_odds(s, owners, 1, multiclass) for s in each])

    def poster_model(self, item: Items) -> keras.Model:
        """See `DeepBaseline.poster_model`; the item's other blocks stay as they are."""
        return self.network_.poster_model(dict(self._others(item).blocks))

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
        posters = Posters(items.take(good).paths, self.spec.body.input_size)
        return PixelsAndBlocks(posters, good, self._others(items))

    def _others(self, items: Items) -> FusionMatrix:
        """Return the blocks but for the posters, by their fitted transformers."""
        width = self.network_.columns["poster"] - 1
        blank = {**self._data(items), "poster": np.full((len(items), width), np.nan, np.float32)}
        matrix = self.fusion_.transform(blank)
        others = [(name, block) for name, block in matrix.blocks if name != "poster"]
        return FusionMatrix(tuple(others), tuple(1.0 for _ in others))


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
