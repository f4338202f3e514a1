"""Comparison of aligned runs: metrics, intervals and significance; no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.evaluation import (
    DRAWS,
    Evaluation,
    Outputs,
    compare_pairs,
    evaluate_all,
    evaluate_multiclass,
    pareto_front,
    select_best,
)
from hybrid.evaluation.intervals import UNKNOWN
from hybrid.report.alignment import AlignedRuns
from hybrid.report.leaks import find_leaks
from hybrid.report.notes import list_notes
from hybrid.runs.folder import Run
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import LeakRecord
from hybrid.splitting.tasks import Task
from hybrid.types import Interval, Predictions, StageCost
from hybrid.utils.counts import counted
from hybrid.utils.progress import shows_step
from hybrid.utils.unknown_labels import as_no

MAIN = "f1_weighted"
RANKING = ("map_macro", "map_micro", "lrap", "ranking_loss", "coverage_error")  # need scores


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of a comparison.

    Parameters
    ----------
    name : str
    record : RunRecord
    predictions : Predictions
    outputs : Outputs
        On the test items, in the order of the comparison.
    evaluation : Evaluation
        On the test items; ranking metrics are NaN for a run without probabilities.
    difference : Interval or None
        Weighted F1 minus that of the best run, with the simultaneous interval of `compare_pairs`; None for
        the best run.
    p_value : float or None, default=None
        Of the difference, adjusted for all pairs of runs by `compare_pairs`: at most 0.05 if and only if the
        interval excludes 0. None for the best run.
    best_probability : float, default=1.0
        Chance that the run has the highest weighted F1 of all; see `select_best`.

    Examples
    --------
    See `compare`.
    """

    name: str
    record: RunRecord
    predictions: Predictions
    outputs: Outputs
    evaluation: Evaluation
    difference: Interval | None
    p_value: float | None = None
    best_probability: float = 1.0

    @property
    def external(self) -> bool:
        """Whether the run was made elsewhere, so that only its predictions are known."""
        return self.record.external is not None

    @property
    def has_probabilities(self) -> bool:
        """Whether the run has probabilities, not labels alone."""
        return bool(np.isfinite(self.outputs.scores).any())

    @property
    def missing_predictions(self) -> int:
        """Number of test items without a prediction."""
        if not self.has_probabilities:
            return 0
        return int(np.isnan(self.outputs.scores).all(axis=1).sum())

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Cost of each stage; NaN where it is not recorded."""
        return tuple(
            StageCost(stage.name, _or_nan(stage.seconds), _or_nan(stage.peak_mib))
            for stage in self.record.stages
        )

    @property
    def total_seconds(self) -> float | None:
        """Seconds of training the backbones, extraction, fit and prediction; None if not known."""
        return self.record.cost.total_seconds

    @property
    def cost_unknown_because(self) -> str | None:
        """Why the cost is not known, as a clause; None if it is known."""
        if self.total_seconds is not None:
            return None
        if self.external:
            return "it was made elsewhere"
        return "; ".join(self.record.cost.unknown) or "its record does not hold it"

    @property
    def devices(self) -> tuple[str, ...]:
        """Processors and GPUs that the cost was measured on."""
        return self.record.cost.devices

    @property
    def peak_mib(self) -> float | None:
        """Peak memory over all stages; None if not recorded."""
        known = [stage.peak_mib for stage in self.stages if not math.isnan(stage.peak_mib)]
        return max(known, default=None)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of one task, evaluated on the same n test items and L genres, highest weighted F1 first.

    Parameters
    ----------
    catalogue, whole : Catalogue
        Narrowed to the task, and of all items of the file.
    task : Task
    ids : ndarray of shape (n,), dtype str
        The test items.
    genres : tuple of L str
    truth : ndarray of shape (n, L), dtype uint8
    runs : tuple of ComparedRun
    leaks : tuple of LeakRecord
        Leaks that the audits of the runs found, one of each kind.
    audited : bool
        Whether every run that was made here was audited.
    checks : tuple of str
        Checks that every audit made.
    notes : tuple of str, default=()
        Warnings.
    draws : int, default=2000
        Number of bootstrap draws; at most 100,000.
    seed : int, default=0
        Of the bootstrap.
    number : int, default=0
        Position among the groups of a report.
    item_groups : ndarray of shape (n,) or None
        Group of each test item, drawn whole by the bootstrap.
    winner_corrected : Interval
        Weighted F1 of the best run, corrected for having been chosen on the same test items; see
        `select_best`. Of a single run, its weighted F1.
    front : tuple of int, default=()
        Positions of the runs that are worth their cost, cheapest first; see `pareto_front`.
    distinction : str, default=""
        What differs from the other groups of the report that would have the same title.

    Examples
    --------
    See `compare`.
    """

    catalogue: Catalogue
    whole: Catalogue
    task: Task
    ids: NDArray[Any]
    genres: tuple[str, ...]
    truth: NDArray[np.uint8]
    runs: tuple[ComparedRun, ...]
    leaks: tuple[LeakRecord, ...]
    audited: bool
    checks: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    draws: int = DRAWS
    seed: int = 0
    number: int = 0
    item_groups: NDArray[Any] | None = None
    winner_corrected: Interval = UNKNOWN
    front: tuple[int, ...] = ()
    distinction: str = ""

    @property
    def title(self) -> str:
        """Kind of task, genres and number of test items in a few words; then the distinction."""
        kind = "One genre an item" if self.task.multiclass else "Several genres an item"
        genres, items = counted(len(self.genres), "genre"), counted(self.items, "test item")
        said = f"{kind}: {genres}, {items}"
        return f"{said}; {self.distinction}" if self.distinction else said

    @property
    def items(self) -> int:
        """Number of test items."""
        return len(self.ids)

    @property
    def support(self) -> NDArray[np.int64]:
        """Number of test items of each genre, shape (L,)."""
        return as_no(self.truth).sum(axis=0, dtype=np.int64)

    @property
    def genres_by_support(self) -> list[int]:
        """Positions of the genres, by decreasing number of test items."""
        return sorted(range(len(self.genres)), key=lambda j: (-self.support[j], self.genres[j]))


