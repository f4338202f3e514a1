"""Frozen dataclasses that pass between the packages."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue_types import BadRow as BadRow
from hybrid.catalogue_types import CellFormat as CellFormat
from hybrid.catalogue_types import ColumnOptions as ColumnOptions
from hybrid.catalogue_types import ColumnRole as ColumnRole
from hybrid.catalogue_types import Columns as Columns
from hybrid.catalogue_types import Finding as Finding
from hybrid.catalogue_types import LabelRules as LabelRules
from hybrid.split_types import Split as Split

PARTS = ("train", "validation", "test")
UNUSED = "unused"  # in no part, and meant to be
LEAK, WARNING = "leak", "warning"  # severities
MAX_SHARED = 12  # items; what more of them share (a placeholder, a series' title) is nobody's
# What settings can be chosen by; hybrid.heads.scoring says what each is.
METRICS = ("weighted-f1", "macro-f1", "micro-f1", "map", "map-weighted")
METRIC = "weighted-f1"
# How the embeddings of an item's posters become one.
POSTER_POOLINGS = ("mean", "max", "first")


@dataclass(frozen=True)
class DuplicateGroups:
    """Duplicates of one kind in a catalogue.

    Parameters
    ----------
    kind : str
        For instance ``"same image bytes"``; see `hybrid.duplicates.kinds`.
    groups : tuple of tuple of str
        Ids; each group has two or more.
    severity : str, default="leak"
        ``"leak"`` or ``"warning"``: what it is if they are in two parts of a split.
    same : dict of str to hashable, default={}
        Id → what it is equal to. Pairs that are equal belong to another kind and are not counted in this
        one. An id that is not here is equal to itself alone.
    untied : tuple of tuple of str, default=()
        Ids of items that share what too many share to be duplicates, such as a placeholder image.

    Examples
    --------
    >>> DuplicateGroups("same image bytes", (("f1", "f7"),)).severity
    'leak'
    """

    kind: str
    groups: tuple[tuple[str, ...], ...]
    severity: str = LEAK
    same: dict[str, Hashable] = field(default_factory=dict)
    untied: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Leak:
    """One kind of leak between the parts of a split, or one kind of warning.

    Parameters
    ----------
    kind : str
    count : int
        Number of all pairs.
    share : float
        Share of the test items that leak, from 0 to 1.
    pairs : tuple of (str, str, str, str)
        The first pairs: (id, part, other id, other part).
    severity : str, default="leak"
        ``"leak"`` or ``"warning"``.
    items : tuple of str, default=()
        Ids of all test items that leak.
    """

    kind: str
    count: int
    share: float
    pairs: tuple[tuple[str, str, str, str], ...]
    severity: str = LEAK
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """Audit of a split.

    Parameters
    ----------
    checks : tuple of str
        The kinds of leaks that were searched for.
    leaks, warnings : tuple of Leak
        What was found, by severity.
    skipped : tuple of str, default=()
        What could not be searched for, with the reason.

    Examples
    --------
    >>> Audit(("same id",), ()).clean
    True
    """

    checks: tuple[str, ...]
    leaks: tuple[Leak, ...]
    warnings: tuple[Leak, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing leaks; there may be warnings."""
        return not self.leaks

    @property
    def leaked(self) -> frozenset[str]:
        """Ids of all test items that leak."""
        return frozenset(name for leak in self.leaks for name in leak.items)


@dataclass(frozen=True)
class StageCost:
    """Cost of one stage of a run.

    Parameters
    ----------
    name : str
    seconds : float
    peak_mib : float
        Peak memory of the process in MiB.
    """

    name: str
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Parameters
    ----------
    value : float
        The estimate.
    low, high : float
        Bounds of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EmbeddingOptions:
    """Options of an extraction that change the embeddings, besides the backbone and its weights.

    Parameters
    ----------
    layer : str, default="last"
        Layer whose output is pooled.
    pooling : {"avg", "max", "gem"}, optional
        Global pooling; by default the backbone's.
    input_size : (int, int), optional
        Height and width of the input in pixels; by default the backbone's.
    fit : {"squash", "pad", "crop"}, default="squash"
        How a poster is resized to the input size. See also `hybrid.backbones.configure`.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Numeric precision of the computation. ``"auto"``: that of the embeddings in the cache; without
        any, bfloat16 where processor or GPU have it and the embeddings of some posters have a cosine of
        at least 0.9995 with those in float32; else float32.
    dtype : {"float16", "float32"}, default="float16"
        Data type of the stored embeddings.

    Examples
    --------
    >>> EmbeddingOptions(fit="pad").precision
    'auto'
    """

    layer: str = "last"
    pooling: str | None = None
    input_size: tuple[int, int] | None = None
    fit: str = "squash"
    precision: str = "auto"
    dtype: str = "float16"


