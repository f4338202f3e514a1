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
from hybrid.embedding_types import EmbeddingOptions as EmbeddingOptions
from hybrid.embedding_types import EmbeddingSelector as EmbeddingSelector
from hybrid.embedding_types import ExtractPlan as ExtractPlan
from hybrid.embedding_types import ExtractSummary as ExtractSummary
from hybrid.embedding_types import ImportedSelector as ImportedSelector
from hybrid.embedding_types import ImportedSummary as ImportedSummary
from hybrid.embedding_types import ImportSettings as ImportSettings
from hybrid.embedding_types import TextEmbeddingOptions as TextEmbeddingOptions
from hybrid.embedding_types import TextExtractPlan as TextExtractPlan
from hybrid.embedding_types import TextExtractSummary as TextExtractSummary
from hybrid.embedding_types import TextSelector as TextSelector
from hybrid.split_types import Split as Split

PARTS = ("train", "validation", "test")
UNUSED = "unused"  # in no part, and meant to be
LEAK, WARNING = "leak", "warning"  # severities
MAX_SHARED = 12  # items; what more of them share (a placeholder, a series' title) is nobody's
# What settings can be chosen by; hybrid.heads.scoring says what each is.
METRICS = ("weighted-f1", "macro-f1", "micro-f1", "map", "map-weighted")
METRIC = "weighted-f1"
SEARCHES = ("auto", "halving", "full", "grid")  # how settings are chosen; see `HybridClassifier`
SEARCH = "auto"
ROWS = (
    "auto",
    "memory",
    "disk",
)  # where features are while a head is fitted; see `HybridClassifier`
MAX_DRAWS = 100_000  # of a bootstrap: a p-value of 0.05 has a standard error of 0.0007 by then
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
    note : str, default=""
        How complete the search was, where not all pairs were compared.

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
    note: str = ""


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
