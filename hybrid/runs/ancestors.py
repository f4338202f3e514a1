"""What a run has learnt from: its own items and those of its ancestors, kept in its folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hybrid.audit.item_hashes import hash_items
from hybrid.backbones.devices import device_name
from hybrid.backbones.digests import digests
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance, seal, unseal
from hybrid.errors import WeightsError
from hybrid.images.decode import BadPoster
from hybrid.runs.experiment import Experiment
from hybrid.runs.record_parts import AncestorRecord
from hybrid.utils.files import write_atomically

PROVENANCE = "provenance.json"
LEARNT = ("train", "validation")  # a deep baseline is stopped and calibrated by validation
MODEL_FILES = "model.*"


@dataclass(frozen=True, eq=False)
class RunProvenance:
    """What a run has learnt from, and what it was tested on.

    Parameters
    ----------
    run : Ancestor
        The run itself.
    backbones : Provenance
        Of the weights that its embeddings were made with, or that its network started from.
    test : ItemHashes
        Its test items, in the order of predictions.csv.
    """

    run: Ancestor
    backbones: Provenance
    test: ItemHashes

    @property
    def model(self) -> Provenance:
        """Of what the run trained: the run, and all of its ancestors."""
        return self.backbones.then(self.run)

    def write(self, folder: Path) -> None:
        """Write ``provenance.json`` in the folder of the run."""
        data = {**self.model.to_json(), "test": self.test.to_json()}
        write_atomically(folder / PROVENANCE, seal(data))

    @classmethod
    def read(cls, folder: Path) -> RunProvenance | None:
        """Read ``provenance.json``; None where there is none, or it is damaged."""
        try:
            data = unseal((folder / PROVENANCE).read_bytes())
            whole = Provenance.from_json(data)
            rest = Provenance(whole.ancestors[1:], whole.unknown)
            return cls(whole.ancestors[0], rest, ItemHashes.from_json(data["test"]))
        except (OSError, WeightsError, ValueError, KeyError, TypeError, IndexError):
            return None


def describe_provenance(
    experiment: Experiment,
    folder: Path,
    backbones: Provenance,
    seconds: float | None,
    blocks: tuple[str, ...],
) -> RunProvenance:
    """Describe what a model has learnt from, once its files are written.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
        With the files of the model.
    backbones : Provenance
        Of its backbones.
    seconds : float or None
        Time of its training, with the embeddings that it learnt from; None if not known.
    blocks : tuple of str
        Of the model; one that reads posters alone has not learnt from items without one.
    """
    hashes = hash_items(experiment.catalogue, experiment.keys)
    rows = experiment.rows(*LEARNT)
    if blocks == ("poster",):
        rows = rows[[not isinstance(experiment.keys[row], BadPoster) for row in rows.tolist()]]
    run = Ancestor(
        digest=_digest(folder),
        name=experiment.folder.name,
        catalogue=experiment.catalogue.sha256,
        split=experiment.split.sha256,
        items=hashes.take(rows),
        seconds=seconds,
        device=device_name(),
    )
    return RunProvenance(run, backbones, hashes.take(experiment.rows("test")))


def describe_ancestors(provenance: Provenance) -> tuple[AncestorRecord, ...]:
    """Describe ancestors for the record of a run."""
    return tuple(
        AncestorRecord(
            digest=run.digest,
            name=run.name,
            catalogue=run.catalogue,
            split=run.split,
            items=len(run.items),
            seconds=run.seconds,
            device=run.device,
        )
        for run in provenance.ancestors
    )


def _digest(folder: Path) -> str:
    """SHA-256 over names and hashes of the files of a model."""
    lines = [f"{path.name} {digests(path)['sha256']}" for path in sorted(folder.glob(MODEL_FILES))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
