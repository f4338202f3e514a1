"""Cost of a run: what its embeddings and the training of its backbones took, its fit and its prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hybrid.backbones import get_backbone
from hybrid.cache import EmbeddingStore
from hybrid.heads.parameter_count import count_parameters
from hybrid.images.decode import BadPoster
from hybrid.runs.cost_records import (
    AncestorCostRecord,
    CostRecord,
    DiskRecord,
    ExtractionCostRecord,
    ParametersRecord,
    total_seconds,
)
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import BackboneRecord, StoreRecord, TrainedBackboneRecord
from hybrid.utils.resources import CostRecorder


def extraction_cost(
    store: EmbeddingStore, keys: Iterable[bytes | BadPoster]
) -> ExtractionCostRecord:
    """Sum what the embeddings of some items cost, from what was measured when they were made.

    Parameters
    ----------
    store : EmbeddingStore
    keys : iterable of bytes or BadPoster
        Of the posters of the items. Items with the same poster count once.

    Returns
    -------
    ExtractionCostRecord
    """
    wanted = list(dict.fromkeys(key for key in keys if isinstance(key, bytes)))
    found = store.cost(wanted)
    return ExtractionCostRecord(
        backbone=str(store.stands_for.get("architecture", "?")),
        fingerprint=store.fingerprint,
        posters=found.embeddings,
        seconds=found.seconds if found.unknown == 0 else None,
        unknown=found.unknown,
        devices=found.devices,
    )


@dataclass(frozen=True)
class Spending:
    """What a fit spent, apart from its stages.

    Parameters
    ----------
    predicted : int
        Number of items predicted in the stage ``predict``.
    device : str
        Processor or GPU of fit and prediction.
    extraction : mapping of str to ExtractionCostRecord
        By block.
    head : fitted estimator, optional
        Whose parameters are counted.
    earlier_seconds : float, default=0.0
        Of the epochs of a resumed training before it was interrupted.
    foreign_weights : tuple of str, default=()
        Weights that were made elsewhere: what their training cost is not counted.
    """

    predicted: int
    device: str
    extraction: Mapping[str, ExtractionCostRecord] = field(default_factory=dict)
    head: Any = None
    earlier_seconds: float = 0.0
    foreign_weights: tuple[str, ...] = ()


def training_seconds(costs: CostRecorder, spending: Spending) -> float | None:
    """Seconds of a training, with the embeddings that it learnt from; None if they are not known."""
    parts = [each.seconds for each in spending.extraction.values()]
    fit = next((stage.seconds for stage in costs.stages if stage.name == "fit"), None)
    known = [part for part in (*parts, fit) if part is not None]
    return sum(known) + spending.earlier_seconds if len(known) == len(parts) + 1 else None


def describe_cost(
    costs: CostRecorder,
    spending: Spending,
    record: RunRecord,
    folder: Path,
) -> CostRecord:
    """Seconds, memory, bytes and parameters of a run; None where they are not known.

    Parameters
    ----------
    costs : CostRecorder
    spending : Spending
    record : RunRecord
        Names the backbone of the block ``poster`` and the ancestors.
    folder : Path
        With the files of the run.
    """
    seconds = {stage.name: stage.seconds for stage in costs.stages}
    fit, predict = seconds.get("fit"), seconds.get("predict")
    backbone = record.backbone
    store = backbone.cache if isinstance(backbone, BackboneRecord) else StoreRecord()
    head = spending.head
    ancestors = [
        AncestorCostRecord(each.name, each.digest, each.seconds, each.device)
        for each in record.ancestors
    ]
    found = CostRecord(
        fit_seconds=None if fit is None else fit + spending.earlier_seconds,
        predict_seconds=predict,
        items_per_second=spending.predicted / predict if predict else None,
        peak_mib=max(stage.peak_mib for stage in costs.stages),
        device=spending.device,
        extraction=spending.extraction,
        ancestors=tuple({each.digest: each for each in ancestors}.values()),
        not_counted=tuple(dict.fromkeys(spending.foreign_weights)),
        disk_bytes=DiskRecord(
            model=sum(p.stat().st_size for p in folder.iterdir() if p.name.startswith("model")),
            embeddings=store.bytes,
        ),
        parameters=ParametersRecord(
            head=None if head is None else count_parameters(head),
            backbone=None if backbone is None else _count_backbone(backbone),
        ),
    )
    return with_total(found)


def with_total(cost: CostRecord) -> CostRecord:
    """Add the total to a cost, and why it is not known.

    Examples
    --------
    >>> with_total(CostRecord(fit_seconds=2.0, predict_seconds=0.5)).total_seconds
    2.5
    >>> with_total(CostRecord(fit_seconds=2.0)).unknown
    ('predict was not measured',)
    """
    return replace(
        cost,
        total_seconds=total_seconds(cost.components),
        unknown=(
            *(
                f"what the training of {each.name} cost is not recorded"
                for each in cost.ancestors
                if each.seconds is None
            ),
            *(
                f"what {each.unknown:,} of {each.posters:,} embeddings of {each.backbone} cost is not "
                "recorded"
                for each in cost.extraction.values()
                if each.seconds is None
            ),
            *(
                f"{name} was not measured"
                for name, found in (("fit", cost.fit_seconds), ("predict", cost.predict_seconds))
                if found is None
            ),
        ),
    )


def _count_backbone(backbone: BackboneRecord | TrainedBackboneRecord) -> int:
    """Parameters of a backbone: as counted where the run trained it, else those of the registry."""
    counted = backbone.parameters if isinstance(backbone, TrainedBackboneRecord) else None
    return int(counted or get_backbone(backbone.name).parameters)
