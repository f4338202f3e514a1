"""Selection of the best of several models: chances of being best, and the chosen one's corrected figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import Units, bootstrap, make_units, unit_weights
from hybrid.evaluation.intervals import LEVEL, UNKNOWN
from hybrid.evaluation.metrics import LOSSES, Weights, check_metric, highest, make_measure
from hybrid.evaluation.outputs import Floats, Outputs, check
from hybrid.evaluation.resampling import DRAWS, METHOD, interval_of, sample
from hybrid.evaluation.significance import SAME
from hybrid.types import Interval

SHRINKAGES = (np.arange(20) + 0.5) / 20  # shares of noise in the spread of the figures
POSTERIOR_DRAWS = 4000  # for each of them


@dataclass(frozen=True)
class Selection:
    """The best of K models by one metric, corrected for having been chosen.

    Parameters
    ----------
    best : int
        Position of the model with the best figure; the first of several.
    best_probability : tuple of K float
        Chance of each model of being best; they add up to 1.
    corrected : Interval
        What the figure of the chosen model is expected to be on new items, with its 95 % interval.

    Examples
    --------
    See `select_best`.
    """

    best: int
    best_probability: tuple[float, ...]
    corrected: Interval


def select_best(
    truth: ArrayLike,
    models: Sequence[Outputs],
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Selection:
    """Choose the model with the best figure, and say how far the choice can be trusted.

    The chance of being best is the posterior probability in a hierarchical model: the observed figures are
    normal around the true ones, with the covariance of the bootstrap; these are normal around their mean,
    with a covariance proportional to it; and the share of the spread that is noise is uniform on 0 to 1
    (Strawderman, 1971). The plain share of bootstrap draws in which a model is best takes all of the spread
    for real, and is too sure where models are nearly equal.

    The corrected figure is that of bootstrap bias corrected cross-validation: Tsamardinos, Greasidou and
    Borboudakis, "Bootstrapping the Out-of-sample Predictions for Efficient and Accurate Cross-validation",
    Machine Learning 107, 2018. In each draw the best model is chosen on the items that were drawn, and
    evaluated on those that were not; what this differs from the mean of that model over all draws is the
    effect of the choice. The interval is normal, with the standard deviation of these figures, reduced to
    as many items as there are.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    models : sequence of K Outputs
        On the same items.
    metric : str, default="f1_weighted"
        One of `METRICS`.
    groups : array-like of shape (n,), optional
        Items of one group are drawn together.
    draws : int, default=2000
    seed : int, default=0

    Returns
    -------
    Selection

    Raises
    ------
    SettingError
        If shapes or settings are wrong, or there is no model.

    Examples
    --------
    >>> truth = np.array([[1], [0]] * 20)
    >>> models = [Outputs(np.array(y, np.uint8), np.array(y, float)) for y in (truth, 1 - truth)]
    >>> found = select_best(truth, models, draws=100)
    >>> found.best, found.best_probability, found.corrected.value
    (0, (1.0, 0.0), 1.0)
    """
    if not len(models):
        raise SettingError("models: expected at least one, found none.")
    truth = check(truth, models, draws)
    check_metric(metric)
    units, sign = make_units(len(truth), groups), -1.0 if metric in LOSSES else 1.0
    measures = [make_measure(truth, outputs, [metric]) for outputs in models]
    if len(models) == 1:
        sampled = sample(measures[0], units, draws, seed, METHOD)
        return Selection(0, (1.0,), interval_of(sampled, metric, METHOD))

    def measure(weights: Weights) -> Floats:
        return sign * np.column_stack([each(weights)[metric] for each in measures])

    point = measure(unit_weights(len(truth)))[0]
    if not np.isfinite(point).any():
        return Selection(0, (math.nan,) * len(models), UNKNOWN)
    inside, outside, share = _draw(measure, units, draws, seed)
    chance = np.zeros(len(models))
    known = np.isfinite(point)
    chance[known] = best_probability(point[known], inside[:, known], seed=seed)
    found = _correct(point[known], inside[:, known], outside[:, known], share)
    low, high = sorted((sign * found.low, sign * found.high))
    most = highest(metric, truth.shape[1])
    corrected = Interval(sign * found.value, max(low, 0.0), min(high, most))
    return Selection(int(np.nanargmax(point)), tuple(chance.tolist()), corrected)


def _draw(
    measure: Callable[[Weights], Floats], units: Units, draws: int, seed: int
) -> tuple[Floats, Floats, float]:
    """Figures on the items of each draw, on those left out, and the mean share of these."""
    inside, outside, shares = [], [], []
    for weights in bootstrap(units, draws, seed):
        rest = (weights == 0).astype(np.uint8)
        some = rest.any(axis=1)  # a draw of all items leaves nothing to evaluate the choice on
        inside.append(measure(weights[some]))
        outside.append(measure(rest[some]))
        shares.append(rest[some].mean(axis=1))
    return np.concatenate(inside), np.concatenate(outside), float(np.concatenate(shares).mean())


def _correct(point: Floats, inside: Floats, outside: Floats, share: float) -> Interval:
    """Figure of a model that is chosen on the items of a draw, on those that the draw left out."""
    inside = np.where(np.isfinite(inside), inside, -np.inf)
    chosen, rows = inside.argmax(axis=1), np.arange(len(inside))
    # A metric may differ on few items: what is added is the difference to the model's own mean.
    apart = outside[rows, chosen] - np.nanmean(outside, axis=0)[chosen]
    figures = point[chosen] + apart
    value = float(np.nanmean(figures))
    # The items left out are fewer than all, so that their figures vary (1 - share) / share times as much.
    reach = ndtri((1 + LEVEL) / 2) * np.nanstd(figures) * math.sqrt(share / (1 - share))
    return Interval(value, float(value - reach), float(value + reach))


def best_probability(point: Floats, drawn: Floats, *, seed: int = 0) -> Floats:
    """Posterior probability of each model to be best; see `select_best`.

    Parameters
    ----------
    point : ndarray of shape (K,)
        The figures; higher is better.
    drawn : ndarray of shape (B, K)
        The figures under bootstrap draws; rows with NaN are left out.
    seed : int, default=0

    Returns
    -------
    ndarray of shape (K,), float64

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=(500, 2))
    >>> chance = best_probability(np.array([0.65, 0.60]), np.array([0.65, 0.60]) + noise)
    >>> bool(chance[0] > 0.95), round(float(chance.sum()), 6)
    (True, 1.0)
    """
    size = len(point)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    contrasts = _contrasts(size)
    noise = contrasts.T @ np.cov(drawn.T, ddof=0).reshape(size, size) @ contrasts
    trace = float(np.trace(noise))
    if not trace > 0:  # one model, or models that differ in no draw
        best = point >= point.max() - SAME
        return best / best.sum()
    # Correlated contrasts tell as much of the spread as so many independent ones (Satterthwaite).
    freedom = trace**2 / float((noise**2).sum())
    observed = contrasts.T @ point
    spread = freedom * float(observed @ observed) / trace
    values, vectors = np.linalg.eigh(noise)
    random = np.random.default_rng(seed).normal(size=(POSTERIOR_DRAWS // 2, size - 1))
    random = random @ (vectors * np.sqrt(np.maximum(values, 0))).T
    random = np.concatenate([random, -random])  # antithetic: their mean is 0
    evidence, chances = [], []
    for shrinkage in SHRINKAGES:
        evidence.append(freedom * math.log(shrinkage) - shrinkage * spread)
        kept = 1 - shrinkage
        figures = (kept * observed + math.sqrt(kept) * random) @ contrasts.T
        best = figures >= figures.max(axis=1, keepdims=True) - 1e-6 * math.sqrt(trace)
        chances.append((best / best.sum(axis=1, keepdims=True)).mean(axis=0))
    weight = np.exp((np.array(evidence) - max(evidence)) / 2)
    return np.asarray(weight @ np.array(chances) / weight.sum())


def _contrasts(size: int) -> Floats:
    """An orthonormal basis of the differences between K figures, of shape (K, K - 1)."""
    ones_first = np.column_stack([np.ones(size), np.eye(size)[:, : size - 1]])
    return np.asarray(np.linalg.qr(ones_first)[0][:, 1:])