@shows_step("comparing the runs: intervals and tests")
def compare(aligned: AlignedRuns, *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    r"""Compare runs on their test items: metrics, bootstrap intervals, paired differences and p-values.

    Parameters
    ----------
    aligned : AlignedRuns
    draws : int, default=2000
        Number of bootstrap draws; at most 100,000.
    seed : int, default=0
        Of the bootstrap.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> from hybrid.report.alignment import align_runs
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.runs.folder import Run
    >>> from hybrid.runs.record import RunRecord
    >>> from hybrid.types import Predictions
    >>> _ = Path("films.csv").write_text("id,genres\n1,Drama\n2,Horror\n3,Drama|Horror\n")
    >>> films, scores = load_catalogue("films.csv"), np.array([[0.9, 0.2], [0.1, 0.8], [0.7, 0.4]])
    >>> labels = (scores >= 0.5).astype(np.uint8)
    >>> given = Predictions(films.ids, np.array(["test"] * 3), ("Drama", "Horror"), labels, scores)
    >>> run = Run(Path("svm"), RunRecord(name="svm"), given)
    >>> comparison = compare(align_runs(films, [run]), draws=10)
    >>> comparison.runs[0].name, round(comparison.runs[0].evaluation.metrics["f1_micro"].value, 3)
    ('svm', 0.857)
    """
    truth, runs, outputs = aligned.truth, aligned.runs, aligned.outputs
    bootstrap: Any = {"groups": _groups(aligned), "draws": draws, "seed": seed}
    evaluations = _evaluate(aligned, **bootstrap)
    order = sorted(range(len(runs)), key=lambda i: -evaluations[i].metrics[MAIN].value)
    names, pairs = _names(runs), compare_pairs(truth, outputs, MAIN, **bootstrap)
    selection, best = select_best(truth, outputs, MAIN, **bootstrap), order[0]
    compared = tuple(
        ComparedRun(
            names[i],
            runs[i].record,
            runs[i].predictions,
            outputs[i],
            _mask_ranking_metrics(evaluations[i], outputs[i]),
            pairs.interval(i, best) if i != best else None,
            float(pairs.p_value[i, best]) if i != best else None,
            selection.best_probability[i],
        )
        for i in order
    )
    here = [run for run in runs if run.record.external is None]
    leaks, audited = find_leaks(here)
    return Comparison(
        aligned.catalogue,
        aligned.whole,
        aligned.task,
        aligned.ids,
        aligned.genres,
        truth,
        compared,
        leaks,
        audited,
        _checks(here),
        (*list_notes(aligned, names, MAIN), *_device_note(compared)),
        draws,
        seed,
        item_groups=bootstrap["groups"],
        winner_corrected=selection.corrected,
        front=_front(
            compared, np.array([[pairs.interval(i, j).low > 0 for j in order] for i in order])
        ),
    )


def _front(runs: Sequence[ComparedRun], better: NDArray[np.bool_]) -> tuple[int, ...]:
    """Positions of the runs that are worth their cost, cheapest first."""
    cost = np.array([_or_nan(run.total_seconds) for run in runs])
    value = [run.evaluation.metrics[MAIN].value for run in runs]
    front = np.flatnonzero(pareto_front(cost, value, better))
    return tuple(front[np.argsort(cost[front], kind="stable")].tolist())


def _device_note(runs: Sequence[ComparedRun]) -> tuple[str, ...]:
    """Whether the costs were measured on different devices."""
    devices = list(dict.fromkeys(device for run in runs for device in run.devices))
    if len(devices) < 2:
        return ()
    return (
        f"Costs were measured on {len(devices)} devices ({', '.join(devices)}): a second on one is not a "
        "second on another.",
    )


def _evaluate(aligned: AlignedRuns, **bootstrap: Any) -> list[Evaluation]:
    """Evaluations of all runs, with the metrics of their task."""
    truth, outputs, genres = aligned.truth, aligned.outputs, aligned.genres
    found = evaluate_all(truth, outputs, genres, **bootstrap)
    if not aligned.task.multiclass:
        return found
    more = [evaluate_multiclass(truth, each, genres, **bootstrap).metrics for each in outputs]
    return [
        replace(each, metrics={**each.metrics, **own})
        for each, own in zip(found, more, strict=True)
    ]


def _mask_ranking_metrics(evaluation: Evaluation, outputs: Outputs) -> Evaluation:
    """Set ranking metrics to NaN for a run without scores."""
    if np.isfinite(outputs.scores).any():
        return evaluation
    return replace(
        evaluation,
        metrics={k: UNKNOWN if k in RANKING else v for k, v in evaluation.metrics.items()},
        genres=tuple(replace(genre, average_precision=UNKNOWN) for genre in evaluation.genres),
    )


def _groups(aligned: AlignedRuns) -> NDArray[Any]:
    """Group of each test item, from the first record with groups; else the id of the item."""
    group = {name: name for name in aligned.ids.tolist()}
    for run in aligned.runs:
        named = run.record.split.test_groups
        if named:
            group |= {name: members[0] for members in named for name in members}
            break
    return np.array([group[name] for name in aligned.ids.tolist()])


def _checks(runs: Sequence[Run]) -> tuple[str, ...]:
    """Checks that the audits of all runs made, in the order of the first."""
    made = [run.record.audit.checks if run.record.audit else () for run in runs]
    first = made[0] if made else []
    return tuple(check for check in first if all(check in checks for checks in made))


def _names(runs: Sequence[Run]) -> list[str]:
    """Name of each run, with its folder where two have the same."""
    count = Counter(run.name for run in runs)
    return [run.name if count[run.name] == 1 else f"{run.name} ({run.folder})" for run in runs]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
