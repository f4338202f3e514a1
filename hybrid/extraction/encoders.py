"""Extraction of posters and texts by one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

from hybrid.catalogue import Catalogue
from hybrid.extraction.extract import extract_backbones, plan_extraction
from hybrid.extraction.extract_texts import extract_texts, plan_text_extraction
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.text_plan import check_text_job
from hybrid.types import (
    EmbeddingOptions,
    ExtractPlan,
    ExtractSummary,
    TextEmbeddingOptions,
    TextExtractPlan,
    TextExtractSummary,
)
from hybrid.utils.context import Context
from hybrid.utils.read_only import plans_only

ENGINE_OF_TEXTS = "auto"


@dataclass(frozen=True)
class Encoders:
    """Encoders of posters and of texts; see `extract_backbones` and `extract_texts`.

    Parameters
    ----------
    backbones : sequence of str
    weights : sequence of str
        One for all backbones, or one for each.
    options : EmbeddingOptions
    text_encoder : str, optional
    text_options : TextEmbeddingOptions
    """

    backbones: Sequence[str] = ()
    weights: Sequence[str] = ("imagenet",)
    options: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    text_encoder: str | None = None
    text_options: TextEmbeddingOptions = field(default_factory=TextEmbeddingOptions)


def extract_encoders(
    catalogue: Catalogue,
    encoders: Encoders,
    *,
    engine: str | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> tuple[ExtractSummary | TextExtractSummary, ...]:
    """Embed the posters of a catalogue, its texts, or both; all is checked before anything is embedded.

    Parameters
    ----------
    catalogue : Catalogue
    encoders : Encoders
    engine : str, optional
        Inference engine; by default that of the settings for posters, and the fastest for texts.
    settings : ExtractSettings, optional
        What else counts for both; `limit` counts for each encoder.
    context : Context, optional

    Returns
    -------
    tuple of ExtractSummary and TextExtractSummary
        One for each backbone, then that of the texts.

    Raises
    ------
    CatalogueError, WeightsError, CacheError, SettingError
        If catalogue, encoders, cache or a parameter are wrong.
    """
    return tuple(
        _each(extract_backbones, extract_texts, catalogue, encoders, engine, settings, context)
    )


@plans_only
def plan_encoders(
    catalogue: Catalogue,
    encoders: Encoders,
    *,
    engine: str | None = None,
    settings: ExtractSettings | None = None,
    context: Context | None = None,
) -> tuple[ExtractPlan | TextExtractPlan, ...]:
    """Estimate what `extract_encoders` would compute, its time and its disk space; nothing is written."""
    return tuple(
        _each(plan_extraction, plan_text_extraction, catalogue, encoders, engine, settings, context)
    )


def _each(
    of_posters: Any,
    of_texts: Any,
    catalogue: Catalogue,
    encoders: Encoders,
    engine: str | None,
    settings: ExtractSettings | None,
    context: Context | None,
) -> list[Any]:
    settings = settings or ExtractSettings()
    for_texts = replace(settings, engine=engine or ENGINE_OF_TEXTS)
    if encoders.text_encoder is not None:
        several = cycle(encoders.weights) if len(encoders.weights) == 1 else encoders.weights
        pairs, texts = zip(encoders.backbones, several, strict=False), [encoders.text_encoder]
        check_licences_ahead(settings.licence, pairs, texts, encoders.options)
        check_text_job(catalogue, encoders.text_encoder, encoders.text_options, for_texts)
    found: list[Any] = []
    if encoders.backbones:
        found += of_posters(
            catalogue,
            encoders.backbones,
            weights=encoders.weights,
            options=encoders.options,
            settings=replace(settings, engine=engine or settings.engine),
            context=context,
        )
    if encoders.text_encoder is not None:
        how: Any = {"options": encoders.text_options, "settings": for_texts, "context": context}
        found.append(of_texts(catalogue, encoders.text_encoder, **how))
    return found
