"""Align the predictions of several runs on the same test items and genres, with their true labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.evaluation import Outputs
from hybrid.runs.folder import Run
from hybrid.splitting.tasks import Task, narrow_labels
from hybrid.types import Predictions


@dataclass(frozen=True, eq=False)
class AlignedRuns:
    """Predictions of several runs for the same n test items and L genres.

    Parameters
    ----------
    catalogue : Catalogue
        Narrowed to the task.
    whole : Catalogue
        All items of the file.
    task : Task
        Of the first run.
    runs : tuple of Run
    ids : ndarray of shape (n,), dtype str
        The test items.
    genres : tuple of L str
        Genres of the catalogue and of the runs, sorted.
    truth : ndarray of shape (n, L), dtype uint8
        True labels.
    outputs : tuple of Outputs
        Of each run. A genre that a run does not know is never predicted and has the score NaN.

    Examples
    --------
    See `align_runs`.
    """

    catalogue: Catalogue
    whole: Catalogue
    task: Task
    runs: tuple[Run, ...]
    ids: NDArray[Any]
    genres: tuple[str, ...]
    truth: NDArray[np.uint8]
    outputs: tuple[Outputs, ...]


def align_runs(catalogue: Catalogue, runs: Sequence[Run]) -> AlignedRuns:
    r"""Align runs and true labels in one order of items and genres.

    Parameters
    ----------
    catalogue : Catalogue
    runs : sequence of Run

    Returns
    -------
    AlignedRuns

    Raises
    ------
    RunError
        If the runs have different tasks, test items or splits, or a test item is not in the catalogue.
    CatalogueError
        If the catalogue has no labels.

    Examples
    --------
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
    >>> align_runs(films, [run]).truth.tolist()
    [[1, 0], [0, 1], [1, 1]]
    """
    catalogue.require_labels()
    ids = common_test_ids(runs)
    task, whole = task_of(runs), catalogue
    if not task.whole:
        catalogue = narrow_labels(catalogue, task)
    genres = tuple(sorted({*catalogue.genres, *(g for r in runs for g in r.predictions.genres)}))
    truth = _truth(catalogue, ids, genres)
    outputs = tuple(_align(run.predictions, ids, genres) for run in runs)
    return AlignedRuns(catalogue, whole, task, tuple(runs), ids, genres, truth, outputs)


def task_of(runs: Sequence[Run]) -> Task:
    """Task of the first run that was made here; all must ask the same.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    Task

    Raises
    ------
    RunError
        If two have different true labels.

    Examples
    --------
    >>> task_of(runs).kind  # doctest: +SKIP
    'multilabel'
    """
    made = [run for run in runs if run.record.external is None]
    if not made:
        return Task()
    for run in made[1:]:
        if run.record.task.question != made[0].record.task.question:
            raise RunError(
                f"expected runs of one task, found that {run.name} has another one than {made[0].name}. "
                "Compare them with hybrid report, which groups runs by their tasks."
            )
    return made[0].record.task


def common_test_ids(runs: Sequence[Run]) -> NDArray[Any]:
    """Ids of the test items, which must be the same in all runs.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    ndarray of shape (n,), dtype str

    Raises
    ------
    RunError
        If there is no run, a run has no test item or one twice, or the runs differ.

    Examples
    --------
    >>> common_test_ids(runs)  # doctest: +SKIP
    array(['1', '2', '3'], dtype='<U1')
    """
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
        splits = {r.record.split.sha256 for r in (first, run)} - {None}
        if set(other.tolist()) != set(ids.tolist()) or len(splits) > 1:
            raise RunError(
                f"expected runs on one split, found that {run.name} was evaluated on other items than "
                f"{first.name} or on another split. Fit them again on the present split, or name only "
                "runs of one split: hybrid report RUN RUN …"
            )
    return ids


def _truth(catalogue: Catalogue, ids: NDArray[Any], genres: Sequence[str]) -> NDArray[np.uint8]:
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    absent = [name for name in ids.tolist() if name not in position]
    if absent:
        raise RunError(
            f"{catalogue.path}: expected the test items of the runs, found that {len(absent)} are not "
            f"in it ({', '.join(absent[:3])}). Name the runs' own catalogue with --catalogue."
        )
    return catalogue.label_matrix(genres)[[position[name] for name in ids.tolist()]]


def _align(predictions: Predictions, ids: NDArray[Any], genres: Sequence[str]) -> Outputs:
    """Outputs of a run in the order of `ids` and `genres`; unknown genres have score NaN and label 0."""
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
    return Outputs(labels, scores)
