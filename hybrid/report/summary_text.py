"""Summary of a comparison in sentences and a text table, for the page, the terminal and the model card."""

from __future__ import annotations

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.types import Interval

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
DASH = "–"


def audit_sentence(comparison: Comparison) -> str:
    """Whether the audits found leaks, as a sentence without its full stop.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> audit_sentence(comparison)  # doctest: +SKIP
    'The split is clean (checked: same id, same image bytes)'
    """
    if comparison.leaks:
        kinds = "; ".join(
            f"{leak.kind}: {number(leak.count, 'd')}, {number(leak.share, '.1%')} of the test items"
            for leak in comparison.leaks
        )
        return f"The split leaks – {kinds}"
    if not comparison.audited:
        return "Not every run was audited, so it is not known whether the split is clean"
    checked = f" (checked: {', '.join(comparison.checks)})" if comparison.checks else ""
    return f"The split is clean{checked}"


def best_run_sentence(comparison: Comparison) -> str:
    """Best run by weighted F1, with the runs that are not significantly different from it.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> best_run_sentence(comparison)  # doctest: +SKIP
    'svm is best: weighted F1 0.615 (0.595 to 0.634). The difference to knn is 0.100 (0.081 to 0.119).'
    """
    best, others = comparison.runs[0], comparison.runs[1:]
    interval = with_interval(best.evaluation.metrics[MAIN])
    if not others:
        return f"{best.name} has weighted F1 {interval}; there is no other run to compare it with."
    tied = [run for run in others if not_significant(run)]
    if tied:
        names = ", ".join(f"{run.name} (difference {difference_text(run)})" for run in tied)
        which = "the" if len(tied) == 1 else "each"
        return (
            f"{best.name} has the highest weighted F1, {interval}, but is not significantly different from "
            f"{names}: the interval of {which} difference includes 0."
        )
    difference = f"The difference to {others[0].name} is {difference_text(others[0])}."
    return f"{best.name} is best: weighted F1 {interval}. {difference}"


def cost_sentence(comparison: Comparison) -> str:
    """Cost of the best run, and of the best run that is faster.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> cost_sentence(comparison)  # doctest: +SKIP
    'svm took 1 min 30 s, with a peak memory of 2.0 GiB; no other run was faster.'
    """
    best = comparison.runs[0]
    if best.seconds is None:
        return f"The cost of {best.name} is not recorded."
    first = f"{best.name} took {duration(best.seconds)}"
    if best.peak_mib is not None:
        first += f", with a peak memory of {memory(best.peak_mib)}"
    timed = [run for run in comparison.runs[1:] if run.seconds is not None]
    # The runs are in the order of their F1, so the first one that is faster is the best of these.
    faster = [run for run in timed if (run.seconds or 0.0) < best.seconds]
    tied = [run for run in faster if not_significant(run)]
    if tied:
        run = min(tied, key=lambda run: run.seconds or 0.0)
        return f"{first}; {run.name}, which is not significantly different, took {duration(run.seconds)}."
    if faster:
        run = faster[0]
        lower = f"its weighted F1 is lower by {difference_text(run)}"
        return f"{first}; {run.name} took {duration(run.seconds)}, but {lower}."
    return f"{first}; no other run was faster." if timed else f"{first}."


def not_significant(run: ComparedRun) -> bool:
    """Whether the interval of the difference to the best run includes 0.

    Parameters
    ----------
    run : ComparedRun

    Returns
    -------
    bool
        False for the best run itself.

    Examples
    --------
    >>> not_significant(comparison.runs[1])  # doctest: +SKIP
    False
    """
    return run.difference is not None and run.difference.low <= 0 <= run.difference.high


def difference_text(run: ComparedRun) -> str:
    """Weighted F1 of the best run minus that of this one, with its interval.

    Parameters
    ----------
    run : ComparedRun

    Returns
    -------
    str

    Examples
    --------
    >>> difference_text(comparison.runs[1])  # doctest: +SKIP
    '0.100 (0.081 to 0.119)'
    """
    difference = run.difference or Interval(0.0, 0.0, 0.0)
    # Adding 0.0 turns -0.0 into 0.0.
    return with_interval(
        Interval(-difference.value + 0.0, -difference.high + 0.0, -difference.low + 0.0)
    )


def with_interval(value: Interval) -> str:
    """Format a value with its 95 % interval; a dash where it is NaN.

    Parameters
    ----------
    value : Interval

    Returns
    -------
    str

    Examples
    --------
    >>> with_interval(Interval(0.6151, 0.595, 0.634))
    '0.615 (0.595 to 0.634)'
    """
    if value.value != value.value:
        return DASH
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def duration(seconds: float | None) -> str:
    """Format seconds.

    Parameters
    ----------
    seconds : float or None

    Returns
    -------
    str

    Examples
    --------
    >>> duration(4.06), duration(125), duration(4800)
    ('4.1 s', '2 min 5 s', '1 h 20 min')
    """
    if seconds is None or seconds < 60:
        return f"{number(seconds, '.1f')} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def memory(mib: float) -> str:
    """Format mebibytes.

    Parameters
    ----------
    mib : float

    Returns
    -------
    str

    Examples
    --------
    >>> memory(870), memory(2150)
    ('870 MiB', '2.1 GiB')
    """
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def as_text(comparison: Comparison) -> str:
    """Comparison as an aligned text table, between the audit sentence and the best run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> print(as_text(comparison))  # doctest: +SKIP
    The split is clean (checked: same id); 40 test items, 3 genres
    ...
    """
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
    head = f"{audit_sentence(comparison)}; {comparison.items} test items, {len(comparison.genres)} genres"
    return "\n".join([head, *comparison.notes, "", *lines, "", best_run_sentence(comparison)])


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
    """Format a number; a dash where it is None or NaN.

    Parameters
    ----------
    value : float or None
    form : str
        Format specification.

    Returns
    -------
    str

    Examples
    --------
    >>> number(0.1234, ".2f"), number(None, ".2f")
    ('0.12', '–')
    """
    return DASH if value is None or value != value else format(value, form)
