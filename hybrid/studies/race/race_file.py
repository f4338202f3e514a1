"""The result of a race as a JSON file."""

from __future__ import annotations

import json
from pathlib import Path

from hybrid.errors import RunError
from hybrid.studies.race.records import Race
from hybrid.types import as_plain
from hybrid.utils.outputs import write_output
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_file

RACE = "race"  # what the file is


def check_race_file(path: Path) -> None:
    """Check that the result can be written, before the work.

    Parameters
    ----------
    path : Path

    Raises
    ------
    RunError
        As `hybrid.utils.writable.check_new_file`.

    Examples
    --------
    >>> check_race_file(Path("race.json"))
    """
    check_new_file("--out", path, RACE)


def write_race(race: Race, path: Path) -> None:
    """Write a result with all rounds, atomically; numbers that are not defined are null.

    Parameters
    ----------
    race : Race
    path : Path

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> how = {"metric": "map", "blocks": (), "confidence": 0.95, "round_level": 0.99, "budget": 60.0}
    >>> size = {"catalogue_items": 9, "train_items": 6, "sizes": (6,), "seed": 0, "seconds": 1.0}
    >>> size |= {"embed_seconds": 0.0, "fit_seconds": 0.0}
    >>> race = Race(None, None, "", **how, **size, encoders=(), rounds=())
    >>> write_race(race, Path("race.json"))
    >>> json.loads(Path("race.json").read_text())["metric"]
    'map'
    """
    text = json.dumps(as_plain(race), ensure_ascii=False, indent=2, allow_nan=False)
    try:
        write_output(path, f"{text}\n".encode(), RACE)
    except OSError as error:
        raise RunError(describe_refusal(error.filename or path, error)) from error
