"""Printing of studies: text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hybrid.cli.output import MAIN, with_interval
from hybrid.utils.counts import counted

if TYPE_CHECKING:
    from hybrid.runs.study_records import (
        AblationRecord,
        LearningCurveRecord,
        LearntRecord,
        NestedRecord,
        RepeatsRecord,
        StudiesRecord,
    )

KINDS = ("nested", "curve", "ablation", "repeats")


def studies_text(studies: StudiesRecord, kinds: Iterable[str] = KINDS) -> str:
    """The studies of some kinds, as far as they were made, a paragraph each."""
    asked, parts = set(kinds), []
    if studies.nested and "nested" in asked:
        parts.append([nested_text(studies.nested)])
    if studies.learning_curve and "curve" in asked:
        parts.append(_curve_lines(studies.learning_curve))
    if studies.ablation and "ablation" in asked:
        parts.append(_ablation_lines(studies.ablation))
    if studies.repeats and "repeats" in asked:
        parts.append(_repeats_lines(studies.repeats))
    return "\n\n".join("\n".join(lines) for lines in parts)


def nested_text(nested: NestedRecord) -> str:
    """The estimate by nested cross-validation, in one line."""
    return (
        f"nested estimate on the {counted(nested.items or 0, 'item')} of train and validation: weighted F1 "
        f"{with_interval(nested.metrics[MAIN])}, in {nested.seconds:.0f} s; the optimistic out-of-fold "
        f"estimate is {nested.out_of_fold[MAIN].value:.3f}{_learnt(nested.learnt)}"
    )


def _curve_lines(curve: LearningCurveRecord) -> list[str]:
    """Table of a learning curve, and its conclusion."""
    learnt = curve.learnt.in_words if curve.learnt else ""
    return [
        f"learning curve, evaluated on {counted(curve.evaluated or 0, 'held-out item')} of train and "
        "validation, with the parameters chosen on all of them",
        f"{'items':>8}  {'F1 weighted (95 %)':<22}  mAP (95 %)",
        *(
            f"{p.items:>8}  {with_interval(p.f1_weighted):<22}  {with_interval(p.map_macro)}"
            for p in curve.points
        ),
        *(f"{size.items:>8}  left out: {size.reason}" for size in curve.left_out),
        curve.verdict,
        *([f"the whole curve: {learnt}"] if learnt else []),
    ]


def _learnt(learnt: LearntRecord | None) -> str:
    """What backbones have learnt from the items of a figure, appended to it."""
    words = learnt.in_words if learnt else ""
    return f"; {words}" if words else ""


def _ablation_lines(ablation: AblationRecord) -> list[str]:
    """Weighted F1 of each variant, and its difference to the full model."""
    rows = []
    for variant in (*ablation.subsets, *ablation.missing):
        if variant.missing is not None and not variant.rate:
            continue
        words = " + ".join(variant.blocks)
        if variant.missing is not None:
            words = f"{variant.missing} missing for {variant.rate:.0%} of the test items"
        rows.append((words, with_interval(variant.metrics[MAIN]), variant.difference))
    width = max(len(words) for words, _, _ in rows)
    alone = len(ablation.subsets) == 1
    sure = "95 % for all at once" if ablation.simultaneous else "95 %"
    return [
        f"ablation: weighted F1 (95 %), and the difference to the full model ({sure})",
        *(["  the run has one block, which has no subsets to fit"] if alone else []),
        *(
            f"  {words:<{width}}  {value}  {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})"
            for words, value, d in rows
        ),
    ]


def _repeats_lines(repeats: RepeatsRecord) -> list[str]:
    """Weighted F1 on each split, their mean, and its interval where there is one."""
    spread = repeats.metrics[MAIN]
    splits = repeats.splits or ()
    width = max((len(each.name) for each in splits), default=0)
    said = (
        f"  mean {spread.mean:.3f}, standard deviation {spread.sd:.3f}, {spread.low:.3f} to "
        f"{spread.high:.3f}"
    )
    if spread.interval is None:
        said += "; no interval of the mean: periods that follow each other are no random draws of one kind"
    else:
        said += (
            f"; 95 % interval of the mean {spread.interval.low:.3f} to {spread.interval.high:.3f}"
        )
        if len(spread.values) == 2:
            said += ". An interval from two splits is hardly usable: make more, such as --repeats 5"
    return [
        f"repeats: weighted F1 (95 %) on {counted(len(spread.values), 'split')}, {repeats.method}",
        *(
            f"  {each.name:<{width}}  {with_interval(each.metrics[MAIN])}, learnt from {each.training}, "
            f"tested on {counted(each.test, 'item')}{_learnt(each.learnt)}"
            for each in splits
        ),
        said + (f"; {repeats.warning}" if repeats.warning else ""),
    ]
