"""Origin of a run for its record: catalogue, backbones, weights, network, chosen parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.licences import weights_licence
from hybrid.backbones.provenance import Provenance
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import take_table
from hybrid.errors import CacheError
from hybrid.extraction.provenance import store_provenance
from hybrid.extraction.text_lookup import TEXT_EMBEDDING, encoder_name
from hybrid.features import PosterFeatures, TextEmbeddingFeatures
from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.features.fusion import block_kind
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import BLOCKS
from hybrid.images.decode import BadPoster
from hybrid.remote.address import remote_url
from hybrid.runs.json_dataclass import convert
from hybrid.runs.record_parts import (
    BackboneRecord,
    CatalogueRecord,
    InitialWeightsRecord,
    StoreRecord,
    TextEncoderRecord,
    TrainedBackboneRecord,
    TrainedWeightsRecord,
    WeightsRecord,
)
from hybrid.runs.recorded_posters import relative_posters
from hybrid.runs.training_records import (
    HistoryRecord,
    NetworkRecord,
    TrainingRecord,
    TrainingStageRecord,
)

if TYPE_CHECKING:
    from hybrid.backbones import Weights
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.features.fusion import Fusion
    from hybrid.runs.experiment import Experiment

    Model = HybridClassifier | DeepBaseline


def describe_catalogue(catalogue: Catalogue) -> CatalogueRecord:
    """File, hash, column roles and numbers of items of a catalogue that is not narrowed."""
    return CatalogueRecord(
        path=remote_url(catalogue.path) or str(catalogue.path),
        sha256=catalogue.sha256,
        columns=catalogue.columns,
        items=len(catalogue),
        labelled=int(catalogue.labelled.sum()),
        bad_rows=len(catalogue.bad_rows),
        posters=relative_posters(catalogue),
    )


def describe_backbones(model: HybridClassifier, folder: Path) -> dict[str, BackboneRecord]:
    """Describe the backbone of each poster block: weights and cached embeddings.

    Parameters
    ----------
    model : HybridClassifier
        Need not be fitted.
    folder : Path
        The run folder, from which the weights are found if both are moved together.

    Returns
    -------
    dict of str to BackboneRecord
        By name of the block.
    """
    stores = block_stores(model, PosterFeatures)
    return {name: _describe(store, folder) for name, store in stores.items()}


def describe_text_encoders(model: Model, folder: Path) -> dict[str, TextEncoderRecord]:
    """Describe the text encoder of each block of text embeddings, as its store says it.

    Parameters
    ----------
    model : HybridClassifier or DeepBaseline
        Need not be fitted.
    folder : Path
        The run folder, from which the encoder is found if both are moved together.

    Returns
    -------
    dict of str to TextEncoderRecord
        By name of the block.
    """
    stores = block_stores(model, TextEmbeddingFeatures)
    return {name: _describe_encoder(store, folder) for name, store in stores.items()}


def _describe_encoder(store: EmbeddingStore, folder: Path) -> TextEncoderRecord:
    path = store.recorded.get("path")
    return TextEncoderRecord(
        name=encoder_name(store),
        fingerprint=store.fingerprint,
        key=store.stands_for,
        cache=describe_cached(store),
        path=path,
        relative=None if path is None else os.path.relpath(path, folder.absolute()),
        licence=str(store.recorded.get("licence") or "unknown"),
    )


def describe_cached(store: EmbeddingStore) -> StoreRecord:
    """Describe the embeddings of a store in the cache: place, number, bytes, SHA-256."""
    return StoreRecord(
        path=store.cache,
        embeddings=len(store),
        bytes=store.bytes_on_disk(),
        sha256=store.digest(),
    )


def embedding_blocks(
    model: Model, kind: type[EmbeddingFeatures] = EmbeddingFeatures
) -> list[tuple[str, EmbeddingFeatures]]:
    """The blocks of a kind that read a store of the cache, with their names.

    A network's block of posters, which its own body makes, names no store.
    """
    fusion: Fusion | None = getattr(model, "fusion", None)
    blocks = () if fusion is None else fusion.blocks
    return [(name, one) for name, one in blocks if isinstance(one, kind) and one.fingerprint]


def block_stores(
    model: Model, kind: type[EmbeddingFeatures] = EmbeddingFeatures
) -> dict[str, EmbeddingStore]:
    """The store of each block of cached embeddings of a kind, by the name of the block."""
    return {
        name: EmbeddingCache(block.cache).find(block.fingerprint)
        for name, block in embedding_blocks(model, kind)
    }


def block_keys(model: Model, experiment: Experiment, *parts: str) -> dict[str, list[bytes]]:
    """The keys in the cache of what the items of some parts have, by block of cached embeddings."""
    frame = take_table(experiment.catalogue.frame, experiment.rows(*parts))
    return {
        # The experiment has hashed the posters already.
        name: experiment.keys_of(*parts)
        if isinstance(block, PosterFeatures)
        else [key for each in block.keys(frame) for key in each]
        for name, block in embedding_blocks(model)
    }


def backbone_provenance(model: Model) -> Provenance:
    """What the weights behind the embeddings of a model have learnt from, as their stores keep it."""
    return Provenance.union(map(store_provenance, block_stores(model).values()))


def _describe(store: EmbeddingStore, folder: Path) -> BackboneRecord:
    lacks = [name for name in ("path", "kind", "seed") if name not in store.recorded]
    if lacks:
        raise CacheError(
            f"{store.folder}: expected {', '.join(lacks)} among what config.json recorded, found none. It is "
            "damaged: hybrid extract, with the same --backbone and --weights, writes it again."
        )
    path = store.recorded["path"]
    return BackboneRecord(
        name=store.stands_for["architecture"],
        fingerprint=store.fingerprint,
        key=store.stands_for,
        cache=describe_cached(store),
        weights=WeightsRecord(
            kind=store.recorded["kind"],
            path=path,
            relative=None if path is None else os.path.relpath(path, folder.absolute()),
            digest=store.stands_for["weights"],
            seed=store.recorded["seed"],
        ),
        licence=store.recorded.get("licence"),
    )


def describe_network(model: DeepBaseline) -> TrainingRecord:
    """Describe a trained deep baseline: training history, layers and stages."""
    spec = model.spec
    return TrainingRecord(
        history=convert(HistoryRecord, model.history_),
        network=NetworkRecord(
            head_units=tuple(spec.head_units),
            dropout=spec.dropout,
            batch_size=spec.batch_size,
            parameters=model.network_.count_params(),
            stages=tuple(convert(TrainingStageRecord, stage) for stage in spec.stages),
        ),
    )


def describe_trained_backbone(
    model: DeepBaseline, weights: Weights | None, file: str
) -> TrainedBackboneRecord:
    """Describe the backbone of a deep baseline.

    Parameters
    ----------
    model : DeepBaseline
        Trained, with a backbone.
    weights : Weights or None
        That it started from; None if it was trained from scratch.
    file : str
        Name of the file with its weights, in the run folder.
    """
    body = model.spec.body
    start = None
    if weights is not None:
        start = InitialWeightsRecord(
            weights.kind,
            None if weights.path is None else str(weights.path),
            weights.digest,
            weights_licence(body, weights),
        )
    kind = "trained" if model.spec.trains_body or start is None else start.kind
    return TrainedBackboneRecord(
        name=body.name,
        input_size=(body.input_size[0], body.input_size[1]),
        parameters=model.network_.application.count_params(),
        weights=TrainedWeightsRecord(kind, file, initial=start),
    )


def describe_chosen(model: HybridClassifier) -> dict[str, Any]:
    """Collect the chosen parameters and block weights of a fitted model (`HeadRecord.chosen`)."""
    weights = model.fusion_.weights or {}
    return {
        **model.chosen_.parameters,
        **getattr(model.head_, "chosen_", {}),
        "block_weights": {name: float(weights.get(name, 1.0)) for name in model.fusion_.names},
    }


def count_missing(
    catalogue: Catalogue,
    keys: Sequence[bytes | BadPoster],
    rows: Mapping[str, NDArray[np.int64]],
    blocks: Sequence[str],
) -> dict[str, dict[str, int]]:
    """Count the items of each part that lack a block.

    Parameters
    ----------
    catalogue : Catalogue
    keys : sequence of bytes or BadPoster
        Of each item: content key of its poster, or the reason why it has none.
    rows : mapping of str to ndarray of int
        Part → row numbers in the catalogue.
    blocks : sequence of str
        Blocks of the run; only those of the kinds in `BLOCKS` are counted.

    Returns
    -------
    dict of str to dict of str to int
        Block → part → number of items.
    """
    columns, table = catalogue.columns, catalogue.table
    no_text = (table[list(columns.text)] == "").all(axis=1).to_numpy()
    lacks = {
        "poster": np.array([isinstance(key, BadPoster) for key in keys]),
        TEXT_EMBEDDING: no_text,
        "text": no_text,
        "metadata": (table[list(columns.metadata)] == "").all(axis=1).to_numpy(),
    }
    return {
        block: {part: int(lacks[kind][found].sum()) for part, found in rows.items()}
        for kind in BLOCKS
        for block in dict.fromkeys(blocks)
        if block_kind(block) == kind
    }
