"""What to choose from, and the search for the best of it on out-of-fold scores."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.errors import SettingError
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.folds import Fold, Folds
from hybrid.heads.scoring import Quality, score_out_of_fold
from hybrid.heads.svm.batch_fit import fit_many
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

TOGETHER = 16  # candidates that are fitted at once; more would only take more memory


@dataclass(frozen=True)
class Candidate:
    """One candidate: parameters of the head and weights of the blocks."""

    parameters: dict[str, Any]
    weights: dict[str, float]


@dataclass(frozen=True)
class SearchResult:
    """A candidate, its quality with the spread over the folds, and the seconds that it took.

    Candidates that are fitted together share their seconds evenly.
    """

    choice: Candidate
    quality: float
    spread: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trial:
    """A choice, its out-of-fold scores of shape (n, L), and how good they are."""

    choice: Candidate
    scores: Floats
    quality: float


@dataclass(eq=False)
class Trials:
    """Fits candidates in every fold and judges what they say of the items left out.

    Parameters
    ----------
    estimator, tuned, n_jobs, random_state
        As in `HybridClassifier`.
    folds : Folds
    truth : ndarray of shape (n, L)
    metric : str
        See `score_out_of_fold`.

    Attributes
    ----------
    tried : list of SearchResult
        All that was tried, in that order.
    """

    estimator: Any
    folds: Folds
    truth: Labels
    metric: str
    tuned: bool = True
    n_jobs: int | None = None
    random_state: int = 0
    tried: list[SearchResult] = field(default_factory=list)

    def run(self, choices: Sequence[Candidate]) -> Trial:
        """Try some candidates; return the best of them, the first of equals."""
        best: Trial | None = None
        for start in range(0, len(choices), TOGETHER):
            some = choices[start : start + TOGETHER]
            began = perf_counter()
            judged = [(scores, self._judge(scores)) for scores in self.score(some)]
            seconds = (perf_counter() - began) / len(some)
            for choice, (scores, quality) in zip(some, judged, strict=True):
                self.tried.append(SearchResult(choice, quality.value, quality.spread, seconds))
                if best is None or quality.value > best.quality:
                    best = Trial(choice, scores, quality.value)
        if best is None:
            raise SettingError("grid: expected at least one value for each parameter, found none.")
        return best

    def _judge(self, scores: Floats) -> Quality:
        fold = self.folds.number
        return score_out_of_fold(self.truth, scores, fold, self.metric, tuned=self.tuned)

    def score(self, choices: Sequence[Candidate], estimator: Any = None) -> list[Floats]:
        """Out-of-fold scores of shape (n, L) of each; NaN where a genre could not be learnt in a fold.

        `estimator` takes the place of the usual one.
        """
        scores = [np.full(self.truth.shape, np.nan) for _ in choices]
        for fold in self.folds:
            known = self.truth[~fold.left_out]
            unlearnt = np.nan if self.tuned else known.mean(axis=0)
            heads = self._fit(estimator or self.estimator, fold, known, choices)
            for choice, head, filled in zip(choices, heads, scores, strict=True):
                found = head_scores(head, fold.judge.with_weights(choice.weights), tuned=self.tuned)
                filled[fold.left_out] = np.where(np.ptp(known, axis=0) > 0, found, unlearnt)
            del fold, heads  # before the next one takes its memory
        return scores

    def _fit(
        self, estimator: Any, fold: Fold, truth: Labels, choices: Sequence[Candidate]
    ) -> Iterator[Any]:
        """A head for each choice: in one solve where the estimator can."""
        only_c = len(choices) > 1 and all(set(c.parameters) <= {"C"} for c in choices)
        if isinstance(estimator, MultilabelLinearSVC) and truth.shape[1] > 1 and only_c:
            together = clone(estimator).set_params(n_jobs=self.n_jobs)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Label .* is present in")
                yield from fit_many(together, fold.learn, truth, choices)
            return
        for choice in choices:
            yield fit_head(
                estimator,
                fold.learn.with_weights(choice.weights),
                truth,
                choice.parameters,
                tuned=self.tuned,
                n_jobs=self.n_jobs,
                random_state=self.random_state,
                groups=fold.groups,
            )


def choose(
    run: Callable[[Sequence[Candidate]], Trial],
    grid: Mapping[str, Sequence[Any]],
    weights: Mapping[str, float],
    factors: Sequence[float],
    *,
    search: bool = False,
) -> Trial:
    """Find the best settings.

    Parameters
    ----------
    run : callable
        Candidates → the best of them: `Trials.run`.
    grid : mapping of str to sequence
        Parameter of the head → values.
    weights : mapping of str to float
        Block → weight to start from.
    factors : sequence of float
        To try on the weight of a block; empty, or one block alone: weights stay as they are.
    search : bool
        False: one parameter after the other, then two rounds over the blocks, one after the other, the
        second with the square roots of the factors. True: first all combinations of the parameters
        with the factors and 1 on all blocks but the first, whose scale is that of C; then the second
        round.
    """
    tunable = list(weights) if factors and len(weights) > 1 else []
    if search:
        best = run(list(_combinations(grid, weights, tunable[1:], factors)))
        rounds = [0.5]
    else:
        best, rounds = _choose_parameters(run, grid), [1.0, 0.5]
    for power in rounds:
        for name in tunable:
            now = best.choice.weights.get(name, weights[name])
            steps = [{name: now * factor**power} for factor in factors]
            found = run([_changed(best.choice, weights=step) for step in steps])
            best = found if found.quality > best.quality else best
    return best


def _choose_parameters(
    run: Callable[[Sequence[Candidate]], Trial], grid: Mapping[str, Sequence[Any]]
) -> Trial:
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


def _changed(
    choice: Candidate,
    parameters: Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Candidate:
    return Candidate(
        {**choice.parameters, **(parameters or {})}, {**choice.weights, **(weights or {})}
    )
