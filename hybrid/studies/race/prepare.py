"""Before a race: its parameters are checked, encoders resolved, samples drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid.audit.ancestry import find_learnt_items
from hybrid.backbones.provenance import Provenance
from hybrid.catalogue import Catalogue
from hybrid.errors import CatalogueError, SettingError
from hybrid.heads.make_hybrid import choose_blocks
from hybrid.runs.experiment import Experiment
from hybrid.splitting.nested_samples import nested_samples, sample_sizes
from hybrid.splitting.tasks import TRAINING, Task
from hybrid.studies.race.encoders import RacedEmbeddings
from hybrid.studies.race.entries import Entry, resolve_entries
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.shared import Sample, Shared
from hybrid.types import Finding, Split
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.unknown_labels import as_no

OWN_BLOCKS = ("text", "metadata")


def prepare(
    catalogue: Catalogue,
    split: Split,
    backbones: Sequence[str],
    text_encoders: Sequence[str],
    weights: Sequence[str],
    options: RaceOptions,
    task: Task | None,
    split_path: str | Path,
    context: Context,
) -> tuple[Shared, list[RacedEmbeddings], tuple[Finding, ...]]:
    """Check everything, draw the samples, resolve the encoders; parameters and errors as `race_encoders`."""
    if problems := options.problems():
        raise SettingError("\n".join(problems))
    if backbones:
        catalogue.require_posters()
    if text_encoders and not catalogue.columns.text:
        raise CatalogueError(
            f"{catalogue.path}: expected a text column, found none. Name it with --text COLUMN."
        )
    entries = resolve_entries(
        backbones,
        weights,
        text_encoders,
        options=options,
        seed=context.seed,
    )
    task = task or Task()
    experiment = Experiment(catalogue, split, Path("race"), Path(split_path), context=context)
    experiment.check_items()
    experiment = experiment.narrowed(task)
    findings = _check_learnt(experiment, entries)
    blocks = _blocks(experiment.catalogue, options, context)
    samples = _samples(experiment, options)
    shared = Shared(samples, catalogue, blocks, options, task.multiclass, context)
    return shared, [entry.make(entry.name, shared) for entry in entries], findings


def _blocks(catalogue: Catalogue, options: RaceOptions, context: Context) -> tuple[str, ...]:
    if options.blocks is None:
        columns = catalogue.columns
        has = {"text": columns.text, "metadata": columns.metadata}
        return tuple(name for name in OWN_BLOCKS if has[name])
    if not options.blocks:
        return ()
    try:
        return choose_blocks(catalogue, options.blocks, (), context)
    except SettingError as error:
        raise SettingError(str(error).replace("--blocks", "--with-blocks", 1)) from error


def _samples(experiment: Experiment, options: RaceOptions) -> tuple[Sample, ...]:
    """The samples, each with its items in the order of the catalogue."""
    rows, groups = experiment.rows(*TRAINING), experiment.groups(*TRAINING)
    order = np.argsort(rows)
    rows, groups = rows[order], groups[order]
    ids, labels = experiment.catalogue.ids[rows], experiment.catalogue.labels[rows]
    sizes = sample_sizes(len(rows), options.start)
    nested = nested_samples(ids, as_no(labels), groups, sizes, experiment.context.seed)
    return tuple(
        Sample(experiment.catalogue.only(ids[some].tolist()), labels[some], groups[some])
        for some in nested
    )


def _check_learnt(experiment: Experiment, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """Refuse encoders that have learnt labels of the race's items; tell of those of which it is not known.

    Raises
    ------
    SettingError
        The message names all.
    """
    refused = []
    train = experiment.split.ids[np.isin(experiment.split.parts, TRAINING)]
    raced = Split(train, np.full(len(train), "test"), experiment.groups(*TRAINING), "")
    for entry in entries:
        if not entry.learnt.ancestors:
            continue
        known = Provenance(entry.learnt.ancestors)
        found = find_learnt_items(raced, experiment.hashed, known, experiment.split)
        if found.items:
            refused.append(f"{entry.name} (from {counted(len(found.items), 'item')})")
    if refused:
        raise SettingError(
            "--backbone, --text-encoder: expected encoders that have learnt no labels of the train and "
            f"validation items, found {', '.join(refused)}: their out-of-fold scores would be too good. "
            "Compare runs of them instead, on the test items, with hybrid report."
        )
    unknown = [entry.name for entry in entries if entry.learnt.unknown]
    if not unknown:
        return ()
    return (
        Finding(
            "origin of weights",
            f"it cannot be told what {', '.join(unknown)} learnt from; if from labels of these items, the "
            "scores are too good",
            len(unknown),
            examples=tuple(unknown[:3]),
        ),
    )
