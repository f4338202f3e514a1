"""The task of a run: which items and labels of a catalogue it is about, and whether one label an item."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.catalogue.cells import join_list
from hybrid.catalogue.label_words import ALL, UNKNOWN, means_nothing
from hybrid.catalogue.labels import split_labels
from hybrid.catalogue.packed import keep_rows
from hybrid.errors import SettingError, unknown_name
from hybrid.types import Split
from hybrid.utils.unknown_labels import as_no

DOMINANT = "dominant"
FIRST = "first"
MULTILABEL, MULTICLASS = "multilabel", "multiclass"
KINDS = (MULTILABEL, MULTICLASS)
FEW = 10  # validation items of a genre
# Parts that a head is fitted on, and that `per_genre` samples; validation stops and calibrates a network.
TRAINING = ("train", "validation")


@dataclass(frozen=True)
class Task:
    """What a model is to tell of an item: which labels, several or one, and of which items.

    Parameters
    ----------
    single_label : str, optional
        One label an item: ``"dominant"``, the most frequent that it has, as in the study's experiment with
        four genres; ``"first"`` in its cell; or the name of a column that holds it. By default all, for a
        multi-class task the dominant one.
    genres : tuple of str, default=()
        Select only these, and the items that have one of them. By default all.
    per_genre : int, optional
        Sample so many train and validation items, together, of each genre, in the proportion that the parts
        have in the split; all of a genre that has fewer. By default all.
    seed : int, default=0
        Of the sample.
    kind : {"multilabel", "multiclass"}, default="multilabel"
        ``"multiclass"``: a model gives each item exactly one label.

    Examples
    --------
    >>> Task(genres=("Drama", "Horror"), per_genre=100, kind="multiclass").single_label
    'dominant'
    """

    single_label: str | None = None
    genres: tuple[str, ...] = ()
    per_genre: int | None = None
    seed: int = 0
    kind: str = MULTILABEL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("task", self.kind, KINDS)
        object.__setattr__(self, "genres", tuple(self.genres))
        if self.multiclass and self.single_label is None:
            object.__setattr__(self, "single_label", DOMINANT)

    @property
    def multiclass(self) -> bool:
        """Whether a model gives each item exactly one label."""
        return self.kind == MULTICLASS

    @property
    def whole(self) -> bool:
        """Whether all labels of all items are asked for, so that a catalogue stays as it is."""
        return self.single_label is None and self.per_genre is None and not self.genres

    @property
    def question(self) -> tuple[str, str | None, tuple[str, ...]]:
        """What tasks with the same true labels share; how many items were sampled is no part of it."""
        return self.kind, self.single_label, tuple(sorted(set(self.genres)))

    def check(self, catalogue: Catalogue) -> None:
        """Check the values against a catalogue; raise a SettingError that lists all that are wrong."""
        problems = [
            f"--genres: {unknown_name('genre', genre, catalogue.genres)}"
            for genre in self.genres
            if genre not in catalogue.genres
        ]
        columns = list(catalogue.table.columns)
        if self.single_label not in (None, DOMINANT, FIRST, *columns):
            known = (DOMINANT, FIRST, *columns)
            problems.append(
                f"--single-label: {unknown_name('rule', str(self.single_label), known)}"
            )
        if self.per_genre is not None and self.single_label is None:
            problems.append("--per-genre: expected --task multiclass with it, found multilabel.")
        if self.per_genre is not None and self.per_genre < 1:
            problems.append(f"--per-genre: expected 1 or more, found {self.per_genre}.")
        if problems:
            raise SettingError("\n".join(problems))


def narrow_labels(catalogue: Catalogue, task: Task) -> Catalogue:
    r"""Select the labels of a task, and the items that have one of them.

    Parameters
    ----------
    catalogue : Catalogue
    task : Task
        Its `per_genre` is not used.

    Returns
    -------
    Catalogue

    Raises
    ------
    SettingError
        If a name is unknown.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue import load_catalogue
    >>> _ = Path("films.csv").write_text("id,genres\n1,Drama|War\n2,War|Drama\n3,Drama\n4,Horror\n")
    >>> films = narrow_labels(load_catalogue("films.csv"), Task("dominant", ("Drama", "War")))
    >>> films.ids.tolist(), films.table["genres"].tolist()
    (['1', '2', '3'], ['Drama', 'Drama', 'Drama'])
    """
    task.check(catalogue)
    labels = _kept_labels(catalogue, task)
    kept = np.array([bool(found) for found in labels])
    separator = catalogue.columns.label_separator
    if task.single_label is None:
        labels = [
            [*of, *unknown] for of, unknown in zip(labels, _unknown(catalogue, task), strict=True)
        ]
    cells = np.array([join_list(found, separator) for found in labels], dtype=object)
    table = catalogue.table.assign(**{str(catalogue.columns.label): cells})
    return replace(catalogue, table=keep_rows(table, kept), rows=catalogue.rows[kept])


def narrow(catalogue: Catalogue, split: Split, task: Task) -> tuple[Catalogue, Split]:
    """Select the items and labels of a task.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
        Of its items.
    task : Task

    Returns
    -------
    catalogue : Catalogue
        Without the items that have none of the labels.
    split : Split
        Of these items. All test items that have one of the labels stay. Its hash is that of the whole split.

    Raises
    ------
    SettingError
        If a name is unknown.
    """
    narrowed = narrow_labels(catalogue, task)
    cells = narrowed.table[narrowed.columns.label].tolist()
    known = dict(zip(narrowed.ids.tolist(), cells, strict=True))
    mask = np.array([name in known for name in split.ids.tolist()], dtype=bool)
    if task.per_genre is not None:
        mask &= _drawn(split, known, task.per_genre, task.seed)
        narrowed = narrowed.only(split.ids[mask].tolist())
    return narrowed, Split(
        split.ids[mask], split.parts[mask], split.groups[mask], split.sha256, split.method
    )


def check_classes(catalogue: Catalogue, split: Split, task: Task) -> None:
    """Check that a multi-class task leaves something to tell apart.

    Parameters
    ----------
    catalogue : Catalogue
        Narrowed, see `narrow`.
    split : Split
        Of its items.
    task : Task

    Raises
    ------
    SettingError
        If the task is multi-class and train has items of fewer than 2 genres.

    Examples
    --------
    >>> check_classes(catalogue, split, Task(kind="multiclass"))  # doctest: +SKIP
    """
    if not task.multiclass:
        return
    learnt = np.isin(catalogue.ids, split.ids[split.parts == "train"])
    counts = as_no(catalogue.labels)[learnt].sum(axis=0).tolist()
    found = [genre for genre, count in zip(catalogue.genres, counts, strict=True) if count]
    if len(found) < 2:
        listed = f" ({', '.join(found)})" if found else ""
        raise SettingError(
            f"--task multiclass: expected 2 genres or more with train items, found {len(found)}{listed}. "
            "Name more with --genres, or leave it out."
        )


def fewer_than_asked(task: Task, sampled: Mapping[str, int]) -> str:
    """Which genres had fewer items than `per_genre` asks for, as a sentence; empty where none had.

    Parameters
    ----------
    task : Task
    sampled : mapping of str to int
        Genre → train and validation items that were sampled.

    Returns
    -------
    str

    Examples
    --------
    >>> fewer_than_asked(Task("dominant", per_genre=100), {"Drama": 100, "War": 31, "Music": 12})
    '--per-genre 100: there are fewer train and validation items of Music (12), War (31); all are used.'
    """
    short = {genre: count for genre, count in sampled.items() if count < (task.per_genre or 0)}
    if not short:
        return ""
    listed = ", ".join(f"{genre} ({count})" for genre, count in sorted(short.items()))
    few = f"there are fewer train and validation items of {listed}"
    return f"--per-genre {task.per_genre}: {few}; all are used."


def too_few_to_validate(counts: Mapping[str, int]) -> str:
    """Genres with too few validation items for their figures to mean much, as a sentence; empty where none.

    Parameters
    ----------
    counts : mapping of str to int
        Genre → validation items.

    Returns
    -------
    str

    Examples
    --------
    >>> too_few_to_validate({"Drama": 40, "War": 3})
    'few validation items of War (3): loss and F1 of validation, which end the training, are uncertain'
    """
    few = [f"{genre} ({count})" for genre, count in sorted(counts.items()) if count < FEW]
    if not few:
        return ""
    uncertain = "loss and F1 of validation, which end the training, are uncertain"
    return f"few validation items of {', '.join(few)}: {uncertain}"


def _kept_labels(catalogue: Catalogue, task: Task) -> list[list[str]]:
    """Return the selected labels of each item, in the order of its cell."""
    named = task.single_label not in (None, DOMINANT, FIRST)
    column = task.single_label if named else catalogue.columns.label
    cells = [
        split_labels(cell, catalogue.columns.label_separator)[0] for cell in catalogue.table[column]
    ]
    if named:
        cells = [[label for label in cell if not means_nothing(label)] for cell in cells]
    kept = [[g for g in cell if not task.genres or g in task.genres] for cell in cells]
    if task.single_label is None:
        return kept
    if task.single_label == DOMINANT:
        counts = dict(
            zip(catalogue.genres, as_no(catalogue.labels).sum(axis=0).tolist(), strict=True)
        )
        kept = [sorted(cell, key=lambda genre: (-counts[genre], genre)) for cell in kept]
    return [cell[:1] for cell in kept]


def _unknown(catalogue: Catalogue, task: Task) -> list[list[str]]:
    """Marks of the selected labels that were not looked at, of each item."""
    separator = catalogue.columns.label_separator
    pairs = (split_labels(cell, separator) for cell in catalogue.table[catalogue.columns.label])
    wanted = {*(task.genres or catalogue.genres), ALL}
    return [[UNKNOWN + name for name in unknown if name in wanted] for _, unknown in pairs]


def _drawn(split: Split, known: dict[str, str], per_genre: int, seed: int) -> NDArray[np.bool_]:
    """Return a mask of the test items and of up to `per_genre` others of each genre.

    Train and validation are drawn in the proportion that they have in the split, by a hash of seed and
    id; where a genre has too few items in one of them, the other fills up.
    """
    pools: dict[str, dict[str, list[tuple[bytes, int]]]] = {}
    for i, (name, part) in enumerate(zip(split.ids.tolist(), split.parts.tolist(), strict=True)):
        if part in TRAINING and name in known:
            draw = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
            pool = pools.setdefault(known[name], {part: [] for part in TRAINING})
            pool[part].append((draw, i))
    sizes = [sum(len(pool[part]) for pool in pools.values()) for part in TRAINING]
    share = sizes[1] / max(sum(sizes), 1)
    drawn = split.parts == "test"
    for pool in pools.values():
        train, validation = (sorted(pool[part]) for part in TRAINING)
        held = min(max(1, round(per_genre * share)), per_genre - 1, len(validation))
        learnt = min(per_genre - held, len(train))
        held = min(per_genre - learnt, len(validation))
        drawn[[i for _, i in train[:learnt] + validation[:held]]] = True
    return drawn
