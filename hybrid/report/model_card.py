"""Model card of a run in Markdown: what it is in four sentences, data, figures, limits, reproduction."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hybrid.catalogue import Catalogue
from hybrid.evaluation import DRAWS, reliability
from hybrid.report.alignment import align_runs
from hybrid.report.build import load_run_catalogue
from hybrid.report.comparison import ComparedRun, Comparison, compare
from hybrid.report.sections import classification, confusion, data, runs
from hybrid.report.sections.reproduction import describe_run
from hybrid.report.sentences import summarise
from hybrid.report.summary_text import metric_names
from hybrid.report.wording import DASH, number, percent, with_interval
from hybrid.runs.present_audit import read_audited_run
from hybrid.types import ColumnOptions
from hybrid.utils.counts import counted
from hybrid.utils.visible import visible

MARKS = re.compile(r"([\\`*_\[\]<>#|~&$])")
SHOWN_ELSEWHERE = frozenset({"command", "thresholds", "model", "made elsewhere"})


def model_card(
    path: str | Path | Catalogue | None,
    options: ColumnOptions | None,
    run: Path,
    folder: Path,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> str:
    """Write the model card of a run.

    Parameters
    ----------
    path, options
        As for `hybrid.report.report_runs`; `path` can be a catalogue that was loaded.
    run : Path
        The run folder, or its name in `folder`.
    folder : Path
    draws : int, default=2000
        Number of bootstrap draws; at most 100,000.
    seed : int, default=0
        Of the bootstrap.

    Returns
    -------
    str
        Markdown. Text from catalogue and run is escaped.

    Raises
    ------
    RunError
        If the run or its catalogue cannot be read.

    Examples
    --------
    >>> model_card(None, None, Path("svm"), Path("runs")).splitlines()[0]  # doctest: +SKIP
    '# svm'
    """
    place = run if (run / "run.json").exists() else folder / run
    catalogue = path if isinstance(path, Catalogue) else load_run_catalogue(path, options, place)
    return render_model_card(
        compare(align_runs(catalogue, [read_audited_run(place)]), draws=draws, seed=seed)
    )


def render_model_card(comparison: Comparison) -> str:
    """Render the model card of the first run of a comparison as Markdown.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> render_model_card(comparison).splitlines()[0]  # doctest: +SKIP
    '# svm'
    """
    run = comparison.runs[0]
    return (
        _environment()
        .get_template("model_card.md.j2")
        .render(
            comparison=comparison,
            run=run,
            described=runs.describe_model(run.record),
            sentences=summarise(comparison),
            metric_names=metric_names(comparison),
            thresholds=_thresholds(run),
            averages=classification.report_run(comparison, run).averages,
            reliability=reliability(
                comparison.truth, run.outputs.scores, groups=comparison.item_groups
            )
            if run.has_probabilities
            else None,
            data=data.make(comparison),
            confusion=confusion.make(comparison),
            facts=[fact for fact in describe_run(run) if fact[0] not in SHOWN_ELSEWHERE],
            dash=DASH,
        )
    )


@functools.cache
def _environment() -> Environment:
    """Jinja environment of the card, which keeps the template that it has compiled."""
    made = Environment(
        loader=PackageLoader("hybrid.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_escaped,
    )
    made.filters |= {"number": number, "with_interval": with_interval, "code": _code}
    made.filters |= {"percent": percent, "counted": counted}
    return made


class _Code(str):
    """Text for a line of a code block, which is not escaped."""

    __slots__ = ()


def _code(value: Any) -> _Code:
    return _Code(visible(re.sub(r"\s+", " ", str(value))))


def _escaped(value: Any) -> Any:
    """Escape text for Markdown and HTML, on one line; other values are unchanged."""
    if isinstance(value, _Code) or not isinstance(value, str):
        return value
    return MARKS.sub(r"\\\1", visible(re.sub(r"\s+", " ", value))).replace("\\<", "&lt;")


def _thresholds(run: ComparedRun) -> dict[str, str]:
    """Recorded threshold of each genre."""
    return {g: number(t, ".3f") for g, t in run.record.thresholds_by_genre.items()}
