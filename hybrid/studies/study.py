"""Studies of a finished run: nested cross-validation, learning curve, ablation, repeated splits."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hybrid._version import __version__
from hybrid.catalogue import Catalogue
from hybrid.cluster.connection import use_cluster
from hybrid.errors import HybridError, RunError, SettingError
from hybrid.evaluation import Outputs, evaluate_all
from hybrid.runs.fitted import FittedModel, LabelledItems
from hybrid.runs.folder import Run, read_run
from hybrid.runs.licences import check_run_licences
from hybrid.runs.record import RunRecord
from hybrid.runs.replacement import hold_run, recover_run
from hybrid.runs.study_files import FOLDER, run_digest, write_beside, write_study
from hybrid.runs.study_records import LearntRecord, NestedRecord
from hybrid.split_types import Split, SplitMethod
from hybrid.splitting.repeats import check_repeats
from hybrid.studies.ablation import (
    COMPARED,
    ablate_blocks,
    block_subsets,
    contribution_table,
    mean_contributions,
)
from hybrid.studies.fits import Fits
from hybrid.studies.learning_curve import learning_curve
from hybrid.studies.learnt_items import find_learnt_record, warn_of_ancestors
from hybrid.studies.nested_cv import nested_cv_predict
from hybrid.studies.on_cluster import StudyOrder, SubjectOrder, fit_on_cluster
from hybrid.studies.plans import Repeats, plan_fits
from hybrid.studies.repeated_splits import (
    OWN,
    RepeatedRun,
    evaluate_repeated_splits,
)
from hybrid.studies.subject import Subject, check_subject, load_subject
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.csv_text import csv_text
from hybrid.utils.environment import library_versions
from hybrid.utils.refusals import describe_refusal, refusal_number
from hybrid.utils.resources import CostRecorder

CONTRIBUTIONS = "contributions.csv"
# Kind → name in the costs.
NAMES = {
    "nested": "nested",
    "curve": "learning curve",
    "ablation": "ablation",
    "repeats": "repeats",
}


@dataclass(frozen=True)
class Studies:
    """Studies to make of a run; each takes further fits.

    Parameters
    ----------
    nested : bool, default=False
        Nested cross-validation, without the test items; see `nested_cv_predict`.
    curve : bool, default=False
        Learning curve, without the test items; see `learning_curve`.
    ablation : bool, default=False
        Fit every subset of the blocks, and remove blocks from the test items; see `ablate_blocks`.
    repeats : int, default=1
        Number of splits, including that of the run; see `further_splits`.
    method : SplitMethod, optional
        Of the repeats, for a split of which it is not known how it was made; see `check_repeats`.

    Examples
    --------
    >>> Studies(nested=True, repeats=5).kinds
    ('nested', 'repeats')
    """

    nested: bool = False
    curve: bool = False
    ablation: bool = False
    repeats: int = 1
    method: SplitMethod | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the studies asked for."""
        asked = {**{kind: getattr(self, kind) for kind in NAMES}, "repeats": self.repeats > 1}
        return tuple(kind for kind, yes in asked.items() if yes)

    def check(self, split: Split) -> None:
        """Check the settings against the split of a run, before hours of work.

        Raises
        ------
        SettingError
            If one is wrong, or the split cannot be repeated.
        """
        if self.repeats < 1:
            raise SettingError(f"--repeats: expected 1 or more, found {self.repeats}.")
        if self.method is not None and self.repeats < 2:
            raise SettingError("--method needs --repeats N (2 or more).")
        if self.repeats > 1:
            check_repeats(split, self.repeats, self.method)


