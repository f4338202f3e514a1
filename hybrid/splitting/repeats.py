"""Further splits by the method of a given one: other seeds, other folds, earlier periods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.split_types import SplitMethod
from hybrid.splitting.splits import (
    group_times,
    make_fold_splits,
    make_split,
    make_temporal_split,
    split_hash,
)
from hybrid.types import PARTS, UNUSED, Split
from hybrid.utils.counts import counted

# Methods that further splits can be made by, though it is not known how the split itself was made.
NAMED = ("iterative", "random", "temporal")
SEEDS = 1000  # seeds that are tried for splits that differ


@dataclass(frozen=True)
class FurtherSplit:
    """A further split.

    Parameters
    ----------
    name : str
        How it differs from the others: ``"seed 1"``, ``"fold 2 of 5"``, ``"test from 1980 to 1989"``.
    seed : int
        Of the model that is fitted on it.
    split : Split
    """

    name: str
    seed: int
    split: Split


def check_repeats(split: Split, repeats: int, method: SplitMethod | None = None) -> SplitMethod:
    """Check that a split can be repeated by its method, before hours of work.

    Parameters
    ----------
    split : Split
    repeats : int
        Number of splits, 2 or more, the given one among them.
    method : SplitMethod, optional
        ``iterative``, ``random`` or ``temporal``, for a split of which `Split.method` is not known.

    Returns
    -------
    SplitMethod
        The split's own, or the one named.

    Raises
    ------
    SettingError
        If it is not known how the split was made, or it leaks by construction, or has too few folds.

    Examples
    --------
    >>> check_repeats(make_split(list("abcd"), [[1]] * 4, seed=3), 5).seed
    3
    """
    known = split.method
    if known is None:
        if method is None:
            raise SettingError(
                "--repeats: expected a split that hybrid split made, found one of which it is not known how "
                f"it was made. Name the method: --method {', '.join(NAMED)} (with --by COLUMN)."
            )
        _check_named(split, method)
        return method
    if method is not None and (method.method, method.by) != (known.method, known.by):
        raise SettingError(
            f"--method: the split was made by {known.method}; leave --method and --by out."
        )
    if known.method == "legacy-2017":
        raise SettingError(
            "--repeats: expected a split that can be clean, found legacy-2017, which leaks by construction: "
            "its repeats would leak in the same way, and their spread would look like certainty. Make a "
            "clean split with hybrid split, fit on it, and repeat that."
        )
    if known.method == "temporal" and known.by is None:
        raise SettingError(
            "--repeats: expected the column with the time of a temporal split, found none. Make the split "
            "with: hybrid split --method temporal --by COLUMN"
        )
    if known.method == "kfold" and repeats > (known.folds or 0):
        raise SettingError(
            f"--repeats: expected at most {known.folds}, the folds of the split, found {repeats}."
        )
    return known


def _check_named(split: Split, method: SplitMethod) -> None:
    problems = []
    if method.method not in NAMED:
        problems.append(f"--method: expected {', '.join(NAMED)}, found {method.method!r}.")
    if (method.method == "temporal") != (method.by is not None):
        problems.append("--by: expected with --method temporal, the column with the time, alone.")
    if len(set(split.ids.tolist())) < len(split.ids):
        problems.append(
            "--repeats: expected each id once in the split, found some twice: it leaks."
        )
    if problems:
        raise SettingError("\n".join(problems))


def further_splits(
    split: Split,
    labels: ArrayLike,
    repeats: int,
    seed: int,
    *,
    method: SplitMethod | None = None,
    times: ArrayLike | None = None,
    moments: Sequence[str] | None = None,
) -> list[FurtherSplit]:
    """Make further splits of the same items by the method of a split.

    `iterative` and `random` draw again with the next seeds, in the same shares, groups whole. `kfold` takes
    the next folds. `temporal` takes rolling origins (Tashman, 2000): the split tests on an earlier period of
    about as many items, and learns from what is older than that; newer items are ``unused``. The
    periods do not overlap as long as there are enough items before them for training, at least as many
    as are tested on.

    Parameters
    ----------
    split : Split
        Items that are ``unused`` in it stay so.
    labels : array-like of shape (n, L)
        In the order of the split.
    repeats : int
        Number of splits, the given one among them.
    seed : int
        Of the run on the given split.
    method : SplitMethod, optional
        As for `check_repeats`.
    times : array-like of shape (n,), optional
        For a temporal split, in its order; NaN where unknown.
    moments : sequence of n str, optional
        The times as the catalogue has them, for the names of the periods.

    Returns
    -------
    list of ``repeats - 1`` FurtherSplit

    Raises
    ------
    SettingError
        As for `check_repeats`; if the split is not what its method makes of these items; if there are
        not so many different splits.

    Examples
    --------
    >>> ids, years = [f"f{i}" for i in range(10)], range(1990, 2000)
    >>> split = make_temporal_split(ids, years, shares=(0.6, 0.2, 0.2))
    >>> split = replace(split, method=SplitMethod("temporal", by="year"))
    >>> [(each.name, np.sum(each.split.parts == "train").item()) for each in
    ...  further_splits(split, [[1]] * 10, 3, 0, times=years)]
    [('test from 1996 to 1997', 4), ('test from 1994 to 1995', 3)]
    """
    chosen = check_repeats(split, repeats, method)
    used = split.parts != UNUSED
    labels = np.asarray(labels)
    if chosen.method == "temporal":
        numbers = np.asarray(times, dtype=np.float64)
        cells = [_number(time) for time in numbers] if moments is None else list(moments)
        return _rolling_origins(split, numbers, np.array(cells), repeats, seed)
    ids, groups = split.ids[used], split.groups[used]
    if chosen.method == "kfold":
        found = _other_folds(split, ids, labels[used], groups, chosen, repeats, seed)
    else:
        shares = [float((split.parts[used] == part).mean()) for part in PARTS]
        stratify = chosen.method != "random"

        def draw(drawn: int) -> Split:
            return make_split(
                ids, labels[used], groups=groups, shares=shares, seed=drawn, stratify=stratify
            )

        found = _other_seeds(split, draw, chosen.seed, repeats, seed)
    return [replace(each, split=_with_unused(each.split, split)) for each in found]


def _other_seeds(
    split: Split, draw: Callable[[int], Split], own: int | None, repeats: int, seed: int
) -> list[FurtherSplit]:
    """Draw again with the seeds after the split's own; what has been drawn already is left out."""
    known, first = {_test_items(split)}, seed if own is None else own

    def drawn() -> Iterator[tuple[int, Split]]:
        for other in range(first + 1, first + SEEDS):
            again = draw(other)
            if _test_items(again) not in known:
                known.add(_test_items(again))
                yield other, again

    found = [
        FurtherSplit(f"seed {other}", seed + i, again)
        for i, (other, again) in zip(count(1), islice(drawn(), repeats - 1), strict=False)
    ]
    if len(found) < repeats - 1:
        raise SettingError(
            f"--repeats: expected so many different splits of {counted(len(split.ids), 'item')}, found "
            f"{len(found) + 1}, not {repeats}."
        )
    return found


