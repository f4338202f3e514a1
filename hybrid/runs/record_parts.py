"""The parts of a run's record, apart from its studies: frozen dataclasses, in the order of run.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hybrid.errors import SettingError
from hybrid.runs.json_dataclass import OPTIONAL, key
from hybrid.split_types import SplitMethod
from hybrid.types import Columns, Interval


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class CatalogueRecord:
    """The catalogue that a run was made from; `bad_rows` were left out, `posters` is relative to it."""

    path: str | None = None
    sha256: str | None = None
    columns: Columns | None = None
    items: int | None = None
    labelled: int | None = None
    bad_rows: int | None = None
    posters: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class SplitRecord:
    """The split: items of each part, test items that share a group, by id, and how it was made.

    `method` is None where that is not known, as for a split that a user made.
    """

    path: str | None = None
    sha256: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    test_groups: tuple[tuple[str, ...], ...] = ()
    method: SplitMethod | None = None


@dataclass(frozen=True)
class CandidateParameters:
    """Parameters of a head and weights of the blocks, as far as they were searched."""

    parameters: Mapping[str, Any]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class CandidateRecord:
    """A candidate of the search: mean and standard deviation of its metric over the folds.

    `items` is how many it was evaluated on; None in runs of earlier versions, which took all.
    """

    choice: CandidateParameters
    quality: float
    spread: float
    seconds: float
    items: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class WeightsRecord:
    """Weights of a backbone that embeddings were extracted with.

    Parameters
    ----------
    kind : str
        ``"imagenet"``, ``"random"`` or ``"file"``.
    path, relative : str or None
        The file, and the same seen from the run's folder.
    digest : str or None
        SHA-256 of the file, or how random weights were drawn.
    seed : int
    """

    kind: str = ""
    path: str | None = None
    relative: str | None = None
    digest: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class StoreRecord:
    """The embeddings of a backbone in the cache."""

    path: str | None = None
    embeddings: int | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class BackboneRecord:
    """A backbone whose embeddings a head uses.

    Parameters
    ----------
    name, fingerprint : str
    key : mapping
        What the fingerprint is the hash of (``stands_for``).
    cache : StoreRecord
    weights : WeightsRecord
    licence : str or None
        Of its weights; None for embeddings of earlier versions, which did not keep it.
    """

    name: str = ""
    fingerprint: str = ""
    key: Mapping[str, Any] = field(default_factory=dict, metadata=key("stands_for"))
    cache: StoreRecord = field(default_factory=StoreRecord)
    weights: WeightsRecord = field(default_factory=WeightsRecord)
    licence: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class TextEncoderRecord:
    """A text encoder whose embeddings a head uses.

    Parameters
    ----------
    name, fingerprint : str
    key : mapping
        What the fingerprint is the hash of (``stands_for``): among other things the SHA-256 of weights and
        tokenizer, the maximum length and the prefix.
    cache : StoreRecord
    path, relative : str or None
        Its folder, and the same seen from the run's folder.
    licence : str
        Of its weights.
    """

    name: str = ""
    fingerprint: str = ""
    key: Mapping[str, Any] = field(default_factory=dict, metadata=key("stands_for"))
    cache: StoreRecord = field(default_factory=StoreRecord)
    path: str | None = None
    relative: str | None = None
    licence: str = "unknown"


@dataclass(frozen=True)
class ImportedRecord:
    """Embeddings that were made elsewhere and imported, of which a head has a block.

    Parameters
    ----------
    name, fingerprint : str
    key : mapping
        What the fingerprint is the hash of (``stands_for``): name, ``of`` (item, poster or text), dimension,
        data type and the SHA-256 of ids and vectors (``content``).
    cache : StoreRecord
    file, sha256 : str or None
        Name and SHA-256 of the file that they were first imported from; None of a frame.
    imported : str or None
        When that was (ISO 8601); None for embeddings of earlier versions, which did not keep it.
    licence : str
        Of the encoder's weights, as it was said at the import.
    """

    name: str = ""
    fingerprint: str = ""
    key: Mapping[str, Any] = field(default_factory=dict, metadata=key("stands_for"))
    cache: StoreRecord = field(default_factory=StoreRecord)
    file: str | None = None
    sha256: str | None = None
    imported: str | None = None
    licence: str = "unknown"


@dataclass(frozen=True)
class AncestorRecord:
    """A run that trained weights which this run uses, directly or at an earlier step.

    Parameters
    ----------
    digest : str
        SHA-256 over the files of its model, as they were trained.
    name : str
        Its name at that time.
    catalogue, split : str
        SHA-256.
    items : int
        Number of train and validation items that it learnt from.
    seconds, device : float, str or None
        Time of its training, and where; None if unknown.
    """

    digest: str
    name: str
    catalogue: str
    split: str
    items: int
    seconds: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class InitialWeightsRecord:
    """Weights that a training started from; `digest` is the SHA-256 of the file, as in `WeightsRecord`.

    Their `licence` is None in records of earlier versions, which did not keep it.
    """

    kind: str
    path: str | None = None
    digest: str | None = field(default=None, metadata=OPTIONAL)
    licence: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class TrainedWeightsRecord:
    """Weights of a network's backbone: a file in the run's folder, its SHA-256, what they started from."""

    kind: str = ""
    path: str | None = None
    digest: str | None = field(default=None, metadata=OPTIONAL)
    initial: InitialWeightsRecord | None = field(default=None, metadata=key("from"))


@dataclass(frozen=True)
class TrainedBackboneRecord:
    """The backbone of a deep baseline: its input (height, width), parameters and weights."""

    name: str = ""
    input_size: tuple[int, int] = (0, 0)
    parameters: int | None = None
    weights: TrainedWeightsRecord = field(default_factory=TrainedWeightsRecord)


@dataclass(frozen=True)
class SidesRecord:
    """Words or fields with the largest positive and negative contributions: name → contribution."""

    positive: Mapping[str, float] = field(default_factory=dict, metadata=key("for"))
    negative: Mapping[str, float] = field(default_factory=dict, metadata=key("against"))


@dataclass(frozen=True)
class ChannelRecord:
    """A channel of the embedding: labels with the largest coefficients, items that activate it most."""

    block: str
    number: int
    towards: Mapping[str, float]
    away: Mapping[str, float]
    posters: Mapping[str, float]


@dataclass(frozen=True)
class HeadRecord:
    """What only the record of a head holds.

    Parameters
    ----------
    chosen : mapping
        Parameters that cross-validation chose; ``block_weights``: weight of each block.
    candidates : tuple of CandidateRecord
        Key ``tried``: all that were evaluated.
    further_backbones : mapping of str to BackboneRecord
        Poster block other than ``poster`` → its backbone.
    importance : mapping or None
        Key ``why``: label → block → `SidesRecord`; None if the head is not linear.
    channels : tuple of ChannelRecord, or None
        None without a poster block, or if the head is not linear.
    rows : str, default="memory"
        Where the features were while the head was fitted: ``memory``, ``disk``, or ``cluster``, on its
        workers. But for memory, `importance` and `channels` may be of some of the items: see
        `hybrid.explain.importance.describe_head`.
    """

    chosen: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[CandidateRecord, ...] = field(default=(), metadata=key("tried"))
    further_backbones: Mapping[str, BackboneRecord] = field(default_factory=dict)
    importance: Mapping[str, Mapping[str, SidesRecord]] | None = field(
        default=None, metadata=key("why")
    )
    channels: tuple[ChannelRecord, ...] | None = None
    rows: str = "memory"

    def __post_init__(self) -> None:
        weights = self.chosen.get("block_weights", {})
        if not isinstance(weights, Mapping) or not all(map(_is_number, weights.values())):
            raise SettingError(
                f"expected the weight of each block at chosen.block_weights, found {weights!s:.80}."
            )


@dataclass(frozen=True)
class DecisionRecord:
    """How scores became labels, as fitted; see `hybrid.heads.decision_rule.DecisionOptions`."""

    objective: str
    shrinkage: float | None
    calibration: str
    max_labels: int | None
    at_least_one: bool
    calibrated_by: tuple[str, ...]


@dataclass(frozen=True)
class LeakRecord:
    """One kind of leak, or of warning, of an audit; see `hybrid.types.Leak`."""

    kind: str = "not described"
    count: int | None = None
    share: float | None = None
    pairs: tuple[tuple[str, ...], ...] = ()
    severity: str = "leak"
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeakCostRecord:
    """One metric on all test items, on those that do not leak, and the difference."""

    all: Interval
    clean: Interval
    difference: Interval


@dataclass(frozen=True)
class AuditRecord:
    """The audit of the split when the run was fitted; `cost` is by metric."""

    clean: bool | None = None
    checks: tuple[str, ...] = ()
    leaks: tuple[LeakRecord, ...] = ()
    warnings: tuple[LeakRecord, ...] = ()
    skipped: tuple[str, ...] = ()
    cost: Mapping[str, LeakCostRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class ReliabilityRecord:
    """A reliability diagram by bins of probabilities, and the calibration errors."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    count: tuple[int, ...]
    error: float | None
    debiased: float | None


@dataclass(frozen=True)
class ReliabilitiesRecord:
    """Reliability of all labels together, and of each."""

    all: ReliabilityRecord
    genres: tuple[ReliabilityRecord, ...]


@dataclass(frozen=True)
class StageRecord:
    """Seconds and peak memory (MiB) of one stage of a fit; None where they are not known."""

    name: str = ""
    seconds: float | None = None
    peak_mib: float | None = None


@dataclass(frozen=True)
class EnvironmentRecord:
    """Versions of the libraries, and the machine."""

    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExternalRecord:
    """A model made elsewhere: its file of predictions, and notes on how it was read."""

    path: str
    sha256: str
    notes: tuple[str, ...]
