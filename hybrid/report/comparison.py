"""Runs + truth → a comparison: pure computing, no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit import SAME_ID
from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.evaluation import (
    DRAWS,
    Answers,
    Evaluation,
    Reliability,
    evaluate_all,
    holm,
    paired_difference,
    permutation_test,
    reliability,
)
from hybrid.records import Interval, Predictions, Run, Stage
from hybrid.runs import recorded_backbones

MAIN = "f1_weighted"
COSTLY = ("fit", "predict")  # audit, evaluation and ablation are not what the model costs


@dataclass(frozen=True)
class ComparedRun:
    """One run among others.

    Parameters
    ----------
    name : str
    record : dict
        Its run.json.
    evaluation : Evaluation
        On the test items.
    difference : Interval or None
        Weighted F1 minus that of the best run, on the same bootstrap draws; None for the best.
    unanswered : int
        Test items that it says nothing of.
    reliability : Reliability
        Of all its probabilities of test items together.
    p_value : float or None
        That it and the best do not differ: paired permutation test of weighted F1, raised by Holm's
        correction for the number of runs; None for the best.
    """

    name: str
    record: dict[str, Any]
    evaluation: Evaluation
    difference: Interval | None
    unanswered: int
    reliability: Reliability
    p_value: float | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What each stage cost; NaN where the record does not say."""
        return tuple(
            Stage(
                str(stage.get("name")),
                _or_nan(stage.get("seconds")),
                _or_nan(stage.get("peak_mib")),
            )
            for stage in self.record.get("stages") or []
        )

    @property
    def seconds(self) -> float | None:
        """Of all stages; None where the record does not say."""
        known = [stage.seconds for stage in self.stages if not math.isnan(stage.seconds)]
        return sum(known) if known else None

    @property
    def cost_seconds(self) -> float | None:
        """To extract (where the record says), fit and predict; None where the record does not say."""
        known = [s.seconds for s in self.stages if s.name in COSTLY and not math.isnan(s.seconds)]
        extract = ((self.record.get("cost") or {}).get("extract") or {}).get("seconds")
        return sum(known) + (extract or 0.0) if known else None

    @property
    def peak_mib(self) -> float | None:
        """The highest of its stages; None where the record does not say."""
        known = [stage.peak_mib for stage in self.stages if not math.isnan(stage.peak_mib)]
        return max(known, default=None)


@dataclass(frozen=True)
class Comparison:
    """Runs on the same test items, best weighted F1 first.

    Parameters
    ----------
    items : int
        Test items.
    genres : tuple of str
    runs : tuple of ComparedRun
    leaks : tuple of dict
        As the runs' audits found them, each kind once.
    audited : bool
        Whether every run's record holds an audit.
    checks : tuple of str
        What every audit looked for.
    notes : tuple of str
        What a reader must know.
    """

    items: int
    genres: tuple[str, ...]
    runs: tuple[ComparedRun, ...]
    leaks: tuple[dict[str, Any], ...]
    audited: bool
    checks: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


