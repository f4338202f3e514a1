"""What each block is worth: subsets of the blocks, and blocks that are missing at test time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.report.comparison import MAIN, Comparison
from hybrid.types import Interval


@dataclass(frozen=True)
class Variant:
    """One variant of the model in words, its weighted F1, and the difference to the full model."""

    words: str
    value: Interval
    difference: Interval


def make(comparison: Comparison) -> dict[int, tuple[Variant, ...]] | None:
    """Number of the run → its variants; None where no run recorded any."""
    found = {i: variants(run.record.get("ablation")) for i, run in enumerate(comparison.runs)}
    return {i: rows for i, rows in found.items() if rows} or None


def variants(ablation: dict[str, Any] | None) -> tuple[Variant, ...]:
    """The variants that a record holds: subsets first."""
    found = ablation or {}
    return tuple(
        Variant(_words(v), Interval(**v["metrics"][MAIN]), Interval(**v["difference"]))
        for v in [*(found.get("subsets") or []), *(found.get("missing") or [])]
    )


def _words(variant: dict[str, Any]) -> str:
    if variant["missing"] is None:
        return " + ".join(variant["blocks"])
    return f"{variant['missing']} missing for {variant['rate']:.0%} of the test items"
