"""The record of a run: run.json as a tree of frozen dataclasses, with a format version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybrid.errors import RunError
from hybrid.model_file.manifest import refuse_links, warn_of_changes
from hybrid.runs.cost_records import CostRecord
from hybrid.runs.json_dataclass import FLATTEN, INTERNAL, OPTIONAL, from_json, key, to_json
from hybrid.runs.migration import FORMAT, migrate
from hybrid.runs.record_parts import (
    AncestorRecord,
    AuditRecord,
    BackboneRecord,
    CatalogueRecord,
    DecisionRecord,
    EnvironmentRecord,
    ExternalRecord,
    HeadRecord,
    ImportedRecord,
    ReliabilitiesRecord,
    SplitRecord,
    StageRecord,
    TextEncoderRecord,
    TrainedBackboneRecord,
)
from hybrid.runs.replacement import lost_runs, recover_run
from hybrid.runs.study_records import StudiesRecord
from hybrid.runs.training_records import TrainingRecord
from hybrid.splitting.tasks import Task
from hybrid.types import Columns, Interval
from hybrid.utils.reading import RUN_RECORD, read_json

RECORD = "run.json"
HEAD, DEEP = "head", "deep"  # kinds of run
POSTER = "poster"


@dataclass(frozen=True)
class RunRecord:
    """The record of a run: what was fitted on what, with which result, at which cost.

    The keys of run.json are the names of the fields, except for the groups `head`, `training`, `studies`
    and `environment`, whose keys stand at the top level, and where a description below names a key. A record
    that hybrid wrote holds all keys of its kind. One made elsewhere may hold fewer: what it lacks is None
    or empty, and not known.

    Parameters
    ----------
    format : int
        Version of the layout. An older one is migrated when it is read; `format_read` says which it was.
    name, created, command : str or None
        Of the run; when it was fitted (ISO 8601); what the user typed.
    hybrid : str or None
        Version of hybrid that wrote the record; None for one made elsewhere.
    catalogue : CatalogueRecord
    sample : bool
        Whether the catalogue is the synthetic sample.
    split : SplitRecord
    task : Task
        Which labels of which items, and whether one label an item.
    untested : tuple of str
        Genres without a test item.
    untrained : tuple of str
        Genres of test items that none of the items has that the model was fitted on.
    sampled : mapping of str to int
        Of a task with `per_genre`: genre → train and validation items that were sampled.
    kind : str or None
        ``"head"`` or ``"deep"``.
    blocks : tuple of str
    model : str or None
        Class of the head, or name of the network.
    head : HeadRecord or None
        None for a deep baseline.
    training : TrainingRecord or None
        None for a head.
    thresholds : tuple of float or None
        One a label, in the order of `genres`; None where no probability reaches it.
    threshold_spread : tuple of (float or None, float or None)
        Percentiles 2.5 and 97.5 of each threshold over bootstrap draws.
    decision : DecisionRecord or None
    fitted_on : mapping of str to tuple of str
        Key ``saw``: ``preprocessing`` and ``thresholds`` → parts of the split.
    backbone : BackboneRecord, TrainedBackboneRecord or None
        Of the block ``poster``.
    text_encoders : mapping of str to TextEncoderRecord
        By block of text embeddings. The key is there if the run has any.
    imported : mapping of str to ImportedRecord
        By block of imported embeddings. The key is there if the run has any.
    ancestors : tuple of AncestorRecord
        Runs that trained the weights of its backbones, the latest first. Which items they learnt from is in
        ``provenance.json`` beside the record.
    studies : StudiesRecord
    settings : mapping
        As the user gave them.
    seed : int or None
    genres : tuple of str
        The labels.
    missing : mapping of str to mapping of str to int
        Block → part → number of items that lack it.
    audit : AuditRecord or None
    metrics : mapping of str to Interval
        On the test items.
    reliability : ReliabilitiesRecord or None
        On the test items.
    cost : CostRecord
    stages : tuple of StageRecord
    environment : EnvironmentRecord
    external : ExternalRecord or None
        Of a model made elsewhere, of which there is only a file of predictions.

    Examples
    --------
    >>> record = RunRecord.from_json({"format": 3, "seed": 3, "curve": {"verdict": "More is better."}})
    >>> record.seed, record.studies.learning_curve.verdict, record.backbone
    (3, 'More is better.', None)
    """

    format: int = FORMAT
    name: str | None = None
    created: str | None = None
    command: str | None = None
    hybrid: str | None = None
    catalogue: CatalogueRecord = field(default_factory=CatalogueRecord)
    sample: bool = False
    split: SplitRecord = field(default_factory=SplitRecord)
    task: Task = field(default_factory=Task)
    untested: tuple[str, ...] = ()
    untrained: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    sampled: Mapping[str, int] = field(default_factory=dict)
    kind: str | None = None
    blocks: tuple[str, ...] = ()
    model: str | None = None
    head: HeadRecord | None = field(default=None, metadata=FLATTEN)
    training: TrainingRecord | None = field(default=None, metadata=FLATTEN)
    backbone: BackboneRecord | TrainedBackboneRecord | None = None
    text_encoders: Mapping[str, TextEncoderRecord] = field(default_factory=dict, metadata=OPTIONAL)
    imported: Mapping[str, ImportedRecord] = field(default_factory=dict, metadata=OPTIONAL)
    ancestors: tuple[AncestorRecord, ...] = ()
    thresholds: tuple[float | None, ...] = ()
    threshold_spread: tuple[tuple[float | None, float | None], ...] = ()
    decision: DecisionRecord | None = None
    fitted_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict, metadata=key("saw"))
    studies: StudiesRecord = field(default_factory=StudiesRecord, metadata=FLATTEN)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    genres: tuple[str, ...] = ()
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    audit: AuditRecord | None = None
    metrics: Mapping[str, Interval] = field(default_factory=dict)
    reliability: ReliabilitiesRecord | None = None
    cost: CostRecord = field(default_factory=CostRecord)
    stages: tuple[StageRecord, ...] = ()
    environment: EnvironmentRecord = field(default_factory=EnvironmentRecord, metadata=FLATTEN)
    external: ExternalRecord | None = field(default=None, metadata=OPTIONAL)
    format_read: int = field(default=FORMAT, compare=False, metadata=INTERNAL)

    @property
    def backbones(self) -> dict[str, BackboneRecord | TrainedBackboneRecord]:
        """The backbone of each poster block, ``poster`` first."""
        first = {} if self.backbone is None else {POSTER: self.backbone}
        return {**first, **(self.head.further_backbones if self.head else {})}

    @property
    def thresholds_by_genre(self) -> dict[str, float | None]:
        """Label → threshold; empty where the record has none."""
        return dict(zip(self.genres, self.thresholds, strict=False))

    def to_json(self) -> dict[str, Any]:
        """The record as `json.dumps` takes it: what run.json holds."""
        data: dict[str, Any] = to_json(self)
        return data

    @classmethod
    def from_json(cls, data: object, source: str = RECORD) -> RunRecord:
        """Check a parsed run.json of this format or an earlier one.

        Parameters
        ----------
        data : object
        source : str, default="run.json"
            For the messages.

        Raises
        ------
        RunError
            If it is no record, is of a newer format, lacks a key that it should have, or has a value of
            another type; the message names the key.
        """
        if not isinstance(data, dict) or "format" not in data:
            found = "no key 'format'" if isinstance(data, dict) else f"a {type(data).__name__}"
            raise RunError(f"{source}: expected a readable record, found {found}.")
        version = data["format"]
        if type(version) is not int or not 1 <= version <= FORMAT:
            raise RunError(
                f"{source}: expected format {FORMAT} or older, found {version!r}. Update hybrid."
            )
        # Earlier formats lack keys of this one, and records made elsewhere lack most of them.
        complete = version == FORMAT and data.get("hybrid") is not None
        record = from_json(cls, migrate(data), source, complete=complete)
        object.__setattr__(record, "format_read", version)
        return record

    def write(self, folder: Path) -> None:
        """Write ``run.json`` in a run's folder.

        Raises
        ------
        ValueError
            If a number is not finite, which JSON cannot hold.
        """
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read ``run.json`` from a run's folder, of this format or an earlier one.

        Files of the run that are not as its manifest says are told in a warning; those of the model are not
        looked at before it is loaded.

        Raises
        ------
        RunError
            If `folder` is no run, or has links out of the folder of the runs; or as for `from_json`.
        """
        path = folder / RECORD
        if not path.exists() and folder in lost_runs(folder.parent):
            recover_run(folder)
        refuse_links(folder)
        try:
            data = read_json(path, RUN_RECORD)
        except FileNotFoundError:
            raise RunError(
                f"{folder}: expected a run (a folder with {RECORD}), found none. "
                "Make one with hybrid fit-svm, fit-ovr or fit-deep."
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: expected a readable record, found: {error}.") from error
        record = cls.from_json(data, str(path))
        warn_of_changes(folder)
        return record

    def require_model(self, folder: Path) -> Columns:
        """Raise unless this version of hybrid can load the model of the run; return the column roles.

        Parameters
        ----------
        folder : Path
            The run's, for the messages.

        Raises
        ------
        RunError
            If an earlier version wrote the run: says how to fit it again. If the record was made elsewhere
            and says nothing of a model.
        """
        columns = self.catalogue.columns
        if columns is None or self.kind is None:
            lacking = "column roles" if columns is None else "kind of model"
            raise RunError(
                f"{folder}: expected a run made by hybrid, found no {lacking} in {RECORD}."
            )
        if self.format_read < FORMAT:
            again = f" with: {self.command}" if self.command else "."
            raise RunError(
                f"{folder}: expected a run of format {FORMAT}, found one that an earlier version of hybrid "
                f"wrote (format {self.format_read}), whose model cannot be loaded; fit it again{again}"
            )
        return columns
