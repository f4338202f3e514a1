"""Leaks that the audits found, with the first pairs of each kind."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import LeakRecord

SHOWN_PAIRS = 20


@dataclass(frozen=True)
class LeakData:
    """One kind of leak.

    Parameters
    ----------
    kind : str
    count : int or None
    share : float or None
        Of the test items, in [0, 1].
    lines : tuple of str
        The first pairs.
    more : bool
        Whether there are further pairs.

    Examples
    --------
    >>> LeakData("same id", 1, 0.1, ("a (train) – b (test)",), False).count
    1
    """

    kind: str
    count: int | None
    share: float | None
    lines: tuple[str, ...]
    more: bool


def make(comparison: Comparison) -> tuple[LeakData, ...] | None:
    """Leaks of each kind; None for a clean split.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of LeakData, or None

    Examples
    --------
    >>> make(comparison)  # doctest: +SKIP
    None
    """
    return tuple(_part(leak) for leak in comparison.leaks) or None


def _part(leak: LeakRecord) -> LeakData:
    lines = tuple(_line(pair) for pair in leak.pairs[:SHOWN_PAIRS])
    more = len(leak.pairs) > SHOWN_PAIRS or (leak.count or 0) > len(lines) > 0
    return LeakData(leak.kind, leak.count, leak.share, lines, more)


def _line(pair: tuple[str, ...]) -> str:
    """``a (train) – b (test)``; an incomplete pair unchanged."""
    if len(pair) == 4:
        a, part_a, b, part_b = pair
        return f"{a} ({part_a}) – {b} ({part_b})"
    return ", ".join(pair)
