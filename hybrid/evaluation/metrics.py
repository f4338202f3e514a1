"""Multi-label metrics with sample weights, as scikit-learn defines them, with ``zero_division=0``.

A genre that no item has says nothing of a model: its scores are NaN, and averages over genres leave it
out, as scikit-learn does with ``labels`` set to the genres that items have. A bootstrap draw is a test set
like any other: the genres that its items lack are left out of its averages.

With one weight an item, the point estimate, bootstrap draws, the jackknife and permutations are all the
same few matrix products: F1 and its like are computed from weighted counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import unknown_name
from hybrid.evaluation.outputs import Floats, Labels, Outputs
from hybrid.evaluation.ranking import average_precisions, rank_genre, rank_items
from hybrid.utils.counts import agree
from hybrid.utils.unknown_labels import as_no, known_cells

AVERAGES = ("micro", "macro", "weighted", "samples")
METRICS = (
    *(f"{score}_{average}" for score in ("f1", "precision", "recall") for average in AVERAGES),
    "map_macro",
    "map_micro",
    "lrap",
    "ranking_loss",
    "coverage_error",
    "hamming_loss",
    "subset_accuracy",
)
SHOWN = 5  # genres in a note
# Lower is better; log_loss is of one label an item.
LOSSES = frozenset({"ranking_loss", "coverage_error", "hamming_loss", "log_loss"})
AVERAGE_PRECISIONS = frozenset(
    {"map_macro", "map_micro"}
)  # no sums over items: they need a ranking
RANKED_ITEMS = ("lrap", "ranking_loss", "coverage_error")
BY_GENRE = ("f1", "precision", "recall", "average_precision")

Weights = NDArray[np.uint8]
Measured = dict[str, Floats]


def check_metric(metric: str) -> None:
    """Raise a SettingError unless `metric` is one of `METRICS`."""
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)


def highest(metric: str, genres: int) -> float:
    """Highest value that one of `METRICS` can have; the lowest is 0."""
    return float(genres) if metric == "coverage_error" else 1.0


def make_measure(
    truth: Labels, outputs: Outputs, wanted: Iterable[str] = (*METRICS, *BY_GENRE)
) -> Callable[[Weights], Measured]:
    """A function from sample weights to metrics; what does not depend on the weights is computed once.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        Cells that are masked in a masked array are left out: the scores of a genre are of the items where it
        is known, those of an item of its known genres.
    outputs : Outputs
    wanted : iterable of str
        From `METRICS` and `BY_GENRE`; more may be measured, but nothing that takes long.

    Returns
    -------
    callable
        Weights of shape (B, n), uint8 → name → (B,), or (B, L) for those of `BY_GENRE`.
        Those of `BY_GENRE` are NaN where no item with weight has the genre. Means over genres are
        those of the others, and NaN where there is none.

    Examples
    --------
    >>> truth = np.array([[1], [0], [1]], np.uint8)
    >>> measure = make_measure(truth, Outputs(np.ones((3, 1), np.uint8), truth.astype(float)))
    >>> measure(np.array([[1, 1, 1], [1, 0, 1]], np.uint8))["f1_micro"].tolist()
    [0.8, 1.0]
    """
    wanted = set(wanted)
    columns = make_columns(truth, outputs, wanted)
    genres = truth.shape[1]
    each = wanted & {"map_macro", "average_precision"}
    rankings = [rank_genre(truth[:, j], outputs.scores[:, j]) for j in range(genres) if each]
    if "map_micro" in wanted:
        rankings.append(rank_genre(truth, outputs.scores))

    def measure(weights: Weights) -> Measured:
        sums = weights.astype(np.float64) @ columns.values
        found = columns.metrics(sums, weights.sum(axis=1, dtype=np.float64))
        if rankings:
            precisions = average_precisions(rankings, weights)
            if each:
                found["average_precision"] = precisions[:, :genres]
                found["map_macro"] = _mean_of_known(precisions[:, :genres])
            found["map_micro"] = precisions[:, -1]
        return found

    return measure


@dataclass(frozen=True)
class Columns:
    """What the metrics add up over the items: all but average precision are functions of such sums.

    Parameters
    ----------
    values : ndarray of shape (n, C)
        True positives, predicted labels and true labels of each genre; then one value an item for each
        metric that is a mean over items.
    genres : int
    means : tuple of str
        Names of these metrics.
    """

    values: Floats
    genres: int
    means: tuple[str, ...]

    def metrics(self, sums: Floats, total: Floats, score: str | None = None) -> Measured:
        """Metrics from weighted sums of the columns, of shape (B, C), and of the weights, (B,).

        With a `score`, of ``f1``, ``precision`` and ``recall`` only that.
        """
        genres = self.genres
        hit, said, support = (sums[:, k * genres : (k + 1) * genres] for k in range(3))
        found = _from_counts(hit, said, support, score)
        return found | {name: sums[:, 3 * genres + k] / total for k, name in enumerate(self.means)}


def make_columns(truth: Labels, outputs: Outputs, wanted: Iterable[str] = METRICS) -> Columns:
    """The columns that the metrics add up over the items; those of rankings only where wanted."""
    real, predicted = (as_no(truth) != 0).astype(np.float64), (outputs.labels != 0) * 1.0
    known = known_cells(truth)
    if known is not None:
        predicted = predicted * known
    items = _of_items(real, predicted, known)
    if set(wanted) & set(RANKED_ITEMS):
        items |= dict(zip(RANKED_ITEMS, rank_items(truth, outputs.scores), strict=True))
    values = np.column_stack([real * predicted, predicted, real, *items.values()])
    return Columns(values, real.shape[1], tuple(items))


def _of_items(real: Floats, predicted: Floats, known: NDArray[np.bool_] | None) -> Measured:
    """Metrics that are means over items: one value an item, from its known labels."""
    hit, said, count = (m.sum(axis=1) for m in (real * predicted, predicted, real))
    differ = real != predicted
    wrong = differ.mean(axis=1) if known is None else ratio(differ.sum(1) * 1.0, known.sum(1) * 1.0)
    return {
        "f1_samples": ratio(2 * hit, said + count),
        "precision_samples": ratio(hit, said),
        "recall_samples": ratio(hit, count),
        "hamming_loss": wrong,
        "subset_accuracy": (wrong == 0).astype(np.float64),
    }


def _from_counts(hit: Floats, said: Floats, support: Floats, score: str | None = None) -> Measured:
    """F1, precision and recall from weighted counts of shape (B, L); NaN of a genre without support."""
    scores = {
        "f1": (2 * hit, said + support),
        "precision": (hit, said),
        "recall": (hit, support),
    }
    share = ratio(support, support.sum(axis=1, keepdims=True))
    counted = (support > 0).sum(axis=1).astype(np.float64)
    counted[counted == 0] = np.nan
    found: Measured = {}
    for name in scores if score is None else {score} & set(scores):
        above, below = scores[name]
        known = ratio(above, below)  # 0 without support, since there are no hits
        found[name] = np.where(support > 0, known, np.nan)
        found[f"{name}_micro"] = ratio(above.sum(axis=1), below.sum(axis=1))
        found[f"{name}_macro"] = known.sum(axis=1) / counted
        found[f"{name}_weighted"] = (known * share).sum(axis=1)
    return found


def _mean_of_known(values: Floats) -> Floats:
    """Mean along the genres that have a value; NaN where none has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def genres_without_items(genres: Sequence[str], truth: NDArray[Any]) -> tuple[str, ...]:
    """Genres that no item has: averages over genres leave them out.

    Parameters
    ----------
    genres : sequence of L str
    truth : ndarray of shape (n, L)

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> genres_without_items(["Drama", "Western"], np.array([[1, 0], [1, 0]]))
    ('Western',)
    """
    return tuple(g for g, count in zip(genres, as_no(truth).sum(axis=0), strict=True) if not count)


