"""Judged runs → a comparison: pure computing, no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.leaks import SAME_ID
from hybrid.catalogue import Catalogue
from hybrid.evaluation import (
    DRAWS,
    Evaluation,
    Outputs,
    evaluate_all,
    holm,
    paired_difference,
    permutation_test,
)
from hybrid.report.test_items import Judged
from hybrid.runs.folder import recorded_backbones
from hybrid.types import Interval, Predictions, Run, StageCost

MAIN = "f1_weighted"
COSTLY = ("fit", "predict")  # audit, evaluation and ablation are not what the model costs
RANKING = ("map_macro", "map_micro", "lrap", "ranking_loss", "coverage_error")  # need scores
UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run among others.

    Parameters
    ----------
    name : str
    record : dict
        Its run.json.
    predictions : Predictions
    answers : Outputs
        On the test items, in the order of the comparison.
    evaluation : Evaluation
        On the test items; NaN for metrics of the ranking where the run gives labels alone.
    difference : Interval or None
        Weighted F1 minus that of the best run, on the same bootstrap draws; None for the best.
    p_value : float or None
        That it and the best do not differ: paired permutation test of weighted F1, raised by Holm's
        correction for the number of runs; None for the best.
    """

    name: str
    record: dict[str, Any]
    predictions: Predictions
    answers: Outputs
    evaluation: Evaluation
    difference: Interval | None
    p_value: float | None = None

    @property
    def external(self) -> bool:
        """Whether it was made elsewhere, so that nothing is known but what it predicts."""
        return "external" in self.record

    @property
    def scored(self) -> bool:
        """Whether it gives probabilities, and not labels alone."""
        return bool(np.isfinite(self.answers.scores).any())

    @property
    def unanswered(self) -> int:
        """Test items that it says nothing of."""
        if not self.scored:
            return 0
        return int(np.isnan(self.answers.scores).all(axis=1).sum())

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """What each stage cost; NaN where the record does not say."""
        return tuple(
            StageCost(
                str(stage.get("name")),
                _or_nan(stage.get("seconds")),
                _or_nan(stage.get("peak_mib")),
            )
            for stage in self.record.get("stages") or []
        )

    @property
    def seconds(self) -> float | None:
        """To extract (where the record says), fit and predict; None where the record does not say."""
        known = [s.seconds for s in self.stages if s.name in COSTLY and not math.isnan(s.seconds)]
        extract = ((self.record.get("cost") or {}).get("extract") or {}).get("seconds")
        return sum(known) + (extract or 0.0) if known else None

    @property
    def peak_mib(self) -> float | None:
        """The highest of its stages; None where the record does not say."""
        known = [stage.peak_mib for stage in self.stages if not math.isnan(stage.peak_mib)]
        return max(known, default=None)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs on the same n test items and L genres, best weighted F1 first.

    Parameters
    ----------
    catalogue : Catalogue
    ids : ndarray of shape (n,), str
        Test items.
    genres : tuple of L str
    truth : ndarray of shape (n, L), uint8
    runs : tuple of ComparedRun
    leaks : tuple of dict
        As the runs' audits found them, each kind once.
    audited : bool
        Whether the record of every run that was made here holds an audit.
    checks : tuple of str
        What every audit looked for.
    notes : tuple of str
        What a reader must know.
    draws, seed : int
        Of the bootstrap.
    """

    catalogue: Catalogue
    ids: NDArray[Any]
    genres: tuple[str, ...]
    truth: NDArray[np.uint8]
    runs: tuple[ComparedRun, ...]
    leaks: tuple[dict[str, Any], ...]
    audited: bool
    checks: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    draws: int = DRAWS
    seed: int = 0

    @property
    def items(self) -> int:
        """How many test items there are."""
        return len(self.ids)

    @property
    def support(self) -> NDArray[np.int64]:
        """Test items of each genre, shape (L,)."""
        return self.truth.sum(axis=0, dtype=np.int64)

    @property
    def frequent(self) -> list[int]:
        """Positions of the genres, that with most test items first."""
        return sorted(range(len(self.genres)), key=lambda j: (-self.support[j], self.genres[j]))


def compare(judged: Judged, *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare runs on their test items, against the labels of the catalogue.

    Parameters
    ----------
    judged : Judged
    draws, seed : int
        Of the bootstrap.
    """
    truth, runs, answers = judged.truth, judged.runs, judged.answers
    how: Any = {"groups": _groups(judged), "draws": draws, "seed": seed}
    evaluations = evaluate_all(truth, answers, judged.genres, **how)
    order = sorted(range(len(runs)), key=lambda i: -evaluations[i].metrics[MAIN].value)
    best, others, names = answers[order[0]], order[1:], _names(runs)
    p_values = holm([permutation_test(truth, answers[i], best, MAIN, **how) for i in others])
    raised = dict(zip(others, p_values.tolist(), strict=True))
    compared = tuple(
        ComparedRun(
            names[i],
            runs[i].record,
            runs[i].predictions,
            answers[i],
            _honest(evaluations[i], answers[i]),
            paired_difference(truth, answers[i], best, MAIN, **how) if i in raised else None,
            raised.get(i),
        )
        for i in order
    )
    here = [run for run in runs if "external" not in run.record]
    leaks, audited = _leaks(here)
    return Comparison(
        judged.catalogue,
        judged.ids,
        judged.genres,
        truth,
        compared,
        leaks,
        audited,
        _checks(here),
        _notes(judged, names),
        draws,
        seed,
    )