@limited_by_context
def study_run(
    folder: str | Path,
    studies: Studies,
    *,
    catalogue: str | Path | None = None,
    splits: str | Path | None = None,
    encoding: str = "utf-8",
    seed: int | None = None,
    command: str | None = None,
    go_on: Sequence[str] = (),
    tell: Callable[[Catalogue], None] | None = None,
    licence: str = "any",
    context: Context | None = None,
) -> Run:
    """Study a finished run; results are written beside it, in ``studies/``, and the run is not touched.

    Each fit is remembered once it is done: an interrupted study goes on when it is called again with
    the same settings, and gives the same result.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    studies : Studies
    catalogue, splits : str or Path, optional
        By default where the run recorded them. Their hashes must be those that it recorded.
    encoding : str, default="utf-8"
        Text encoding of the catalogue.
    seed : int, optional
        Of the studies; by default that of the run.
    command : str, optional
        Recorded as the user typed it.
    go_on : sequence of str, default=()
        Further arguments of the command that a message names.
    tell : callable, optional
        Called with the catalogue when it has been read, before any fit.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse a run on weights whose licence is not known to permit commercial use.
    context : Context, optional
        Cache of the embeddings, workers, progress, and the cluster that computes the fits; its seed is
        not used.

    Returns
    -------
    Run
        With its studies in ``record.studies``.

    Raises
    ------
    RunError
        If the run cannot be studied, or a study fails; those that were made before are kept.
    SettingError
        If no study is asked for, the split cannot be repeated, or a licence is refused.

    Examples
    --------
    >>> from hybrid import study_run
    >>> run = study_run("runs/svm", Studies(ablation=True))  # doctest: +SKIP
    >>> run.record.studies.ablation.subsets[0].blocks  # doctest: +SKIP
    ('poster',)
    """
    folder, context = Path(folder), context or Context()
    if not studies.kinds:
        raise SettingError("expected a study: --nested, --curve, --ablation or --repeats N of 2.")
    record = RunRecord.read(folder)
    check_run_licences(folder, record, licence)
    check_subject(folder, record)
    warn_of_ancestors(record, studies.kinds)
    own = record.seed or 0
    context = replace(context, seed=own if seed is None else seed)
    with hold_run(folder):
        recover_run(folder)
        with context.progress.step("loading the run and its items"):
            subject = load_subject(
                folder,
                catalogue=None if catalogue is None else Path(catalogue),
                splits=None if splits is None else Path(splits),
                encoding=encoding,
                context=context,
            )
        if tell is not None:
            tell(subject.experiment.whole.catalogue)
        studies.check(subject.experiment.whole.split)
        for i, kind in enumerate(studies.kinds):
            rest = _command(folder, studies, studies.kinds[i:], go_on)
            try:
                _Study(kind, folder, subject, studies, context, command, encoding).make()
            except HybridError as error:
                raise _failure(folder, kind, str(error), rest) from error
            except KeyboardInterrupt:
                context.progress.say(
                    f"{folder}: the study {kind} is interrupted; what is done is kept. Go on with: {rest}"
                )
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                if refusal_number(error) is not None:
                    reason = describe_refusal(getattr(error, "filename", None) or folder, error)
                raise _failure(folder, kind, reason, rest) from error
    return read_run(folder)


def _failure(folder: Path, kind: str, reason: str, rest: str) -> RunError:
    return RunError(
        f"{folder}: the study {kind} failed, the run itself is complete: {reason}\nGo on with: {rest}"
    )


def _command(folder: Path, studies: Studies, kinds: Sequence[str], go_on: Sequence[str]) -> str:
    """The command that makes the studies that are left."""
    words = ["hybrid", "study", str(folder)]
    for kind in kinds:
        words += [f"--{kind}", *([str(studies.repeats)] if kind == "repeats" else [])]
    if "repeats" in kinds and studies.method is not None:
        words += ["--method", studies.method.method]
        words += ["--by", studies.method.by] if studies.method.by else []
    return shlex.join([*words, *go_on])


