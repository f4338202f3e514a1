"""Feature visualisation of a run: the most important channels of its encoders, and what activates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights, resolve_weights
from hybrid.backbones.startup import start_keras
from hybrid.errors import RunError, SettingError
from hybrid.explain.channels import (
    FITTED,
    MAX_CHANNELS,
    STOPPED_BY,
    Channel,
    FeatureVisualisation,
    describe_channels,
    select_channels,
)
from hybrid.explain.importance import standardised
from hybrid.explain.linear import BlockCoefficients, read_linear_head
from hybrid.features import PosterFeatures
from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.inspection.loaded_run import LoadedHead, LoadedNetwork, LoadedRun, require_linear
from hybrid.inspection.poster_saliency import poster_blocks, resolve_backbones
from hybrid.report.feature_page import FEATURE_PAGE, BackboneImages, write_feature_page
from hybrid.report.page import check_html_path
from hybrid.runs.record import POSTER
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import agree
from hybrid.utils.read_only import reads_only

PAGE_CHANNELS = 8  # of a block on a page: 24 take minutes on a CPU


@reads_only
@limited_by_context
def visualise_features(
    run: LoadedRun,
    genres: Sequence[str],
    *,
    top: int,
    most: int | None = None,
    weights: Sequence[str] = (),
    html: Path | None = None,
    context: Context | None = None,
) -> FeatureVisualisation:
    """Most important channels of a run's backbones and text encoders, with what activates them most.

    Parameters
    ----------
    run : LoadedRun
        With a linear head, or a deep baseline on posters, whose own embedding is shown: on the posters that
        it was stopped by, those of the validation items.
    genres : sequence of str
        Genres whose channels to show. Empty: all.
    top : int
        Number of posters or texts for each channel.
    most : int, optional
        Maximum number of channels of a block. By default 24, or 8 with a page, whose images take most of
        the time.
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
        If the run has no block of embeddings.
    WeightsError
        If a page is wanted and the backbone's weights are not where the run recorded them.

    Examples
    --------
    >>> visualise_features(run, ["Horror"], top=3).channels[0].towards  # doctest: +SKIP
    {'Horror': 0.21}
    """
    if html is not None:
        check_html_path(html, FEATURE_PAGE)
    chosen = [run.genres.index(genre) for genre in run.select_genres(genres)]
    if not len(run.training_rows):
        raise RunError(
            f"{run.catalogue.path}: expected {run.training_words}, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    context = context or Context()
    if most is None:
        most = MAX_CHANNELS if html is None else PAGE_CHANNELS
    choice = _Choice(chosen, most, top)
    if isinstance(run, LoadedNetwork):
        parts = [_describe_network(run, choice, weights, html is not None, context)]
    else:
        parts = _describe_blocks(
            require_linear(run, "feature visualisation"), choice, weights, html is not None
        )
    channels = tuple(channel for part in parts for channel in part.channels)
    items = max(part.items for part in parts)
    source = STOPPED_BY if isinstance(run, LoadedNetwork) else FITTED
    notes = (*run.notes, *(note for part in parts for note in part.notes))
    visualisation = FeatureVisualisation(run.name, items, channels, notes, source)
    if html is not None:
        images = [_backbone_images(part, context) for part in parts if part.backbone is not None]
        write_feature_page(visualisation, images, _paths(run, channels), html)
    return visualisation


@dataclass(frozen=True)
class _Choice:
    """Which channels to show: of these genres, at most so many, each with so many posters."""

    genres: Sequence[int]
    most: int
    top: int

    def select(self, coef: NDArray[np.float64]) -> tuple[list[int], tuple[str, ...]]:
        """The channels, and a note if there are more."""
        every = select_channels(coef[list(self.genres)], most=coef.shape[1])
        if len(every) <= self.most:
            return every, ()
        note = (
            f"{self.most} of {len(every)} channels {agree(self.most, '{are|is}')} shown; --channels "
            f"{len(every)} shows them all."
        )
        return every[: self.most], (note,)


@dataclass(frozen=True, eq=False)
class _Part:
    """Channels of one block, the number of items, and its backbone with weights where a page needs them."""

    block: str
    channels: tuple[Channel, ...]
    items: int
    backbone: tuple[BackboneSpec, Weights] | None
    notes: tuple[str, ...]


def _describe_network(
    run: LoadedNetwork,
    choice: _Choice,
    weights: Sequence[str],
    with_images: bool,
    context: Context,
) -> _Part:
    """Most important channels of a deep baseline's own embedding, on its validation posters."""
    run.refuse_weights(weights)
    start_keras()
    from hybrid.deep.channels import weigh_channels
    from hybrid.deep.saved import body_file

    rows = run.training_rows
    found = weigh_channels(run.model, run.items(rows), context.progress)
    numbers, notes = choice.select(found.coef)
    activations = found.activations[:, numbers]
    channels = describe_channels(
        POSTER, found.coef, activations, numbers, _named(run), run.genres, choice.top
    )
    spec = run.model.spec.body
    backbone = None
    if with_images:
        backbone = spec, resolve_weights(spec, str(run.folder / body_file(run.model)))
    items = int((~np.isnan(found.activations[:, 0])).sum())
    return _Part(POSTER, channels, items, backbone, notes)


