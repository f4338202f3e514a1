"""Licences of the weights that a run rests on."""

from __future__ import annotations

from pathlib import Path

from hybrid.backbones.licences import UNKNOWN, check_licences
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import TrainedBackboneRecord


def run_licences(record: RunRecord) -> tuple[tuple[str, str | None], ...]:
    """Name and licence of the weights of each backbone, text encoder and imported set, once.

    Of a network that was trained, the licence of the weights that it started from; of one that started from
    none, nothing. None where a record of an earlier version has not kept it.

    Examples
    --------
    >>> run_licences(RunRecord(name="svm", kind="head"))
    ()
    """
    said = [*record.backbones.values(), *record.text_encoders.values(), *record.imported.values()]
    found = [
        (each.name, each.weights.initial if isinstance(each, TrainedBackboneRecord) else each)
        for each in said
    ]
    return tuple(dict.fromkeys((name, each.licence) for name, each in found if each is not None))


def check_run_licences(folder: Path, record: RunRecord, wanted: str) -> None:
    """Refuse a run that rests on weights whose licence does not permit commercial use, where that is wanted.

    Raises
    ------
    SettingError
        As `hybrid.backbones.licences.check_licences`.

    Examples
    --------
    >>> check_run_licences(Path("runs/svm"), RunRecord(name="svm", kind="head"), "commercial")
    """
    named = ((f"{name} of {folder}", said or UNKNOWN) for name, said in run_licences(record))
    check_licences(wanted, named)
