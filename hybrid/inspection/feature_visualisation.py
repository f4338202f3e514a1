"""Feature visualisation of a run: the most important channels of its backbone, and what activates them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid.backbones import BackboneSpec, Weights
from hybrid.backbones.startup import start_keras
from hybrid.errors import RunError
from hybrid.explain.channels import (
    Channel,
    FeatureVisualisation,
    describe_channels,
    select_channels,
)
from hybrid.explain.importance import standardised
from hybrid.inspection.loaded_run import LoadedHead, LoadedRun, require_linear
from hybrid.inspection.poster_saliency import PosterBlock, poster_blocks, resolve_backbones
from hybrid.report.feature_page import BackboneImages, write_feature_page
from hybrid.report.page import check_html_path
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import reads_only


@reads_only
@limited_by_context
def visualise_features(
    run: LoadedRun,
    genres: Sequence[str],
    *,
    top: int,
    weights: Sequence[str] = (),
    html: Path | None = None,
    context: Context | None = None,
) -> FeatureVisualisation:
    """Most important channels of a run's backbones, with their top-activating posters.

    Parameters
    ----------
    run : LoadedRun
        With a linear head.
    genres : sequence of str
        Genres whose channels to show. Empty: all.
    top : int
        Number of posters for each channel.
    weights : sequence of str, default=()
        As `hybrid.inspection.poster_saliency.resolve_backbones` takes them.
    html : Path, optional
        A page to write, with images; only this needs the backbone.
    context : Context, optional
        Its seed is that of activation maximisation.

    Returns
    -------
    FeatureVisualisation

    Raises
    ------
    RunError
        If the catalogue has none of the items that the run was fitted on.
    SettingError
        If the run has no poster block, or is a deep baseline.
    WeightsError
        If a page is wanted and the backbone's weights are not where the run recorded them.

    Examples
    --------
    >>> visualise_features(run, ["Horror"], top=3).channels[0].towards  # doctest: +SKIP
    {'Horror': 0.21}
    """
    if html is not None:
        check_html_path(html)
    run = require_linear(run, "feature visualisation")
    chosen = [run.genres.index(genre) for genre in run.select_genres(genres)]
    blocks = poster_blocks(run.model, run.record)
    nets = resolve_backbones(run.folder, blocks, weights) if html is not None else []
    if not len(run.training_rows):
        raise RunError(
            f"{run.catalogue.path}: expected items that the run was fitted on, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    found = [_describe_block(run, block, chosen, top) for block in blocks]
    channels = tuple(channel for part, _ in found for channel in part)
    items = max(count for _, count in found)
    visualisation = FeatureVisualisation(run.name, items, channels, run.notes)
    if html is not None:
        images = [
            _backbone_images(
                block, spec, weights_found, [c.number for c in part], context or Context()
            )
            for block, (spec, weights_found), (part, _) in zip(blocks, nets, found, strict=True)
        ]
        write_feature_page(visualisation, images, _paths(run, channels), html)
    return visualisation


def _describe_block(
    run: LoadedHead, block: PosterBlock, chosen: Sequence[int], top: int
) -> tuple[tuple[Channel, ...], int]:
    """Most important channels of a block for some genres, and the number of training posters."""
    rows, table = run.training_rows, run.catalogue.table
    embeddings = block.features.read(run.frame.iloc[rows])
    titles = table["title"].tolist() if "title" in table.columns else [""] * len(table)
    items = [(str(run.catalogue.ids[i]), str(titles[i])) for i in rows]
    numbers = select_channels(block.coef[list(chosen)])
    activations = standardised(block.features, embeddings, numbers)
    channels = describe_channels(
        block.name, block.coef, activations, numbers, items, run.genres, top
    )
    return channels, int((~np.isnan(embeddings[:, 0])).sum())


def _backbone_images(
    block: PosterBlock,
    spec: BackboneSpec,
    weights: Weights,
    numbers: list[int],
    context: Context,
) -> BackboneImages:
    """First filters and activation maximisation of a block's backbone."""
    start_keras()
    from hybrid.backbones.activation_maximisation import STEPS, maximise_activations
    from hybrid.backbones.feature_maps import load_feature_map_model

    filters = load_feature_map_model(spec, weights).first_filters()
    total = len(numbers) * STEPS
    with context.progress.bar("activation maximisation", total, "steps") as advance:
        images = maximise_activations(spec, weights, numbers, context.seed, advance)
    return BackboneImages(block.name, spec.name, filters, dict(zip(numbers, images, strict=True)))


def _paths(run: LoadedRun, channels: Sequence[Channel]) -> dict[str, str]:
    """Path of the poster of each item that is shown."""
    wanted = {poster.id for channel in channels for poster in channel.posters}
    listed = zip(run.catalogue.ids.tolist(), run.catalogue.poster_paths, strict=True)
    return {name: path for name, path in listed if name in wanted}
