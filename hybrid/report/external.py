"""A predictions.csv of a model that was made elsewhere → a run among others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import RunError, SettingError
from hybrid.runs.folder import PROBABILITY, SEPARATOR, Run, parse_predictions
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import ExternalRecord

LABELS = "genres"
DEFAULT_THRESHOLD = 0.5  # where a file gives probabilities alone


def read_externals(
    files: Mapping[str, Path], taken: Sequence[str], ids: NDArray[Any], genres: Sequence[str]
) -> list[Run]:
    """Read models that were made elsewhere.

    Parameters
    ----------
    files : mapping of str to Path
        Name → predictions.csv.
    taken : sequence of str
        Names of the runs to compare with.
    ids : ndarray of shape (n,), str
        The test items.
    genres : sequence of str
        Labels that a file without probabilities may give, besides those that it does give.

    Raises
    ------
    SettingError
        If a name is empty or taken.
    RunError
        If a file cannot be read, or is not about these test items.
    """
    for name in files:
        if not name.strip() or name in taken:
            raise SettingError(
                f"--external: expected a name that no run has, found {name!r}. Write NAME=FILE with another."
            )
    return [_read(name, path, ids, genres) for name, path in files.items()]


def _read(name: str, path: Path, ids: NDArray[Any], genres: Sequence[str]) -> Run:
    try:
        data = path.read_bytes()
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    columns = [str(column) for column in table]
    given = [column for column in columns if column.startswith(PROBABILITY)]
    if "id" not in columns or not (LABELS in columns or given):
        raise RunError(
            f"{path}: expected the column id and genres (labels parted by {SEPARATOR}), p:GENRE for each "
            f"genre (probabilities), or both, found {', '.join(columns)}."
        )
    if "split" in table:
        table = table[table["split"] == "test"].reset_index(drop=True)
    _check_ids(name, path, table["id"].tolist(), ids.tolist())
    notes = []
    if not given:
        said = {g for cell in table[LABELS] for g in cell.split(SEPARATOR) if g}
        table = table.assign(**{PROBABILITY + g: "" for g in sorted(said.union(genres))})
        notes.append("gives labels alone: it has no average precision and no curves.")
    table = table.assign(split="test")
    if LABELS not in table:
        predictions = parse_predictions(table.assign(**{LABELS: ""}), path)
        predictions.labels[...] = predictions.probabilities >= DEFAULT_THRESHOLD
        notes.append(f"gives probabilities alone: {DEFAULT_THRESHOLD} or more is counted as given.")
    else:
        predictions = parse_predictions(table, path)
    digest = hashlib.sha256(data).hexdigest()
    external = ExternalRecord(str(path), digest, tuple(notes))
    return Run(Path(name), RunRecord(external=external), predictions)


def _check_ids(name: str, path: Path, found: list[str], wanted: list[str]) -> None:
    twice = [item for item, times in Counter(found).items() if times > 1]
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    problems = []
    if twice:
        problems.append(f"{len(twice)} stand there twice ({_some(twice)}): leave one row of each")
    if missing:
        problems.append(
            f"{len(missing)} are missing ({_some(missing)}): predict them too; an item that {name} can say "
            "nothing of gets a row with empty cells"
        )
    if extra:
        problems.append(
            f"{len(extra)} are no test items ({_some(extra)}): leave them out, or add a column split that "
            "says which rows are test"
        )
    if problems:
        raise RunError(
            f"{path}: expected one row for each of the {len(wanted)} test items of the runs, found that "
            f"{'; '.join(problems)}."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
