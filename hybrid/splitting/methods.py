"""Split a catalogue by any method: duplicates are grouped, labels stratified."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.catalogue.dates import count_days, parse_dates
from hybrid.catalogue.numbers import parse_numbers
from hybrid.duplicates.find import Duplicates, find_duplicates, find_exact_duplicates
from hybrid.duplicates.groups import group_by_column
from hybrid.duplicates.similarity import connected_components
from hybrid.errors import SettingError, SplitError, unknown_name
from hybrid.extraction.lookup import hash_catalogue
from hybrid.splitting.findings import check_parts, describe_shared, describe_split, describe_undated
from hybrid.splitting.group_counts import number_values
from hybrid.splitting.splits import (
    SHARES,
    make_fold_splits,
    make_legacy_split,
    make_split,
    make_temporal_split,
)
from hybrid.types import CellFormat, Split
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.unknown_labels import as_no

METHODS = ("iterative", "random", "temporal", "kfold", "repeated", "legacy-2017")
# With a tenth for test, about 58 % of the test items are in train, as in the published case.
LEGACY_SHARES = (0.8, 0.1, 0.1)
BLOCK = 2**20  # ids that are looked up at a time


@dataclass(frozen=True)
class SplitOptions:
    """How a catalogue is split.

    Parameters
    ----------
    method : str, default="iterative"
        One of `METHODS`.
    validation, test : float or None, default=None
        Shares of all items; None stands for 0.1 and 0.2, for ``legacy-2017`` for 0.1 and 0.1.
    by : str or None, default=None
        Column with the time, for ``temporal``.
    folds, repeats : int, default=5
        How many splits ``kfold`` and ``repeated`` make.
    group_columns : tuple of str, default=()
        Items that share an entry of one of these are in one part.
    near_duplicates : bool, default=True
        Whether near-duplicates are in one part; items with the same image always are.

    Examples
    --------
    >>> SplitOptions(method="kfold", validation=0.2).shares
    (0.6000000000000001, 0.2, 0.2)
    """

    method: str = "iterative"
    validation: float | None = None
    test: float | None = None
    by: str | None = None
    folds: int = 5
    repeats: int = 5
    group_columns: tuple[str, ...] = ()
    near_duplicates: bool = True

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of train, validation and test."""
        usual = LEGACY_SHARES if self.method == "legacy-2017" else SHARES
        validation = usual[1] if self.validation is None else self.validation
        test = usual[2] if self.test is None else self.test
        return 1 - validation - test, validation, test

    @property
    def several(self) -> bool:
        """Whether the method makes several splits."""
        return self.method in ("kfold", "repeated")


def split_catalogue(
    catalogue: Catalogue,
    options: SplitOptions | None = None,
    context: Context | None = None,
) -> Split:
    """Split the labelled items of a catalogue into train, validation and test.

    As `make_splits`, but one split: of a method that makes several, the first.

    Examples
    --------
    >>> from hybrid import SplitOptions, load_catalogue, split_catalogue, write_sample
    >>> _ = write_sample("films", n_items=60)
    >>> films = load_catalogue("films/catalogue.csv")
    >>> split = split_catalogue(films, SplitOptions(validation=0.2, test=0.2))
    >>> sorted(set(split.parts.tolist()))
    ['test', 'train', 'validation']
    """
    return make_splits(catalogue, options, context)[0]


@limited_by_context
def make_splits(
    catalogue: Catalogue,
    options: SplitOptions | None = None,
    context: Context | None = None,
) -> list[Split]:
    """Split the labelled items of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
    options : SplitOptions, optional
        By default iterative stratification, with 0.1 of the items for validation and 0.2 for test.
    context : Context, optional
        Its seed is that of the split; its cache remembers the posters' hashes.

    Returns
    -------
    list of Split
        One, or as many as there are folds or repeats.

    Raises
    ------
    CatalogueError
        If there are no labels.
    SettingError
        If an option is wrong.
    SplitError
        If a group is too large for any part, a part would be empty, or there are fewer than 5 groups.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> len(make_splits(catalogue, SplitOptions(method="kfold", folds=3), context))
    3
    >>> folder.cleanup()
    """
    options, context = options or SplitOptions(), context or Context()
    _check(catalogue, options, context)
    catalogue.require_labels()
    if options.method == "legacy-2017":
        _, ids, labels = _labelled_items(catalogue)
        return [make_legacy_split(ids, labels, shares=options.shares, seed=context.seed)]
    keys = hash_catalogue(catalogue, context)
    if options.near_duplicates:
        duplicates = find_duplicates(catalogue, keys, context=context)
    else:
        duplicates = Duplicates((find_exact_duplicates(catalogue, keys, context),))
    columns = {column: group_by_column(catalogue, column) for column in options.group_columns}
    together = [*duplicates.groups, *(group for found in columns.values() for group in found)]
    rows, ids, labels = _labelled_items(catalogue)  # not before: the search needs the memory
    groups = connected_groups(ids, together)
    told = describe_shared(duplicates.untied, columns)
    check_group_sizes(groups, options.shares)
    splits = _assign(catalogue, rows, ids, labels, groups, options, context.seed)
    splits = [_finish(split, labels, catalogue.genres, options) for split in splits]
    return [replace(split, findings=(*told, *split.findings)) for split in splits]


