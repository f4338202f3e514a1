"""What each block is worth: subsets of the blocks, and blocks that are missing at test time."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.comparison import MAIN, Comparison
from hybrid.runs.study_records import AblationRecord, VariantRecord
from hybrid.types import Interval


@dataclass(frozen=True)
class Variant:
    """One variant of the model in words, its weighted F1, and the difference to the full model."""

    words: str
    value: Interval
    difference: Interval


def make(comparison: Comparison) -> dict[int, tuple[Variant, ...]] | None:
    """Number of the run → its variants; None where no run recorded any."""
    found = {i: variants(run.record.studies.ablation) for i, run in enumerate(comparison.runs)}
    return {i: rows for i, rows in found.items() if rows} or None


def variants(ablation: AblationRecord | None) -> tuple[Variant, ...]:
    """The variants that a record holds: subsets first."""
    if ablation is None:
        return ()
    return tuple(
        Variant(_words(variant), variant.metrics[MAIN], variant.difference)
        for variant in (*ablation.subsets, *ablation.missing)
    )


def _words(variant: VariantRecord) -> str:
    if variant.missing is None:
        return " + ".join(variant.blocks)
    return f"{variant.missing} missing for {variant.rate:.0%} of the test items"
