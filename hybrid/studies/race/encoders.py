"""The encoders of a race: embedded through the cache, fitted as blocks, and what they cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid.backbones.provenance import Provenance
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.extraction.extract import extract_backbones, plan_extraction
from hybrid.extraction.extract_texts import extract_texts, plan_text_extraction
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.poster_keys import image_files
from hybrid.extraction.text_lookup import TEXT_EMBEDDING
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.records import PlannedEncoder, Price
from hybrid.studies.race.rounds import Scores
from hybrid.studies.race.shared import Shared
from hybrid.types import (
    EmbeddingSelector,
    ExtractPlan,
    ExtractSummary,
    TextExtractPlan,
    TextExtractSummary,
    TextSelector,
)

PROBE = 32  # embeddings that a rate is first measured on
KEY_BYTES = 32


def unknown_price(shared: Shared) -> Price:
    """The price where nothing was embedded: an embedding for each item, of unknown cost."""
    return Price(len(shared.whole), len(shared.whole), None, None, None)


@dataclass(eq=False)
class RacedEmbeddings(ABC):
    """An encoder in a race; see `hybrid.studies.race.rounds.Contestant`.

    Parameters
    ----------
    name : str
        Tells it apart from the others.
    option : str
        What names it on the command line.
    licence : str
        Of its weights.
    learnt : Provenance
        What its weights have learnt from.
    shared : Shared
    """

    name: str
    option: str
    licence: str
    learnt: Provenance
    shared: Shared
    computed: dict[int, int] = field(default_factory=dict, init=False)  # embeddings, by sample
    last: ExtractSummary | TextExtractSummary | None = field(default=None, init=False)
    rate: float = field(default=0.0, init=False)  # embeddings a second; 0: not measured
    loading: float = field(default=0.0, init=False)  # seconds

    of: str = field(default="", init=False)
    block: str = field(default="", init=False)

    @abstractmethod
    def extract(self, catalogue: Catalogue, limit: int | None) -> Any:
        """Embed a catalogue into the cache, at most so many."""

    @abstractmethod
    def plan(self, catalogue: Catalogue) -> ExtractPlan | TextExtractPlan:
        """What extracting a catalogue would compute."""

    @abstractmethod
    def keys(self, catalogue: Catalogue) -> list[bytes]:
        """Keys in the cache of what is to be embedded, each once."""

    @abstractmethod
    def select(self) -> dict[str, Any]:
        """Arguments of `make_hybrid` that select the embeddings."""

    @property
    def store(self) -> EmbeddingStore | None:
        """Where its embeddings are; None before the first one."""
        if self.last is None:
            return None
        return EmbeddingCache(self.shared.context.cache).find(self.last.fingerprint)

    def estimate(self, sample: int) -> float:
        """Seconds to embed what a sample lacks; the rate is measured on some of it where it is not known."""
        if self.last is None:
            self._extract(sample, PROBE)
        lacking = self._lacking(sample)
        if lacking and not self._known_rate:
            self._extract(sample, PROBE)
            lacking = self._lacking(sample)
        return self.loading + lacking / (self._known_rate or np.inf) if lacking else 0.0

    def embed(self, sample: int, seconds: float) -> bool:
        """Embed a sample, in about so many seconds at most; whether all of it is embedded."""
        limit = max(1, int(self._known_rate * seconds)) if self._known_rate else None
        return self._extract(sample, limit)

    def fit(self, sample: int) -> Scores:
        """Out-of-fold outputs, alone and with the blocks."""
        return self.shared.fit_encoder(self.name, self.block, sample, **self.select())

    @property
    def price(self) -> Price:
        """What the whole catalogue costs, from the largest sample that it has embedded."""
        store, sample = self.store, max(self.computed, default=None)
        if store is None or sample is None:
            return unknown_price(self.shared)
        keys = self.keys(self.shared.samples[sample].catalogue)
        number = len(keys) / self.shared.sizes[sample] * len(self.shared.whole)
        if len(store) > len(keys):  # of earlier extractions: their files are remembered
            keys = self.keys(self.shared.whole)
            number = len(keys)
        embeddings = round(number)
        left = max(embeddings - int(store.knows(keys).sum()), 0)
        size = embeddings * (store.dimension * np.dtype(store.dtype).itemsize + KEY_BYTES)
        rate = self._known_rate
        if not rate:
            return Price(embeddings, left, None, None if left else 0.0, size)
        seconds = self.loading + embeddings / rate
        return Price(embeddings, left, seconds, self.loading + left / rate if left else 0.0, size)

    def planned(self) -> PlannedEncoder:
        """What a race would compute at most: all train and validation items."""
        plan = self.plan(self.shared.samples[-1].catalogue)
        of = plan.texts if isinstance(plan, TextExtractPlan) else plan.images
        return PlannedEncoder(
            self.name, self.of, self.option, self.licence, of, plan.hits, plan.seconds, plan.bytes
        )

    def _lacking(self, sample: int) -> int:
        store = self.store
        keys = self.keys(self.shared.samples[sample].catalogue)
        return len(keys) if store is None else int((~store.knows(keys)).sum())

    @property
    def _known_rate(self) -> float:
        """Embeddings a second, as measured now, or as the cache recorded them; 0 where neither is known."""
        store = self.store
        if self.rate or store is None:
            return self.rate
        cost = store.cost(self.keys(self.shared.samples[0].catalogue))
        known = cost.embeddings - cost.unknown
        return known / cost.seconds if known and cost.seconds > 0 else 0.0

    def _extract(self, sample: int, limit: int | None) -> bool:
        found = self.extract(self.shared.samples[sample].catalogue, limit)
        self.last = found
        self.computed[sample] = self.computed.get(sample, 0) + found.computed
        if found.rate > 0 and (found.computed >= PROBE or not self.rate):
            self.rate = found.rate
            self.loading = max(found.seconds - found.computed / found.rate, 0.0)
        return not found.left


@dataclass(eq=False)
class RacedBackbone(RacedEmbeddings):
    """A backbone in a race."""

    backbone: str = ""
    weights: str = "imagenet"

    def __post_init__(self) -> None:
        self.of, self.block = "poster", "poster"

    def extract(self, catalogue: Catalogue, limit: int | None) -> ExtractSummary:
        """See `RacedEmbeddings.extract`."""
        (found,) = extract_backbones(
            catalogue,
            [self.backbone],
            weights=[self.weights],
            options=self.shared.options.posters,
            settings=_settings(self.shared.options, "keras", limit),
            context=self.shared.context,
        )
        return found

    def plan(self, catalogue: Catalogue) -> ExtractPlan:
        """See `RacedEmbeddings.plan`."""
        (found,) = plan_extraction(
            catalogue,
            [self.backbone],
            weights=[self.weights],
            options=self.shared.options.posters,
            settings=_settings(self.shared.options, "keras", None),
            context=self.shared.context,
        )
        return found

    def keys(self, catalogue: Catalogue) -> list[bytes]:
        """See `RacedEmbeddings.keys`."""
        found = hash_catalogue(catalogue, self.shared.context)
        return list(image_files(catalogue, found, self.shared.context))

    def select(self) -> dict[str, Any]:
        """See `RacedEmbeddings.select`."""
        assert self.last is not None, "embedded"
        return {"select": EmbeddingSelector(fingerprint=self.last.fingerprint)}


@dataclass(eq=False)
class RacedTextEncoder(RacedEmbeddings):
    """A text encoder in a race."""

    text_encoder: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        self.of, self.block = "text", TEXT_EMBEDDING

    def extract(self, catalogue: Catalogue, limit: int | None) -> TextExtractSummary:
        """See `RacedEmbeddings.extract`."""
        return extract_texts(
            catalogue,
            self.text_encoder,
            options=self.shared.options.texts,
            settings=_settings(self.shared.options, "auto", limit),
            context=self.shared.context,
        )

    def plan(self, catalogue: Catalogue) -> TextExtractPlan:
        """See `RacedEmbeddings.plan`."""
        return plan_text_extraction(
            catalogue,
            self.text_encoder,
            options=self.shared.options.texts,
            settings=_settings(self.shared.options, "auto", None),
            context=self.shared.context,
        )

    def keys(self, catalogue: Catalogue) -> list[bytes]:
        """See `RacedEmbeddings.keys`."""
        texts = item_texts(catalogue.frame, catalogue.columns.text)
        return list(dict.fromkeys(key for key in text_keys(texts, self.prefix) if key is not None))

    def select(self) -> dict[str, Any]:
        """See `RacedEmbeddings.select`."""
        assert self.last is not None, "embedded"
        return {"select_text": [TextSelector(fingerprint=self.last.fingerprint)]}


def _settings(options: RaceOptions, usual: str, limit: int | None) -> ExtractSettings:
    return ExtractSettings(options.engine or usual, limit=limit, licence=options.licence)