@dataclass(frozen=True)
class TextEmbeddingOptions:
    """Options of an extraction of texts that change the embeddings, besides the encoder.

    Parameters
    ----------
    chunks : {"first", "mean"}, default="first"
        Of a text that is longer than the encoder reads: only its start is embedded; or the mean of all its
        pieces.
    max_length : int, optional
        Tokens that the encoder reads at once, from 3; by default the encoder's.
    prefix : str, optional
        Put before each text; by default what the encoder was trained with, where that is known.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        As in `EmbeddingOptions`.
    dtype : {"float16", "float32"}, default="float16"
        Data type of the stored embeddings.

    Examples
    --------
    >>> TextEmbeddingOptions(chunks="mean").precision
    'auto'
    """

    chunks: str = "first"
    max_length: int | None = None
    prefix: str | None = None
    precision: str = "auto"
    dtype: str = "float16"


@dataclass(frozen=True)
class EmbeddingSelector:
    """Selects one set of embeddings in a cache; what is left open must be unambiguous.

    Parameters
    ----------
    backbone : str, optional
        Name of the backbone; by default the one that was extracted for the catalogue.
    weights : str, optional
        As for `extract_embeddings`; needed where one backbone was extracted with several weights.
    dtype : {"float16", "float32"}, optional
        Needed where both were extracted.
    fingerprint : str, optional
        The fingerprint of the embeddings, or its first digits, where nothing else distinguishes two sets.

    Examples
    --------
    >>> from hybrid.types import EmbeddingSelector
    >>> EmbeddingSelector("inception", dtype="float16").names_any
    True
    >>> EmbeddingSelector().names_any
    False
    """

    backbone: str | None = None
    weights: str | None = None
    dtype: str | None = None
    fingerprint: str | None = None

    @property
    def names_any(self) -> bool:
        """Whether any field is set."""
        return self != EmbeddingSelector()


@dataclass(frozen=True)
class TextSelector:
    """Selects one set of text embeddings in a cache; what is left open must be unambiguous.

    Parameters
    ----------
    text_encoder : str, optional
        Its name or folder; by default the one that was extracted for the catalogue.
    dtype : {"float16", "float32"}, optional
        Needed where both were extracted.
    fingerprint : str, optional
        The fingerprint of the embeddings, or its first digits, where nothing else distinguishes two sets.

    Examples
    --------
    >>> TextSelector("all-MiniLM-L6-v2").fingerprint is None
    True
    """

    text_encoder: str | None = None
    dtype: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class ExtractSummary:
    """Summary of an extraction, for one backbone.

    `rows` counts catalogue rows, `embedded` those with an embedding now; `images`, `hits` and `computed`
    count different images, `left` those beyond the limit; `bad` lists the rows without a usable poster.
    `seconds` are those of this backbone alone, recorded as the cost of its embeddings: loading it, its
    batches, its share of reading and decoding; 0 where nothing was computed. `rate` is posters a second
    of them, loading aside. `peak_mib` is that of the process.
    """

    backbone: str
    fingerprint: str
    weights: str
    engine: str
    precision: str
    device: str
    rows: int
    embedded: int
    images: int
    hits: int
    computed: int
    left: int
    bad: tuple[BadRow, ...]
    seconds: float
    rate: float
    peak_mib: float


@dataclass(frozen=True)
class ExtractPlan:
    """What `hybrid extract` would do for one backbone: as in `ExtractSummary`, and the estimate.

    `to_compute` images would be computed, `left` are beyond the limit; that takes about `seconds`,
    loading aside, and `bytes` of the disk.
    """

    backbone: str
    fingerprint: str
    weights: str
    engine: str
    precision: str
    device: str
    images: int
    hits: int
    to_compute: int
    left: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class TextExtractPlan:
    """What `hybrid extract` would do with one text encoder.

    `texts` counts different texts, `missing` items without any. The other fields are as in `ExtractPlan`.
    """

    text_encoder: str
    fingerprint: str
    engine: str
    precision: str
    device: str
    licence: str
    rows: int
    missing: int
    texts: int
    hits: int
    to_compute: int
    left: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class TextExtractSummary:
    """Summary of an extraction with one text encoder.

    `rows` counts catalogue rows, `embedded` those with an embedding now, `missing` those without a text;
    `texts`, `hits` and `computed` count different texts, `left` those beyond the limit. `longer` of the
    computed ones have more than `max_length` tokens. Seconds, rate (texts a second) and memory are as in
    `ExtractSummary`.
    """

    text_encoder: str
    fingerprint: str
    engine: str
    precision: str
    device: str
    licence: str
    rows: int
    embedded: int
    missing: int
    texts: int
    hits: int
    computed: int
    left: int
    longer: int
    max_length: int
    chunks: str
    seconds: float
    rate: float
    peak_mib: float


@dataclass(frozen=True)
class Predictions:
    """Predictions of a run.

    Parameters
    ----------
    ids, splits : ndarray of shape (n,), str
        `splits` is empty for items that are in no part of the split.
    genres : tuple of str
        The L labels, in the order of the columns below.
    labels : ndarray of shape (n, L), uint8
        The predicted labels.
    probabilities : ndarray of shape (n, L), float64
        Calibrated, from 0 to 1; NaN where the model has no input of the item.
    """

    ids: NDArray[Any]
    splits: NDArray[Any]
    genres: tuple[str, ...]
    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]


def as_plain(value: Any) -> Any:
    """A value as strict JSON has it: records as objects, paths as text, what is not a number as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): as_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
