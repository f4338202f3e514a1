"""What the record of a run holds of its studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid.runs.json_dataclass import OPTIONAL, key
from hybrid.types import Interval, StageCost

Metrics = Mapping[str, Interval]


@dataclass(frozen=True)
class LearntRecord:
    """What the backbones of a run have learnt from the items that a study tests on.

    Parameters
    ----------
    items : int, default=0
        Number of these that they have learnt from.
    by : tuple of str, default=()
        Runs that did, by name.
    unknown : tuple of str, default=()
        What cannot be told, as in the audit's `skipped`.

    Examples
    --------
    >>> LearntRecord(3, ("scratch",)).in_words
    'too good: a backbone has learnt from 3 of these items (trained by scratch)'
    >>> LearntRecord().in_words
    ''
    """

    items: int = 0
    by: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """What is to be said beside the figure; empty where there is nothing."""
        said = [entry.partition(": ")[2] for entry in self.unknown]
        if self.items:
            said.insert(
                0,
                f"too good: a backbone has learnt from {self.items} of these items (trained by "
                f"{', '.join(self.by)})",
            )
        return "; ".join(said)


@dataclass(frozen=True)
class NestedRecord:
    """Nested cross-validation on the items of train and validation (``estimate``).

    Parameters
    ----------
    folds, items : int
    seconds : float or None
    metrics : mapping of str to Interval
        Of the nested predictions: an unbiased estimate.
    out_of_fold : mapping of str to Interval
        Of the predictions that parameters were chosen on: optimistic.
    learnt : LearntRecord or None
        What the backbones have learnt from the items; None where it was not asked.
    """

    folds: int | None = None
    items: int | None = None
    seconds: float | None = None
    metrics: Metrics = field(default_factory=dict)
    out_of_fold: Metrics = field(default_factory=dict)
    learnt: LearntRecord | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class CurvePointRecord:
    """Metrics reached with a number of training items."""

    items: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class CurveGainRecord:
    """Gain in metrics from the last but one number of training items to the last."""

    before: int
    after: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class CurveGapRecord:
    """A number of training items that could not be fitted, and the reason."""

    items: int
    reason: str


@dataclass(frozen=True)
class LearningCurveRecord:
    """A learning curve (``curve``): fewest items first.

    Parameters
    ----------
    points : tuple of CurvePointRecord
    gain : CurveGainRecord or None
    left_out : tuple of CurveGapRecord
    evaluated : int or None
        Number of held-out items (``judged``).
    verdict : str
        One sentence: whether more labelled items are worth it.
    learnt : LearntRecord or None
        What the backbones have learnt from the held-out items; None where it was not asked.
    """

    points: tuple[CurvePointRecord, ...] = ()
    gain: CurveGainRecord | None = None
    left_out: tuple[CurveGapRecord, ...] = ()
    evaluated: int | None = field(default=None, metadata=key("judged"))
    verdict: str = ""
    learnt: LearntRecord | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class VariantRecord:
    """The model on some of its blocks, or with a block missing for a share of the test items.

    Parameters
    ----------
    blocks : tuple of str
        Blocks that it was fitted on.
    missing : str or None
        Block that was removed at test time.
    rate : float
        Share of the test items that it was removed from.
    metrics : mapping of str to Interval
    difference : Interval
        Weighted F1 minus that of the full model; see `AblationRecord` for its interval.
    seconds : float or None
    """

    blocks: tuple[str, ...]
    missing: str | None
    metrics: Metrics
    difference: Interval
    rate: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class AblationRecord:
    """An ablation study.

    Parameters
    ----------
    metric : str or None
        Metric of the differences.
    subsets : tuple of VariantRecord
        Fits on the subsets of the blocks.
    missing : tuple of VariantRecord
        The full model with each block missing.
    mean_contribution : mapping of str to float or None
        Mean Shapley value of each block over the predicted labels; None if no label is predicted.
    simultaneous : bool or None
        Whether the intervals of the differences hold all at once; None in records of earlier versions,
        where each holds by itself.
    """

    metric: str | None = None
    subsets: tuple[VariantRecord, ...] = ()
    missing: tuple[VariantRecord, ...] = ()
    mean_contribution: Mapping[str, float | None] = field(default_factory=dict)
    simultaneous: bool | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class SpreadRecord:
    """One metric over repeated splits.

    `interval` is the 95 % interval of the mean by the corrected resampled t-test; None for the rolling
    origins of a temporal split, which are no random draws.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    interval: Interval | None = None


@dataclass(frozen=True)
class RepeatRecord:
    """The model on one of several splits.

    Parameters
    ----------
    name : str
        How the split differs from the others: ``"the run itself"``, ``"seed 1"``, ``"fold 2 of 5"``,
        ``"test from 1980 to 1989"``.
    seed : int
        Of the model.
    sha256 : str
        Of the split.
    training, test : int
        Number of items.
    metrics : mapping of str to Interval
        On its test items; the interval has the sampling of these alone.
    learnt : LearntRecord or None
        What the backbones have learnt from its test items; None where it was not asked.
    """

    name: str
    seed: int
    sha256: str
    training: int
    test: int
    metrics: Metrics = field(default_factory=dict)
    learnt: LearntRecord | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class RepeatsRecord:
    """Fits on repeated splits: their seeds, and each metric over them.

    `method` and `splits` are None in records of earlier formats, where all splits were drawn at random.
    """

    seeds: tuple[int, ...] = ()
    metrics: Mapping[str, SpreadRecord] = field(default_factory=dict)
    method: str | None = field(default=None, metadata=OPTIONAL)
    splits: tuple[RepeatRecord, ...] | None = field(default=None, metadata=OPTIONAL)

    @property
    def leaking(self) -> int:
        """Number of splits whose test items a backbone has learnt from."""
        return sum(bool(each.learnt and each.learnt.items) for each in self.splits or ())

    @property
    def warning(self) -> str:
        """What is to be said beside the mean; empty where there is nothing."""
        if not self.leaking:
            return ""
        return (
            f"too good: a backbone has learnt from test items of {self.leaking} of the "
            f"{len(self.splits or ())} splits"
        )


@dataclass(frozen=True)
class StudiesRecord:
    """What is known of a run beyond its fit; None where a study was not made.

    Since format 3 each study is a file beside run.json, see `hybrid.runs.study_files`.

    Parameters
    ----------
    nested : NestedRecord or None
        Key ``estimate``.
    learning_curve : LearningCurveRecord or None
        Key ``curve``.
    ablation : AblationRecord or None
    repeats : RepeatsRecord or None
    costs : tuple of StageCost, or None
        Key ``studies``: what each study cost; None where none was made.

    Examples
    --------
    >>> from hybrid.runs.json_dataclass import to_json
    >>> to_json(StudiesRecord(repeats=RepeatsRecord(seeds=(0, 1)), costs=()))
    {'repeats': {'seeds': [0, 1], 'metrics': {}}, 'studies': []}
    """

    nested: NestedRecord | None = field(default=None, metadata={**OPTIONAL, **key("estimate")})
    learning_curve: LearningCurveRecord | None = field(
        default=None, metadata={**OPTIONAL, **key("curve")}
    )
    ablation: AblationRecord | None = field(default=None, metadata=OPTIONAL)
    repeats: RepeatsRecord | None = field(default=None, metadata=OPTIONAL)
    costs: tuple[StageCost, ...] | None = field(
        default=None, metadata={**OPTIONAL, **key("studies")}
    )
