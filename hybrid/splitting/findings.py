"""What a user should know about how a split came out: small parts, labels that miss a part or their share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SplitError
from hybrid.splitting.balance import GROUPS, tolerance
from hybrid.splitting.group_counts import count_labels, number_values
from hybrid.types import MAX_SHARED, PARTS, UNUSED, DuplicateGroups, Finding, Split
from hybrid.utils.counts import agree, counted

FEW = 5  # items of a part; figures on fewer say little
FAR = 0.05  # of all items; a part that misses its share by more is told, whatever the tolerance
MIN_GROUPS = 5  # a head is cross-fitted on train and validation in 4 folds or more
SHOWN = 5
SHARES_PROMISED = ("iterative", "kfold")


def describe_split(
    split: Split, labels: ArrayLike, genres: Sequence[str], shares: Sequence[float]
) -> tuple[Finding, ...]:
    """Find what is unusual about a split.

    Parameters
    ----------
    split : Split
    labels : array-like of shape (n, L)
        In the order of the split.
    genres : sequence of L str
    shares : sequence of 3 floats
        Wanted shares of train, validation and test.

    Returns
    -------
    tuple of Finding
        Of the kinds ``"part sizes"``, ``"labels too rare to split"``, ``"missing labels"`` and
        ``"label shares"``.

    Examples
    --------
    >>> from hybrid.splitting.splits import make_split
    >>> ids = [f"f{i}" for i in range(100)]
    >>> labels = [[1, i == 7] for i in range(100)]
    >>> split = make_split(ids, labels)
    >>> (found,) = describe_split(split, labels, ["War", "Noir"], (0.7, 0.1, 0.2))
    >>> found.kind, found.examples
    ('labels too rare to split', ('Noir',))
    """
    present = np.asarray(labels) != 0
    counts = count_labels(present, number_values(split.groups)[0])
    largest, holders = int(counts.sizes.max(initial=1)), counts.holders[:-1]
    parts = [PARTS[p] for p, share in enumerate(shares) if share > 0]
    found = _part_sizes(split, shares, largest)
    rare = (holders > 0) & (holders < len(parts))
    if rare.any():
        found.append(_rare(split, present, rare, genres, parts))
    of_parts = np.array([present[split.parts == part].sum(axis=0) for part in parts])
    missing = (of_parts == 0).any(axis=0) & (holders >= len(parts))
    if missing.any():
        found.append(_missing(of_parts, missing, genres, parts))
    if split.method is not None and split.method.method in SHARES_PROMISED:
        wanted = [shares[PARTS.index(part)] for part in parts]
        totals = present.sum(axis=0)
        off = np.abs(of_parts - np.outer(wanted, totals))
        far = (off > tolerance(totals, largest) + 1e-6).any(axis=0)
        if far.any():
            message = (
                f"{_number(far)} {agree(far.sum(), '{miss their|misses its}')} share of a part by more than "
                f"three times the largest group and 2 % of {agree(far.sum(), '{their|its}')} items "
                f"({_listed(genres, far)}): no better split was found"
            )
            found.append(Finding("label shares", message, int(far.sum()), "", _first(genres, far)))
    return tuple(found)


def describe_shared(
    untied: Sequence[DuplicateGroups], columns: Mapping[str, Sequence[Sequence[str]]]
) -> tuple[Finding, ...]:
    """Tell of what more items share than duplicates do.

    Parameters
    ----------
    untied : sequence of DuplicateGroups
        Kinds of duplicates with groups that tie nobody.
    columns : mapping of str to sequence of sequences of str
        Column that the split groups by → ids that share an entry of it; they stay together.

    Returns
    -------
    tuple of Finding
        Of the kinds ``"shared by many"`` and ``"large groups"``.

    Examples
    --------
    >>> same = DuplicateGroups("same image bytes", (), untied=(tuple("abcdefghijklmn"),))
    >>> [(found.kind, found.count) for found in describe_shared([same], {})]
    [('shared by many', 14)]
    """
    found = []
    for kind in untied:
        message = (
            f"{kind.kind}: {_crowd(kind.untied)}; so many are no duplicates but have a placeholder or a name "
            "in common, and may be in different parts"
        )
        items = {name for group in kind.untied for name in group}
        found.append(Finding("shared by many", message, len(items), "", kind.untied[0][:SHOWN]))
    for column, groups in columns.items():
        large = [group for group in groups if len(group) > MAX_SHARED]
        if large:
            message = (
                f"--group-column {column}: {_crowd(large)}; they stay in one part, as asked for"
            )
            items = {name for group in large for name in group}
            found.append(
                Finding("large groups", message, len(items), column, tuple(large[0][:SHOWN]))
            )
    return tuple(found)


def describe_undated(split: Split, column: str, cells: Sequence[str]) -> tuple[Finding, ...]:
    """Tell which items a temporal split leaves out, since neither they nor their group have a time.

    Parameters
    ----------
    split : Split
    column : str
        Of the times.
    cells : sequence of n str
        In the order of the split.

    Returns
    -------
    tuple of Finding
        Of the kind ``"no time"``, or none.

    Examples
    --------
    >>> from hybrid.splitting.splits import make_temporal_split
    >>> split = make_temporal_split(["a", "b"], [1999, float("nan")])
    >>> describe_undated(split, "year", ["1999", "soon"])[0].message
    "1 item has no time in year ('soon') and is unused"
    """
    said = [cell for cell, part in zip(cells, split.parts, strict=True) if part == UNUSED]
    if not said:
        return ()
    different = list(dict.fromkeys(said))
    some = ", ".join(repr(cell) if cell else "empty" for cell in different[:SHOWN])
    some += ", …" if len(different) > SHOWN else ""
    n = len(said)
    message = (
        f"{counted(n, 'item has', 'items have')} no time in {column} ({some}) and {agree(n, '{are|is}')} "
        "unused"
    )
    return (Finding("no time", message, n, column, tuple(different[:SHOWN])),)


def _crowd(groups: Sequence[Sequence[str]]) -> str:
    """How many items share something, and some of them."""
    largest = max(groups, key=len)
    some = f"{', '.join(largest[:SHOWN])}, …"
    if len(groups) == 1:
        return f"{len(largest):,} items share one ({some})"
    return (
        f"{len(groups):,} are shared by more than {MAX_SHARED} items each, the largest by {len(largest):,} "
        f"({some})"
    )


def count_parts(split: Split) -> dict[str, int]:
    """Count the items of each part, in the order in which the split has them.

    Parameters
    ----------
    split : Split

    Returns
    -------
    dict of str to int

    Examples
    --------
    >>> from hybrid.splitting.splits import make_split
    >>> count_parts(make_split(list("abcd"), [[1]] * 4, shares=(0.5, 0.0, 0.5)))
    {'train': 2, 'test': 2}
    """
    names, first, counts = np.unique(split.parts, return_index=True, return_counts=True)
    order = np.argsort(first)
    return dict(zip(names[order].tolist(), counts[order].tolist(), strict=True))


def count_groups(split: Split) -> tuple[int, int]:
    """Count the groups, and the items of the largest; an item that is in the split twice counts once.

    Parameters
    ----------
    split : Split

    Returns
    -------
    groups, largest : int

    Examples
    --------
    >>> from hybrid.splitting.splits import make_split
    >>> count_groups(make_split(list("abcd"), [[1]] * 4, groups=list("xxxy")))
    (2, 3)
    """
    numbers, n_ids = number_values(split.ids)
    groups, n_groups = number_values(split.groups)
    of_id = np.empty(n_ids, dtype=np.int64)
    of_id[numbers] = groups
    return n_groups, int(np.bincount(of_id).max(initial=0))


def check_parts(split: Split, shares: Sequence[float]) -> None:
    """Check that each part that has a share has items, and that there are enough for a fit.

    Parameters
    ----------
    split : Split
    shares : sequence of 3 floats

    Raises
    ------
    SplitError
        If there are fewer than 5 groups, or a part is empty.

    Examples
    --------
    >>> from hybrid.splitting.splits import make_split
    >>> check_parts(make_split(["a", "b"], [[1], [1]]), (0.7, 0.1, 0.2))
    Traceback (most recent call last):
        ...
    hybrid.errors.SplitError: expected 5 labelled items or more that can be in different parts, found 2 ...
    """
    n, n_groups = len(split.ids), number_values(split.groups)[1]
    if n_groups < MIN_GROUPS:
        found = f"{counted(n, 'item')} in {counted(n_groups, 'group')}"
        raise SplitError(
            f"expected {MIN_GROUPS} labelled items or more that can be in different parts, found {found}: "
            f"too few to fit, validate and test a model. Label more items"
            f"{'.' if n == n_groups else _ungroup(split)}"
        )
    for part, share in zip(PARTS, shares, strict=True):
        if share > 0 and not (split.parts == part).any():
            raise SplitError(
                f"expected items in each part, found none in {part}, which was to have {share:.0%} of {n}"
                f"{_reason(split)}"
            )


def _ungroup(split: Split) -> str:
    columns = split.method.group_columns if split.method else ()
    if columns:
        return f", or group by another column than {', '.join(columns)}."
    return "; these are mostly duplicates of each other, see docs/splits.md."


def _reason(split: Split) -> str:
    folds = None if split.method is None else split.method.folds
    if folds is not None and folds > len(set(split.groups.tolist())):
        n = len(set(split.groups.tolist()))
        return f": there are only {n} groups of items. Take at most {n} --folds."
    if split.method is not None and split.method.by is not None:
        return (
            f": the times in column {split.method.by} are too few, or too many items have the same. Split by "
            "a column with finer times, or with --method iterative."
        )
    return ": the groups are too large. Group by another column, or give the part a larger share."


def _part_sizes(split: Split, shares: Sequence[float], largest: int) -> list[Finding]:
    counts = {part: int((split.parts == part).sum()) for part in PARTS}
    n = max(sum(counts.values()), 1)
    said = ", ".join(f"{count} {part}" for part, count in counts.items())
    if empty := [part for part, share in zip(PARTS, shares, strict=True) if share <= 0]:
        message = (
            f"no item is {' or '.join(empty)}, as asked for; the commands that fit a model need items in "
            "each part"
        )
        return [Finding("part sizes", message, 0)]
    few = [part for part in PARTS if counts[part] < FEW]
    limit = float(tolerance(np.array([n]), largest)[0])
    limit = min(limit, max(FAR * n, GROUPS))  # large groups have a large tolerance
    far = [p for p, share in zip(PARTS, shares, strict=True) if abs(counts[p] - share * n) > limit]
    if few:
        message = (
            f"{said}: figures on fewer than {FEW} items of a part say little; label more items"
        )
        return [Finding("part sizes", message, min(counts.values()), examples=tuple(few))]
    if far:
        wanted = ", ".join(f"{share * n:.0f}" for share in shares)
        why = "the groups are too large, or too many items have one time"
        message = f"{said}, where {wanted} were wanted: {why}"
        return [Finding("part sizes", message, max(counts.values()), examples=tuple(far))]
    return []


def _rare(
    split: Split,
    present: NDArray[np.bool_],
    rare: NDArray[np.bool_],
    genres: Sequence[str],
    parts: Sequence[str],
) -> Finding:
    outside = rare & present[split.parts != "train"].any(axis=0)
    message = (
        f"{_number(rare)} of {present.shape[1]:,} {agree(rare.sum(), '{have|has}')} fewer than {len(parts)} "
        f"items, or groups of them, too few for {_series(parts)} ({_listed(genres, rare)}): "
        f"{agree(rare.sum(), '{they belong|it belongs}')} to train"
    )
    if outside.any():
        some = f"{outside.sum():,} of them {agree(outside.sum(), '{are|is}')}"
        message += f"; {some} not wholly in train, which the other labels fill"
    message += f". --min-label-count {len(parts)} leaves out those of fewer items"
    return Finding("labels too rare to split", message, int(rare.sum()), "", _first(genres, rare))


def _missing(
    counts: NDArray[np.int64],
    missing: NDArray[np.bool_],
    genres: Sequence[str],
    parts: Sequence[str],
) -> Finding:
    absent = [int((missing & (row == 0)).sum()) for row in counts]
    each = ", ".join(f"{n:,} in {part}" for part, n in zip(parts, absent, strict=True) if n)
    message = (
        f"{_number(missing)} with enough items for each part {agree(missing.sum(), '{have|has}')} none in "
        f"one ({each}; {_listed(genres, missing)})"
    )
    return Finding("missing labels", message, int(missing.sum()), "", _first(genres, missing))


def _number(chosen: NDArray[np.bool_]) -> str:
    return counted(int(chosen.sum()), "label")


def _series(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _first(genres: Sequence[str], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(genres[j] for j in np.flatnonzero(chosen)[:SHOWN].tolist())


def _listed(genres: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    first = _first(genres, chosen)
    return ", ".join(first) + (", …" if chosen.sum() > len(first) else "")
