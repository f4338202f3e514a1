"""Notes on a comparison: what a reader must know of its runs before their figures."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid.evaluation.metrics import genres_without_items, untested_note, untrained_note
from hybrid.report.alignment import AlignedRuns
from hybrid.report.wording import listed, number, with_interval
from hybrid.runs.folder import Run
from hybrid.splitting.tasks import fewer_than_asked


def list_notes(aligned: AlignedRuns, names: Sequence[str], metric: str) -> tuple[str, ...]:
    """List the notes on all runs.

    Parameters
    ----------
    aligned : AlignedRuns
    names : sequence of str
        Of the runs, as the report has them.
    metric : str
        The metric that runs are ordered by.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> list_notes(aligned, ["svm"], "f1_weighted")  # doctest: +SKIP
    ('Synthetic data: the figures do not apply to real films.',)
    """
    notes = []
    if any(run.record.sample for run in aligned.runs):
        notes.append("Synthetic data: the figures do not apply to real films.")
    audits = [run.record.audit for run in aligned.runs]
    warnings = [warning for audit in audits if audit for warning in audit.warnings]
    for kind, share in {warning.kind: warning.share for warning in warnings}.items():
        of = "" if share is None else f", {share:.1%} of the test items"
        notes.append(f"Warning of the audit: {kind}{of}.")
    untested = genres_without_items(aligned.genres, aligned.truth)
    if untested:
        said = untested_note(untested)
        notes.append(f"{said[0].upper()}{said[1:]}.")
    notes += _of_untrained(aligned.runs, names, len(aligned.genres) - len(untested))
    for run, name in zip(aligned.runs, names, strict=True):
        notes += _notes_on(run, name, aligned, metric)
    return tuple(notes)


def _of_untrained(runs: Sequence[Run], names: Sequence[str], n_tested: int) -> list[str]:
    """Genres that only test items have; once for the runs that learnt from the same items."""
    by_genres: dict[tuple[str, ...], list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        by_genres.setdefault(run.record.untrained, []).append(name)
    return [
        f"{'' if len(who) == len(names) else f'{listed(who)}: '}{untrained_note(genres, n_tested)}."
        for genres, who in by_genres.items()
        if genres
    ]


def _notes_on(run: Run, name: str, aligned: AlignedRuns, metric: str) -> list[str]:
    notes, record = [], run.record
    cost = record.audit.cost.get(metric) if record.audit else None
    if cost:
        notes.append(
            f"{name} has weighted F1 {number(cost.all.value, '.3f')} with the test items that leak, "
            f"{number(cost.clean.value, '.3f')} without them: a difference of "
            f"{with_interval(cost.difference)}."
        )
    if any(backbone.weights.kind == "random" for backbone in record.backbones.values()):
        notes.append(
            f"{name} uses a backbone with random weights: its embeddings are not meaningful."
        )
    if record.cost.not_counted:
        notes.append(
            f"The cost of {name} does not count the training of {', '.join(record.cost.not_counted)}, made "
            "elsewhere."
        )
    if record.catalogue.sha256 not in (None, aligned.catalogue.sha256):
        notes.append(f"{name} was fitted on another version of the catalogue.")
    unknown = [genre for genre in aligned.genres if genre not in run.predictions.genres]
    if unknown:
        notes.append(f"{name} was not fitted on {', '.join(unknown)}: counted as never predicted.")
    if short := fewer_than_asked(record.task, record.sampled):
        notes.append(f"{name}: {short}")
    if record.external:
        notes.append(
            f"{name} was made elsewhere: whether it was fitted on test items is not known."
        )
        notes += [f"{name} {said}" for said in record.external.notes]
    return notes
