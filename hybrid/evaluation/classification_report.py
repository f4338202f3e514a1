"""Classification report: precision, recall, F1 and support of each genre, and their averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import unit_weights
from hybrid.evaluation.metrics import AVERAGES, make_measure
from hybrid.evaluation.outputs import Outputs, check
from hybrid.utils.counts import counted
from hybrid.utils.unknown_labels import as_no

SCORES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class ReportRow:
    """One row of a classification report.

    Parameters
    ----------
    name : str
        A genre, or ``"micro avg"`` and so on.
    precision, recall, f1 : float
        From 0 to 1; 0 where nothing is predicted. NaN for a genre without support.
    support : int
        Number of labels: of the genre, or of all.
    threshold : float or None, default=None
        On the probability of the genre; None for an average, and where it is not known.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    threshold: float | None = None


@dataclass(frozen=True)
class ClassificationReport:
    """Precision, recall, F1 and support of each genre, and the averages.

    Parameters
    ----------
    genres : tuple of ReportRow
        In the order of the labels.
    averages : tuple of ReportRow
        Micro, macro, weighted by support, and over items (``samples``). The macro average is over the
        genres with support.
    """

    genres: tuple[ReportRow, ...]
    averages: tuple[ReportRow, ...]

    @property
    def text(self) -> str:
        """The report as a table of plain text; a genre without support has dashes."""
        width = max(len(row.name) for row in (*self.genres, *self.averages))
        known = any(row.threshold is not None for row in self.genres)
        heads = (*SCORES, "support", *(["threshold"] if known else []))
        lines = ["  ".join([" " * width, *(f"{head:>9}" for head in heads)])]
        genres, averages = (
            [_line(row, width) for row in rows] for rows in (self.genres, self.averages)
        )
        return "\n".join([*lines, *genres, "", *averages])


def classification_report(
    truth: ArrayLike,
    labels: ArrayLike,
    genres: Sequence[str],
    thresholds: Mapping[str, float | None] | None = None,
) -> ClassificationReport:
    """Compute the classification report of multi-label or multi-class predictions.

    Parameters
    ----------
    truth, labels : array-like of shape (n, L)
        1 where an item has the label, and where it is predicted.
    genres : sequence of L str
    thresholds : mapping of str to float or None, optional
        Genre → threshold; it is only shown.

    Returns
    -------
    ClassificationReport
        With the values of `sklearn.metrics.classification_report` and ``zero_division=0``; the macro
        average with its ``labels`` set to the genres that have support.

    Raises
    ------
    SettingError
        If shapes differ.

    Examples
    --------
    >>> truth = [[1, 0], [0, 1], [1, 1], [0, 0]]
    >>> found = classification_report(truth, [[1, 0], [0, 1], [1, 0], [1, 0]], ["Drama", "War"])
    >>> print(found.text)
                  precision     recall         f1    support
    Drama             0.667      1.000      0.800          2
    War               1.000      0.500      0.667          2
    <BLANKLINE>
    micro avg         0.750      0.750      0.750          4
    macro avg         0.833      0.750      0.733          4
    weighted avg      0.833      0.750      0.733          4
    samples avg       0.750      0.625      0.667          4
    """
    said = (np.asarray(labels) != 0).astype(np.uint8)
    outputs = Outputs(said, said.astype(np.float64))
    matrix = check(truth, [outputs])
    if len(genres) != matrix.shape[1]:
        raise SettingError(f"expected {counted(matrix.shape[1], 'genre')}, found {len(genres)}.")
    wanted = [f"{score}_{average}" for score in SCORES for average in AVERAGES]
    found = make_measure(matrix, outputs, [*wanted, *SCORES])(unit_weights(len(matrix)))
    support, known = as_no(matrix).sum(axis=0), thresholds or {}
    rows = tuple(
        ReportRow(
            genre,
            float(found["precision"][0, j]),
            float(found["recall"][0, j]),
            float(found["f1"][0, j]),
            int(support[j]),
            known.get(genre),
        )
        for j, genre in enumerate(genres)
    )
    averages = tuple(
        ReportRow(
            f"{average} avg",
            float(found[f"precision_{average}"][0]),
            float(found[f"recall_{average}"][0]),
            float(found[f"f1_{average}"][0]),
            int(support.sum()),
        )
        for average in AVERAGES
    )
    return ClassificationReport(rows, averages)


def _line(row: ReportRow, width: int) -> str:
    cells = [_figure(getattr(row, score)) for score in SCORES]
    threshold = [] if row.threshold is None else [f"{row.threshold:>9.3f}"]
    return "  ".join([row.name.ljust(width), *cells, f"{row.support:>9}", *threshold])


def _figure(value: float) -> str:
    return f"{'–' if np.isnan(value) else format(value, '.3f'):>9}"
