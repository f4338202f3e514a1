"""Runs in groups that can be compared: one task, the same test items, one split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError
from hybrid.evaluation import DRAWS
from hybrid.report.alignment import align_runs, common_test_ids
from hybrid.report.comparison import ComparedRun, Comparison, compare
from hybrid.report.external import external_test_ids, read_external
from hybrid.report.leaks import find_leaks
from hybrid.runs.folder import Run

NOT_COMPARABLE = (
    "The runs have different catalogues, tasks, test items or splits: figures of one group cannot be "
    "compared with those of another."
)


@dataclass(frozen=True, eq=False)
class Report:
    """Comparisons of runs, one for each group.

    Parameters
    ----------
    groups : tuple of Comparison
        At least one, in the order of `group_runs`.

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


def group_runs(runs: Sequence[Run], catalogues: Sequence[str] = ()) -> list[list[Run]]:
    """Put runs together that can be compared: one catalogue, one task, the same test items, one split.

    Parameters
    ----------
    runs : sequence of Run
    catalogues : sequence of str, default=()
        Hash of the catalogue of each run; by default they have one.

    Returns
    -------
    list of list of Run
        Groups without a leak first, then those with more runs, then with more test items; several labels an
        item before one. A record that names no split goes with any.

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
    found: list[tuple[list[Run], frozenset[str], str]] = []
    for run, catalogue in zip(runs, catalogues or [""] * len(runs), strict=True):
        items = frozenset(common_test_ids([run]).tolist())
        for group, others, theirs in found:
            if items == others and catalogue == theirs and _comparable(run, group):
                group.append(run)
                break
        else:
            found.append(([run], items, catalogue))
    found.sort(key=lambda each: _rank(each[0], len(each[1])))
    return [group for group, _, _ in found]


def _rank(group: Sequence[Run], items: int) -> tuple[bool, int, int, bool]:
    """Sort key of a group: figures that leak must not be read first."""
    leaks, _ = find_leaks(group)
    return bool(leaks), -len(group), -items, group[0].record.task.multiclass


def _comparable(run: Run, group: Sequence[Run]) -> bool:
    splits = {each.record.split.sha256 for each in (run, *group)} - {None}
    return len(splits) <= 1 and run.record.task.question == group[0].record.task.question


def compare_groups(
    catalogue: Catalogue | Sequence[Catalogue],
    runs: Sequence[Run],
    *,
    externals: Mapping[str, Path] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Report:
    """Compare runs with those of their group.

    Parameters
    ----------
    catalogue : Catalogue or sequence of Catalogue
        With the true labels: of all runs, or one for each. Runs of different catalogues are different groups.
    runs : sequence of Run
    externals : mapping of str to Path, optional
        Name to predictions.csv of a model made elsewhere; it joins the groups whose test items it has.
    draws : int, default=2000
        Number of bootstrap draws; at most 100,000.
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
    each_of = [catalogue] * len(runs) if isinstance(catalogue, Catalogue) else list(catalogue)
    of_run = {id(run): its for run, its in zip(runs, each_of, strict=True)}
    groups = group_runs(runs, [its.sha256 for its in each_of])
    catalogues = [of_run[id(group[0])] for group in groups]
    names = [run.name for run in runs]
    for name, path in (externals or {}).items():
        _join(name, path, groups, names, catalogues)
    aligned = (align_runs(its, group) for its, group in zip(catalogues, groups, strict=True))
    compared = [compare(each, draws=draws, seed=seed) for each in aligned]
    return Report(
        tuple(
            replace(each, number=i, distinction=said)
            for i, (each, said) in enumerate(zip(compared, distinguish(compared), strict=True))
        )
    )


def distinguish(groups: Sequence[Comparison]) -> list[str]:
    """Say of each group what differs from the others with the same title: labels, genres, split.

    Parameters
    ----------
    groups : sequence of Comparison
        Without distinctions.

    Returns
    -------
    list of str
        One for each group; empty where no other has its title.

    Examples
    --------
    >>> distinguish(groups)  # doctest: +SKIP
    ['single label: dominant', 'single label: first', '']
    """
    places: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        places.setdefault(group.title, []).append(i)
    said = [""] * len(groups)
    for same in places.values():
        if len(same) > 1:
            for i, words in zip(same, _differences([groups[i] for i in same]), strict=True):
                said[i] = words
    return said


def _differences(same: Sequence[Comparison]) -> list[str]:
    """What differs between groups with one title, of each."""
    aspects = [
        [words(each, same) for each in same] for words in (_labels_of, _genres_of, _split_of)
    ]
    differing = [words for words in aspects if len(set(words)) > 1]
    parts = list(zip(*differing, strict=True)) or [()] * len(same)
    if len(set(parts)) < len(same):
        items = [f"test items {_digest(each)[:8]}" for each in same]
        parts = [(*part, words) for part, words in zip(parts, items, strict=True)]
    return [", ".join(words) for words in parts]


def _labels_of(group: Comparison, _: Sequence[Comparison]) -> str:
    rule = group.task.single_label
    return "all labels" if rule is None else f"single label: {rule}"


def _genres_of(group: Comparison, same: Sequence[Comparison]) -> str:
    """The genres that not all groups have; else whether they were selected."""
    shared = frozenset.intersection(*(frozenset(each.genres) for each in same))
    own = [genre for genre in group.genres if genre not in shared]
    selected = "selected genres" if group.task.genres else "all genres"
    return f"with {', '.join(own)}" if own else selected


def _split_of(group: Comparison, same: Sequence[Comparison]) -> str:
    """As many digits of the split's hash as tell it from the others, 8 or more."""
    mine = _split_hash(group)
    others = {_split_hash(each) for each in same} - {mine}
    digits = 8
    while any(other[:digits] == mine[:digits] for other in others):
        digits += 1
    return f"split {mine[:digits] or 'not recorded'}"


def _split_hash(group: Comparison) -> str:
    return next((run.record.split.sha256 for run in group.runs if run.record.split.sha256), "")


def _digest(group: Comparison) -> str:
    """Hash of the ids of the test items."""
    return hashlib.sha256("\n".join(sorted(group.ids.tolist())).encode()).hexdigest()


def _join(
    name: str,
    path: Path,
    groups: Sequence[list[Run]],
    taken: Sequence[str],
    catalogues: Sequence[Catalogue],
) -> None:
    """Add a model made elsewhere to the groups whose test items its file has."""
    given = external_test_ids(path)
    pairs = list(zip(groups, catalogues, strict=True))
    fitting = [each for each in pairs if set(common_test_ids(each[0][:1]).tolist()) == given]
    # With the items of no group, the file is held against the first, and the error says what differs.
    for group, catalogue in fitting or pairs[:1]:
        task = group[0].record.task
        known = {genre for run in group for genre in run.predictions.genres}
        genres = sorted(known.union(catalogue.genres if task.whole else ()))
        try:
            ids = common_test_ids(group[:1])
            group.append(read_external(name, path, taken, ids, genres, task.multiclass))
        except RunError:
            # Several labels an item answer another question on the same items.
            if len(fitting) < 2 or not task.multiclass:
                raise
