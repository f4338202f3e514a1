"""The leaks that the audits found, with the first pairs of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.report.comparison import Comparison

SHOWN_PAIRS = 20


@dataclass(frozen=True)
class LeakPart:
    """One kind of leak: how many, their share of the test items, and some of the pairs as lines."""

    kind: str
    count: int | None
    share: float | None
    lines: tuple[str, ...]
    more: bool


def make(comparison: Comparison) -> tuple[LeakPart, ...] | None:
    """One part a kind of leak; None for a clean split."""
    return tuple(_part(leak) for leak in comparison.leaks) or None


def _part(leak: dict[str, Any]) -> LeakPart:
    pairs = leak["pairs"] or []
    lines = tuple(_line(pair) for pair in pairs[:SHOWN_PAIRS])
    more = len(pairs) > SHOWN_PAIRS or (leak["count"] or 0) > len(lines) > 0
    return LeakPart(str(leak["kind"]), leak["count"], leak["share"], lines, more)


def _line(pair: Any) -> str:
    """``a (train) – b (test)``; whatever else a record holds, as it is."""
    if isinstance(pair, list) and len(pair) == 4:
        a, part_a, b, part_b = pair
        return f"{a} ({part_a}) – {b} ({part_b})"
    return str(pair)