def untested_note(genres: Sequence[str]) -> str:
    """Say that averages over genres leave out those without a test item.

    Parameters
    ----------
    genres : sequence of str

    Returns
    -------
    str

    Examples
    --------
    >>> untested_note(["Western"])
    'genres without a test item are left out of the averages over genres: Western'
    >>> untested_note(list("ABCDEFG"))
    'genres without a test item are left out of the averages over genres: A, B, C, D, E and 2 more'
    """
    named = _first_genres(genres)
    return f"genres without a test item are left out of the averages over genres: {named}"


def untrained_note(genres: Sequence[str], n_tested: int) -> str:
    """Say that some genres of the test items had no item to learn from.

    Parameters
    ----------
    genres : sequence of str
    n_tested : int
        How many genres the test items have.

    Returns
    -------
    str

    Examples
    --------
    >>> untrained_note(["Noir"], 3)
    '1 of 3 genres of the test items has no train item, and cannot be predicted: Noir'
    """
    said = agree(len(genres), "genres of the test items {have|has} no train item")
    return (
        f"{len(genres):,} of {n_tested:,} {said}, and cannot be predicted: {_first_genres(genres)}"
    )


def _first_genres(genres: Sequence[str]) -> str:
    more = len(genres) - SHOWN
    return ", ".join(genres[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, 0 where `below` is 0, as scikit-learn's ``zero_division=0``."""
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
