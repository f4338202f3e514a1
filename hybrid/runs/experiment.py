"""Experiment: catalogue, split, run folder and context of a fit; its audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.ancestry import HashedItems, audit_backbones
from hybrid.audit.audit import audit_catalogue
from hybrid.audit.leaks import BACKBONE_TRAINED_ON_TEST
from hybrid.backbones.provenance import Provenance
from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import take_table
from hybrid.duplicates.find import Duplicates, find_duplicates
from hybrid.errors import CatalogueError, SplitError
from hybrid.extraction.key_sets import KeySets
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.poster_keys import key_sets
from hybrid.images.decode import BadPoster
from hybrid.runs.fitted import LabelledItems
from hybrid.runs.folder import check_run_folder
from hybrid.runs.predictions_file import SEPARATOR
from hybrid.splitting.tasks import TRAINING, Task, check_classes, fewer_than_asked, narrow
from hybrid.types import LEAK, PARTS, Audit, Split
from hybrid.utils.context import Context
from hybrid.utils.counts import agree, counted
from hybrid.utils.resources import CostRecorder
from hybrid.utils.unknown_labels import as_no


@dataclass(frozen=True)
class Experiment:
    r"""What every fit takes: catalogue, split, run folder and context.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    folder : str or Path
        The run folder to write, kept as a Path; its name is the name of the run.
    split_path : Path, default=Path("splits.csv")
        Recorded, and named in messages.
    command : str, optional
        Recorded as the user typed it.
    context : Context, default=Context()
        Cache, workers, seed and progress.
    task : Task, default=Task()
        What catalogue and split have been narrowed to; see `narrowed`.
    origin : Experiment, optional
        On all items and labels, if this one has been narrowed.

    Examples
    --------
    >>> from hybrid.catalogue import load_catalogue
    >>> _ = Path("films.csv").write_text("id,genres\na,Drama\nb,Comedy\nc,Drama\n")
    >>> films = load_catalogue("films.csv")
    >>> split = Split(films.ids, np.array(["train", "validation", "test"]), films.ids, "")
    >>> experiment = Experiment(films, split, Path("runs/svm"))
    >>> experiment.rows("train", "test").tolist(), experiment.items("test").labels.tolist()
    ([0, 2], [[0, 1]])
    """

    catalogue: Catalogue
    split: Split
    folder: Path
    split_path: Path = Path("splits.csv")
    command: str | None = None
    context: Context = field(default_factory=Context)
    task: Task = field(default_factory=Task)
    origin: Experiment | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    def narrowed(self, task: Task) -> Experiment:
        """The experiment on the items and labels of a task.

        Raises
        ------
        CatalogueError, SplitError
            As for `check`.
        SettingError
            As for `hybrid.splitting.tasks.narrow` and `check_classes`.
        """
        if task.whole:
            return replace(self, task=task)
        self.check_items()
        catalogue, split = narrow(self.catalogue, self.split, task)
        check_classes(catalogue, split, task)
        found = replace(self, catalogue=catalogue, split=split, task=task, origin=self.whole)
        if short := fewer_than_asked(task, found.sampled):
            self.context.progress.say(short)
        return found

    @property
    def whole(self) -> Experiment:
        """The experiment on all items and labels: what it was narrowed from, or itself."""
        return self if self.origin is None else self.origin

    @property
    def sampled(self) -> dict[str, int]:
        """Train and validation items of each genre, of a task with `per_genre`; else empty."""
        if self.task.per_genre is None:
            return {}
        counts = as_no(self.catalogue.labels)[self.rows(*TRAINING)].sum(axis=0).tolist()
        return dict(zip(self.catalogue.genres, counts, strict=True))

    def rows(self, *parts: str) -> NDArray[np.int64]:
        """Row numbers in the catalogue of the items of some parts, in the order of the split."""
        return self.rows_of(self.split.ids[np.isin(self.split.parts, parts)])

    def rows_of(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Row numbers in the catalogue of items by id."""
        return np.array([self._position[name] for name in ids.tolist()], dtype=np.int64)

    def items(self, *parts: str) -> LabelledItems:
        """Frame, labels and groups of the items of some parts, in the order of `rows`."""
        rows = self.rows(*parts)
        frame = take_table(self.catalogue.frame, rows)
        return LabelledItems(frame, self.catalogue.labels[rows], self.groups(*parts))

    def groups(self, *parts: str) -> NDArray[Any]:
        """The group of each item of some parts, in the order of `rows`."""
        return self.split.groups[np.isin(self.split.parts, parts)]

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.catalogue.ids.tolist())}

    @cached_property
    def keys(self) -> Sequence[bytes | BadPoster]:
        """Content key of each item's poster, or the reason why it has none; computed once."""
        if self.origin is None:
            return hash_catalogue(self.catalogue, self.context)
        found = self.origin.keys
        return [found[row] for row in self._origin_rows.tolist()]

    @cached_property
    def key_sets(self) -> KeySets:
        """Content keys of all readable posters of each item; computed once."""
        if self.origin is None:
            return key_sets(self.catalogue, self.keys, self.context)
        return self.origin.key_sets[self._origin_rows]

    def keys_of(self, *parts: str) -> list[bytes]:
        """The keys of all posters of the items of some parts, in the order of `rows`."""
        return [key for each in self.key_sets[self.rows(*parts)] for key in each]

    @cached_property
    def duplicates(self) -> Duplicates:
        """Duplicates in the whole catalogue; computed once."""
        if self.origin is not None:
            return self.origin.duplicates
        return find_duplicates(self.catalogue, self.keys, context=self.context)

    @cached_property
    def hashed(self) -> HashedItems:
        """Hashes of ids and contents, to tell which items an ancestor has learnt from; computed once."""
        if self.origin is None:
            kinds = self.duplicates.kinds
            return HashedItems.of(self.catalogue, self.keys, self.key_sets, kinds)
        return self.origin.hashed.take(self._origin_rows)

    @cached_property
    def _origin_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items in the catalogue that was narrowed."""
        return self.whole.rows_of(self.catalogue.ids)

    def check(self) -> None:
        """Check catalogue, split and folder before hours of work.

        Raises
        ------
        CatalogueError
            If no item has a label, or a label holds the separator of predictions.csv.
        SplitError
            If catalogue and split do not have the same items, a part is empty, or no test item has a label.
        RunError, SettingError
            If the folder cannot become a run.
        """
        check_run_folder(self.folder)
        self.check_items()

    def check_items(self) -> None:
        """Check catalogue and split against each other."""
        self.catalogue.require_labels()
        ambiguous = [genre for genre in self.catalogue.genres if SEPARATOR in genre]
        if ambiguous:
            raise CatalogueError(
                f"{self.catalogue.path}: expected labels without {SEPARATOR!r}, the separator of labels in "
                f"predictions.csv, found {ambiguous[0]!r}. Rename the label."
            )
        problems = self._split_problems()
        if problems:
            raise SplitError(
                f"{self.split_path}: expected a split of {self.catalogue.path}, found that "
                f"{'; '.join(problems)}. Make a new one with: hybrid split"
            )

    def _split_problems(self) -> list[str]:
        known, split = set(self.catalogue.ids.tolist()), set(self.split.ids.tolist())
        unknown = sorted(split - known)
        missing = sorted(set(self.catalogue.ids[self.catalogue.labelled].tolist()) - split)
        problems = []
        if unknown:
            problems.append(
                f"{len(unknown):,} of its ids {agree(len(unknown), '{are|is}')} not in the catalogue "
                f"({_first(unknown)})"
            )
        if missing:
            problems.append(
                f"{counted(len(missing), 'labelled item is', 'labelled items are')} in no part of it "
                f"({_first(missing)})"
            )
        problems += [f"no item is {part}" for part in PARTS if not (self.split.parts == part).any()]
        if not problems and not as_no(self.catalogue.labels)[self.rows("test")].any():
            problems.append(
                "no test item has a label that is known, so that nothing can be measured"
            )
        return problems


def audit_experiment(
    experiment: Experiment, costs: CostRecorder, backbones: Provenance | None = None
) -> Audit:
    """Audit the split of an experiment, and what its backbones have learnt from.

    Parameters
    ----------
    experiment : Experiment
    costs : CostRecorder
        Gets the stage ``audit``.
    backbones : Provenance, optional
        Of the weights of its backbones: a leak where a run that trained them has learnt from test items; an
        entry in `skipped` where that cannot be told.

    Returns
    -------
    Audit
        Duplicates are searched for in the whole catalogue, since near-same texts depend on it. Of a narrowed
        experiment, only leaks between its own items, and into its own test items, are counted.
    """
    whole = experiment.whole
    with costs.stage("audit"):
        audit = audit_catalogue(
            whole.catalogue,
            experiment.split,
            genres=experiment.catalogue.genres,
            context=experiment.context,
            duplicates=whole.duplicates,
        )
        if backbones is not None and (backbones.ancestors or backbones.unknown):
            audit = audit_backbones(audit, experiment.split, whole.hashed, backbones, whole.split)
    say = experiment.context.progress.say
    for leak in (*audit.leaks, *audit.warnings):
        says = "the split leaks" if leak.severity == LEAK else "warning of the audit"
        say(f"{says}: {leak.kind}, {leak.count}, {leak.share:.1%} of the test items")
    for reason in audit.skipped:
        if reason.startswith(BACKBONE_TRAINED_ON_TEST):
            say(f"warning of the audit: {reason}")
    return audit


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
