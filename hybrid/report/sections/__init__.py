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
    classification,
    confusion,
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
    about : str, default=""
        What a reader finds in it, in a few words; stands beside the title of the folded section.

    Examples
    --------
    >>> [section.title for section in SECTIONS][:3]
    ['Leaks', 'Runs', 'F1 by genre']
    """

    name: str
    title: str
    make: Callable[[Comparison], Any]
    about: str = ""


SECTIONS = (
    Section("leaks", "Leaks", leaks.make, "what is on both sides of the split"),
    Section("runs", "Runs", runs.make, "every model with every metric"),
    Section("genres", "F1 by genre", genres.make, "where the models are strong and weak"),
    Section(
        "classification",
        "Classification report",
        classification.make,
        "precision, recall and F1 of each genre, and the averages",
    ),
    Section(
        "confusion", "Confusion matrix", confusion.make, "which genres are taken for which others"
    ),
    Section("cost", "Cost", cost.make, "time and memory of each stage"),
    Section("ablation", "Ablation", ablation.make, "what each block of features contributes"),
    Section(
        "curves",
        "Precision-recall and calibration curves",
        curves.make,
        "whether probabilities can be trusted",
    ),
    Section("cooccurrence", "Label co-occurrence", cooccurrence.make, "labels that come together"),
    Section(
        "importance",
        "Feature importance",
        importance.make,
        "what the model looks at: words and fields",
    ),
    Section("channels", "Feature visualisation", channels.make, "what the model looks at: posters"),
    Section(
        "learning_curve",
        "Learning curve",
        learning_curve.make,
        "whether more items would help",
    ),
    Section(
        "training_history", "Training history", training_history.make, "how the networks learnt"
    ),
    Section("items", "Worst and best predictions", items.make, "examples to look at"),
    Section("data", "Data", data.make, "items, labels, missing values"),
    Section("reproduction", "Reproducibility", reproduction.make, "commands, settings, versions"),
)
