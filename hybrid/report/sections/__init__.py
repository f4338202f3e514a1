"""Sections of the report, in the order of the page.

A section is a module here with ``make(comparison)``, which returns its data, or None to leave it out; a
template of the same name, which receives them as ``data``; and a line below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hybrid.report.comparison import Comparison
from hybrid.report.sections import (
    ablation,
    channels,
    cooccurrence,
    cost,
    curves,
    data,
    genres,
    importance,
    items,
    leaks,
    learning_curve,
    reproduction,
    runs,
    training_history,
)


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Parameters
    ----------
    name : str
        Of its template ``sections/NAME.html.j2`` and of its anchor.
    title : str
    make : callable
        From a `Comparison` to the data of the template, or None to leave the section out.

    Examples
    --------
    >>> [section.title for section in SECTIONS][:3]
    ['Leaks', 'Runs', 'F1 by genre']
    """

    name: str
    title: str
    make: Callable[[Comparison], Any]


SECTIONS = (
    Section("leaks", "Leaks", leaks.make),
    Section("runs", "Runs", runs.make),
    Section("genres", "F1 by genre", genres.make),
    Section("cost", "Cost", cost.make),
    Section("ablation", "Ablation", ablation.make),
    Section("curves", "Precision-recall and calibration curves", curves.make),
    Section("cooccurrence", "Label co-occurrence", cooccurrence.make),
    Section("importance", "Feature importance", importance.make),
    Section("channels", "Feature visualisation", channels.make),
    Section("learning_curve", "Learning curve", learning_curve.make),
    Section("training_history", "Training history", training_history.make),
    Section("items", "Worst and best predictions", items.make),
    Section("data", "Data", data.make),
    Section("reproduction", "Reproducibility", reproduction.make),
)
