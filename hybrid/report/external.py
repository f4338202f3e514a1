"""Read the predictions of models made elsewhere as runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import RunError, SettingError
from hybrid.evaluation import likeliest
from hybrid.runs.folder import Run
from hybrid.runs.predictions_file import PROBABILITY, SEPARATOR, TEXTS, parse_predictions
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import ExternalRecord
from hybrid.types import Predictions
from hybrid.utils.counts import agree, counted
from hybrid.utils.csv_text import unescape_columns
from hybrid.utils.reading import PREDICTIONS, hash_file, open_file
from hybrid.utils.unpacking import DAMAGE, unpack

LABELS = "genres"
DEFAULT_THRESHOLD = 0.5  # for files with probabilities alone


def read_external(
    name: str,
    path: Path,
    taken: Sequence[str],
    ids: NDArray[Any],
    genres: Sequence[str],
    multiclass: bool = False,
) -> Run:
    r"""Read the predictions of a model made elsewhere.

    Parameters
    ----------
    name : str
    path : Path
        Its predictions.csv.
    taken : sequence of str
        Names of the runs to compare with.
    ids : ndarray of shape (n,), dtype str
        The test items.
    genres : sequence of str
        Known labels. Others of the file are left out, with a note.
    multiclass : bool, default=False
        Whether the runs give each item one label: then a file with probabilities alone predicts the most
        probable one.

    Returns
    -------
    Run

    Raises
    ------
    SettingError
        If the name is empty or taken.
    RunError
        If the file cannot be read, does not have the test items, or has several labels an item where the runs
        have one.

    Examples
    --------
    >>> import numpy as np
    >>> _ = Path("mine.csv").write_text("id,genres\n1,Drama\n2,Horror\n")
    >>> run = read_external("mine", Path("mine.csv"), [], np.array(["1", "2"]), ["Drama", "Horror"])
    >>> run.predictions.labels.tolist()
    [[1, 0], [0, 1]]
    """
    if not name.strip() or name in taken:
        raise SettingError(
            f"--external: expected a name that no run has, found {name!r}. Write NAME=FILE with another."
        )
    return _read(name, path, ids, genres, multiclass)


def external_test_ids(path: Path) -> frozenset[str]:
    r"""Ids of the test items of a file of predictions; none without a column id.

    Parameters
    ----------
    path : Path

    Returns
    -------
    frozenset of str

    Raises
    ------
    RunError
        If the file cannot be read.

    Examples
    --------
    >>> _ = Path("mine.csv").write_text("id,genres\n1,Drama\n2,Horror\n")
    >>> sorted(external_test_ids(Path("mine.csv")))
    ['1', '2']
    """
    table = _read_table(path)
    return frozenset(table["id"]) if "id" in table else frozenset()


def _packed(path: Path) -> str | None:
    """How a table is compressed, by its name; see `unpack`."""
    return {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}.get(path.suffix.lower())


def _read_table(path: Path) -> pd.DataFrame:
    """The rows of the test items, as text."""
    try:
        with open_file(path, PREDICTIONS) as file:
            kind = _packed(path)
            content = file if kind is None else unpack(file, path, kind)
            table = pd.read_csv(content, dtype=str, keep_default_na=False)
    except (OSError, ValueError, *DAMAGE) as error:
        said = getattr(error, "strerror", None) or error
        raise RunError(f"cannot read {path}: {said}.") from error
    table = unescape_columns(table, TEXTS)
    if "split" in table:
        table = table[table["split"] == "test"].reset_index(drop=True)
    return table


def _read(name: str, path: Path, ids: NDArray[Any], genres: Sequence[str], multiclass: bool) -> Run:
    table = _read_table(path)
    columns = [str(column) for column in table]
    probabilities = [column for column in columns if column.startswith(PROBABILITY)]
    if "id" not in columns or not (LABELS in columns or probabilities):
        raise RunError(
            f"{path}: expected the column id and genres (labels separated by {SEPARATOR}), p:GENRE for each "
            f"genre (probabilities), or both, found {', '.join(columns)}."
        )
    _check_ids(name, path, table["id"].tolist(), ids.tolist())
    notes = []
    if not probabilities:
        known = {g for cell in table[LABELS] for g in cell.split(SEPARATOR) if g}
        table = table.assign(**{PROBABILITY + g: "" for g in sorted(known.union(genres))})
        notes.append("has labels alone: no average precision and no curves.")
    table = table.assign(split="test")
    if LABELS not in table:
        predictions = parse_predictions(table.assign(**{LABELS: ""}), path)
        if multiclass:
            predictions.labels[...] = likeliest(predictions.probabilities)
            notes.append("has probabilities alone: the most probable label is predicted.")
        else:
            predictions.labels[...] = predictions.probabilities >= DEFAULT_THRESHOLD
            notes.append(
                f"has probabilities alone: labels are predicted from {DEFAULT_THRESHOLD} on."
            )
    else:
        predictions = parse_predictions(table, path)
    several = int((predictions.labels.sum(axis=1) > 1).sum())
    if multiclass and several:
        raise RunError(
            f"{path}: expected one label an item, as the runs on these test items have, found several in "
            f"{counted(several, 'row')}."
        )
    predictions, strange = _only_known(predictions, genres)
    if strange:
        listed = ", ".join(map(repr, strange[:5])) + (", …" if len(strange) > 5 else "")
        notes.append(
            f"predicts {counted(len(strange), 'label')} that neither the catalogue nor a run knows "
            f"({listed}): {agree(len(strange), '{they are|it is}')} not counted."
        )
    digest = hash_file(path, PREDICTIONS)
    external = ExternalRecord(str(path), digest, tuple(notes))
    return Run(Path(name), RunRecord(external=external), predictions)


def _only_known(predictions: Predictions, genres: Sequence[str]) -> tuple[Predictions, list[str]]:
    """Leave out labels that nobody else knows: they would change the figures of all runs."""
    known = [j for j, genre in enumerate(predictions.genres) if genre in set(genres)]
    strange = sorted(set(predictions.genres) - set(genres))
    if not strange:
        return predictions, []
    kept = replace(
        predictions,
        genres=tuple(predictions.genres[j] for j in known),
        labels=predictions.labels[:, known],
        probabilities=predictions.probabilities[:, known],
    )
    return kept, strange


def _check_ids(name: str, path: Path, found: list[str], wanted: list[str]) -> None:
    twice = [item for item, times in Counter(found).items() if times > 1]
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    problems = []
    if twice:
        problems.append(f"{len(twice)} are duplicated ({_some(twice)}): leave one row of each")
    if missing:
        problems.append(
            f"{len(missing)} are missing ({_some(missing)}): add a prediction, or a row with "
            f"empty cells where {name} has none"
        )
    if extra:
        problems.append(
            f"{len(extra):,} {agree(len(extra), '{are not test items|is not a test item}')} "
            f"({_some(extra)}): remove them, or add a column split that marks the rows that are test"
        )
    if problems:
        raise RunError(
            f"{path}: expected one row for each of the {counted(len(wanted), 'test item')} of the runs, "
            f"found that {'; '.join(problems)}."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
