"""Studies of a fit: nested cross-validation, learning curve, ablation, repeated splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.evaluation import Outputs, evaluate_all
from hybrid.runs.fitted import FittedModel, LabelledItems
from hybrid.runs.json_dataclass import convert
from hybrid.runs.study_records import (
    AblationRecord,
    LearningCurveRecord,
    NestedRecord,
    RepeatsRecord,
    StudiesRecord,
)
from hybrid.studies.ablation import COMPARED, ablate_blocks, contribution_table, mean_contributions
from hybrid.studies.learning_curve import learning_curve
from hybrid.studies.nested_cv import nested_cv_predict
from hybrid.studies.repeated_splits import evaluate_repeated_splits
from hybrid.types import Split
from hybrid.utils.context import Context
from hybrid.utils.resources import CostRecorder

CONTRIBUTIONS = "contributions.csv"


@dataclass(frozen=True)
class Studies:
    """Studies to run on a fitted model; each takes further fits.

    Parameters
    ----------
    nested : bool, default=False
        Nested cross-validation, without the test items; see `nested_cv_predict`.
    curve : bool, default=False
        Learning curve, without the test items; see `learning_curve`.
    ablation : bool, default=False
        Fit every subset of the blocks, and remove blocks from the test items; see `ablate_blocks`.
    repeats : int, default=1
        Number of runs, including the run itself; see `evaluate_repeated_splits`.

    Examples
    --------
    >>> Studies(nested=True, repeats=5).curve
    False
    """

    nested: bool = False
    curve: bool = False
    ablation: bool = False
    repeats: int = 1

    def __call__(
        self,
        subject: FittedModel,
        whole: LabelledItems,
        split: Split,
        folder: Path,
        context: Context,
    ) -> StudiesRecord:
        """Run the studies.

        Parameters
        ----------
        subject : FittedModel
        whole : LabelledItems
            All items of the catalogue, for other splits.
        split : Split
        folder : Path
            Where a table that is too long for the record is written.
        context : Context
            Its seed and progress are used.

        Returns
        -------
        StudiesRecord
            For the record of the run; `costs` has the cost of each study, which is not part of the cost of
            the run.
        """
        found: dict[str, Any] = {}
        costs, model = CostRecorder(), subject.model
        seed, progress = context.seed, context.progress
        if self.nested:
            progress.say(f"nested cross-fitting: {model.folds} fits of the same kind")
            with costs.stage("nested"):
                nested = nested_cv_predict(model, *subject.training)
            found["nested"] = _estimate(subject, nested, costs.stages[-1].seconds, seed)
        if self.curve:
            with costs.stage("learning curve"):
                curve = learning_curve(
                    model, *subject.training, subject.genres, seed=seed, progress=progress
                )
            found["learning_curve"] = convert(LearningCurveRecord, curve)
        if self.ablation:
            with costs.stage("ablation"):
                found["ablation"] = _ablate(subject, folder, context)
        if self.repeats > 1:
            with costs.stage("repeats"):
                repeats = evaluate_repeated_splits(
                    model, whole.frame, whole.labels, split, self.repeats, seed,
                    first=subject.outputs, say=progress.say,
                )  # fmt: skip
            found["repeats"] = convert(RepeatsRecord, repeats)
        return StudiesRecord(**found, costs=tuple(costs.stages))


def _estimate(subject: FittedModel, nested: Outputs, seconds: float, seed: int) -> NestedRecord:
    """Evaluate the nested predictions, and the out-of-fold ones that parameters were chosen on."""
    model, (_, truth, groups) = subject.model, subject.training
    outputs = [nested, Outputs(model.oof_labels_, model.oof_probabilities_)]
    unbiased, optimistic = evaluate_all(truth, outputs, subject.genres, groups=groups, seed=seed)
    return NestedRecord(
        folds=model.folds,
        items=len(truth),
        seconds=seconds,
        metrics=unbiased.metrics,
        out_of_fold=optimistic.metrics,
    )


def _ablate(subject: FittedModel, folder: Path, context: Context) -> AblationRecord:
    """Ablate the blocks; write what each of them adds to each item as a table."""
    found = ablate_blocks(
        subject.model,
        subject.training,
        subject.test,
        seed=context.seed,
        fit_seconds=subject.fit_seconds,
        say=context.progress.say,
    )
    table = contribution_table(subject.model, subject.test.frame, subject.genres)
    table.to_csv(folder / CONTRIBUTIONS, index=False, float_format="%.6f", lineterminator="\n")
    ablation = {"metric": COMPARED, **vars(found), "mean_contribution": mean_contributions(table)}
    return convert(AblationRecord, ablation)
