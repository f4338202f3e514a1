"""Elimination: which models are surely worse than the leader, on the items of one round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from hybrid.evaluation.evaluate import measure_all
from hybrid.evaluation.multiple_comparisons import compare_pairs, compare_with_reference
from hybrid.evaluation.outputs import Outputs
from hybrid.evaluation.resampling import DRAWS
from hybrid.types import Interval

# Metric that settings are chosen by → that of `hybrid.evaluation`.
MEASURED = {
    "weighted-f1": "f1_weighted",
    "macro-f1": "f1_macro",
    "micro-f1": "f1_micro",
    "map": "map_macro",
}


@dataclass(frozen=True)
class Judgement:
    """The comparison of one round.

    Parameters
    ----------
    leader : str or None
        The model with the best metric, the first of equals; None where none has one.
    values : dict of str to float
        Model → its metric; NaN where it is not defined.
    behind : dict of str to Interval
        Model → its metric minus the leader's; of the leader itself 0.
    stopped : tuple of str
        Those whose interval lies below 0: surely worse than the leader.
    gains : dict of str to Interval, default={}
        Model → its metric minus that of the blocks without it, where there are blocks.
    """

    leader: str | None
    values: dict[str, float]
    behind: dict[str, Interval]
    stopped: tuple[str, ...]
    gains: dict[str, Interval] = field(default_factory=dict)


def round_level(confidence: float, rounds: int) -> float:
    """The confidence of each round, so that all rounds together have `confidence` (Bonferroni).

    Examples
    --------
    >>> round(round_level(0.95, 5), 4)
    0.99
    """
    return 1 - (1 - confidence) / rounds


def judge(
    truth: ArrayLike,
    outputs: Mapping[str, Outputs],
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Judgement:
    """Compare all models of a round, and stop those that are surely worse than the leader.

    The intervals are the simultaneous ones of `hybrid.evaluation.compare_pairs` over all pairs, so that it
    makes no difference that the leader was chosen on the same items: the probability that the round stops
    any model that is as good as the leader is ``1 - level`` at most.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    outputs : mapping of str to Outputs
        Model → out-of-fold labels and scores of the n items.
    metric : str, default="f1_weighted"
        One of `hybrid.evaluation.METRICS`.
    groups : array-like of shape (n,), optional
        Items of one group are resampled together.
    level : float, default=0.95
    draws, seed : int
        As for `compare_pairs`.

    Returns
    -------
    Judgement

    Examples
    --------
    >>> truth = np.ones((40, 1))
    >>> good, bad = (Outputs(np.full((40, 1), v, np.uint8), np.full((40, 1), v)) for v in (1, 0))
    >>> judge(truth, {"bad": bad, "good": good}, draws=999).stopped
    ('bad',)
    """
    names = list(outputs)
    values = {name: measure_all(truth, each)[metric] for name, each in outputs.items()}
    known = [name for name in names if np.isfinite(values[name])]
    if not known:
        return Judgement(None, values, {}, ())
    leader = max(known, key=lambda name: values[name])
    if len(names) == 1:
        return Judgement(leader, values, {leader: Interval(0.0, 0.0, 0.0)}, ())
    found = compare_pairs(
        truth,
        list(outputs.values()),
        metric,
        groups=groups,
        draws=draws,
        seed=seed,
        level=level,
    )
    first = names.index(leader)
    behind = {name: found.interval(k, first) for k, name in enumerate(names)}
    return Judgement(
        leader, values, behind, tuple(name for name, each in behind.items() if each.high < 0)
    )


def compare_round(
    truth: ArrayLike,
    outputs: Mapping[str, Outputs],
    reference: Outputs | None,
    metric: str,
    groups: ArrayLike | None,
    level: float,
    seed: int,
) -> Judgement:
    """Judge a round, with what each model adds to the blocks alone.

    Parameters
    ----------
    truth, outputs, metric, groups, level, seed
        As for `judge`.
    reference : Outputs or None
        Of the blocks alone, which were not chosen on these items: the intervals of the gains are those of
        `hybrid.evaluation.compare_with_reference`.

    Examples
    --------
    >>> truth = np.ones((40, 1))
    >>> good, bad = (Outputs(np.full((40, 1), v, np.uint8), np.full((40, 1), v)) for v in (1, 0))
    >>> compare_round(truth, {"good": good}, bad, "f1_weighted", None, 0.95, 0).gains["good"].value
    1.0
    """
    found = judge(truth, outputs, metric, groups=groups, level=level, seed=seed)
    if reference is None or found.leader is None:
        return found
    models = list(outputs.values())
    gains = compare_with_reference(
        truth, models, reference, metric, groups=groups, level=level, seed=seed
    )
    return replace(found, gains=dict(zip(outputs, gains, strict=True)))
