"""The encoders that are named for a race, resolved and checked before anything is embedded."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from hybrid.backbones import resolve_weights
from hybrid.backbones.licences import check_licences, weights_licence
from hybrid.backbones.provenance import Provenance
from hybrid.errors import HybridError, NotDownloadedError, SettingError
from hybrid.extraction.configured_spec import configured_spec
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.plan import choose_for
from hybrid.extraction.text_plan import configured_encoder
from hybrid.studies.race.encoders import RacedBackbone, RacedEmbeddings, RacedTextEncoder
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.shared import Shared
from hybrid.types import EmbeddingOptions, TextEmbeddingOptions
from hybrid.utils.options import one_or_each
from hybrid.utils.read_only import planning


class Entry(NamedTuple):
    """An encoder that takes part.

    Parameters
    ----------
    name : str
        As it is printed.
    licence : str
    learnt : Provenance
    make : callable
        Name and what all share → the encoder.
    """

    name: str
    licence: str
    learnt: Provenance
    make: Callable[[str, Shared], RacedEmbeddings]


def resolve_entries(
    backbones: Sequence[str],
    weights: Sequence[str],
    text_encoders: Sequence[str],
    *,
    options: RaceOptions,
    seed: int = 0,
) -> list[Entry]:
    """Resolve the encoders of a race: weights are found, downloaded and checked, licences compared.

    Parameters
    ----------
    backbones, text_encoders : sequence of str
    weights : sequence of str
        One for all backbones, or one for each; empty: ImageNet's.
    options : RaceOptions
        Engine, licence, and what changes embeddings.
    seed : int
        Of random weights.

    Returns
    -------
    list of Entry
        Backbones first; each has a name of its own.

    Raises
    ------
    HybridError
        If one cannot take part; the message names all of them.
    """
    if len(backbones) + len(text_encoders) < 2:
        raise SettingError(
            "--backbone, --text-encoder: expected two encoders or more for a race, found "
            f"{len(backbones) + len(text_encoders)}. hybrid backbones lists their names."
        )
    if weights and not backbones:
        raise SettingError("--weights: expected --backbone with it, whose weights they are.")
    several = one_or_each("--weights", weights or ("imagenet",), len(backbones), "backbone")
    if len(backbones) > 1 and options.posters.layer != "last":
        raise SettingError(f"--layer: expected one backbone with it, found {len(backbones)}.")
    named = [each or "imagenet" for each in several]
    pairs = zip(backbones, named, strict=True)
    found: list[Entry] = []
    errors: list[HybridError] = []
    try:
        check_licences_ahead(options.licence, pairs, text_encoders, options.posters)
    except SettingError as error:
        errors.append(error)
    refused = bool(errors)

    def resolve(make: Callable[..., Entry], *words: Any) -> None:
        try:
            found.append(make(*words))
        except HybridError as error:
            if not (refused and isinstance(error, NotDownloadedError)):
                errors.append(error)

    with planning() if refused else nullcontext():  # what is wrong with the others is told, too
        for name, each in zip(backbones, named, strict=True):
            resolve(_backbone, name, each, options, seed)
        for name in text_encoders:
            resolve(_text_encoder, name, options)
    if not errors:
        _check_names(found)
    if not refused:
        try:
            check_licences(options.licence, ((entry.name, entry.licence) for entry in found))
        except HybridError as error:
            errors.append(error)
    if errors:
        raise type(errors[0])("\n".join(map(str, errors)))
    return found


def _backbone(name: str, weights: str, options: RaceOptions, seed: int) -> Entry:
    spec = configured_spec(name, options.posters, weights)
    found = resolve_weights(spec, weights, seed)
    choose_for(spec, options.engine or "keras", options.posters.precision)
    licence = weights_licence(spec, found)
    own = spec.has_own_weights or found.kind == "imagenet"
    option = f"--backbone {shlex.quote(name)}"
    option += "" if own else f" --weights {shlex.quote(weights)}"
    option += _typed(options.posters, EmbeddingOptions())

    def make(name_here: str, shared: Shared) -> RacedEmbeddings:
        return RacedBackbone(
            name_here, option, licence, found.provenance, shared, backbone=name, weights=weights
        )

    label = spec.name if own else f"{spec.name} ({Path(weights).name})"
    return Entry(label, licence, found.provenance, make)


def _text_encoder(name: str, options: RaceOptions) -> Entry:
    spec = configured_encoder(name, options.texts)
    spec.choose_engine(options.engine or "auto", options.texts.precision)
    option = f"--text-encoder {shlex.quote(name)}" + _typed(options.texts, TextEmbeddingOptions())
    content = spec.provenance_bytes()
    learnt = Provenance() if content is None else Provenance.from_bytes(content)

    def make(label: str, shared: Shared) -> RacedEmbeddings:
        return RacedTextEncoder(
            label,
            option,
            spec.licence,
            learnt,
            shared,
            text_encoder=name,
            prefix=spec.prefix,
        )

    return Entry(spec.name, spec.licence, learnt, make)


def _typed(options: Any, usual: Any) -> str:
    """Options that are not the usual ones, as they are typed."""
    words = ""
    for field in fields(options):
        value = getattr(options, field.name)
        if value != getattr(usual, field.name):
            several = "x" if field.name == "input_size" else ","
            text = several.join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += f" --{field.name.replace('_', '-')} {shlex.quote(text)}"
    return words


def _check_names(entries: Sequence[Entry]) -> None:
    twice = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if twice:
        raise SettingError(
            f"--backbone, --text-encoder: expected each encoder once, with a name of its own, found twice: "
            f"{', '.join(twice)}."
        )
