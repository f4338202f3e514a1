"""Feature importance of linear heads: words and fields for and against each genre."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import SidesRecord


def make(comparison: Comparison) -> dict[int, Mapping[str, Mapping[str, SidesRecord]]] | None:
    """Feature importance of each run by its position; None where no run recorded any.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of int to mapping of genre to mapping of block to SidesRecord, or None

    Examples
    --------
    >>> make(comparison)[0]['Horror']['text']  # doctest: +SKIP
    SidesRecord(...)
    """
    return {
        i: run.record.head.importance
        for i, run in enumerate(comparison.runs)
        if run.record.head and run.record.head.importance
    } or None
