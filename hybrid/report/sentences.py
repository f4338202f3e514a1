"""The first screen in four sentences: winner, certainty, cost and cleanliness of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.wording import (
    counted,
    duration,
    fraction,
    listed,
    memory,
    number,
    percent,
    with_interval,
)
from hybrid.types import Interval

METRIC = "weighted F1"


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
    'svm is the best of 4 models: weighted F1 0.642 (0.624 to 0.659).'
    """
    runs = comparison.runs
    best, figure = runs[0], f"{METRIC} {with_interval(runs[0].evaluation.metrics[MAIN])}"
    if len(runs) == 1:
        return f"{best.name} has {figure}."
    equal = _equal(comparison)
    if len(equal) == len(runs):
        both = "both" if len(runs) == 2 else "all"
        return f"{listed(equal)} {both} score the same: {figure}."
    if len(equal) > 1:
        return f"{listed(equal)} share the first place of {len(runs)} models: {figure}."
    if comparison.leaks or any(not_significant(run) for run in runs):
        place = "higher" if len(runs) == 2 else "highest"
        return f"{best.name} scores {place} of {len(runs)} models: {figure}."
    place = "better" if len(runs) == 2 else "best"
    return f"{best.name} is the {place} of {len(runs)} models: {figure}."


def certainty_sentence(comparison: Comparison) -> str:
    """Whether the best model is significantly different from the others.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> certainty_sentence(comparison)  # doctest: +SKIP
    'Its lead is certain: it is significantly better than stacking, the second, by 0.015 (0.003 to 0.027).'
    """
    others, equal = comparison.runs[1:], _equal(comparison)
    if comparison.leaks:
        models, figures = ("models", "their figures are") if others else ("model", "its figure is")
        return f"Nothing is certain here: the {models} may have seen test items, so {figures} too high."
    if not others:
        return (
            "There is no other model here to compare it with; with other test items of this kind, the figure "
            "may vary within the interval."
        )
    if len(equal) > 1:
        return f"{'Neither' if len(equal) == 2 else 'None'} leads: {listed(equal)} have the same figure."
    tied = [run for run in others if not_significant(run)]
    if not tied:
        each = "" if len(others) == 1 else f" than each of the other {len(others)}"
        second = f"{others[0].name} by {difference_text(others[0])}"
        better = f"better{each}, and ahead of {second}" if each else f"better than {second}"
        return f"Its lead is certain: it is significantly {better}."
    names = listed([run.name for run in tied])
    if len(tied) == len(others) > 1:
        names = f"any of the other {len(others)}"
    return f"Its lead is not certain: it is not significantly different from {names}."


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
    'It cost 1 min 30 s and 2.0 GiB of memory; svm-text reaches 0.600 at about a tenth of that.'
    """
    best = comparison.runs[0]
    subject = "It" if len(_equal(comparison)) == 1 else best.name
    if best.total_seconds is None:
        whose = "Its cost" if subject == "It" else f"The cost of {best.name}"
        return f"{whose} is unknown: {best.cost_unknown_because}."
    room = f" and {memory(best.peak_mib)} of memory" if best.peak_mib is not None else ""
    return f"{subject} cost {duration(best.total_seconds)}{room}{_cheaper(comparison, best.total_seconds)}."


def _equal(comparison: Comparison) -> list[str]:
    """Names of the models that have exactly the highest figure."""
    values = [run.evaluation.metrics[MAIN].value for run in comparison.runs]
    return [
        run.name
        for run, value in zip(comparison.runs, values, strict=True)
        if value == values[0] or run is comparison.runs[0]
    ]


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
    if tied:
        return f"; {run.name}, which is not significantly different, cost {share}"
    reached = number(run.evaluation.metrics[MAIN].value, ".3f")
    return f"; {run.name} reaches {reached} at {share}"


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
    count = len(comparison.checks)
    checks = f": {'the one check' if count == 1 else f'none of {count} checks'} found a leak"
    if count == 1:
        checks = ": the one check found no leak"
    return f"The split is clean{checks if count else ''}{_elsewhere(comparison)}."


def _leak(kind: str, count: int | None, share: float | None) -> str:
    """One kind of leak with its size, as far as that is known."""
    if count is None:
        return kind
    of = "" if share is None else f", {percent(share, 1)} of the test items"
    return f"{kind} ({counted(count, 'case')}{of})"


def _elsewhere(comparison: Comparison) -> str:
    """Models made elsewhere, of which it cannot be told what they have seen."""
    names = [run.name for run in comparison.runs if run.external]
    if not names:
        return ""
    return f"; what {listed(names)}, made elsewhere, {'has' if len(names) == 1 else 'have'} seen is not known"


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
