"""Successive halving: settings are chosen on nested samples, and confirmed at full size on one fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation.elimination import MEASURED, judge
from hybrid.evaluation.outputs import Outputs
from hybrid.heads.cross_fitting import Candidate, assign_folds
from hybrid.heads.search import Search, SearchResult, Trial, climb
from hybrid.splitting.nested_samples import nested_samples
from hybrid.utils.unknown_labels import as_no

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
Rows = NDArray[np.int64]

LEAST = 8192  # items; for fewer, candidates are evaluated on all
FIRST, USUAL = 1024, 4096  # items of the first sample, and of the last one where there are few more
STEP = 4  # how many times as large the next sample is
SHARE = 8  # larger samples than `USUAL` have at most one in so many items
DRAWS = 500


def halving_sizes(items: int) -> tuple[int, ...]:
    """Sizes of the samples that settings are chosen on; none where there are too few items for it.

    Examples
    --------
    >>> halving_sizes(3_000), halving_sizes(48_000), halving_sizes(1_000_000)
    ((), (1024, 4096), (1024, 4096, 16384, 65536))
    """
    if items < LEAST:
        return ()
    sizes = [FIRST]
    while sizes[-1] * STEP <= max(items // SHARE, USUAL):
        sizes.append(sizes[-1] * STEP)
    return tuple(sizes)


def halving_samples(
    ids: NDArray[Any],
    truth: Labels,
    groups: NDArray[Any] | None,
    sizes: Sequence[int],
    seed: int,
) -> tuple[Rows, ...]:
    """Draw nested samples, stratified by labels, that have as many groups as possible.

    Items of one group say much the same. So a sample has one item of each of its groups, drawn at random, and
    further ones only if that is an item of every group there is.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        Unique. The samples do not depend on the order of the items.
    truth : ndarray of shape (n, L)
    groups : ndarray of shape (n,), optional
    sizes : sequence of int
        Increasing, each below n.
    seed : int

    Returns
    -------
    tuple of ndarray
        Row numbers, sorted; each sample is a part of the next.

    Examples
    --------
    >>> ids, groups = np.arange(12).astype(str), np.repeat(["a", "b", "c", "d"], 3)
    >>> small, large = halving_samples(ids, np.ones((12, 1), np.uint8), groups, (4, 8), seed=0)
    >>> groups[small].tolist(), np.unique(groups[large], return_counts=True)[1].tolist()
    (['a', 'b', 'c', 'd'], [2, 2, 2, 2])
    """
    rank = _rank_in_group(ids, ids if groups is None else groups, seed)
    first = np.flatnonzero(rank == 0)
    below = [size for size in sizes if size < len(first)]
    found = []
    if below:
        labels = as_no(truth[first])
        parts = nested_samples(ids[first], labels, ids[first], (*below, len(first)), seed)
        found = [first[rows] for rows in parts[: len(below)]]
    counts = np.cumsum(np.bincount(rank))  # items of so many ranks
    for size in sizes[len(below) :]:
        ranks = int(np.searchsorted(counts, size, side="right"))
        found.append(np.flatnonzero(rank < max(ranks, 1)))
    return tuple(found)


def _rank_in_group(ids: NDArray[Any], groups: NDArray[Any], seed: int) -> Rows:
    """The place of each item in its group, in a random order that the order of the rows does not change."""
    shuffled = np.empty(len(ids), dtype=np.int64)
    shuffled[np.argsort(ids.astype(str))] = np.random.default_rng(seed).permutation(len(ids))
    _, member = np.unique(groups, return_inverse=True)
    order = np.lexsort((shuffled, member))
    ordered = member[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids)) - np.repeat(starts, np.diff(np.r_[starts, len(ids)]))
    return rank


@dataclass(frozen=True)
class HalvingResult:
    """What halving chose, and all that it evaluated."""

    choice: Candidate
    results: list[SearchResult]


@dataclass(frozen=True, eq=False)
class Sample:
    """The search on one sample, and what its comparisons need.

    Parameters
    ----------
    search : Search
        Its fitting is of m items.
    groups : ndarray of shape (m,)
    """

    search: Search
    groups: NDArray[Any]


@dataclass(eq=False)
class HalvingSearch:
    """Evaluate candidates on nested samples, from small to large.

    On each sample, candidates that are significantly worse than the best of them are dropped: those whose
    paired interval lies below 0. Where one is left, larger samples are not needed.

    (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
    2016; the rule is that of the races of Maron and Moore, NeurIPS 1993, with the intervals of `judge`.)

    Parameters
    ----------
    samples : sequence of Sample
        From small to large.
    metric : str
        As for `Search`; ``map-weighted`` has no interval, and drops nothing.
    seed : int
    """

    samples: Sequence[Sample]
    metric: str
    seed: int = 0
    _known: dict[tuple[int, str], Trial] = field(default_factory=dict)

    def run(self, candidates: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        """Compare some candidates, and the incumbent; return the best of them, the first of equals."""
        left = [*([incumbent.choice] if incumbent else []), *candidates]
        best: Trial | None = None
        for number, sample in enumerate(self.samples):
            trials = self._evaluate(number, sample.search, left)
            best = max(trials, key=lambda trial: trial.quality)
            left = [trial.choice for trial in self._drop(trials, sample)]
            if len(left) == 1:
                break
        assert best is not None, "there is a sample"
        return best

    @property
    def results(self) -> list[SearchResult]:
        """All evaluations, by sample."""
        return list(chain.from_iterable(sample.search.results for sample in self.samples))

    def _evaluate(self, number: int, search: Search, some: Sequence[Candidate]) -> list[Trial]:
        """Trials on a sample; what was evaluated for the comparison before is known."""
        names = [repr(choice) for choice in some]
        new = [c for c, name in zip(some, names, strict=True) if (number, name) not in self._known]
        if new:
            trials = search.evaluate(new)
            self._known |= {(number, repr(trial.choice)): trial for trial in trials}
        found = [self._known[number, name] for name in names]
        kept = {(number, name) for name in names}
        self._known = {at: t for at, t in self._known.items() if at[0] != number or at in kept}
        return found

    def _drop(self, trials: Sequence[Trial], sample: Sample) -> list[Trial]:
        """The trials that are not significantly worse than the best one."""
        if len(trials) == 1 or self.metric not in MEASURED:
            return list(trials)
        truth = sample.search.fitting.truth
        nothing = np.zeros(truth.shape, np.uint8)  # labels do not count in a ranking
        outputs = {
            str(k): Outputs(nothing if trial.labels is None else trial.labels, trial.scores)
            for k, trial in enumerate(trials)
        }
        found = judge(
            truth,
            outputs,
            MEASURED[self.metric],
            groups=sample.groups,
            draws=DRAWS,
            seed=self.seed,
        )
        return [trial for k, trial in enumerate(trials) if str(k) not in found.stopped]


def choose_at_full_size(
    search: Search,
    start: Candidate,
    grid: Mapping[str, Sequence[Any]],
    ids: NDArray[Any],
    groups: NDArray[Any] | None,
    seed: int,
) -> Trial:
    """Climb from a candidate on the first fold, and cross-fit the best one on the others.

    The best value of a parameter such as C depends on the number of items, so that it is compared at full
    size. Each half of the items that the first fold holds out gets labels by thresholds of the other half.

    Parameters
    ----------
    search : Search
        On all items.
    start : Candidate
    grid : mapping of str to sequence
        Parameter of the head → values.
    ids : ndarray of shape (n,)
        The halves do not depend on the order of the items.
    groups : ndarray of shape (n,), optional
    seed : int

    Returns
    -------
    Trial
        The best candidate, with its out-of-fold scores of all items.
    """
    fitting = search.fitting
    folds = iter(fitting.folds)
    first = next(folds)
    rows = np.flatnonzero(first.held_out)
    halves = _halves(fitting.truth[rows], ids[rows], None if groups is None else groups[rows], seed)
    alone = Search(
        replace(fitting, folds=[first]), halves, search.metric, search.one_label, rows=rows
    )
    best, held_out = climb(alone.run, start, grid), first.held_out
    search.results += alone.results
    del first, alone  # before the next fold takes its memory
    (others,) = replace(fitting, folds=folds).score([best.choice])
    return replace(best, scores=np.where(held_out[:, None], best.scores, others))


def _halves(
    truth: Labels, ids: NDArray[Any], groups: NDArray[Any] | None, seed: int
) -> NDArray[np.int64]:
    """Two halves of some items, groups whole if there are several."""
    several = groups is not None and len(np.unique(groups)) > 1
    return assign_folds(truth, 2, groups if several else None, seed, ids=ids)
