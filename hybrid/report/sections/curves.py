"""Precision-recall and calibration curves, of all genres together and of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from hybrid.evaluation import Reliability, reliability
from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.report.plots import Curve, draw
from hybrid.report.wording import number
from hybrid.utils.unknown_labels import as_no, known_cells

POINTS = 60  # of a curve, so that ten runs of 20 genres stay small
BINS = 10
UNSCORED = -1.0  # below every probability, so items without one rank last
AXES = (("Recall", "Precision"), ("Predicted probability", "Observed frequency"))


@dataclass(frozen=True)
class Panel:
    """Charts of one genre, or of all genres together.

    Parameters
    ----------
    genre : str
        Empty: all genres together.
    support : int
        Number of test items with the genre.
    precision_recall, reliability : Markup

    Examples
    --------
    >>> Panel("Horror", 12, Markup(""), Markup("")).support
    12
    """

    genre: str
    support: int
    precision_recall: Markup
    reliability: Markup


@dataclass(frozen=True)
class CurvesData:
    """Charts, and the calibration of each run with probabilities.

    Parameters
    ----------
    overall : Panel
    genres : tuple of Panel
    errors : dict of int to Reliability
        By position of the run.

    Examples
    --------
    See `make`.
    """

    overall: Panel
    genres: tuple[Panel, ...]
    errors: dict[int, Reliability]


def make(comparison: Comparison) -> CurvesData | None:
    """Draw the curves of all runs with probabilities; None where no run has any.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    CurvesData or None

    Examples
    --------
    >>> make(comparison).errors[0].error  # doctest: +SKIP
    0.05
    """
    runs = {i: run for i, run in enumerate(comparison.runs) if run.has_probabilities}
    if not runs:
        return None
    panels = [
        _panel(comparison, runs, j) for j in comparison.genres_by_support if comparison.support[j]
    ]
    truth, groups = comparison.truth, comparison.item_groups
    errors = {
        i: reliability(truth, run.outputs.scores, BINS, groups=groups) for i, run in runs.items()
    }
    return CurvesData(_panel(comparison, runs, None), tuple(panels), errors)


def precision_recall(truth: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision-recall curve, reduced to at most 60 points.

    Parameters
    ----------
    truth, scores : ndarray of shape (n,) or (n, L)
        All entries but the masked ones are pooled (micro-average); NaN ranks last.

    Returns
    -------
    ndarray of shape (2, K)
        Recall, falling from 1 to 0, and precision: at most `POINTS` of scikit-learn's points, evenly spaced
        in recall. A precision holds down to the next recall; at recall 0, where it is not defined, the
        last one is repeated.

    Examples
    --------
    >>> import numpy as np
    >>> precision_recall(np.array([1, 0, 1]), np.array([0.9, 0.5, 0.4])).round(2).tolist()
    [[1.0, 0.5, 0.0], [0.67, 1.0, 1.0]]
    """
    cells = known_cells(truth)
    of = slice(None) if cells is None else cells.ravel()
    ranked = np.nan_to_num(scores.ravel()[of], nan=UNSCORED)
    precision, recall, _ = precision_recall_curve(as_no(truth).ravel()[of], ranked)
    precision, recall = precision[recall > 0], recall[recall > 0]
    levels = np.linspace(1, 0, POINTS - 1, endpoint=False)
    # Of several points with one recall, the last has the highest precision.
    keep = np.unique(np.searchsorted(-recall, -levels, side="right") - 1)
    return np.stack([np.append(recall[keep], 0.0), np.append(precision[keep], precision[keep[-1]])])


def _panel(comparison: Comparison, runs: dict[int, ComparedRun], genre: int | None) -> Panel:
    columns = slice(None) if genre is None else slice(genre, genre + 1)
    truth = comparison.truth[:, columns]
    name = "all" if genre is None else f"g{genre}"
    title = "all genres together" if genre is None else comparison.genres[genre]
    ranked, calibrated, averages = [], [], []
    for i, run in runs.items():
        scores = run.outputs.scores[:, columns]
        if not np.isfinite(scores).any():
            continue
        recall, precision = precision_recall(truth, scores)
        ranked.append(Curve(i, recall, precision, steps=True))
        found = reliability(truth, scores, BINS, groups=comparison.item_groups)
        low, high = (found.low, found.high) if i == 0 else ((), ())
        calibrated.append(Curve(i, found.predicted, found.observed, low, high))
        averages.append(f"{run.name} {number(_average_precision(run, genre), '.2f')}")
    return Panel(
        "" if genre is None else title,
        int(as_no(truth).sum()),
        draw(
            ranked,
            f"pr-{name}",
            f"Precision-recall curve, {title}. Average precision: {'; '.join(averages)}.",
            axes=AXES[0],
        ),
        draw(
            calibrated,
            f"rel-{name}",
            f"Calibration curve, {title}: observed frequency against predicted probability. "
            "On the diagonal, probabilities are calibrated.",
            axes=AXES[1],
            diagonal=True,
        ),
    )


def _average_precision(run: ComparedRun, genre: int | None) -> float:
    if genre is None:
        return run.evaluation.metrics["map_micro"].value
    return run.evaluation.genres[genre].average_precision.value
