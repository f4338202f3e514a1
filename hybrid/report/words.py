"""A comparison in words: the sentences and figures that page and terminal share."""

from __future__ import annotations

from hybrid.records import Interval
from hybrid.report.comparison import MAIN, ComparedRun, Comparison

METRIC_NAMES = {
    "f1_weighted": ("F1 weighted", "mean F1 of the genres, weighted by their test items"),
    "f1_micro": ("F1 micro", "F1 of all labels counted together"),
    "f1_macro": ("F1 macro", "mean F1 of the genres, rare ones counting as much as frequent ones"),
    "f1_samples": ("F1 samples", "mean F1 of the items"),
    "precision_weighted": ("Precision", "share of the given labels that are right, weighted"),
    "recall_weighted": ("Recall", "share of the true labels that are given, weighted"),
    "map_macro": ("mAP", "mean average precision of the genres: ranking, whatever the thresholds"),
    "hamming_loss": ("Hamming loss", "share of wrong cells in the label matrix; lower is better"),
}
DASH = "–"


def verdict(comparison: Comparison) -> str:
    """Whether the split is clean."""
    if comparison.leaks:
        kinds = "; ".join(
            f"{leak['kind']}: {number(leak['count'], 'd')}, {number(leak['share'], '.1%')} of the test items"
            for leak in comparison.leaks
        )
        return f"The split leaks – {kinds}"
    if not comparison.audited:
        return "Not every run was audited: whether the split is clean is not known"
    looked_for = f" (looked for: {', '.join(comparison.checks)})" if comparison.checks else ""
    return f"The split is clean{looked_for}"


def winner(comparison: Comparison) -> str:
    """Who is best, by how much, with what certainty."""
    best = comparison.runs[0]
    f1 = best.evaluation.metrics[MAIN]
    first = f"{best.name} is best with weighted F1 {with_interval(f1)}."
    if len(comparison.runs) == 1:
        return first
    second = comparison.runs[1]
    lead = second.difference or Interval(0.0, 0.0, 0.0)
    low, high = -lead.high, -lead.low
    margin = f"{-lead.value:.3f} ({low:.3f} to {high:.3f})"
    if low > 0:
        return f"{first} It leads {second.name} by {margin}."
    return f"{first} It cannot be told apart from {second.name}: the lead is {margin}."


def with_interval(value: Interval) -> str:
    """``0.615 (0.595 to 0.634)``."""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def as_text(comparison: Comparison) -> str:
    """The comparison as an aligned table; its first line says whether the split is clean."""
    names = [short for short, _ in METRIC_NAMES.values()]
    header = ["run", f"{names[0]} (95 %)", *names[1:], "seconds", "peak MiB"]
    rows = [header, *(_row(run) for run in comparison.runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    head = f"{verdict(comparison)}; {comparison.items} test items, {len(comparison.genres)} genres"
    return "\n".join([head, *comparison.notes, "", *lines, "", winner(comparison)])


def _row(run: ComparedRun) -> list[str]:
    values = [run.evaluation.metrics[name] for name in METRIC_NAMES]
    return [
        run.name,
        with_interval(values[0]),
        *(f"{value.value:.3f}" for value in values[1:]),
        number(run.seconds, ".1f"),
        number(run.peak_mib, ".0f"),
    ]


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None or value != value else format(value, form)