def compare(
    catalogue: Catalogue, runs: Sequence[Run], *, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare runs on their test items, against the labels of the catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    runs : sequence of Run
    draws, seed : int
        Of the bootstrap.

    Raises
    ------
    RunError
        If the runs were not judged on the same test items, or one is not in the catalogue.
    CatalogueError
        If the catalogue has no labels.
    """
    catalogue.require_labels()
    names = _names(runs)
    ids = _test_ids(runs)
    genres = tuple(sorted({*catalogue.genres, *(g for r in runs for g in r.predictions.genres)}))
    truth = _truth(catalogue, ids, genres)
    answers = [_align(run.predictions, ids, genres) for run in runs]
    how: Any = {"groups": _groups(runs, ids), "draws": draws, "seed": seed}
    evaluations = evaluate_all(truth, answers, genres, **how)
    order = sorted(range(len(runs)), key=lambda i: -evaluations[i].metrics[MAIN].value)
    best, others = answers[order[0]], order[1:]
    p_values = holm([permutation_test(truth, answers[i], best, MAIN, **how) for i in others])
    raised = dict(zip(others, p_values.tolist(), strict=True))
    compared = tuple(
        ComparedRun(
            name=names[i],
            record=runs[i].record,
            evaluation=evaluations[i],
            difference=paired_difference(truth, answers[i], best, MAIN, **how)
            if i in raised
            else None,
            unanswered=int(np.isnan(answers[i].scores).all(axis=1).sum()),
            reliability=reliability(truth, answers[i].scores),
            p_value=raised.get(i),
        )
        for i in order
    )
    leaks, audited = _leaks(runs)
    notes = _notes(catalogue, runs, genres)
    return Comparison(len(ids), genres, compared, leaks, audited, _checks(runs), notes)


def _test_ids(runs: Sequence[Run]) -> NDArray[Any]:
    """Test ids, once it is sure that all runs have the same."""
    if not runs:
        raise RunError("expected at least one run to report, found none.")
    first = runs[0]
    ids = first.predictions.ids[first.predictions.splits == "test"]
    for run in runs:
        count = Counter(run.predictions.ids[run.predictions.splits == "test"].tolist())
        twice = [name for name, times in count.items() if times > 1]
        if not count or twice:
            found = f"{twice[0]!r} twice" if twice else "none"
            raise RunError(f"{run.folder}: expected test items, each once, found {found}.")
    for run in runs[1:]:
        other = run.predictions.ids[run.predictions.splits == "test"]
        splits = {(r.record.get("split") or {}).get("sha256") for r in (first, run)} - {None}
        if set(other.tolist()) != set(ids.tolist()) or len(splits) > 1:
            raise RunError(
                f"expected runs on one split, found that {run.name} was judged on other items than "
                f"{first.name} or on another split. Fit them again on the present split, or name only "
                "runs of one split: hybrid report RUN RUN …"
            )
    return ids


def _groups(runs: Sequence[Run], ids: NDArray[Any]) -> NDArray[Any]:
    """The group of each test item, as the first record that names groups has them; else its id."""
    group = {name: name for name in ids.tolist()}
    for run in runs:
        named = (run.record.get("split") or {}).get("test_groups")
        if named:
            group |= {name: members[0] for members in named for name in members}
            break
    return np.array([group[name] for name in ids.tolist()])


def _truth(catalogue: Catalogue, ids: NDArray[Any], genres: Sequence[str]) -> NDArray[np.uint8]:
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    absent = [name for name in ids.tolist() if name not in position]
    if absent:
        raise RunError(
            f"{catalogue.path}: expected the test items of the runs, found that {len(absent)} are not "
            f"in it ({', '.join(absent[:3])}). Name the runs' own catalogue with --catalogue."
        )
    return catalogue.label_matrix(genres)[[position[name] for name in ids.tolist()]]


def _align(predictions: Predictions, ids: NDArray[Any], genres: Sequence[str]) -> Answers:
    """A run's answers in the order of `ids` and `genres`; what it does not know is NaN and no."""
    test = np.flatnonzero(predictions.splits == "test").tolist()
    row = {str(predictions.ids[i]): i for i in test}
    rows = [row[name] for name in ids.tolist()]
    labels = np.zeros((len(ids), len(genres)), dtype=np.uint8)
    scores = np.full(labels.shape, np.nan)
    column = {genre: j for j, genre in enumerate(predictions.genres)}
    for j, genre in enumerate(genres):
        if genre in column:
            labels[:, j] = predictions.labels[rows, column[genre]]
            scores[:, j] = predictions.probabilities[rows, column[genre]]
    return Answers(labels, scores)


def _checks(runs: Sequence[Run]) -> tuple[str, ...]:
    """What every run's audit looked for, in the order of the first."""
    made = [(run.record.get("audit") or {}).get("checks") or [] for run in runs]
    return tuple(check for check in made[0] if all(check in checks for checks in made))


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
    return tuple(found.values()), all(audits)


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


def _notes(catalogue: Catalogue, runs: Sequence[Run], genres: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if any(run.record.get("sample") for run in runs):
        notes.append(
            "Synthetic data, drawn by the program: the figures say nothing about real films."
        )
    warnings = [w for r in runs for w in (r.record.get("audit") or {}).get("warnings") or []]
    for kind, share in {w["kind"]: w["share"] for w in warnings}.items():
        notes.append(f"Warning of the audit: {kind}, {share:.1%} of the test items.")
    for run in runs:
        cost = ((run.record.get("audit") or {}).get("cost") or {}).get(MAIN)
        if cost:
            notes.append(
                f"{run.name} has weighted F1 {cost['all']['value']:.3f} with the test items that leak, "
                f"{cost['clean']['value']:.3f} without them."
            )
        weights = [b.get("weights") or {} for b in recorded_backbones(run.record).values()]
        if any(kind.get("kind") == "random" for kind in weights):
            notes.append(f"{run.name} uses embeddings of random weights: they mean nothing.")
        made = (run.record.get("catalogue") or {}).get("sha256", catalogue.sha256)
        if made != catalogue.sha256:
            notes.append(f"{run.name} was made from another version of the catalogue.")
        unknown = [genre for genre in genres if genre not in run.predictions.genres]
        if unknown:
            notes.append(
                f"{run.name} does not know {', '.join(unknown)}: counted as never predicted."
            )
    return tuple(notes)
