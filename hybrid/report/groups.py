"""Runs in groups that can be compared: one task, the same test items, one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.evaluation import DRAWS
from hybrid.report.alignment import align_runs, common_test_ids
from hybrid.report.comparison import ComparedRun, Comparison, compare
from hybrid.report.external import external_test_ids, read_externals
from hybrid.runs.folder import Run

NOT_COMPARABLE = (
    "The runs have different tasks, test items or splits: figures of one group cannot be compared with those "
    "of another."
)


@dataclass(frozen=True, eq=False)
class Report:
    """Comparisons of runs, one for each group.

    Parameters
    ----------
    groups : tuple of Comparison
        At least one; the one with the most test items first.

    Examples
    --------
    See `compare_groups`.
    """

    groups: tuple[Comparison, ...]

    @property
    def runs(self) -> tuple[ComparedRun, ...]:
        """The runs of all groups."""
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all groups."""
        return tuple(note for group in self.groups for note in group.notes)


def group_runs(runs: Sequence[Run]) -> list[list[Run]]:
    """Put runs together that can be compared: one task, the same test items, one split.

    Parameters
    ----------
    runs : sequence of Run

    Returns
    -------
    list of list of Run
        The group with the most test items first; several labels an item before one; then the larger group.
        A record that names no split goes with any.

    Raises
    ------
    RunError
        If there is no run, or one has no test item or one twice.

    Examples
    --------
    >>> [[run.name for run in group] for group in group_runs(runs)]  # doctest: +SKIP
    [['svm', 'knn'], ['four-genres']]
    """
    if not runs:
        common_test_ids(runs)
    found: list[tuple[list[Run], frozenset[str]]] = []
    for run in runs:
        items = frozenset(common_test_ids([run]).tolist())
        for group, others in found:
            if items == others and _comparable(run, group):
                group.append(run)
                break
        else:
            found.append(([run], items))
    found.sort(key=lambda each: (-len(each[1]), each[0][0].record.task.multiclass, -len(each[0])))
    return [group for group, _ in found]


def _comparable(run: Run, group: Sequence[Run]) -> bool:
    splits = {each.record.split.sha256 for each in (run, *group)} - {None}
    return len(splits) <= 1 and run.record.task.question == group[0].record.task.question


def compare_groups(
    catalogue: Catalogue,
    runs: Sequence[Run],
    *,
    externals: Mapping[str, Path] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Report:
    """Compare runs with those of their group.

    Parameters
    ----------
    catalogue : Catalogue
        With the true labels.
    runs : sequence of Run
    externals : mapping of str to Path, optional
        Name to predictions.csv of a model made elsewhere; it joins the groups whose test items it has.
    draws : int, default=1000
        Number of bootstrap draws.
    seed : int, default=0
        Of the bootstrap.

    Returns
    -------
    Report

    Raises
    ------
    RunError
        If a run has no test items, or an item that the catalogue lacks; if an external has the test items of
        no group.
    SettingError
        If the name of an external is taken.

    Examples
    --------
    >>> compare_groups(catalogue, runs).groups[0].runs[0].name  # doctest: +SKIP
    'svm'
    """
    groups = group_runs(runs)
    names = [run.name for run in runs]
    for name, path in (externals or {}).items():
        _join(name, path, groups, names, catalogue)
    aligned = (align_runs(catalogue, group) for group in groups)
    return Report(
        tuple(
            replace(compare(each, draws=draws, seed=seed), number=i)
            for i, each in enumerate(aligned)
        )
    )


def _join(
    name: str, path: Path, groups: Sequence[list[Run]], taken: Sequence[str], catalogue: Catalogue
) -> None:
    """Add a model made elsewhere to the groups whose test items its file has."""
    given = external_test_ids(path)
    fitting = [group for group in groups if set(common_test_ids(group[:1]).tolist()) == given]
    # With the items of no group, the file is held against the first, and the error says what differs.
    for group in fitting or groups[:1]:
        task = group[0].record.task
        known = {genre for run in group for genre in run.predictions.genres}
        genres = sorted(known.union(catalogue.genres if task.whole else ()))
        try:
            group += read_externals(
                {name: path}, taken, common_test_ids(group[:1]), genres, task.multiclass
            )
        except RunError:
            # Several labels an item answer another question on the same items.
            if len(fitting) < 2 or not task.multiclass:
                raise