def _describe_blocks(
    run: LoadedHead, choice: _Choice, weights: Sequence[str], with_images: bool
) -> list[_Part]:
    """Most important channels of each block of embeddings of a linear head: posters, then texts."""
    fitted = [
        (name, b) for name, b in run.model.fusion_.fitted_ if isinstance(b, EmbeddingFeatures)
    ]
    posters = [name for name, block in fitted if isinstance(block, PosterFeatures)]
    if weights and not posters:
        raise SettingError(
            f"--weights: expected none, since {run.name} has no block of posters, found "
            f"{', '.join(weights)}."
        )
    if not fitted:
        raise SettingError(
            f"--features: expected a run with a block of embeddings, of posters or texts, found "
            f"{', '.join(run.model.fusion_.names)}. Fit one with hybrid fit-svm --blocks "
            "poster,text,metadata."
        )
    nets: dict[str, tuple[BackboneSpec, Weights]] = {}
    if posters and with_images:
        blocks = poster_blocks(run.model, run.record)
        found = resolve_backbones(run.folder, blocks, weights)
        nets = {block.name: net for block, net in zip(blocks, found, strict=True)}
    effects = {effect.name: effect for effect in read_linear_head(run.model).blocks}
    return [
        _describe_block(run, effects[name], block, choice, nets.get(name))
        for name, block in sorted(fitted, key=lambda one: one[0] not in posters)
    ]


def _named(run: LoadedRun) -> list[tuple[str, str]]:
    """Id and title of each item that the run was fitted on."""
    table = run.catalogue.folded
    titles = table["title"].tolist() if "title" in table.columns else [""] * len(table)
    return [(str(run.catalogue.ids[i]), str(titles[i])) for i in run.training_rows]


def _describe_block(
    run: LoadedHead,
    effect: BlockCoefficients,
    features: EmbeddingFeatures,
    choice: _Choice,
    backbone: tuple[BackboneSpec, Weights] | None,
) -> _Part:
    """Most important channels of a block of embeddings for some genres."""
    embeddings = features.read(run.frame.iloc[run.training_rows])
    coef = effect.coef[:, : effect.first_named]
    numbers, notes = choice.select(coef)
    activations = standardised(features, embeddings, numbers)
    channels = describe_channels(
        effect.name,
        coef,
        activations,
        numbers,
        _named(run),
        run.genres,
        choice.top,
        effect.source,
    )
    items = int((~np.isnan(embeddings[:, 0])).sum())
    return _Part(effect.name, channels, items, backbone, notes)


def _backbone_images(part: _Part, context: Context) -> BackboneImages:
    """First filters and activation maximisation of a block's backbone."""
    start_keras()
    from hybrid.backbones.activation_maximisation import STEPS, find_noise, maximise_activations
    from hybrid.backbones.feature_maps import load_feature_map_model

    assert part.backbone is not None
    spec, weights = part.backbone
    numbers = [channel.number for channel in part.channels]
    filters = load_feature_map_model(spec, weights).first_filters()
    total = len(numbers) * STEPS
    with context.progress.bar("activation maximisation", total, "steps") as advance:
        images = maximise_activations(spec, weights, numbers, context.seed, advance)
    noise = find_noise(spec, weights, numbers, images, context.seed)
    return BackboneImages(
        part.block,
        spec.name,
        filters,
        dict(zip(numbers, images, strict=True)),
        frozenset(number for number, is_noise in zip(numbers, noise, strict=True) if is_noise),
    )


def _paths(run: LoadedRun, channels: Sequence[Channel]) -> dict[str, tuple[str, ...]]:
    """Paths of the posters of each item that is shown."""
    wanted = {poster.id for channel in channels for poster in channel.posters}
    files = run.catalogue.poster_files
    listed = enumerate(run.catalogue.ids.tolist())
    return {name: files(i) for i, name in listed if name in wanted}
