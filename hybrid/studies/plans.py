"""The fits that a study of a run takes, by which workers of a cluster know what they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hybrid.errors import RunError
from hybrid.runs.fitted import LabelledItems
from hybrid.split_types import SplitMethod
from hybrid.splitting.methods import read_times
from hybrid.splitting.repeats import FurtherSplit, check_repeats, further_splits
from hybrid.splitting.tasks import TRAINING
from hybrid.studies.ablation import subset_fits
from hybrid.studies.fits import Fit
from hybrid.studies.learning_curve import curve_fits
from hybrid.studies.nested_cv import fold_fits
from hybrid.studies.repeated_splits import TEMPORAL, split_fit
from hybrid.studies.subject import Subject
from hybrid.utils.unknown_labels import as_no


@dataclass(frozen=True)
class Repeats:
    """The splits that a run is repeated on.

    Parameters
    ----------
    subject : Subject
    count : int
        Of splits, with the run's own.
    asked : SplitMethod or None
        Of a split of which it is not known how it was made.
    seed : int
    """

    subject: Subject
    count: int
    asked: SplitMethod | None
    seed: int

    @property
    def method(self) -> dict[str, Any]:
        """The method of the splits, as it is recorded."""
        method = check_repeats(self.subject.experiment.whole.split, self.count, self.asked)
        return {"method": method.method, "by": method.by}

    def splits(self) -> list[FurtherSplit]:
        """Those but the run's own."""
        whole = self.subject.experiment.whole
        split, catalogue = whole.split, whole.catalogue
        rows, method = whole.rows_of(split.ids), self.method
        moments: dict[str, Any] = {}
        if method["method"] == TEMPORAL:
            column = str(method["by"])
            moments = {
                "times": read_times(catalogue, column)[rows],
                "moments": catalogue.table[column].to_numpy(dtype=object)[rows].tolist(),
            }
        labels = as_no(catalogue.labels)[rows]
        return list(
            further_splits(split, labels, self.count, self.seed, method=self.asked, **moments)
        )

    def items(self, further: FurtherSplit) -> tuple[LabelledItems, LabelledItems]:
        """Training and test items of another split."""
        experiment = replace(self.subject.experiment.whole, split=further.split).narrowed(
            self.subject.record.task
        )
        if experiment.catalogue.genres != self.subject.fitted.genres:
            raise RunError(
                f"{further.name}: expected items of all labels of the run, found others."
            )
        return experiment.items(*TRAINING), experiment.items("test")


def plan_fits(kind: str, subject: Subject, repeats: Repeats, seed: int) -> list[Fit]:
    """The fits of a study.

    Parameters
    ----------
    kind : {"nested", "curve", "ablation", "repeats"}
    subject : Subject
    repeats : Repeats
    seed : int
        Of the study.
    """
    fitted = subject.fitted
    model, training = fitted.model, fitted.training
    if kind == "nested":
        return [fit for _, fit in fold_fits(model, *training)]
    if kind == "curve":
        sizes = curve_fits(model, *training, seed)
        return [each.fit for size in sizes for each in size]
    if kind == "ablation":
        return subset_fits(model, training, fitted.test.frame)
    return [split_fit(model, each, repeats.items) for each in repeats.splits()]