class _Study:
    """One study of a run, while it is made."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        subject: Subject,
        studies: Studies,
        context: Context,
        command: str | None,
        encoding: str,
    ) -> None:
        self.kind, self.folder, self.subject, self.studies = kind, folder, subject, studies
        self.context, self.command, self.encoding = context, command, encoding
        self.repeats = Repeats(subject, studies.repeats, studies.method, context.seed)
        self.fitted: FittedModel = subject.fitted
        self.costs = CostRecorder()

    def make(self) -> None:
        """Make the study, and write it."""
        name, settings = NAMES[self.kind], self.repeats.method if self.kind == "repeats" else {}
        total, make = {
            "nested": (self.fitted.model.folds, self._nested),
            "curve": (0, self._curve),
            "ablation": (len(block_subsets(self.fitted.model.fusion.names)) - 1, self._ablate),
            "repeats": (self.studies.repeats - 1, self._repeat),
        }[self.kind]
        identity = {
            "run": run_digest(self.folder),
            "seed": self.context.seed,
            **settings,
            "versions": {"hybrid": __version__, **library_versions()},
        }
        partial = self.folder / FOLDER / f"{self.kind}.partial"
        fits = Fits(name, total, self.context.progress, partial, identity)
        with self.costs.stage(name), self.context.progress.step(name):
            self._fit_ahead(fits)
            result = make(fits)
        (stage,) = self.costs.stages
        cost = replace(stage, seconds=stage.seconds + fits.restored_seconds)
        if isinstance(result, NestedRecord):
            result = replace(result, seconds=cost.seconds)
        said = {**settings, **({"repeats": self.studies.repeats} if settings else {})}
        how: dict[str, Any] = {"settings": said, "seed": self.context.seed, "command": self.command}
        write_study(self.folder, self.kind, result, cost, **how)
        fits.forget()

    def _fit_ahead(self, fits: Fits) -> None:
        """Let a cluster compute the fits, if there is one."""
        with use_cluster(self.context) as cluster:
            if cluster is not None:
                of = SubjectOrder.of(self.folder, self.subject, self.encoding, self.context)
                studies, seed = self.studies, self.context.seed
                order = StudyOrder(of, self.kind, studies.repeats, studies.method, seed)
                plan = plan_fits(self.kind, self.subject, self.repeats, seed)
                fit_on_cluster(cluster, order, plan, fits, NAMES[self.kind])

    def _nested(self, fits: Fits) -> NestedRecord:
        """Evaluate the nested predictions, and the out-of-fold ones that parameters were chosen on."""
        model, training = self.fitted.model, self.fitted.training
        nested = nested_cv_predict(model, *training, fits=fits)
        outputs = [nested, Outputs(model.oof_labels_, model.oof_probabilities_)]
        unbiased, optimistic = evaluate_all(
            training.labels,
            outputs,
            self.fitted.genres,
            groups=training.groups,
            seed=self.context.seed,
        )
        return NestedRecord(
            folds=model.folds,
            items=len(training.labels),
            metrics=unbiased.metrics,
            out_of_fold=optimistic.metrics,
            learnt=self._learnt(training),
        )

    def _curve(self, fits: Fits) -> dict[str, Any]:
        found = learning_curve(
            self.fitted.model,
            *self.fitted.training,
            self.fitted.genres,
            seed=self.context.seed,
            progress=self.context.progress,
            fits=fits,
        )
        return {**vars(found), "learnt": self._learnt(self.fitted.training)}

    def _learnt(self, tested: LabelledItems) -> LearntRecord:
        return find_learnt_record(tested, self.subject.experiment.whole, self.fitted.model)

    def _ablate(self, fits: Fits) -> dict[str, Any]:
        """Ablate the blocks; write what each of them adds to each item as a table."""
        fitted = self.fitted
        found = ablate_blocks(
            fitted.model,
            fitted.training,
            fitted.test,
            seed=self.context.seed,
            fit_seconds=fitted.fit_seconds,
            say=self.context.progress.say,
            fits=fits,
        )
        table = contribution_table(fitted.model, fitted.test.frame, fitted.genres)
        text = csv_text(table, "%.6f")
        write_beside(self.folder / FOLDER / CONTRIBUTIONS, text.encode())
        return {
            "metric": COMPARED,
            **vars(found),
            "simultaneous": True,
            "mean_contribution": mean_contributions(table),
        }

    def _repeat(self, fits: Fits) -> dict[str, Any]:
        fitted, seed = self.fitted, self.context.seed
        digest = self.subject.experiment.split.sha256
        own = RepeatedRun(OWN, seed, digest, fitted.training, fitted.test, fitted.outputs)
        return evaluate_repeated_splits(
            fitted.model,
            own,
            self.repeats.splits(),
            self.repeats.items,
            fitted.genres,
            method=self.repeats.method["method"],
            seed=seed,
            fits=fits,
            learnt=self._learnt,
        )
