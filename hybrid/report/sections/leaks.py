"""The leaks that the audits found, with the first pairs of each."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import LeakRecord

SHOWN_PAIRS = 20


@dataclass(frozen=True)
class LeakData:
    """One kind of leak: how many, their share of the test items, and some of the pairs as lines."""

    kind: str
    count: int | None
    share: float | None
    lines: tuple[str, ...]
    more: bool


def make(comparison: Comparison) -> tuple[LeakData, ...] | None:
    """One part a kind of leak; None for a clean split."""
    return tuple(_part(leak) for leak in comparison.leaks) or None


def _part(leak: LeakRecord) -> LeakData:
    lines = tuple(_line(pair) for pair in leak.pairs[:SHOWN_PAIRS])
    more = len(leak.pairs) > SHOWN_PAIRS or (leak.count or 0) > len(lines) > 0
    return LeakData(leak.kind, leak.count, leak.share, lines, more)


def _line(pair: tuple[str, ...]) -> str:
    """``a (train) – b (test)``; a pair that says less, as it is."""
    if len(pair) == 4:
        a, part_a, b, part_b = pair
        return f"{a} ({part_a}) – {b} ({part_b})"
    return ", ".join(pair)
