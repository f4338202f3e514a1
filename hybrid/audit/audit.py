"""Wiring: all that `hybrid audit` does for a split: search, a run's share in it, cost, repair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hybrid.audit.catalogue_audit import audit_catalogue, repair_split
from hybrid.audit.leak_cost import LeakageCost, leakage_cost
from hybrid.audit.leaks import audit_run
from hybrid.catalogue import Catalogue
from hybrid.errors import ExtractionError, RunError, SettingError
from hybrid.evaluation import Outputs
from hybrid.extraction.lookup import find_store
from hybrid.splitting.splits import write_split
from hybrid.types import PARTS, Audit, EmbeddingSelector, Predictions, Split
from hybrid.utils.context import Context, limited_by_context


class FittedRun(Protocol):
    """What an audit reads of a run: `hybrid.runs.folder.Run` has it."""

    @property
    def name(self) -> str:
        """Name of the folder."""

    @property
    def folder(self) -> Path:
        """For the messages."""

    @property
    def predictions(self) -> Predictions:
        """Whose `splits` say what the run learnt from."""

    @property
    def fitted_on(self) -> Mapping[str, Sequence[str]]:
        """What was fitted (preprocessing, thresholds) → parts of the split that it was fitted on."""


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    `groups` have more than one item, `tied` in all; `moved` items changed their part, `added` were in no
    part or in several; `audit` is of the new split.
    """

    path: Path
    sha256: str
    groups: int
    tied: int
    moved: int
    added: int
    audit: Audit


@dataclass(frozen=True)
class AuditResult:
    """The audit of a split as it was found; the leaks' cost to a run; the repair."""

    audit: Audit
    cost: dict[str, LeakageCost]
    repaired: Repair | None


@limited_by_context
def audit_project(
    catalogue: Catalogue,
    split: Split,
    *,
    run: FittedRun | None = None,
    repair_to: Path | None = None,
    select: EmbeddingSelector | None = None,
    context: Context | None = None,
) -> AuditResult:
    """Audit a split and, if asked, a run; repair it, if asked.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    run : FittedRun, optional
        As `read_run` gives it: whether it learnt from test items, and what the leaks are worth to it.
    repair_to : Path, optional
        Where the repaired split is written.
    select : EmbeddingSelector, optional
        Which embeddings are compared; by default those of the catalogue, if there is one set.
    context : Context, optional
        Its seed is that of the repaired split and of the bootstrap.

    Raises
    ------
    ExtractionError, SettingError
        If embeddings are named that are not there.
    """
    context = context or Context()
    try:
        store = find_store(catalogue, select, context)
    except (ExtractionError, SettingError):
        if select is not None and select.names_any:
            raise
        store = None  # the audit lists it among what could not be looked for
    audit = audit_catalogue(catalogue, split, store=store, context=context)
    cost = {}
    if run is not None:
        audit = _with_run(audit, split, run)
        cost = _cost(audit, catalogue, run, context.seed)
    if repair_to is None:
        return AuditResult(audit, cost, None)
    new, after = repair_split(catalogue, split, store=store, context=context)
    write_split(new, repair_to)
    return AuditResult(audit, cost, _describe(split, new, after, repair_to))


def _with_run(audit: Audit, split: Split, run: FittedRun) -> Audit:
    predictions = run.predictions
    learnt = predictions.ids[np.isin(predictions.splits, PARTS[:2])]
    return audit_run(audit, split, set(learnt.tolist()), run.fitted_on, run.name)


def _cost(audit: Audit, catalogue: Catalogue, run: FittedRun, seed: int) -> dict[str, LeakageCost]:
    """What the leaks are worth to a run, on the test items of its predictions."""
    predictions = run.predictions
    test = np.flatnonzero(predictions.splits == "test")
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    names = predictions.ids[test].tolist()
    absent = [name for name in names if name not in position]
    if absent or not names:
        found = f"{len(absent)} that are not ({', '.join(absent[:3])})" if absent else "none"
        raise RunError(
            f"{run.folder}: expected test items that are in {catalogue.path}, found {found}."
        )
    truth = catalogue.label_matrix(predictions.genres)[[position[name] for name in names]]
    answers = Outputs(predictions.labels[test], predictions.probabilities[test])
    leaked = np.array([name in audit.leaked for name in names])
    return leakage_cost(truth, answers, leaked, seed=seed)


def _describe(old: Split, new: Split, audit: Audit, path: Path) -> Repair:
    before: dict[str, set[str]] = {}
    for name, part in zip(old.ids.tolist(), old.parts.tolist(), strict=True):
        before.setdefault(name, set()).add(part)
    found = [before.get(name, set()) & set(PARTS) for name in new.ids.tolist()]
    sizes = [size for size in Counter(new.groups.tolist()).values() if size > 1]
    return Repair(
        path=path,
        sha256=new.sha256,
        groups=len(sizes),
        tied=sum(sizes),
        moved=sum(len(f) == 1 and p not in f for f, p in zip(found, new.parts, strict=True)),
        added=sum(len(parts) != 1 for parts in found),
        audit=audit,
    )
