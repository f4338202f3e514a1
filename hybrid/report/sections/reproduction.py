"""Reproducibility: command, settings, hashes, versions and hardware of each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hybrid.report.comparison import MAIN, ComparedRun, Comparison
from hybrid.report.wording import DASH, number, with_interval
from hybrid.runs.json_dataclass import to_json
from hybrid.runs.licences import run_licences
from hybrid.runs.record import RunRecord
from hybrid.runs.study_records import StudiesRecord
from hybrid.utils.counts import counted

Details = tuple[tuple[str, str], ...]
ONLY_IF_ANY = (
    *("made elsewhere", "sha256 of its file"),
    *("text encoder", "imported embeddings", "licences of the weights"),
)


def make(comparison: Comparison) -> tuple[Details, ...]:
    """Name and value of each fact, for each run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of Details

    Examples
    --------
    >>> dict(make(comparison)[0])['seed']  # doctest: +SKIP
    '0'
    """
    return tuple(describe_run(run) for run in comparison.runs)


def describe_run(run: ComparedRun) -> Details:
    """Command, settings, hashes, versions and hardware of a run, as names and values.

    Parameters
    ----------
    run : ComparedRun

    Returns
    -------
    tuple of (str, str)

    Examples
    --------
    >>> dict(describe_run(comparison.runs[0]))["seed"]  # doctest: +SKIP
    '0'
    """
    record, external = run.record, run.record.external
    thresholds = record.thresholds_by_genre.items()
    facts = {
        "command": record.command,
        "made": record.created,
        "made elsewhere": external and external.path,
        "sha256 of its file": external and external.sha256,
        "model": record.model,
        "settings": _plain(record.settings),
        "chosen": _plain(record.head and record.head.chosen),
        "thresholds": ", ".join(f"{genre} {number(value, '.3f')}" for genre, value in thresholds),
        "labels": _plain(record.decision),
        "over splits": _repeats(record.studies),
        "nested estimate": _nested(record.studies),
        "missing items": _plain(record.missing),
        "test items without a prediction": str(run.missing_predictions),
        "backbone": _plain(_backbones(record)),
        "text encoder": _plain(_text_encoders(record)),
        "imported embeddings": _plain(_imported(record)),
        "licences of the weights": ", ".join(
            f"{name}: {licence}" for name, licence in run_licences(record) if licence
        ),
        "catalogue": record.catalogue.sha256,
        "split": record.split.sha256,
        "seed": "" if record.seed is None else str(record.seed),
        "versions": _plain(record.environment.versions),
        "hardware": _plain(record.environment.hardware),
    }
    return tuple(
        (label, value or DASH)
        for label, value in facts.items()
        if value or not (external or label in ONLY_IF_ANY)
    )


def _repeats(studies: StudiesRecord) -> str:
    """Weighted F1 over repeated splits."""
    if studies.repeats is None or MAIN not in studies.repeats.metrics:
        return ""
    found = studies.repeats.metrics[MAIN]
    said = (
        f"weighted F1 {found.mean:.3f} over {counted(len(found.values), 'split')}, standard deviation "
        f"{found.sd:.3f}, {found.low:.3f} to {found.high:.3f}"
    )
    if studies.repeats.warning:
        said = f"{said} ({studies.repeats.warning})"
    if found.interval is None:
        return f"{said}; each tests on another period, so there is no interval of the mean"
    return (
        f"{said}; 95 % interval of the mean {found.interval.low:.3f} to {found.interval.high:.3f}"
    )


def _nested(studies: StudiesRecord) -> str:
    """Weighted F1 of the nested cross-validation."""
    if studies.nested is None or MAIN not in studies.nested.metrics:
        return ""
    f1 = with_interval(studies.nested.metrics[MAIN])
    said = (
        f"weighted F1 {f1} on {counted(studies.nested.items or 0, 'item')} of train and validation"
    )
    learnt = studies.nested.learnt.in_words if studies.nested.learnt else ""
    return f"{said}; {learnt}" if learnt else said


def _backbones(record: RunRecord) -> Any:
    """The backbone without the key of its embeddings, or, by block, several."""
    return _by_block(record.backbones)


def _text_encoders(record: RunRecord) -> Any:
    """The text encoder without the key of its embeddings, or, by block, several."""
    return _by_block(record.text_encoders)


def _imported(record: RunRecord) -> Any:
    """Imported embeddings, or, by block, several: what a vector belongs to, its length, the file."""
    kept = ("of", "dimension", "dtype", "content")
    said = {
        block: {**to_json(each), **{name: each.key.get(name) for name in kept}}
        for block, each in record.imported.items()
    }
    found = {
        block: {k: v for k, v in each.items() if k != "stands_for"} for block, each in said.items()
    }
    return found if len(found) > 1 else next(iter(found.values()), None)


def _by_block(described: Mapping[str, Any]) -> Any:
    found = {
        block: {k: v for k, v in to_json(each).items() if k != "stands_for"}
        for block, each in described.items()
    }
    return found if len(found) > 1 else next(iter(found.values()), None)


def _plain(value: Any) -> str:
    """A part of the record as JSON on one line; empty where there is none."""
    return json.dumps(to_json(value), ensure_ascii=False) if value else ""