def _other_folds(
    split: Split,
    ids: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    method: SplitMethod,
    repeats: int,
    seed: int,
) -> list[FurtherSplit]:
    folds, own = method.folds or 0, method.fold or 0
    validation = (method.shares or (0.0, 0.0, 0.0))[1]
    made = make_fold_splits(
        ids, labels, folds, groups=groups, validation=validation, seed=method.seed or 0
    )
    if made[own].sha256 != split_hash(ids, split.parts[split.parts != UNUSED]):
        raise SettingError(
            f"--repeats: expected the split to be fold {own + 1} of {folds} with seed {method.seed} of its "
            "items, found another one: items, labels or groups have changed since it was made. Make "
            "the splits again with: hybrid split --method kfold"
        )
    return [
        FurtherSplit(f"fold {fold + 1} of {folds}", seed + i, made[fold])
        for i, fold in enumerate(((own + i) % folds for i in range(1, repeats)), start=1)
    ]


def _rolling_origins(
    split: Split,
    times: NDArray[np.float64],
    moments: NDArray[np.str_],
    repeats: int,
    seed: int,
) -> list[FurtherSplit]:
    when = group_times(times, split.groups)
    used = (split.parts != UNUSED) & np.isfinite(when)
    _check_order(split, when, used, moments)
    test = float((split.parts[used] == "test").mean())
    learn = [float((split.parts[used] == part).mean()) for part in ("train", "validation")]
    inner = learn[1] / sum(learn)
    # Periods side by side, or overlapping where those would leave fewer items to learn from than to test.
    step = min(test, max(1 - 2 * test, 0.0) / (repeats - 1))
    dated = np.sort(when[used])
    periods, found = {_test_items(split)}, []
    for i in range(1, repeats):
        end = dated[min(round((1 - i * step) * len(dated)), len(dated) - 1)]
        older = used & (when < end)
        share = test * used.sum() / max(int(older.sum()), 1)
        if not 0 < share < 1:
            break
        shares = ((1 - share) * (1 - inner), (1 - share) * inner, share)
        made = make_temporal_split(
            split.ids[older], times[older], groups=split.groups[older], shares=shares
        )
        tested = np.flatnonzero(older)[made.parts == "test"]
        first, last = (moments[tested[at(when[tested])]] for at in (np.argmin, np.argmax))
        if _test_items(made) in periods or {*made.parts.tolist()} != {
            *PARTS[: 2 if inner else 1],
            "test",
        }:
            break
        periods.add(_test_items(made))
        name = f"test from {first} to {last}"
        found.append(FurtherSplit(name, seed + i, _with_unused(made, split)))
    if len(found) < repeats - 1:
        raise SettingError(
            f"--repeats: expected {repeats} periods to test on, each with older items to learn from, found "
            f"{len(found) + 1} in these times. Take fewer repeats."
        )
    return found


def _check_order(
    split: Split,
    when: NDArray[np.float64],
    used: NDArray[np.bool_],
    moments: NDArray[np.str_],
) -> None:
    """A split that someone calls temporal must be: nothing learnt from is as new as a test item."""
    test = np.flatnonzero(used & (split.parts == "test"))
    learnt = np.flatnonzero(used & (split.parts != "test"))
    if not len(test) or not len(learnt):
        raise SettingError("--repeats: expected test items and others with a time, found none.")
    oldest, newest = test[when[test].argmin()], learnt[when[learnt].argmax()]
    if when[newest] >= when[oldest]:
        raise SettingError(
            "--method temporal: expected test items that are newer than all others, found train or "
            f"validation items of {moments[newest]} and test items of {moments[oldest]}."
        )


def _number(time: float) -> str:
    return str(int(time)) if np.isfinite(time) and time == int(time) else f"{time:g}"


def _test_items(split: Split) -> frozenset[str]:
    return frozenset(split.ids[split.parts == "test"].tolist())


def _with_unused(made: Split, split: Split) -> Split:
    """A split of some items of another one, with the others as ``unused``, in the order of that one."""
    parts = dict(zip(made.ids.tolist(), made.parts.tolist(), strict=True))
    placed = np.array([parts.get(name, UNUSED) for name in split.ids.tolist()])
    return Split(split.ids, placed, split.groups, split_hash(split.ids, placed), made.method)
