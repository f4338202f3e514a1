"""Studies beside a run: ``studies/KIND.json`` in its folder, each with the digest of the run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hybrid._version import __version__
from hybrid.errors import RunError
from hybrid.runs.json_dataclass import convert, from_json, to_json
from hybrid.runs.study_records import (
    AblationRecord,
    LearningCurveRecord,
    NestedRecord,
    RepeatsRecord,
    StudiesRecord,
)
from hybrid.types import StageCost
from hybrid.utils.environment import hardware, library_versions
from hybrid.utils.files import make_folder, write_atomically
from hybrid.utils.reading import RUN_RECORD, STUDY, hash_file, read_json
from hybrid.utils.refusals import describe_refusal

FOLDER = "studies"
FORMAT = 1
RECORD = "run.json"
# Kind of study, as its file and option are called → field of `StudiesRecord`, and its class.
KINDS: dict[str, tuple[str, type[Any]]] = {
    "nested": ("nested", NestedRecord),
    "curve": ("learning_curve", LearningCurveRecord),
    "ablation": ("ablation", AblationRecord),
    "repeats": ("repeats", RepeatsRecord),
}


@dataclass(frozen=True)
class StudyFile:
    """Content of ``studies/KIND.json``.

    Parameters
    ----------
    format : int
        Version of the layout.
    study : str
        Kind: ``nested``, ``curve``, ``ablation`` or ``repeats``.
    run : str
        Digest of the run that it belongs to, see `run_digest`.
    created, hybrid, command : str or None
        When it was made (ISO 8601); version of hybrid; what the user typed.
    settings : mapping
        Of the study.
    seed : int
    cost : StageCost
        No part of the cost of the run. Of a study that was interrupted, the sum.
    versions, hardware : mapping
        Libraries and machine.
    result : mapping
        A `NestedRecord`, `LearningCurveRecord`, `AblationRecord` or `RepeatsRecord`.
    """

    format: int
    study: str
    run: str
    created: str
    hybrid: str
    command: str | None
    settings: Mapping[str, Any]
    seed: int
    cost: StageCost
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)


def run_digest(folder: Path) -> str:
    """Digest of a run, which changes when it is fitted again: SHA-256 of run.json.

    Raises
    ------
    RunError
        If it is no run.
    """
    try:
        return hash_file(folder / RECORD, RUN_RECORD)
    except OSError as error:
        raise RunError(f"cannot read {folder / RECORD}: {error.strerror or error}.") from error


def write_study(
    folder: Path,
    kind: str,
    result: Any,
    cost: StageCost,
    *,
    settings: Mapping[str, Any],
    seed: int,
    command: str | None = None,
) -> Path:
    """Write the result of a study beside its run, atomically.

    Parameters
    ----------
    folder : Path
        The run folder.
    kind : str
        One of `KINDS`.
    result : dataclass or mapping
        As its record takes it.
    cost : StageCost
    settings : mapping
    seed : int
    command : str, optional

    Raises
    ------
    RunError
        If it cannot be written.
    """
    made = StudyFile(
        format=FORMAT,
        study=kind,
        run=run_digest(folder),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        hybrid=__version__,
        command=command,
        settings=settings,
        seed=seed,
        cost=cost,
        versions=library_versions(),
        hardware=hardware(),
        result=to_json(convert(KINDS[kind][1], result)),
    )
    path = folder / FOLDER / f"{kind}.json"
    text = json.dumps(to_json(made), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_beside(path, text.encode())
    return path


def write_beside(path: Path, data: bytes) -> None:
    """Write a file of a study atomically.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    try:
        make_folder(path.parent)
        write_atomically(path, data)
    except OSError as error:
        raise RunError(describe_refusal(path, error)) from error


def list_studies(folder: Path) -> list[str]:
    """Kinds of the studies that are beside a run.

    Examples
    --------
    >>> list_studies(Path("runs/svm"))
    []
    """
    return [kind for kind in KINDS if (folder / FOLDER / f"{kind}.json").is_file()]


def read_studies(folder: Path, known: StudiesRecord | None = None) -> StudiesRecord:
    """Read the studies beside a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    known : StudiesRecord, optional
        Those that run.json holds, as earlier versions wrote it; a file replaces its kind.

    Returns
    -------
    StudiesRecord
        A study that belongs to another run is left out, with a warning.

    Raises
    ------
    RunError
        If a file is damaged.
    """
    known = known or StudiesRecord()
    found, costs = {}, list(known.costs or ())
    for kind in list_studies(folder):
        path = folder / FOLDER / f"{kind}.json"
        study = _read(path)
        if study.run != run_digest(folder):
            warnings.warn(
                f"{path} belongs to another run, and is left out; make it anew with hybrid study.",
                stacklevel=2,
            )
            continue
        name, record = KINDS[kind]
        found[name] = from_json(record, study.result, str(path), remedy=_remedy(kind))
        costs = [cost for cost in costs if cost.name != study.cost.name] + [study.cost]
    return replace(known, **found, costs=tuple(costs)) if found else known


def _read(path: Path) -> StudyFile:
    kind = path.stem
    try:
        data = read_json(path, STUDY)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: expected a readable study, found: {error}; {_remedy(kind)}."
        ) from error
    study = from_json(StudyFile, data, str(path), remedy=_remedy(kind))
    if study.format != FORMAT:
        raise RunError(f"{path}: expected format {FORMAT}, found {study.format}. Update hybrid.")
    return study


def _remedy(kind: str) -> str:
    option = f"--{kind} N" if kind == "repeats" else f"--{kind}"
    return f"remove the file, and make the study again with hybrid study RUN {option}"
