"""What a run that is being fitted has learnt from: itself and its ancestors."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from hybrid.audit.ancestry import RunProvenance
from hybrid.backbones.devices import device_name
from hybrid.backbones.digests import digests
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.features.fusion import block_kind
from hybrid.images.decode import BadPoster
from hybrid.runs.cost import TrainingCost
from hybrid.runs.experiment import Experiment
from hybrid.runs.record import POSTER, RunRecord
from hybrid.runs.record_parts import AncestorRecord
from hybrid.runs.run_provenance import write_run_provenance
from hybrid.splitting.tasks import TRAINING

MODEL_FILES = "model.*"


def add_provenance(
    record: RunRecord,
    experiment: Experiment,
    folder: Path,
    backbones: Provenance,
    training: TrainingCost,
) -> tuple[RunRecord, RunProvenance]:
    """Write what a run has learnt from, once the files of its model are there; note it in its record.

    Parameters
    ----------
    record : RunRecord
    experiment : Experiment
    folder : Path
        With the files of the model.
    backbones : Provenance
        Of the weights of its backbones.
    training : TrainingCost
    """
    found = _describe(record, experiment, folder, backbones, training)
    write_run_provenance(folder, found)
    return replace(record, ancestors=tuple(map(_to_record, backbones.ancestors))), found


def _describe(
    record: RunRecord,
    experiment: Experiment,
    folder: Path,
    backbones: Provenance,
    training: TrainingCost,
) -> RunProvenance:
    hashed, rows = experiment.hashed, experiment.rows(*TRAINING)
    kinds = {block_kind(name) for name in record.blocks}
    if kinds == {POSTER}:  # what has no poster was not learnt from
        keys = experiment.keys
        readable = [not isinstance(keys[row], BadPoster) for row in rows.tolist()]
        rows = rows[np.array(readable, dtype=bool)]
    run = Ancestor(
        digest=_digest(folder),
        name=experiment.folder.name,
        catalogue=experiment.catalogue.sha256,
        split=experiment.split.sha256,
        items=hashed.take(rows).hashes,
        seconds=training.seconds,
        device=device_name(),
        stores=training.stores,
    )
    return RunProvenance(run, backbones, hashed.take(experiment.rows("test")).hashes)


def _to_record(run: Ancestor) -> AncestorRecord:
    return AncestorRecord(
        digest=run.digest,
        name=run.name,
        catalogue=run.catalogue,
        split=run.split,
        items=len(np.unique(run.items.ids)),  # an item with several posters is there several times
        seconds=run.seconds,
        device=run.device,
    )


def _digest(folder: Path) -> str:
    """SHA-256 over names and hashes of the files of a model."""
    lines = [f"{path.name} {digests(path)['sha256']}" for path in sorted(folder.glob(MODEL_FILES))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
