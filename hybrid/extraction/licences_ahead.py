"""Licences of weights before any of them is downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.backbones.hub_presets import preset_licence
from hybrid.backbones.licences import check_licences, weights_licence
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import HybridError, WeightsError
from hybrid.extraction.configured_spec import configured_spec
from hybrid.text_encoders.registry import text_licence_ahead
from hybrid.types import EmbeddingOptions
from hybrid.utils.read_only import planning


def check_licences_ahead(
    wanted: str,
    backbones: Iterable[tuple[str | BackboneSpec, str]] = (),
    text_encoders: Iterable[str] = (),
    options: EmbeddingOptions | None = None,
) -> None:
    """Refuse encoders whose licences are known not to permit commercial use, before anything is downloaded.

    What else is wrong with an encoder, and licences that only its files tell, are left to who resolves it.

    Parameters
    ----------
    wanted : {"any", "commercial"}
    backbones : iterable of (str or BackboneSpec, str)
        Each with its weights.
    text_encoders : iterable of str
    options : EmbeddingOptions, optional
        Of the backbones.

    Raises
    ------
    SettingError
        Names all that are refused.

    Examples
    --------
    >>> check_licences_ahead("commercial", [("vgg16", "imagenet")], ["bge-small-en-v1.5"])
    """
    if wanted == "any":
        return
    found = [*_of_backbones(backbones, options or EmbeddingOptions()), *_of_texts(text_encoders)]
    check_licences(wanted, found)


def _of_backbones(
    backbones: Iterable[tuple[str | BackboneSpec, str]], options: EmbeddingOptions
) -> Iterator[tuple[str, str]]:
    for name, weights in backbones:
        try:
            spec = get_backbone(name) if isinstance(name, str) else name
            licence = _licence(spec, weights, options)
        except HybridError:
            continue
        if licence is not None:
            yield spec.name, licence


def _licence(spec: BackboneSpec, weights: str, options: EmbeddingOptions) -> str | None:
    """By its files where they are on this machine, else by its name; None where these do not tell."""
    try:
        with planning():
            own = configured_spec(spec, options, weights)
            return weights_licence(own, resolve_weights(own, weights))
    except WeightsError:
        if spec.hub is not None and spec.hub.folder is None:
            return preset_licence(spec.hub.preset)
        return spec.licence if weights == "imagenet" and not spec.has_own_weights else None


def _of_texts(text_encoders: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in text_encoders:
        licence = text_licence_ahead(name)
        if licence is not None:
            yield Path(name).name if Path(name).exists() else name, licence
