"""The first screen in four sentences: winner, certainty, cost and cleanliness of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid.audit.leaks import RUN_TRAINED_ON_TEST, clean_in_words, unknown_learning
from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.wording import (
    chance,
    duration,
    fraction,
    listed,
    number,
    percent,
    with_interval,
)
from hybrid.utils.counts import counted

METRIC = "weighted F1"
LEAST_PART = 0.05  # of the cost: smaller parts are not told


@dataclass(frozen=True)
class Sentences:
    """What a reader of one screen has to know, in this order.

    Parameters
    ----------
    winner, certainty, cost, cleanliness : str

    Examples
    --------
    >>> Sentences("svm is best.", "", "", "").winner
    'svm is best.'
    """

    winner: str
    certainty: str
    cost: str
    cleanliness: str

    @property
    def all(self) -> tuple[str, ...]:
        """The four in order."""
        return self.winner, self.certainty, self.cost, self.cleanliness


def summarise(comparison: Comparison) -> Sentences:
    """Winner, certainty, cost and cleanliness of a comparison, one sentence each.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Sentences

    Examples
    --------
    >>> summarise(comparison).winner  # doctest: +SKIP
    'svm is the best of 4 models: weighted F1 0.642 (0.624 to 0.659).'
    """
    return Sentences(
        winner_sentence(comparison),
        certainty_sentence(comparison),
        cost_sentence(comparison),
        cleanliness_sentence(comparison),
    )


def winner_sentence(comparison: Comparison) -> str:
    """Model with the highest weighted F1, with its interval.

    It is called the best only where each other model is significantly different and the split does not leak.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> winner_sentence(comparison)  # doctest: +SKIP
    'svm is the best of 4 models: weighted F1 0.642 (0.624 to 0.659), 0.015 above stacking (0.004 to 0.026).'
    """
    runs, figure, equal = comparison.runs, _figure(comparison), _equal(comparison)
    best = runs[0]
    if len(runs) == 1:
        return f"{best.name} has {figure}."
    if len(equal) == len(runs):
        both = "both" if len(runs) == 2 else "all"
        return f"{listed(equal)} {both} have {figure}."
    if len(equal) > 1:
        return f"{listed(equal)} share the first place of {len(runs)} models: {figure}."
    uncertain = comparison.leaks or any(not_significant(run) for run in runs)
    if uncertain and len(runs) == 2:
        return f"{best.name} scores higher than {runs[1].name}: {figure}{_margin(runs, 'higher')}."
    figure += _margin(runs, f"above {runs[1].name}")
    if uncertain:
        return f"{best.name} scores highest of {len(runs)} models: {figure}."
    place = "better" if len(runs) == 2 else "best"
    return f"{best.name} is the {place} of {len(runs)} models: {figure}."


def _margin(runs: Sequence[ComparedRun], place: str) -> str:
    """How far the best model is above the second, with the adjusted interval, as a clause."""
    margin, difference = _value(runs[0]) - _value(runs[1]), runs[1].difference
    if math.isnan(margin) or difference is None:
        return ""
    # Plus 0: a bound of 0 has no sign.
    reach = f"{-difference.high + 0.0:.3f} to {-difference.low + 0.0:.3f}"
    return f", {margin:.3f} {place} ({reach})"


def _figure(comparison: Comparison) -> str:
    """Figure of the best models; with their accuracy where each item has one label."""
    metrics = comparison.runs[0].evaluation.metrics
    said = f"{METRIC} {with_interval(metrics[MAIN])}"
    equal = comparison.runs[: len(_equal(comparison))]
    accuracies = {
        number(run.evaluation.metrics["accuracy"].value, ".3f")
        for run in equal
        if "accuracy" in run.evaluation.metrics
    }
    # Models with one F1 may differ in accuracy: what is said of them together holds for each.
    if comparison.task.multiclass and len(accuracies) == 1:
        said += f" and accuracy {accuracies.pop()}"
    return said


def certainty_sentence(comparison: Comparison) -> str:
    r"""Whether the best model is significantly different from the others, and what to expect of it.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> certainty_sentence(comparison)  # doctest: +SKIP
    'Its lead is not certain: it is not significantly different from knn, and has a chance of 61 % ...'
    """
    others, equal = comparison.runs[1:], _equal(comparison)
    if comparison.leaks:
        models, figures = ("models", "their figures are") if others else ("model", "its figure is")
        return f"Nothing is certain here: the {models} may have seen test items, so {figures} too high."
    if not others:
        return (
            "With other test items of this kind, the figure may vary within its interval; there is no "
            "other model here to compare it with."
        )
    if len(equal) > 1:
        return f"{'Neither' if len(equal) == 2 else 'None'} leads: {listed(equal)} have the same figure."
    tied = [run.name for run in others if not_significant(run)]
    if tied:
        names = f"any of the other {len(others)}" if len(tied) == len(others) > 1 else listed(tied)
        lead = f"Its lead is not certain: it is not significantly different from {names}"
    else:
        names = f"each of the other {len(others)}" if len(others) > 1 else others[0].name
        lead = f"Its lead is certain: it is significantly better than {names}"
    return f"{lead}{_chance(comparison)}{_corrected(comparison)}."


def _chance(comparison: Comparison) -> str:
    """Chance of the best model to be the best, as a clause."""
    probability = comparison.runs[0].best_probability
    if probability != probability:
        return ""
    return f"; its chance of being the best is {chance(probability)}"


def _corrected(comparison: Comparison) -> str:
    """Figure of the best model, corrected for having been chosen on the test items, as a clause."""
    corrected = comparison.winner_corrected
    if corrected.value != corrected.value:
        return ""
    figure = with_interval(corrected)
    return (
        f"; chosen from {len(comparison.runs)}, it can be expected to reach {figure} on new items"
    )


def cost_sentence(comparison: Comparison) -> str:
    """Cost of the best model, and of a cheaper one.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> cost_sentence(comparison)  # doctest: +SKIP
    'It cost 2 min 10 s (extraction of poster 1 min 40 s, fit 30.0 s); text reaches 0.600 at about ...'
    """
    best = comparison.runs[0]
    one = len(_equal(comparison)) == 1  # so that "it" is clear
    if best.total_seconds is None:
        whose = "Its cost" if one else f"The cost of {best.name}"
        return f"{whose} is unknown: {best.cost_unknown_because}."
    subject = "It" if one else best.name
    cost = f"{subject} cost {duration(best.total_seconds)}{_parts(best, best.total_seconds)}"
    return f"{cost}{_cheaper(comparison, best.total_seconds)}."


def _value(run: ComparedRun) -> float:
    return run.evaluation.metrics[MAIN].value


def _equal(comparison: Comparison) -> list[str]:
    """Names of the models that have exactly the highest figure."""
    first = comparison.runs[0]
    return [run.name for run in comparison.runs if _value(run) == _value(first) or run is first]


def _parts(run: ComparedRun, total: float) -> str:
    """What most of the cost is, in brackets; nothing where it is one part alone."""
    parts = [
        (part.name.partition(" (")[0], part.seconds)
        for part in run.record.cost.components
        if part.seconds is not None and part.seconds >= LEAST_PART * total
    ]
    if len(parts) < 2:
        return ""
    largest = sorted(parts, key=lambda part: -part[1])[:3]
    return f" ({', '.join(f'{name} {duration(seconds)}' for name, seconds in largest)})"


def _cheaper(comparison: Comparison, seconds: float) -> str:
    """The best of the models that are cheaper, as a clause."""
    timed = [
        (run, run.total_seconds) for run in comparison.runs[1:] if run.total_seconds is not None
    ]
    cheaper = [(run, cost) for run, cost in timed if cost < seconds]
    unknown = len(comparison.runs) - 1 - len(timed)
    if not cheaper:
        if not timed:
            return "; the cost of no other model is known" if unknown else ""
        known = " of known cost" if unknown else ""
        return f"; no other model{known} is cheaper"
    tied = [pair for pair in cheaper if not_significant(pair[0])]
    # The runs are in the order of their F1, so the first cheaper one is the best of these.
    run, cost = min(tied, key=lambda pair: pair[1]) if tied else cheaper[0]
    share = fraction(cost / seconds)
    if set(run.devices) != set(comparison.runs[0].devices):
        share += ", measured on another device"
    if tied:
        return f"; {run.name}, which is not significantly different, cost {share}"
    return f"; {run.name} reaches {number(_value(run), '.3f')} at {share}"


def cleanliness_sentence(comparison: Comparison) -> str:
    """Whether the audits found leaks.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> cleanliness_sentence(comparison)  # doctest: +SKIP
    'The split is clean: none of 8 checks found a leak.'
    """
    if comparison.leaks:
        kinds = listed([_leak(leak.kind, leak.count, leak.share) for leak in comparison.leaks])
        return f"The split leaks: {kinds}."
    here = [run for run in comparison.runs if not run.external]
    missing = [run.name for run in here if run.record.audit is None]
    if not comparison.audited:
        if not here or len(missing) == len(here) > 1:
            who = "no model was audited"
        else:
            who = f"{listed(missing)} {'was' if len(missing) == 1 else 'were'} not audited"
        return f"It is not known whether the split is clean: {who}."
    count, unknown = len(comparison.checks), _unknown_training(comparison)
    found = "the one check found no leak" if count == 1 else f"none of {count} checks found a leak"
    if unknown:
        found = f"{found}, but" if count else "but"
        return f"The split is {clean_in_words(True)}: {found} {unknown}."
    return f"The split is {clean_in_words(False)}{f': {found}' if count else ''}."


def _leak(kind: str, count: int | None, share: float | None) -> str:
    """One kind of leak with its size, as far as that is known."""
    if count is None:
        return kind
    of = "" if share is None else f", {percent(share, 1)} of the test items"
    return f"{kind} ({counted(count, 'case')}{of})"


def _unknown_training(comparison: Comparison) -> str:
    """Models, or backbones of models, of which it cannot be told what they have learnt from."""
    elsewhere = [run.name for run in comparison.runs if run.external]
    unknown = {run.name: unknown_training(run) for run in comparison.runs}
    own = [
        name
        for name, found in unknown.items()
        if any(entry.startswith(RUN_TRAINED_ON_TEST) for entry in found)
    ]
    backbones = [name for name, found in unknown.items() if found and name not in own]
    said = []
    if own:
        said.append(f"what {listed(own)} learnt from is not known")
    if backbones:
        whose = "the backbone" if len(backbones) == 1 else "the backbones"
        said.append(f"what {whose} of {listed(backbones)} learnt from is not known")
    if elsewhere:
        said.append(f"what {listed(elsewhere)}, made elsewhere, learnt from is not known")
    return " and ".join(said)


def unknown_training(run: ComparedRun) -> tuple[str, ...]:
    """What the audit could not tell of what the run or a backbone of it has learnt from.

    Parameters
    ----------
    run : ComparedRun

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> unknown_training(comparison.runs[0])  # doctest: +SKIP
    ()
    """
    return unknown_learning(run.record.audit.skipped) if run.record.audit else ()


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
