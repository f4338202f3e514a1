"""Audit of a split: duplicates, leaks, label leakage, a run's training items; and its repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hybrid.audit.ancestry import HashedItems, RunProvenance, audit_backbones, audit_own_items
from hybrid.audit.cached_backbones import CachedBackbone, audit_cached_backbones
from hybrid.audit.embedding_sets import (
    find_compared_store,
    find_compared_texts,
    name_embedding_sets,
)
from hybrid.audit.label_leakage import LabelLeak, find_label_leakage
from hybrid.audit.leak_cost import LeakageCost, leakage_cost
from hybrid.audit.leaks import (
    COLUMN_LEAKS_LABEL,
    LABEL_IN_TEXT,
    add_warnings,
    audit_fitted_on,
    audit_split,
)
from hybrid.audit.repair import Repair, describe_repair, regroup
from hybrid.backbones.provenance import Provenance
from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.duplicates.find import Duplicates, Keys, find_duplicates
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import Outputs
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.poster_keys import key_sets
from hybrid.extraction.provenance import store_provenance
from hybrid.splitting.split_file import write_split
from hybrid.splitting.tasks import Task, narrow, narrow_labels
from hybrid.types import Audit, EmbeddingSelector, Predictions, Split, TextSelector
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import read_only


class FittedRun(Protocol):
    """What an audit reads of a run: `hybrid.runs.folder.Run` has it."""

    @property
    def name(self) -> str:
        """Name of the folder."""

    @property
    def folder(self) -> Path:
        """For the messages."""

    @property
    def task(self) -> Task:
        """Which items and labels it is about."""

    @property
    def predictions(self) -> Predictions:
        """Their `splits` name the train, validation and test items."""

    @property
    def provenance(self) -> RunProvenance:
        """What the run and its ancestors have learnt from."""

    @property
    def fitted_on(self) -> Mapping[str, Sequence[str]]:
        """What was fitted (preprocessing, thresholds) → parts of the split that it was fitted on."""


@dataclass(frozen=True)
class AuditResult:
    """Result of `audit_project`.

    Parameters
    ----------
    audit : Audit
        Of the split as it was found.
    cost : dict of str to LeakageCost
        Metric → what the leaks are worth to the run; empty without a run or without leaks.
    repaired : Repair or None
        None if no repair was asked for.
    backbones : tuple of CachedBackbone, default=()
        Each set of embeddings of the catalogue, and whether its weights have learnt from test items of the
        split as it was found. This is no fault of the split: `audit` has it only of embeddings that were
        named, and of those of the run.
    """

    audit: Audit
    cost: dict[str, LeakageCost]
    repaired: Repair | None
    backbones: tuple[CachedBackbone, ...] = ()


@limited_by_context
def audit_project(
    catalogue: Catalogue,
    split: Split,
    *,
    run: FittedRun | None = None,
    repair_to: Path | None = None,
    select: EmbeddingSelector | None = None,
    select_text: TextSelector | None = None,
    context: Context | None = None,
) -> AuditResult:
    """Audit a split and, if asked, a run; repair the split, if asked.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    run : FittedRun, optional
        As `read_run` gives it: whether it or a run that trained its backbones was trained on test items,
        and what the leaks are worth to it. Of a run on some genres or on one label an item, only leaks
        between the items of its task are counted, as when it was fitted.
    repair_to : Path, optional
        Where the repaired split is written, if there is anything to repair; by default nothing is repaired.
    select : EmbeddingSelector, optional
        The embeddings that are compared; by default those of the catalogue, if there is one set. Where they
        are named, it is audited, too, whether their weights have learnt from test items.
    select_text : TextSelector, optional
        The text embeddings that are compared; by default those of the catalogue, if there is one set.
    context : Context, optional
        Its seed is that of the repaired split and of the bootstrap.

    Returns
    -------
    AuditResult

    Raises
    ------
    ExtractionError, SettingError
        If embeddings are named that are not there.
    RunError
        If the test items of the run are not in the catalogue.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> from hybrid.splitting.splits import make_split
    >>> split = make_split(catalogue.ids, catalogue.labels)  # without groups
    >>> result = audit_project(
    ...     catalogue, split, repair_to=Path(folder.name, "splits.csv"), context=context
    ... )
    >>> result.audit.clean, result.repaired.audit.clean
    (False, True)
    >>> folder.cleanup()
    """
    context = context or Context()
    with read_only(repair_to is None):
        keys = hash_catalogue(catalogue, context)
        store = find_compared_store(catalogue, select, keys, context)
        texts, untold = find_compared_texts(catalogue, select_text, context)
        asked, counted = _narrow(catalogue, split, run)
        duplicates = find_duplicates(catalogue, keys, store=store, texts=texts, context=context)
        if untold:
            duplicates = replace(duplicates, skipped=(*duplicates.skipped, untold))
        audit = _audit(catalogue, counted, duplicates, asked.genres)
        sets = key_sets(catalogue, keys, context)
        if store is None:
            audit = name_embedding_sets(audit, sets, context.cache)
        items = HashedItems.of(catalogue, keys, sets, duplicates.kinds)
        asked_of = (counted, items, sets, context.cache, split, catalogue)
        backbones = audit_cached_backbones(*asked_of)
        named = store if store is not None and select is not None and select.names_any else None
        learnt = Provenance() if named is None else store_provenance(named)
    if named is not None:
        audit = audit_backbones(audit, counted, items, learnt, split)
    cost = {}
    if run is not None:
        audit = _with_run(audit, counted, split, items, run)
        cost = _cost(audit, catalogue, split, run, context.seed)
    if repair_to is None:
        return AuditResult(audit, cost, None, backbones)
    catalogue.require_labels()
    new, after = _repair(catalogue, split, duplicates, context.seed)
    after = audit_backbones(after, new, items, learnt)
    if new is not split:
        write_split(new, repair_to)
    return AuditResult(audit, cost, describe_repair(split, new, after, repair_to), backbones)


@limited_by_context
def audit_catalogue(
    catalogue: Catalogue,
    split: Split,
    *,
    genres: Sequence[str] | None = None,
    keys: Keys | None = None,
    store: EmbeddingStore | None = None,
    duplicates: Duplicates | None = None,
    context: Context | None = None,
) -> Audit:
    """Audit the split of a catalogue: repeated ids, duplicates in two parts, label leakage.

    Parameters
    ----------
    catalogue : Catalogue
        Of n items.
    split : Split
        Of some of its items, or all: only they are counted, but duplicates are searched for in the whole
        catalogue, since it depends on all its texts which are near-same.
    genres : sequence of str, optional
        Warn of label leakage of these; by default of all.
    keys : sequence of n bytes or BadPoster, optional
        As `hash_catalogue` gives them; by default the poster files are hashed.
    store : EmbeddingStore, optional
        Embeddings to be compared; by default none.
    duplicates : Duplicates, optional
        Of the catalogue; by default they are searched for, with `keys` and `store`.
    context : Context, optional
        Its cache remembers the hashes of the posters.

    Returns
    -------
    Audit

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> from hybrid.splitting.methods import split_catalogue
    >>> audit_catalogue(catalogue, split_catalogue(catalogue, context=context), context=context).clean
    True
    >>> folder.cleanup()
    """
    found = duplicates or _find_duplicates(catalogue, keys, store, context)
    return _audit(catalogue, split, found, genres)


@limited_by_context
def repair_split(
    catalogue: Catalogue,
    split: Split,
    *,
    store: EmbeddingStore | None = None,
    context: Context | None = None,
) -> tuple[Split, Audit]:
    """Repair a split: group its duplicates, and assign all items anew in its own shares.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
        Its groups stay together.
    store : EmbeddingStore, optional
        Embeddings to be compared; by default none.
    context : Context, optional
        Its seed is that of the new split.

    Returns
    -------
    Split, Audit
        The new split, of all labelled items, by iterative stratification, or `split` itself where there is
        nothing to repair; and its audit.

    Raises
    ------
    CatalogueError
        If there are no labels.
    SplitError
        If a group is too large for any part.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> context = Context(cache=f"{folder.name}/.hybrid-cache", workers=1)
    >>> from hybrid.splitting.splits import make_split
    >>> split = make_split(catalogue.ids, catalogue.labels)  # without groups
    >>> repaired, audit = repair_split(catalogue, split, context=context)
    >>> len(repaired.ids), audit.clean
    (60, True)
    >>> folder.cleanup()
    """
    context = context or Context()
    catalogue.require_labels()
    duplicates = _find_duplicates(catalogue, None, store, context)
    return _repair(catalogue, split, duplicates, context.seed)


def _repair(
    catalogue: Catalogue, split: Split, duplicates: Duplicates, seed: int
) -> tuple[Split, Audit]:
    new = regroup(catalogue, split, duplicates.groups, seed)
    return new, _audit(catalogue, new, duplicates)


def _find_duplicates(
    catalogue: Catalogue, keys: Keys | None, store: EmbeddingStore | None, context: Context | None
) -> Duplicates:
    keys = hash_catalogue(catalogue, context) if keys is None else keys
    return find_duplicates(catalogue, keys, store=store, context=context)


def _audit(
    catalogue: Catalogue,
    split: Split,
    duplicates: Duplicates,
    genres: Sequence[str] | None = None,
) -> Audit:
    audit = audit_split(split, duplicates.kinds, duplicates.skipped)
    if not catalogue.labelled.any():
        return audit
    ids, asked = catalogue.ids, catalogue.genres if genres is None else genres

    def describe(leaks: Sequence[LabelLeak]) -> list[tuple[str, list[str]]]:
        named = [leak for leak in leaks if leak.genre in asked]
        return [(f"{k.genre} by {k.column}, {k.score:.2f}", ids[k.items].tolist()) for k in named]

    named, predicted = find_label_leakage(catalogue)
    audit = add_warnings(audit, LABEL_IN_TEXT, describe(named), split)
    return add_warnings(audit, COLUMN_LEAKS_LABEL, describe(predicted), split)


def _narrow(catalogue: Catalogue, split: Split, run: FittedRun | None) -> tuple[Catalogue, Split]:
    """Catalogue and split as the task of a run has them, or as they are."""
    if run is None or run.task.whole:
        return catalogue, split
    try:
        return narrow(catalogue, split, run.task)
    except SettingError as error:
        raise RunError(
            f"{run.folder}: expected a catalogue with the labels of its task, found {catalogue.path} without "
            f"them: {error} Name the catalogue that it was fitted on with --catalogue."
        ) from error


def _with_run(
    audit: Audit, split: Split, whole: Split, items: HashedItems, run: FittedRun
) -> Audit:
    found = run.provenance
    audit = audit_own_items(audit, split, items, found, whole)
    audit = audit_backbones(audit, split, items, found.backbones, whole)
    return audit_fitted_on(audit, split, run.fitted_on, run.name)


def _cost(
    audit: Audit, catalogue: Catalogue, split: Split, run: FittedRun, seed: int
) -> dict[str, LeakageCost]:
    """What the leaks are worth to a run, on the test items of its predictions."""
    predictions = run.predictions
    if not run.task.whole:
        catalogue = narrow_labels(catalogue, run.task)
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
    outputs = Outputs(predictions.labels[test], predictions.probabilities[test])
    leaked = np.array([name in audit.leaked for name in names])
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    groups = np.array([group.get(name, name) for name in names])
    return leakage_cost(truth, outputs, leaked, groups=groups, seed=seed)
