"""Hyperparameter search on out-of-fold scores: parameters of the head, and weights of the blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.heads.cross_fitting import Candidate, CrossFitting
from hybrid.heads.scoring import Quality, score_out_of_fold

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

TOGETHER = 16  # candidates that are fitted at once; more would only take more memory


@dataclass(frozen=True)
class SearchResult:
    """One candidate of a search, and how good its out-of-fold scores are.

    Parameters
    ----------
    choice : Candidate
    quality : float
        The metric, in [0, 1].
    spread : float
        Its standard deviation over the folds.
    seconds : float
        Time to fit and score; candidates that are fitted together share it evenly.
    items : int or None
        Number of items that it was evaluated on.
    """

    choice: Candidate
    quality: float
    spread: float
    seconds: float
    items: int | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate, its out-of-fold scores of shape (n, L), their metric, and the labels that it counts."""

    choice: Candidate
    scores: Floats
    quality: float
    labels: Labels | None = None


class Evaluate(Protocol):
    """Compares candidates: `Search.run`."""

    def __call__(self, candidates: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        """Return the best of some candidates and of the best one before; the first of equals."""


@dataclass(eq=False)
class Search:
    """Evaluate candidates by cross-fitting.

    Parameters
    ----------
    fitting : CrossFitting
    fold : ndarray of shape (n,)
        The fold of each item.
    metric : str
        See `score_out_of_fold`.
    one_label : bool, default=False
        Whether each item gets exactly one label.
    rows : ndarray of shape (m,), optional
        Evaluate these items alone; `fold` is theirs, of shape (m,).

    Attributes
    ----------
    results : list of SearchResult
        All candidates, in the order in which they were evaluated.
    """

    fitting: CrossFitting
    fold: NDArray[np.int64]
    metric: str
    one_label: bool = False
    rows: NDArray[np.int64] | None = None
    results: list[SearchResult] = field(default_factory=list)

    def run(self, candidates: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        """Compare some candidates, and the incumbent; return the best of them, the first of equals."""
        best = incumbent
        for start in range(0, len(candidates), TOGETHER):
            for trial in self.evaluate(candidates[start : start + TOGETHER]):
                if best is None or trial.quality > best.quality:
                    best = trial
        if best is None:
            raise SettingError("grid: expected at least one value for each parameter, found none.")
        return best

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Evaluate some candidates; they are fitted together where the head can."""
        began = perf_counter()
        scored = self.fitting.score(candidates)
        qualities = [self._measure(scores) for scores in scored]
        seconds = (perf_counter() - began) / max(len(candidates), 1)
        trials = []
        for candidate, scores, found in zip(candidates, scored, qualities, strict=True):
            result = SearchResult(candidate, found.value, found.spread, seconds, len(self.fold))
            self.results.append(result)
            trials.append(Trial(candidate, scores, found.value, found.labels))
        return trials

    def _measure(self, scores: Floats) -> Quality:
        truth, tuned = self.fitting.truth, self.fitting.tuned
        if self.rows is not None:
            truth, scores = truth[self.rows], scores[self.rows]
        how = {"tuned": tuned, "one_label": self.one_label}
        return score_out_of_fold(truth, scores, self.fold, self.metric, **how)


def choose(
    run: Evaluate,
    grid: Mapping[str, Sequence[Any]],
    weights: Mapping[str, float],
    factors: Sequence[float],
    *,
    combinations: bool = False,
) -> Trial:
    """Search for the best settings: one after the other, or all combinations.

    Parameters
    ----------
    run : callable
        Compares candidates, and the best one before: `Search.run`, or `HalvingSearch.run`.
    grid : mapping of str to sequence
        Parameter of the head → values.
    weights : mapping of str to float
        Block → weight to start from.
    factors : sequence of float
        To try on the weight of a block; with none, or a single block, the weights stay.
    combinations : bool, default=False
        False: one parameter after the other, then two rounds over the blocks, one after the other, the
        second with the square roots of the factors. True: first all combinations of the parameters
        with the factors and 1 on all blocks but the first, whose scale is that of C; then the second
        round.

    Returns
    -------
    Trial

    Examples
    --------
    >>> def run(candidates, incumbent=None):
    ...     scored = [Trial(c, np.empty(0), -abs(c.parameters["C"] - 0.3)) for c in candidates]
    ...     return max(scored, key=lambda trial: trial.quality)
    >>> choose(run, {"C": [0.1, 0.3, 1.0]}, {"text": 1.0}, ()).choice.parameters
    {'C': 0.3}
    """
    tunable = list(weights) if factors and len(weights) > 1 else []
    if combinations:
        best = run(list(_combinations(grid, weights, tunable[1:], factors)))
        rounds = [0.5]
    else:
        best, rounds = _choose_parameters(run, grid), [1.0, 0.5]
    for power in rounds:
        for name in tunable:
            now = best.choice.weights.get(name, weights[name])
            steps = [{name: now * factor**power} for factor in factors]
            best = run([_changed(best.choice, weights=step) for step in steps], best)
    return best


def count_candidates(choosing: Callable[[Evaluate], Trial]) -> int:
    """Count the candidates that a search evaluates: how many it is does not depend on how good they are.

    Parameters
    ----------
    choosing : callable
        Calls `choose` with the `run` that it is given.

    Examples
    --------
    >>> count_candidates(lambda run: choose(run, {"C": [0.1, 1.0]}, {"text": 1.0, "poster": 1.0}, [0.5, 2.0]))
    10
    """
    sizes = []

    def run(candidates: Sequence[Candidate], incumbent: Trial | None = None) -> Trial:
        sizes.append(len(candidates))
        return Trial(Candidate({}, {}), np.empty(0), 0.0)

    choosing(run)
    return sum(sizes)


def _choose_parameters(run: Evaluate, grid: Mapping[str, Sequence[Any]]) -> Trial:
    if not grid:
        return run([Candidate({}, {})])
    choice = Candidate({}, {})
    for name, values in grid.items():
        best = run([_changed(choice, parameters={name: value}) for value in values])
        choice = best.choice
    return best


def _combinations(
    grid: Mapping[str, Sequence[Any]],
    weights: Mapping[str, float],
    blocks: Sequence[str],
    factors: Sequence[float],
) -> Iterator[Candidate]:
    for values in product(*grid.values()):
        for steps in product((1.0, *factors), repeat=len(blocks)):
            pairs = zip(blocks, steps, strict=True)
            chosen = {name: weights[name] * step for name, step in pairs}
            yield Candidate(dict(zip(grid, values, strict=True)), chosen)


def climb(run: Evaluate, start: Candidate, grid: Mapping[str, Sequence[Any]]) -> Trial:
    """Hill climbing from a candidate: each parameter moves to its neighbour in the grid while that is better.

    The values before the first one are tried first; those behind it only where none before it is better.

    Parameters
    ----------
    run, grid
        As for `choose`.
    start : Candidate
        Its parameters are values of the grid.

    Examples
    --------
    >>> def run(candidates, incumbent=None):
    ...     found = [Trial(c, np.empty(0), -abs(c.parameters["C"] - 0.03)) for c in candidates]
    ...     return max([incumbent or found[0], *found], key=lambda trial: trial.quality)
    >>> climb(run, Candidate({"C": 1.0}, {}), {"C": [0.01, 0.03, 0.1, 1.0, 3.0]}).choice.parameters
    {'C': 0.03}
    """
    best, at = None, start
    for name, values in grid.items():
        first = list(values).index(start.parameters[name])
        for way in (reversed(values[:first]), values[first + 1 :]):
            before = at
            for value in way:
                next_one = _changed(at, parameters={name: value})
                # The first two are fitted at once where the head can.
                best = run([next_one], best) if best else run([start, next_one])
                if best.choice == at:
                    break
                at = best.choice
            if at != before:
                break
    return best or run([start])


def count_climbs(grid: Mapping[str, Sequence[Any]]) -> int:
    """Most candidates that `climb` evaluates.

    Examples
    --------
    >>> count_climbs({"C": [0.1, 0.3, 1.0]})
    3
    """
    return 1 + sum(len(values) - 1 for values in grid.values())


def _changed(
    choice: Candidate,
    parameters: Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Candidate:
    return Candidate(
        {**choice.parameters, **(parameters or {})}, {**choice.weights, **(weights or {})}
    )
