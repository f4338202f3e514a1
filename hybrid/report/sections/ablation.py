"""Ablation: subsets of the blocks, and blocks that are missing at test time."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.comparison import MAIN, Comparison
from hybrid.runs.study_records import AblationRecord, VariantRecord
from hybrid.types import Interval


@dataclass(frozen=True)
class Variant:
    """One variant of an ablated model.

    Parameters
    ----------
    words : str
        Description.
    value : Interval
        Weighted F1.
    difference : Interval
        To the full model.

    Examples
    --------
    >>> Variant("text", Interval(0.5, 0.4, 0.6), Interval(-0.1, -0.2, 0.0)).value.value
    0.5
    """

    words: str
    value: Interval
    difference: Interval


def make(comparison: Comparison) -> dict[int, tuple[Variant, ...]] | None:
    """Variants of each run by its position; None where no run recorded any.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of int to tuple of Variant, or None

    Examples
    --------
    >>> make(comparison)[0][0].words  # doctest: +SKIP
    'poster'
    """
    found = {i: variants(run.record.studies.ablation) for i, run in enumerate(comparison.runs)}
    return {i: rows for i, rows in found.items() if rows} or None


def variants(ablation: AblationRecord | None) -> tuple[Variant, ...]:
    """Variants of a record: subsets of blocks first.

    Parameters
    ----------
    ablation : AblationRecord or None

    Returns
    -------
    tuple of Variant

    Examples
    --------
    >>> variants(None)
    ()
    """
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