def _labelled_items(
    catalogue: Catalogue,
) -> tuple[NDArray[np.int64] | slice, NDArray[np.str_], NDArray[Any]]:
    """Rows, ids and labels of the items that are split; those of the catalogue where it is all of them."""
    labelled = catalogue.labelled
    rows = slice(None) if labelled.all() else np.flatnonzero(labelled)
    return rows, catalogue.ids[rows], as_no(catalogue.labels)[rows]


def _finish(
    split: Split, labels: NDArray[Any], genres: Sequence[str], options: SplitOptions
) -> Split:
    """Check a split, and note the options that only the catalogue's has, and what is unusual about it."""
    assert split.method is not None
    shares = split.method.shares or options.shares
    method = replace(
        split.method,
        by=options.by if options.method == "temporal" else None,
        group_columns=tuple(options.group_columns),
        near_duplicates=options.near_duplicates,
    )
    split = replace(split, method=method)
    check_parts(split, shares)
    found = describe_split(split, labels, genres, shares)
    return replace(split, findings=(*split.findings, *found))


def _assign(
    catalogue: Catalogue,
    rows: NDArray[np.int64] | slice,
    ids: NDArray[np.str_],
    labels: NDArray[Any],
    groups: NDArray[np.str_],
    options: SplitOptions,
    seed: int,
) -> list[Split]:
    if options.method == "temporal":
        times = read_times(catalogue, str(options.by))[rows]
        split = make_temporal_split(ids, times, groups=groups, shares=options.shares)
        cells = catalogue.table[catalogue.find_column(str(options.by))].iloc[rows]
        found = describe_undated(split, str(options.by), cells.tolist())
        return [replace(split, findings=found)]
    if options.method == "kfold":
        return make_fold_splits(
            ids, labels, options.folds, groups=groups, validation=options.shares[1], seed=seed
        )
    seeds = range(seed, seed + (options.repeats if options.method == "repeated" else 1))
    return [
        make_split(
            ids,
            labels,
            groups=groups,
            shares=options.shares,
            seed=each,
            stratify=options.method != "random",
        )
        for each in seeds
    ]


def connected_groups(ids: NDArray[np.str_], together: Sequence[Sequence[str]]) -> NDArray[np.str_]:
    """Merge overlapping groups of ids into connected components.

    Parameters
    ----------
    ids : ndarray of shape (n,), str
    together : sequence of sequences of str
        Groups of ids; those that are not in `ids` still connect others.

    Returns
    -------
    ndarray of shape (n,), str
        The group of each item: the smallest id in it.

    Examples
    --------
    >>> connected_groups(np.array(["a", "b", "c"]), [("a", "x"), ("x", "c")]).tolist()
    ['a', 'b', 'a']
    """
    tied = np.array([name for group in together for name in group], dtype=str)
    if not len(tied):
        return ids
    names, place = np.unique(tied, return_inverse=True)
    sizes = np.array([len(group) for group in together], dtype=np.int64)
    first = place[np.repeat(np.cumsum(sizes) - sizes, sizes)]
    smallest = names[connected_components(len(names), np.stack([first, place], axis=1))]
    groups = ids.astype(np.result_type(ids, names))
    for start in range(0, len(ids), BLOCK):
        some = groups[start : start + BLOCK]  # a view
        at = np.searchsorted(names, some).clip(max=len(names) - 1)
        some[...] = np.where(names[at] == some, smallest[at], some)
    return groups


