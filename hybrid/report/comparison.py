"""Runs + truth → who is better, by how much, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.evaluation import (
    DRAWS,
    Answers,
    GenreScore,
    evaluate_all,
    paired_difference,
)
from hybrid.records import Interval, Predictions, Run
from hybrid.report.audits import Verdict, judge
from hybrid.report.facts import find, number, total_cost

BEST_BY = "f1_weighted"
ONE_SPLIT = (
    "Only runs of one split can be compared: fit them again on the one split, or name only runs of "
    "one split."
)
SAME_FIGURE = 1e-4  # predictions.csv holds six digits


@dataclass(frozen=True)
class RunResult:
    """One run, judged on the test items.

    Parameters
    ----------
    name : str
    folder : Path
    record : dict
        Its run.json.
    metrics : dict of str to Interval
        Each of `hybrid.evaluation.METRICS`.
    genres : tuple of GenreScore
        In the order of the comparison's genres.
    difference : Interval or None
        Weighted F1 minus that of the best run, from paired bootstrap draws; None for the best run.
    seconds, peak_mib : float or None
        All stages together; None where the record does not say.
    """

    name: str
    folder: Path
    record: dict[str, Any]
    metrics: dict[str, Interval]
    genres: tuple[GenreScore, ...]
    difference: Interval | None
    seconds: float | None
    peak_mib: float | None

    @property
    def told_apart(self) -> bool:
        """Whether the interval of the difference to the best run leaves out 0."""
        gap = self.difference
        return gap is not None and not gap.low <= 0 <= gap.high


@dataclass(frozen=True)
class Comparison:
    """Runs on the same test items, best weighted F1 first.

    Parameters
    ----------
    catalogue : str
        The file that the truth is from.
    items : int
        Test items.
    genres : tuple of str
        All genres of the truth and of the runs, sorted.
    runs : tuple of RunResult
    verdict : Verdict
        Whether the split is clean.
    random_weights : tuple of str
        Runs whose embeddings mean nothing.
    sample : bool
        Whether the films are synthetic.
    notes : tuple of str
        What a reader must know to trust the figures.
    draws, seed : int
        Of the bootstrap.
    """

    catalogue: str
    items: int
    genres: tuple[str, ...]
    runs: tuple[RunResult, ...]
    verdict: Verdict
    random_weights: tuple[str, ...]
    sample: bool
    notes: tuple[str, ...]
    draws: int
    seed: int


def compare(
    catalogue: Catalogue, runs: Sequence[Run], *, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Judge runs on their common test items.

    Parameters
    ----------
    catalogue : Catalogue
        The truth.
    runs : sequence of Run
    draws : int
        Bootstrap draws.
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    RunError
        If the runs are not of one split, or a test item is not in the catalogue.
    CatalogueError
        If the catalogue has no labels.
    """
    catalogue.require_labels()
    ids = common_test_ids(runs)
    truth, genres = _truth(catalogue, runs, ids)
    answers = [align(run.predictions, ids, genres) for run in runs]
    names = _names(runs)
    results = _judge_all(truth, answers, genres, names, runs, draws, seed)
    return Comparison(
        catalogue=str(catalogue.path),
        items=len(ids),
        genres=genres,
        runs=tuple(sorted(results, key=lambda r: (-r.metrics[BEST_BY].value, r.name))),
        verdict=judge(names, runs),
        random_weights=tuple(
            name
            for name, run in zip(names, runs, strict=True)
            if find(run.record, "backbone", "weights", "kind") == "random"
        ),
        sample=any(find(run.record, "sample") is True for run in runs),
        notes=_notes(catalogue, results, answers, runs, genres),
        draws=draws,
        seed=seed,
    )


def common_test_ids(runs: Sequence[Run]) -> NDArray[Any]:
    """The test ids that all runs share, in the order of the first run.

    Raises
    ------
    RunError
        If there is no run, a run has no test items or one twice, or two runs have not the same.
    """
    if not runs:
        raise RunError("expected at least one run to report, found none.")
    first = runs[0]
    for run in runs:
        ids = _test_ids(run.predictions).tolist()
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if not ids or twice:
            found = f"{twice[0]!r} twice" if twice else "none"
            raise RunError(f"{run.folder}: expected test items, each once, found {found}.")
        if run is not first:
            _check_same_split(first, run)
    return _test_ids(first.predictions)


def _check_same_split(first: Run, run: Run) -> None:
    ours, theirs = (find(each.record, "split", "sha256") for each in (first, run))
    if ours and theirs and ours != theirs:
        raise RunError(
            f"{run.folder} was made on another split than {first.folder} "
            f"(sha256 {str(theirs)[:8]}… and {str(ours)[:8]}…). {ONE_SPLIT}"
        )
    here, there = (set(_test_ids(each.predictions).tolist()) for each in (first, run))
    if here != there:
        raise RunError(
            f"{run.folder} has other test items than {first.folder}: {len(there - here)} more, "
            f"{len(here - there)} missing (for instance {min(here ^ there)!r}). {ONE_SPLIT}"
        )


