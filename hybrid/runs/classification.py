"""Classification report of a run on its test items."""

from __future__ import annotations

from hybrid.catalogue import Catalogue
from hybrid.evaluation import ClassificationReport, classification_report
from hybrid.runs.folder import Run


def classify_run(run: Run, catalogue: Catalogue) -> ClassificationReport:
    """Compute the classification report of a run on its test items, from its predicted labels.

    Parameters
    ----------
    run : Run
    catalogue : Catalogue
        That it was fitted on, narrowed to its task.

    Returns
    -------
    ClassificationReport
        Genres by decreasing support.

    Examples
    --------
    >>> classify_run(run, experiment.catalogue).averages[0].name  # doctest: +SKIP
    'micro avg'
    """
    test = run.predictions.splits == "test"
    row = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    column = {genre: j for j, genre in enumerate(catalogue.genres)}
    rows = [row[name] for name in run.predictions.ids[test].tolist()]
    genres = run.predictions.genres
    truth = catalogue.labels[rows][:, [column[genre] for genre in genres]]
    support = truth.sum(axis=0).tolist()
    order = sorted(range(len(genres)), key=lambda j: (-support[j], genres[j]))
    return classification_report(
        truth[:, order],
        run.predictions.labels[test][:, order],
        [genres[j] for j in order],
        run.record.thresholds_by_genre,
    )