def _honest(evaluation: Evaluation, answers: Outputs) -> Evaluation:
    """Metrics of the ranking are not known where there are no scores to rank by."""
    if np.isfinite(answers.scores).any():
        return evaluation
    return replace(
        evaluation,
        metrics={k: UNKNOWN if k in RANKING else v for k, v in evaluation.metrics.items()},
        genres=tuple(replace(genre, average_precision=UNKNOWN) for genre in evaluation.genres),
    )


def _groups(judged: Judged) -> NDArray[Any]:
    """The group of each test item, as the first record that names groups has them; else its id."""
    group = {name: name for name in judged.ids.tolist()}
    for run in judged.runs:
        named = (run.record.get("split") or {}).get("test_groups")
        if named:
            group |= {name: members[0] for members in named for name in members}
            break
    return np.array([group[name] for name in judged.ids.tolist()])


def _checks(runs: Sequence[Run]) -> tuple[str, ...]:
    """What every run's audit looked for, in the order of the first."""
    made = [(run.record.get("audit") or {}).get("checks") or [] for run in runs]
    first = made[0] if made else []
    return tuple(check for check in first if all(check in checks for checks in made))


def _leaks(runs: Sequence[Run]) -> tuple[tuple[dict[str, Any], ...], bool]:
    audits = [run.record.get("audit") for run in runs]
    found: dict[str, dict[str, Any]] = {}
    for run, audit in zip(runs, audits, strict=True):
        leaks = (audit or {}).get("leaks") or []
        if audit and audit.get("clean") is False and not leaks:
            leaks = [{}]
        for leak in [*leaks, *_repeated_ids(run.predictions)]:
            # A record that was made elsewhere may say less.
            leak = {"kind": "not described", "count": None, "share": None, "pairs": [], **leak}
            found.setdefault(leak["kind"], leak)
    return tuple(found.values()), bool(audits) and all(audits)


def _repeated_ids(predictions: Predictions) -> list[dict[str, Any]]:
    """Test ids that the predictions also give to another part, whatever the record says."""
    test = predictions.splits == "test"
    again = np.isin(predictions.ids, predictions.ids[test]) & ~test & (predictions.splits != "")
    if not again.any():
        return []
    rows = zip(predictions.ids[again].tolist(), predictions.splits[again].tolist(), strict=True)
    pairs = [[name, part, name, "test"] for name, part in rows]
    share = len({pair[0] for pair in pairs}) / int(test.sum())
    return [{"kind": SAME_ID, "count": len(pairs), "share": share, "pairs": pairs}]


def _names(runs: Sequence[Run]) -> list[str]:
    """The name of each run, with its folder where two have the same."""
    count = Counter(run.name for run in runs)
    return [run.name if count[run.name] == 1 else f"{run.name} ({run.folder})" for run in runs]


def _or_nan(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _notes(judged: Judged, names: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if any(run.record.get("sample") for run in judged.runs):
        notes.append(
            "Synthetic data, drawn by the program: the figures say nothing about real films."
        )
    audits = [run.record.get("audit") or {} for run in judged.runs]
    warnings = [warning for audit in audits for warning in audit.get("warnings") or []]
    for kind, share in {w["kind"]: w["share"] for w in warnings}.items():
        notes.append(f"Warning of the audit: {kind}, {share:.1%} of the test items.")
    for run, name in zip(judged.runs, names, strict=True):
        notes += _notes_on(run, name, judged)
    return tuple(notes)


def _notes_on(run: Run, name: str, judged: Judged) -> list[str]:
    notes = []
    cost = ((run.record.get("audit") or {}).get("cost") or {}).get(MAIN)
    if cost:
        notes.append(
            f"{name} has weighted F1 {cost['all']['value']:.3f} with the test items that leak, "
            f"{cost['clean']['value']:.3f} without them."
        )
    weights = [found.get("weights") or {} for found in recorded_backbones(run.record).values()]
    if any(kind.get("kind") == "random" for kind in weights):
        notes.append(f"{name} uses embeddings of random weights: they mean nothing.")
    if (run.record.get("catalogue") or {}).get("sha256") not in (None, judged.catalogue.sha256):
        notes.append(f"{name} was made from another version of the catalogue.")
    unknown = [genre for genre in judged.genres if genre not in run.predictions.genres]
    if unknown:
        notes.append(f"{name} does not know {', '.join(unknown)}: counted as never predicted.")
    external = run.record.get("external")
    if external:
        notes.append(
            f"{name} was made elsewhere: whether it has learnt from test items is not known."
        )
        notes += [f"{name} {said}" for said in external.get("notes") or []]
    return notes
