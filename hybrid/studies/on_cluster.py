"""The fits of a study on the workers of a cluster, each of which rebuilds the run and keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hybrid.cluster.blocks import BlockRun, SetAside
from hybrid.cluster.connection import Cluster
from hybrid.errors import CacheError, ClusterError, HybridError, RunError
from hybrid.runs.study_files import run_digest
from hybrid.split_types import SplitMethod
from hybrid.studies.fits import Fit, Fits, StudyFit, make_fit
from hybrid.studies.plans import Repeats, plan_fits
from hybrid.studies.subject import Subject, load_subject
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.local_copy import absolute_location
from hybrid.utils.resources import limit_workers

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn


@dataclass(frozen=True)
class SubjectOrder:
    """What is studied: absolute paths or URLs, the same on all workers.

    Parameters
    ----------
    digest : str
        Of the run: one that is fitted again has the same paths.
    folder, catalogue, splits, cache : str
    encoding : str
        Of the catalogue.
    """

    digest: str
    folder: str
    catalogue: str
    splits: str
    cache: str
    encoding: str

    @classmethod
    def of(cls, folder: Path, subject: Subject, encoding: str, context: Context) -> SubjectOrder:
        """The order of a subject that was loaded here."""
        experiment = subject.experiment
        return cls(
            run_digest(folder),
            absolute_location(folder),
            absolute_location(experiment.catalogue.path),
            absolute_location(experiment.split_path),
            absolute_location(context.cache),
            encoding,
        )


@dataclass(frozen=True)
class StudyOrder:
    """A study of it.

    Parameters
    ----------
    of : SubjectOrder
    kind : str
    repeats : int
    method : SplitMethod or None
        Of the repeats.
    seed : int
    """

    of: SubjectOrder
    kind: str
    repeats: int
    method: SplitMethod | None
    seed: int


class _Made(NamedTuple):
    """A fit, or what a fit that cannot be made says."""

    key: str
    fit: StudyFit | None
    problem: str = ""


def fit_on_cluster(
    cluster: Cluster, order: StudyOrder, plan: list[Fit], fits: Fits, progress_name: str
) -> None:
    """Let workers compute the fits that are not remembered; each is remembered when it comes.

    Parameters
    ----------
    cluster : Cluster
    order : StudyOrder
    plan : list of Fit
        All fits of the study.
    fits : Fits
        An error of a fit is raised when it is asked for.
    progress_name : str

    Raises
    ------
    ClusterError
        If the scheduler is gone, no worker can do anything, or workers died under some of the fits, when
        all others are done.
    KeyboardInterrupt
        Fits that are under way are lost, as in one process.
    """
    labels = {fit.key: fit.label or fit.key for fit in fits.lacks(plan)}
    if not labels:
        return
    aside = list[SetAside]()
    with (
        until_interrupted() as interrupted,
        fits.progress.bar(progress_name, len(labels), "fits") as advance,
    ):
        run = BlockRun(cluster, partial(fit_block, order), list(labels), interrupted, patience=0.0)
        for made in run:
            if isinstance(made, SetAside):
                aside.append(made)
            elif made.fit is None:
                fits.fail(made.key, HybridError(made.problem))
            else:
                fits.put(made.key, made.fit)
            advance(1)
        interrupted.obey()
    if aside:
        lines = [f"  {labels[each.block]}: {each.reason}" for each in aside]
        raise ClusterError(
            f"expected all fits, found {counted(len(aside), 'fit')} given up:\n" + "\n".join(lines)
        )


# What a worker keeps from fit to fit: loading a run and its items takes longer than many a fit.
_subjects: dict[SubjectOrder, Subject] = {}
_plans: dict[StudyOrder, dict[str, Fit]] = {}


def fit_block(order: StudyOrder, key: str, turn: Turn) -> _Made:
    """Compute a fit in a worker.

    Parameters
    ----------
    order : StudyOrder
    key : str
        Of the fit.
    turn : Turn

    Raises
    ------
    CacheError, OSError
        If the worker cannot read what it needs.
    """
    with limit_workers(turn.threads):
        fit = _plan(order, turn)[key]
        try:
            return _Made(key, make_fit(fit.compute))
        except CacheError:
            raise
        except HybridError as error:
            return _Made(key, None, str(error))


def _plan(order: StudyOrder, turn: Turn) -> dict[str, Fit]:
    """The fits of a study by their keys, as this worker computes them; kept until another order comes."""
    if order not in _plans:
        _plans.clear()
        context = Context(order.of.cache, turn.threads, order.seed)
        subject = _load(order.of, context)
        repeats = Repeats(subject, order.repeats, order.method, order.seed)
        _plans[order] = {
            fit.key: fit for fit in plan_fits(order.kind, subject, repeats, order.seed)
        }
    return _plans[order]


def _load(order: SubjectOrder, context: Context) -> Subject:
    if order not in _subjects:
        _subjects.clear()
        if run_digest(Path(order.folder)) != order.digest:
            raise RunError(
                f"{order.folder}: expected the run as it is where the command runs, found another one. Has "
                "it been fitted again meanwhile?"
            )
        _subjects[order] = load_subject(
            Path(order.folder),
            catalogue=Path(order.catalogue),
            splits=Path(order.splits),
            encoding=order.encoding,
            context=context,
        )
    return _subjects[order]