def _test_ids(predictions: Predictions) -> NDArray[Any]:
    return predictions.ids[predictions.splits == "test"]


def _truth(
    catalogue: Catalogue, runs: Sequence[Run], ids: NDArray[Any]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Label matrix of the test items, and the genres that are its columns."""
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    strange = [name for name in ids.tolist() if name not in position]
    if strange:
        raise RunError(
            f"{runs[0].folder}: {len(strange)} of its {len(ids)} test items are not in "
            f"{catalogue.path} (for instance {strange[0]!r}). Name the catalogue that it was fitted "
            "on with --catalogue."
        )
    rows = [position[name] for name in ids.tolist()]
    carried = catalogue.labels[rows].any(axis=0)
    union = {genre for genre, here in zip(catalogue.genres, carried, strict=True) if here}
    genres = tuple(sorted(union.union(*(run.predictions.genres for run in runs))))
    return catalogue.label_matrix(genres)[rows], genres


def align(predictions: Predictions, ids: NDArray[Any], genres: Sequence[str]) -> Answers:
    """Put a run's answers in the order of `ids` and `genres`.

    Parameters
    ----------
    predictions : Predictions
    ids : ndarray of shape (n,), str
        Its test ids, in any order.
    genres : sequence of L str

    Returns
    -------
    Answers
        A genre that the run does not know is never predicted, and its scores are NaN.
    """
    test = np.flatnonzero(predictions.splits == "test")
    position = dict(zip(predictions.ids[test].tolist(), test.tolist(), strict=True))
    rows = [position[name] for name in ids.tolist()]
    labels = np.zeros((len(ids), len(genres)), dtype=np.uint8)
    scores = np.full((len(ids), len(genres)), np.nan)
    known = {genre: j for j, genre in enumerate(predictions.genres)}
    for j, genre in enumerate(genres):
        if genre in known:
            labels[:, j] = predictions.labels[rows, known[genre]]
            scores[:, j] = predictions.probabilities[rows, known[genre]]
    return Answers(labels, scores)


def _names(runs: Sequence[Run]) -> list[str]:
    """What each run is called: as recorded, with its folder where two are called the same."""
    names = [str(find(run.record, "name") or run.name) for run in runs]
    count = Counter(names)
    return [
        name if count[name] == 1 else f"{name} ({run.folder})"
        for name, run in zip(names, runs, strict=True)
    ]


def _judge_all(
    truth: NDArray[np.uint8],
    answers: Sequence[Answers],
    genres: Sequence[str],
    names: Sequence[str],
    runs: Sequence[Run],
    draws: int,
    seed: int,
) -> list[RunResult]:
    evaluations = evaluate_all(truth, answers, genres, draws=draws, seed=seed)
    results = [
        RunResult(name, run.folder, run.record, found.metrics, found.genres, None,
                  *total_cost(run.record))
        for name, run, found in zip(names, runs, evaluations, strict=True)
    ]  # fmt: skip
    best = min(
        range(len(results)), key=lambda i: (-results[i].metrics[BEST_BY].value, results[i].name)
    )
    return [
        result
        if i == best
        else replace(
            result,
            difference=paired_difference(
                truth, answers[i], answers[best], BEST_BY, draws=draws, seed=seed
            ),
        )
        for i, result in enumerate(results)
    ]


def _notes(
    catalogue: Catalogue,
    results: Sequence[RunResult],
    answers: Sequence[Answers],
    runs: Sequence[Run],
    genres: Sequence[str],
) -> tuple[str, ...]:
    notes = []
    for result, said, run in zip(results, answers, runs, strict=True):
        told = f"{result.name}: "
        ours = find(run.record, "catalogue", "sha256")
        if ours and ours != catalogue.sha256:
            notes.append(
                f"{told}it was fitted on another version of the catalogue than {catalogue.path} "
                f"(sha256 {str(ours)[:8]}… and {catalogue.sha256[:8]}…)."
            )
        if not find(run.record, "split", "sha256"):
            notes.append(f"{told}its record names no split; only the test items were compared.")
        if unknown := [genre for genre in genres if genre not in run.predictions.genres]:
            notes.append(f"{told}it does not know {', '.join(unknown)}, so never predicts it.")
        if strange := sorted(set(run.predictions.genres) - set(catalogue.genres)):
            notes.append(f"{told}no item of the catalogue has its label {', '.join(strange)}.")
        if silent := int(np.isnan(said.scores).all(axis=1).sum()):
            notes.append(f"{told}it gives no probability at all for {silent} test items.")
        recorded = number(find(run.record, "metrics", BEST_BY, "value"))
        found = result.metrics[BEST_BY].value
        if recorded is not None and abs(recorded - found) > SAME_FIGURE:
            notes.append(
                f"{told}its record says weighted F1 {recorded:.3f}, but its predictions reach "
                f"{found:.3f} on this catalogue; the page shows the latter."
            )
    return tuple(notes)
