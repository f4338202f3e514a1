"""provenance.json of a run folder: what the run and its ancestors have learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.audit.ancestry import RunProvenance
from hybrid.audit.item_hashes import hash_ids
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.backbones.weights import describe_unknown
from hybrid.cache.sealed import PROVENANCE, seal, unseal
from hybrid.cache.verified_files import DamageError
from hybrid.runs.record import DEEP, RunRecord
from hybrid.runs.record_parts import BackboneRecord, TrainedBackboneRecord
from hybrid.splitting.tasks import TRAINING
from hybrid.types import Predictions
from hybrid.utils.files import write_atomically
from hybrid.utils.reading import PROVENANCE as PROVENANCE_FILE
from hybrid.utils.reading import read_bytes


def write_run_provenance(folder: Path, found: RunProvenance) -> None:
    """Write ``provenance.json`` in the folder of a run: the run, its ancestors, its test items."""
    test = found.test or ItemHashes()
    write_atomically(folder / PROVENANCE, seal({**found.model.to_json(), "test": test.to_json()}))


def read_run_provenance(folder: Path, record: RunRecord, predictions: Predictions) -> RunProvenance:
    """Read what a run has learnt from.

    Where ``provenance.json`` is missing, as in runs of earlier versions, or damaged, record and
    predictions tell as much as they can; the rest is said to be unknown.

    Parameters
    ----------
    folder : Path
        The run folder.
    record : RunRecord
    predictions : Predictions

    Examples
    --------
    >>> none = np.zeros((1, 1))
    >>> given = Predictions(np.array(["a"]), np.array(["train"]), ("War",), none.astype(np.uint8), none)
    >>> found = read_run_provenance(Path("runs/svm"), RunRecord(name="svm", kind="head"), given)
    >>> found.run.name, len(found.run.items), found.backbones.unknown
    ('svm', 1, ())
    """
    try:
        data = unseal(read_bytes(folder / PROVENANCE, PROVENANCE_FILE))
        whole, test = Provenance.from_json(data), ItemHashes.from_json(data["test"])
        rest = Provenance(whole.ancestors[1:], whole.unknown)
        return RunProvenance(whole.ancestors[0], rest, test)
    except (OSError, DamageError, ValueError, KeyError, TypeError, IndexError):
        return _from_record(folder, record, predictions)


def _from_record(folder: Path, record: RunRecord, predictions: Predictions) -> RunProvenance:
    learnt = predictions.ids[np.isin(predictions.splits, TRAINING)]
    run = Ancestor(
        digest="",
        name=folder.name,
        catalogue=record.catalogue.sha256 or "",
        split=record.split.sha256 or "",
        items=_by_id(learnt),
    )
    backbones = Provenance.union(map(_backbone, record.backbones.values()))
    untold = ""
    if record.kind == DEEP and "train" not in predictions.splits:
        untold = f"it cannot be told from which train items {folder.name} has learnt; fit it again"
    return RunProvenance(run, backbones, None, untold)


def _by_id(ids: NDArray[np.str_]) -> ItemHashes:
    nothing = np.zeros(len(ids), dtype=np.uint64)
    return ItemHashes(hash_ids(ids.tolist()), nothing, nothing)


def _backbone(backbone: BackboneRecord | TrainedBackboneRecord) -> Provenance:
    """What a record says of a backbone, without the items that its ancestors learnt from."""
    weights = backbone.weights if isinstance(backbone, BackboneRecord) else backbone.weights.initial
    if weights is None or weights.kind in ("", "imagenet", "random"):
        return Provenance()
    name = Path(weights.path or f"weights of {backbone.name}").name
    return Provenance(unknown=(describe_unknown(name, weights.digest),))
