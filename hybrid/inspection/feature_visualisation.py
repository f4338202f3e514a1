"""Wiring: run + catalogue → what the channels of its backbone look for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid.backbones import BackboneSpec, Weights
from hybrid.backbones.startup import start_keras
from hybrid.errors import RunError
from hybrid.explain.channels import Channel, LearnedFeatures, choose_channels, find_channels
from hybrid.explain.importance import standardised
from hybrid.inspection.loaded_run import Opened, OpenedHead, only_linear
from hybrid.inspection.poster_maps import PosterBlock, find_nets, poster_blocks
from hybrid.report.feature_page import Plate, write_plates
from hybrid.report.page import check_page_name
from hybrid.utils.progress import Progress


def learn_features(
    opened: Opened,
    genres: Sequence[str],
    *,
    top: int,
    weights: Sequence[str] = (),
    html: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> LearnedFeatures:
    """What the channels that count most for a run look for.

    Parameters
    ----------
    opened : Opened
    genres : sequence of str
        Whose channels; empty: of all genres.
    top : int
        Posters of each channel.
    weights : sequence of str
        As `hybrid.inspection.poster_maps.find_nets` takes them.
    html : Path, optional
        A page to write, with pictures; only this needs the backbone.
    seed : int
        Of the images that excite a channel most.
    progress : Progress, optional

    Raises
    ------
    RunError
        If the catalogue has none of the items that the run learnt from.
    SettingError
        If the run has no block of posters, or is a deep baseline.
    WeightsError
        If a page is wanted and the backbone's weights are not where the run recorded them.
    """
    if html is not None:
        check_page_name(html)
    opened = only_linear(opened, "what its backbone's channels look for")
    chosen = [opened.genres.index(genre) for genre in opened.choose(genres)]
    blocks = poster_blocks(opened.model, opened.record)
    nets = find_nets(opened.folder, blocks, weights) if html is not None else []
    if not len(opened.learnt):
        raise RunError(
            f"{opened.catalogue.path}: expected items that the run learnt from, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    found = [_channels(opened, block, chosen, top) for block in blocks]
    channels = tuple(channel for part, _ in found for channel in part)
    items = max(count for _, count in found)
    learned = LearnedFeatures(str(opened.record.get("name", "")), items, channels, opened.notes)
    if html is not None:
        plates = [
            _plate(block, spec, given, [c.number for c in part], seed, progress or Progress())
            for block, (spec, given), (part, _) in zip(blocks, nets, found, strict=True)
        ]
        write_plates(learned, plates, _paths(opened, channels), html)
    return learned


def _channels(
    opened: OpenedHead, block: PosterBlock, chosen: Sequence[int], top: int
) -> tuple[tuple[Channel, ...], int]:
    """The channels of a block that count most for some genres, and how many posters were looked at."""
    rows, table = opened.learnt, opened.catalogue.table
    embeddings = block.features.read(opened.frame.iloc[rows])
    titles = table["title"].tolist() if "title" in table.columns else [""] * len(table)
    items = [(str(opened.catalogue.ids[i]), str(titles[i])) for i in rows]
    numbers = choose_channels(block.per_unit[list(chosen)])
    excited = standardised(block.features, embeddings, numbers)
    channels = find_channels(
        block.name, block.per_unit, excited, numbers, items, opened.genres, top
    )
    return channels, int((~np.isnan(embeddings[:, 0])).sum())


def _plate(
    block: PosterBlock,
    spec: BackboneSpec,
    weights: Weights,
    numbers: list[int],
    seed: int,
    progress: Progress,
) -> Plate:
    """The pictures of a block's backbone."""
    start_keras()
    from hybrid.backbones.activation_maximisation import STEPS, maximise_activations
    from hybrid.backbones.feature_maps import load_feature_map_model

    filters = load_feature_map_model(spec, weights).first_filters()
    with progress.bar("activation maximisation", len(numbers) * STEPS, "steps") as advance:
        images = maximise_activations(spec, weights, numbers, seed, advance)
    return Plate(block.name, spec.name, filters, dict(zip(numbers, images, strict=True)))


def _paths(opened: Opened, channels: Sequence[Channel]) -> dict[str, str]:
    """The poster file of each item that is shown."""
    wanted = {poster.id for channel in channels for poster in channel.posters}
    listed = zip(opened.catalogue.ids.tolist(), opened.catalogue.poster_paths, strict=True)
    return {name: path for name, path in listed if name in wanted}
