"""The sections of the page, in its order.

A section is a module here with ``make(comparison)``, which gives its data, or None where the runs have
none; a template of the same name, which is given that as ``data``; and a line below.
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
    """One section of the page.

    Parameters
    ----------
    name : str
        Of its template ``sections/NAME.html.j2`` and of its anchor.
    title : str
    make : callable
        Comparison → data, or None: the section is left out.
    """

    name: str
    title: str
    make: Callable[[Comparison], Any]


SECTIONS = (
    Section("leaks", "Leaks", leaks.make),
    Section("runs", "Runs", runs.make),
    Section("genres", "F1 of each genre", genres.make),
    Section("cost", "Cost", cost.make),
    Section("ablation", "What each block is worth", ablation.make),
    Section("curves", "Precision, recall and reliability", curves.make),
    Section("cooccurrence", "Genres that go together", cooccurrence.make),
    Section("importance", "What the model looks at", importance.make),
    Section("channels", "What the backbone looks for", channels.make),
    Section("learning_curve", "Is more data worth it?", learning_curve.make),
    Section("training_history", "Learning curves", training_history.make),
    Section("items", "Worst and best items", items.make),
    Section("data", "Data", data.make),
    Section("reproduction", "What made each run", reproduction.make),
)
