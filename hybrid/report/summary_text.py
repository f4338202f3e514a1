"""Names of the metrics, and a comparison as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.report.groups import NOT_COMPARABLE, Report
from hybrid.report.sentences import summarise
from hybrid.report.wording import number, with_interval
from hybrid.utils.counts import counted

METRIC_NAMES = {
    "f1_weighted": ("F1 weighted", "mean F1 of the genres, weighted by their test items"),
    "f1_micro": ("F1 micro", "F1 over all labels of all items"),
    "f1_macro": ("F1 macro", "unweighted mean F1 of the genres"),
    "f1_samples": ("F1 samples", "mean F1 of the items"),
    "precision_weighted": (
        "Precision",
        "share of the predicted labels that are true, weighted likewise",
    ),
    "recall_weighted": (
        "Recall",
        "share of the true labels that are predicted, weighted likewise",
    ),
    "map_macro": (
        "mAP",
        "mean average precision of the genres, which does not depend on the thresholds",
    ),
    "hamming_loss": ("Hamming loss", "share of wrong entries in the label matrix; lower is better"),
}

MULTICLASS_NAMES = {
    "f1_weighted": ("F1 weighted", "mean F1 of the genres, weighted by their test items"),
    "accuracy": ("Accuracy", "share of the items whose genre is right"),
    "f1_macro": ("F1 macro", "unweighted mean F1 of the genres"),
    "top_2_accuracy": (
        "Top-2 accuracy",
        "share of the items whose genre is among the two most probable",
    ),
    "top_3_accuracy": (
        "Top-3 accuracy",
        "share of the items whose genre is among the three most probable",
    ),
    "precision_weighted": (
        "Precision",
        "share of the predicted labels that are true, weighted likewise",
    ),
    "map_macro": ("mAP", "mean average precision of the genres, each against the others"),
    "log_loss": (
        "Log loss",
        "mean of minus the logarithm of the probability of the true genre; lower is better",
    ),
}


def metric_names(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Short name and meaning of the metrics that are shown of a comparison: those of its task.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of str to (str, str)
        The first is the one that runs are ordered by. Without top-k accuracies that are always 1.

    Examples
    --------
    >>> list(metric_names(comparison))[:2]  # doctest: +SKIP
    ['f1_weighted', 'accuracy']
    """
    if not comparison.task.multiclass:
        return METRIC_NAMES
    trivial = {f"top_{k}_accuracy" for k in (2, 3) if k >= len(comparison.genres)}
    return {name: words for name, words in MULTICLASS_NAMES.items() if name not in trivial}


def as_text(report: Report) -> str:
    """Report as text: for each group four sentences, notes and an aligned table.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str

    Examples
    --------
    >>> print(as_text(report))  # doctest: +SKIP
    svm is the best of 4 models: weighted F1 0.642 (0.624 to 0.659).
    ...
    """
    if len(report.groups) == 1:
        return _group_text(report.groups[0])
    texts = [f"{group.title}\n{_group_text(group)}" for group in report.groups]
    return "\n\n".join([NOT_COMPARABLE, *texts])


def _group_text(comparison: Comparison) -> str:
    shown = metric_names(comparison)
    names = [short for short, _ in shown.values()]
    header = ["run", f"{names[0]} (95 %)", *names[1:], "seconds", "peak MiB"]
    rows = [header, *(_row(run, shown) for run in comparison.runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    items, genres = counted(comparison.items, "test item"), counted(len(comparison.genres), "genre")
    notes = ["", *comparison.notes] if comparison.notes else []
    head = f"On {items} with {genres}; in brackets 95 % intervals:"
    return "\n".join([*summarise(comparison).all, *notes, "", head, "", *lines])


def _row(run: ComparedRun, shown: Iterable[str]) -> list[str]:
    values = [run.evaluation.metrics[name] for name in shown]
    return [
        run.name,
        with_interval(values[0]),
        *(number(value.value, ".3f") for value in values[1:]),
        number(run.total_seconds, ".1f"),
        number(run.peak_mib, ".0f"),
    ]
