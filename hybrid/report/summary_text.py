"""A comparison in words: the sentences and figures that page, terminal and model card share."""

from __future__ import annotations

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.types import Interval

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
    best, others = comparison.runs[0], comparison.runs[1:]
    reaches = f"weighted F1 {with_interval(best.evaluation.metrics[MAIN])}"
    if not others:
        return f"{best.name} reaches {reaches}; there is no other run to compare it with."
    level = [run for run in others if no_difference(run)]
    if level:
        said = ", ".join(f"{run.name} ({lead(run)})" for run in level)
        return (
            f"{best.name} has the highest figure, {reaches}, but no difference can be told to {said}: "
            "the interval of the lead includes 0."
        )
    return f"{best.name} is best: {reaches}. It leads {others[0].name} by {lead(others[0])}."


def cost(comparison: Comparison) -> str:
    """What the best run costs, and what the next best costs that takes less time."""
    best = comparison.runs[0]
    if best.seconds is None:
        return f"What {best.name} costs is not recorded."
    first = f"{best.name} took {duration(best.seconds)}"
    if best.peak_mib is not None:
        first += f" and {memory(best.peak_mib)} at most"
    timed = [run for run in comparison.runs[1:] if run.seconds is not None]
    # The runs are in the order of their F1, so the first that is faster is the best of these.
    cheaper = [run for run in timed if (run.seconds or 0.0) < best.seconds]
    level = [run for run in cheaper if no_difference(run)]
    if level:
        run = min(level, key=lambda run: run.seconds or 0.0)
        return f"{first}; {run.name}, to which no difference can be told, took {duration(run.seconds)}."
    if cheaper:
        run = cheaper[0]
        return f"{first}; {run.name} took {duration(run.seconds)} and is behind by {lead(run)}."
    return f"{first}: no other run took less." if timed else f"{first}."


def no_difference(run: ComparedRun) -> bool:
    """Whether the interval of the difference to the best run includes 0."""
    return run.difference is not None and run.difference.low <= 0 <= run.difference.high


def lead(run: ComparedRun) -> str:
    """How far the best run leads this one, with the interval."""
    difference = run.difference or Interval(0.0, 0.0, 0.0)
    # Adding 0.0 turns -0.0 into 0.0.
    return with_interval(
        Interval(-difference.value + 0.0, -difference.high + 0.0, -difference.low + 0.0)
    )


def with_interval(value: Interval) -> str:
    """``0.615 (0.595 to 0.634)``, or a dash."""
    if value.value != value.value:
        return DASH
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def duration(seconds: float | None) -> str:
    """``4.1 s``, ``2 min 5 s``, ``1 h 20 min``."""
    if seconds is None or seconds < 60:
        return f"{number(seconds, '.1f')} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def memory(mib: float) -> str:
    """``870 MiB``, ``2.1 GiB``."""
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


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
        *(number(value.value, ".3f") for value in values[1:]),
        number(run.seconds, ".1f"),
        number(run.peak_mib, ".0f"),
    ]


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return DASH if value is None or value != value else format(value, form)
