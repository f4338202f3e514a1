"""Inputs of a deep baseline: items with embeddings, fusion of the blocks, checkpoint, plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import Weights, resolve_weights
from hybrid.backbones.licences import check_licences, weights_licence
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import trained_input_size
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.deep.checkpoint import Checkpoint
from hybrid.deep.items import Items
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import FUSED, NetworkSpec, configure_network, get_network, reads_posters
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.pooling import check_pooling_used
from hybrid.extraction.poster_keys import different_posters
from hybrid.extraction.text_lookup import text_selectors
from hybrid.features import PosterFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads.make_hybrid import choose_blocks, make_hybrid
from hybrid.images.decode import BadPoster
from hybrid.runs.provenance import block_stores
from hybrid.splitting.tasks import Task
from hybrid.types import PARTS, EmbeddingOptions, Split, TextSelector
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.read_only import plans_only

if TYPE_CHECKING:
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.training_plan import DeepPlan


def deep_items(
    catalogue: Catalogue,
    model: DeepBaseline,
    rows: Mapping[str, NDArray[np.int64]],
    keys: Sequence[bytes | BadPoster],
    store: EmbeddingStore | None,
    context: Context | None = None,
) -> dict[str, Items]:
    """Items of each part of the split, with embeddings if the network reads those of a frozen backbone.

    Parameters
    ----------
    catalogue : Catalogue
    model : DeepBaseline
        Not fitted.
    rows : mapping of str to ndarray of int
        Part → row numbers in the catalogue.
    keys : sequence of n bytes or BadPoster
        Content keys of the posters.
    store : EmbeddingStore or None
        See `frozen_embeddings`.
    context : Context, optional
    """
    frame = catalogue.frame if model.spec.fused else None
    paths, good = different_posters(catalogue, keys, context)
    items = Items(catalogue.ids.tolist(), paths, catalogue.labels, frame=frame)
    if store is not None:
        items = replace(items, embeddings=store.read(good))
    return {part: items.take(numbers) for part, numbers in rows.items()}


def tell_several_posters(catalogue: Catalogue, spec: NetworkSpec) -> str:
    """What a network does with the posters of items that have several; ``""`` if nothing is to be told.

    Parameters
    ----------
    catalogue : Catalogue
    spec : NetworkSpec
        Of the network, with its options.
    """
    several = catalogue.several_posters
    if not several or spec.backbone is None or spec.pools_posters:
        return ""
    return (
        f"{counted(len(several), 'item has', 'items have')} several posters, "
        f"{sum(map(len, several.values())):,} together: each poster is trained with the labels of its item, "
        "whose prediction is the mean over its posters"
    )


def make_checkpoint(
    folder: Path,
    model: DeepBaseline,
    weights: Weights | None,
    catalogue: Catalogue,
    split: Split,
    task: Task,
) -> Checkpoint:
    """Make the checkpoint of a training: a folder beside the run folder, until the run is written.

    Its identity holds everything that a resumed training must share with the interrupted one: network,
    options, blocks of embeddings, digest of the initial weights, seed, catalogue, split and task, but not
    workers and devices.
    """
    options = asdict(model.options)
    for name in ("blocks", "text_encoder", "text_embeddings"):
        if not options[name]:  # trainings of earlier versions have none
            del options[name]
    embeddings = {name: store.fingerprint for name, store in block_stores(model).items()}
    identity = {
        "network": model.spec.name,
        **options,
        **({"embeddings": embeddings} if embeddings else {}),
        "weights": weights and weights.digest,
        "seed": model.seed,
        "catalogue": catalogue.sha256,
        "split": split.sha256,
        "narrowed": None if task.whole else asdict(task),
    }
    return Checkpoint(folder.with_name(f".{folder.name}.training"), identity)


def describe_settings(model: DeepBaseline) -> dict[str, Any]:
    """Settings of a deep baseline, for its record."""
    return {
        **asdict(model.options),
        "devices": model.devices,
        "decision": asdict(model.decision),
    }


@plans_only
def plan_deep(
    catalogue: Catalogue,
    split: Split,
    network: str,
    options: DeepOptions | None = None,
    devices: str = "1",
    context: Context | None = None,
    licence: str = "any",
) -> DeepPlan:
    """Plan a training without doing it: layers, parameters and memory.

    Parameters
    ----------
    catalogue, split, network, options, devices, licence
        As for `hybrid.runs.fit_deep.fit_deep`.
    context : Context, optional
        Whose cache has the embeddings of its blocks.

    Returns
    -------
    DeepPlan
    """
    start_keras()
    from hybrid.deep.fused import make_baseline
    from hybrid.deep.training_plan import plan_training

    options = with_trained_size(network, options or DeepOptions())
    fusion = make_fusion(catalogue, network, context, options, licence)
    model = make_baseline(network, options, fusion=fusion, devices=devices)
    check_starting_licence(model, licence)
    check_pooling_used(catalogue, model.options.poster_pooling, "fit-deep")
    counts = {part: int((split.parts == part).sum()) for part in PARTS}
    train = catalogue.only(split.ids[split.parts == "train"].tolist())
    items = Items(train.ids.tolist(), different_posters(train)[0], frame=train.frame)
    return plan_training(model, items, counts["validation"], len(catalogue.genres))


def with_trained_size(network: str, options: DeepOptions) -> DeepOptions:
    """The options with the input size of the run whose weights they name, unless they name a size.

    Those of a network without posters stay as they are: what was not given is not refused.
    """
    if not reads_posters(network, options):
        return options
    return replace(options, input_size=options.input_size or trained_input_size(options.weights))


def check_starting_licence(model: DeepBaseline, licence: str) -> None:
    """Refuse weights to start from whose licence does not permit commercial use, where that is wanted.

    Raises
    ------
    SettingError
        As `hybrid.backbones.licences.check_licences`.
    """
    named = model.options.weights
    if named is None and not model.spec.pretrained:
        check_licences(licence, ())
        return
    body = model.spec.body
    # Of ImageNet's it is known without reading them.
    told = named in (None, "imagenet")
    said = body.licence if told else weights_licence(body, resolve_weights(body, named or "", 0))
    check_licences(licence, [(body.name, said)])


def make_fusion(
    catalogue: Catalogue,
    network: str,
    context: Context | None = None,
    options: DeepOptions | None = None,
    licence: str = "any",
) -> Fusion | None:
    """Make the fusion of the blocks that a network reads, not fitted.

    Parameters
    ----------
    catalogue : Catalogue
    network : str
    context : Context, optional
        Its cache has the embeddings of the blocks, but for those of the network's own body.
    options : DeepOptions, optional
        Their blocks and text encoders are those of the network `fused`; by default, as for `make_hybrid`, all
        that the catalogue has.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse embeddings of weights whose licence is not known to permit commercial use.

    Returns
    -------
    Fusion or None
        None for a network that reads posters alone. The block of posters names no store: its embeddings are
        those of the network's own body.

    Raises
    ------
    SettingError
        If the catalogue lacks a block, or an option has no effect.
    ExtractionError
        If the cache lacks the embeddings of a block.
    """
    spec = get_network(network)
    if not spec.fused:
        catalogue.require_posters()
        return None
    context, options = context or Context(), options or DeepOptions()
    asked: Sequence[str] | None = spec.blocks
    select: Sequence[TextSelector] = ()
    if spec.name == FUSED:
        asked = options.blocks
        select = text_selectors(options.text_encoder, options.text_embeddings)
    names = choose_blocks(catalogue, asked, select, context)
    configure_network(spec, replace(options, blocks=names) if spec.name == FUSED else options)
    others = [name for name in names if name != "poster"]
    how: Any = {"select_text": select, "licence": licence, "context": context}
    made = make_hybrid(catalogue, blocks=others, **how).fusion.blocks
    return Fusion([*([("poster", PosterFeatures())] if "poster" in names else []), *made])


def frozen_embeddings(
    catalogue: Catalogue, model: DeepBaseline, context: Context
) -> EmbeddingStore | None:
    """Embeddings of the frozen backbone that a network reads; those that the cache lacks are extracted.

    Returns
    -------
    EmbeddingStore or None
        None for a network that reads none.
    """
    if not model.spec.reads_embeddings:
        return None
    summary = extract_embeddings(
        catalogue,
        model.spec.body.name,
        weights=model.options.weights or "imagenet",
        options=EmbeddingOptions(input_size=model.spec.body.input_size),
        context=replace(context, seed=model.seed),
    )
    return EmbeddingCache(context.cache).find(summary.fingerprint)