def _check(catalogue: Catalogue, options: SplitOptions, context: Context) -> None:
    problems = []
    if options.method not in METHODS:
        problems.append(f"--method: {unknown_name('method', options.method, METHODS)}")
    if options.method == "temporal" and options.by is None:
        problems.append("--by: expected a column with the time, such as year, found none.")
    elif options.by is not None and catalogue.find_column(options.by) is None:
        problems.append(f"--by: {unknown_name('column', options.by, catalogue.table.columns)}")
    if options.repeats < 1:
        problems.append(f"--repeats: expected 1 or more, found {options.repeats}.")
    if options.method in METHODS:  # of another one it is not known what it uses
        problems += _unused(options, context)
    if problems:
        raise SettingError("\n".join(problems))


def _unused(options: SplitOptions, context: Context) -> list[str]:
    """One message for each option that the method does not use."""
    method, usual = options.method, SplitOptions()
    legacy = method == "legacy-2017"
    rules = (
        Rule(("by",), method == "temporal", f"{method} needs no column with the time"),
        Rule(("folds",), method == "kfold", f"{method} makes no folds"),
        Rule(("repeats",), method == "repeated", f"{method} makes one split for each seed or fold"),
        Rule(("test",), method != "kfold", "each fold of kfold is test once"),
        Rule(("group-column", "near-duplicates"), not legacy, f"{method} groups nothing"),
        Rule(("cluster",), not legacy, f"{method} reads no posters"),
    )
    given = given_options(
        {
            "by": (options.by, usual.by),
            "folds": (options.folds, usual.folds),
            "repeats": (options.repeats, usual.repeats),
            "test": (options.test, usual.test),
            "group-column": (options.group_columns, usual.group_columns),
            "near-duplicates": (options.near_duplicates, usual.near_duplicates),
            "cluster": (context.cluster, None),
        },
        "split",
    )
    return list_unused(rules, given)


def read_times(catalogue: Catalogue, column: str) -> NDArray[np.float64]:
    """Read a column as numbers that grow with time: numbers, or dates such as 1979-05-25.

    Parameters
    ----------
    catalogue : Catalogue
    column : str

    Returns
    -------
    ndarray of shape (n,)
        NaN where a cell has neither; `describe_undated` tells which items a split leaves out for that.

    Raises
    ------
    SettingError
        If there is no such column, or no cell has either.
    """
    name = catalogue.find_column(column)
    if name is None:
        raise SettingError(f"--by: {unknown_name('column', column, catalogue.table.columns)}")
    cells, columns = catalogue.table[name], catalogue.columns
    times = parse_numbers(cells, columns.formats.get(name))
    dates = count_days(parse_dates(cells, columns.formats.get(name, CellFormat()).order))
    if name not in columns.numeric and np.isnan(dates).sum() < np.isnan(times).sum():
        times = dates
    if np.isnan(times).all():
        raise SettingError(
            f"--by {column}: expected numbers, or dates such as 1979-05-25, found none of either."
        )
    return times


def check_group_sizes(groups: NDArray[np.str_], shares: Sequence[float]) -> None:
    """Check that each group fits into a part.

    Parameters
    ----------
    groups : ndarray of shape (n,), str
        The group of each item.
    shares : sequence of float
        Of the parts.

    Raises
    ------
    SplitError
        If a group is larger than the largest part. One that is larger than the smallest is a warning.

    Examples
    --------
    >>> check_group_sizes(np.array(["a", "a", "b", "c"]), (0.5, 0.5))
    """
    numbers, _ = number_values(groups)
    sizes = np.bincount(numbers)
    first = int((sizes[numbers] == sizes.max()).argmax())  # of groups of one size, the first
    name, size = groups[first], int(sizes.max())
    share = size / len(groups)
    found = (
        f"the largest group ({name} and others) has {size:,} of {counted(len(groups), 'item')} "
        f"({share:.0%})"
    )
    if size > 1 and share > max(shares):
        raise SplitError(
            f"{found}, more than the largest part. Groups that share an item are merged, so that a column "
            "with many shared entries can connect all items: group by another column."
        )
    if size > 1 and share > min(part for part in shares if part > 0):
        warnings.warn(f"{found}: parts and labels may miss their shares.", stacklevel=3)
