"""Catalogue + split + folder: what every fit needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.catalogue_audit import audit_catalogue
from hybrid.audit.leaks import audit_backbone
from hybrid.catalogue import Catalogue
from hybrid.errors import CatalogueError, SplitError
from hybrid.extraction.lookup import hash_catalogue
from hybrid.images.decode import BadPoster
from hybrid.runs.fitted import LabelledItems
from hybrid.runs.folder import PREDICTIONS, SEPARATOR, check_run_folder, read_predictions
from hybrid.types import LEAK, PARTS, Audit, Split
from hybrid.utils.context import Context
from hybrid.utils.resources import CostRecorder


@dataclass(frozen=True)
class Experiment:
    """What every fit needs: the data, where the run goes, and how it was asked for.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    split_path : Path
        Named in the record.
    folder : Path
        The run's folder.
    command : str or None
        As the user typed it, for the record.
    context : Context
        Cache, workers, seed and progress.
    """

    catalogue: Catalogue
    split: Split
    folder: Path
    split_path: Path = Path("splits.csv")
    command: str | None = None
    context: Context = field(default_factory=Context)

    def rows(self, *parts: str) -> NDArray[np.int64]:
        """Positions in the catalogue of the items of these parts, in the order of the split."""
        wanted = self.split.ids[np.isin(self.split.parts, parts)].tolist()
        return np.array([self._position[name] for name in wanted], dtype=np.int64)

    def side(self, *parts: str) -> LabelledItems:
        """The items of these parts: frame, labels, groups."""
        rows = self.rows(*parts)
        frame, labels = self.catalogue.frame.iloc[rows], self.catalogue.labels[rows]
        return LabelledItems(frame, labels, self.groups(*parts))

    def groups(self, *parts: str) -> NDArray[Any]:
        """The group of each item of these parts, in the order of `rows`."""
        return self.split.groups[np.isin(self.split.parts, parts)]

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.catalogue.ids.tolist())}

    @cached_property
    def keys(self) -> list[bytes | BadPoster]:
        """The cache key of each item's poster, or why it has none; read once for the whole run."""
        return hash_catalogue(self.catalogue, self.context)

    def check(self) -> None:
        """Raise what would otherwise be found after hours of work.

        Raises
        ------
        CatalogueError, SplitError, RunError, SettingError
        """
        check_run_folder(self.folder)
        self.catalogue.require_labels()
        parted = [genre for genre in self.catalogue.genres if SEPARATOR in genre]
        if parted:
            raise CatalogueError(
                f"{self.catalogue.path}: expected labels without {SEPARATOR!r}, which parts the predicted "
                f"ones in predictions.csv, found {parted[0]!r}."
            )
        known, split = set(self.catalogue.ids.tolist()), set(self.split.ids.tolist())
        strange = sorted(split - known)
        new = sorted(set(self.catalogue.ids[self.catalogue.labelled].tolist()) - split)
        problems = []
        if strange:
            problems.append(
                f"{len(strange)} of its ids are not in the catalogue ({_some(strange)})"
            )
        if new:
            problems.append(f"{len(new)} labelled items are in no part of it ({_some(new)})")
        problems += [f"no item is {part}" for part in PARTS if not (self.split.parts == part).any()]
        if problems:
            raise SplitError(
                f"{self.split_path}: expected a split of {self.catalogue.path}, found that "
                f"{'; '.join(problems)}. Make a new one with: hybrid split"
            )


def audit_experiment(
    experiment: Experiment, costs: CostRecorder, trainers: Iterable[Path] = ()
) -> Audit:
    """Audit the split of an experiment, and of the runs that trained its backbones.

    Parameters
    ----------
    experiment : Experiment
    costs : CostRecorder
        Gets the stage ``audit``.
    trainers : iterable of Path
        Folders of runs whose networks serve as backbones: a leak where one was trained on test items.
    """
    with costs.stage("audit"):
        audit = audit_catalogue(
            experiment.catalogue,
            experiment.split,
            context=experiment.context,
            keys=experiment.keys,
        )
        for trainer in sorted(trainers):
            earlier = read_predictions(trainer / PREDICTIONS)
            unseen = set(earlier.ids[earlier.splits == "test"].tolist())
            audit = audit_backbone(audit, experiment.split, unseen, trainer.name)
    for leak in (*audit.leaks, *audit.warnings):
        says = "the split leaks" if leak.severity == LEAK else "warning of the audit"
        experiment.context.progress.say(
            f"{says}: {leak.kind}, {leak.count}, {leak.share:.1%} of the test items"
        )
    return audit


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
