"""Cost of a run: what its embeddings and the training of its backbones took, its fit and its prediction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hybrid.audit.item_hashes import poster_number
from hybrid.backbones import configure, get_backbone
from hybrid.backbones.provenance import Ancestor
from hybrid.backbones.registry import HUB, ONNX
from hybrid.cache import EmbeddingStore
from hybrid.errors import SettingError, WeightsError
from hybrid.extraction.text_lookup import maker_name
from hybrid.heads.parameter_count import count_parameters
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
from hybrid.runs.recorded_networks import is_recorded_tuned
from hybrid.utils.counts import counted
from hybrid.utils.resources import CostRecorder


def extraction_costs(
    stores: Mapping[str, EmbeddingStore],
    keys: Mapping[str, Iterable[bytes]],
    ancestors: Iterable[Ancestor] = (),
) -> dict[str, ExtractionCostRecord]:
    """Sum what the embeddings of some items cost, from what was measured when they were made.

    Parameters
    ----------
    stores : mapping of str to EmbeddingStore
        By block.
    keys : mapping of str to iterable of bytes
        By block: of what the items have, such as the content keys of their posters, or the keys of their
        texts. What several items have counts once.
    ancestors : iterable of Ancestor, default=()
        The embeddings that these learnt from are not counted again.

    Returns
    -------
    dict of str to ExtractionCostRecord
        By block. Of a store that two blocks read, the first pays.
    """
    counted: dict[str, set[int]] = defaultdict(set)
    for run in ancestors:
        for fingerprint in run.stores:
            counted[fingerprint].update(run.items.posters.tolist())
    found = {}
    for block, store in stores.items():
        before, wanted = counted[store.fingerprint], list(dict.fromkeys(keys[block]))
        found[block] = _extraction_cost(store, wanted, before)
        before.update(map(poster_number, wanted))
    return found


def _extraction_cost(
    store: EmbeddingStore, wanted: list[bytes], counted: set[int]
) -> ExtractionCostRecord:
    new = [key for key in wanted if poster_number(key) not in counted]
    found = store.cost(new)
    shared = int(store.has(wanted).sum()) - found.embeddings
    return ExtractionCostRecord(
        backbone=maker_name(store),
        fingerprint=store.fingerprint,
        posters=found.embeddings + shared,
        seconds=found.seconds if found.unknown == 0 else None,
        shared=shared,
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


@dataclass(frozen=True)
class TrainingCost:
    """What a training cost, for the runs that use its weights.

    Parameters
    ----------
    seconds : float or None
        With the embeddings that it learnt from, apart from those that its ancestors did; None if not known.
    stores : tuple of str, default=()
        Fingerprints of these embeddings.
    """

    seconds: float | None
    stores: tuple[str, ...] = ()


def training_cost(
    costs: CostRecorder, spending: Spending, learnt: Mapping[str, ExtractionCostRecord]
) -> TrainingCost:
    """What a training cost; `learnt` is that of the embeddings that it learnt from, by block."""
    parts = [each.seconds for each in learnt.values()]
    fit = next((stage.seconds for stage in costs.stages if stage.name == "fit"), None)
    known = [part for part in (*parts, fit) if part is not None]
    seconds = sum(known) + spending.earlier_seconds if len(known) == len(parts) + 1 else None
    return TrainingCost(seconds, tuple(each.fingerprint for each in learnt.values()))


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
    stores = [
        *(each.cache for each in record.backbones.values() if isinstance(each, BackboneRecord)),
        *(each.cache for each in record.text_encoders.values()),
        *(each.cache for each in record.imported.values()),
    ]
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
            embeddings=_bytes_of(stores),
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
                f"what {each.unknown:,} of {counted(each.posters - each.shared, 'embedding')} of "
                f"{each.backbone} cost is not recorded"
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


def _bytes_of(stores: Iterable[StoreRecord]) -> int | None:
    """Bytes of some stores, each once; None without any, or where those of one are not known."""
    sizes = {(each.path, each.sha256): each.bytes for each in stores}.values()
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _count_backbone(backbone: BackboneRecord | TrainedBackboneRecord) -> int | None:
    """Parameters of a backbone: as counted where the run trained it, else those of the registry.

    None of one that comes with its weights and is not where it was any more.
    """
    counted = backbone.parameters if isinstance(backbone, TrainedBackboneRecord) else None
    if isinstance(backbone, BackboneRecord) and backbone.name.endswith(ONNX):
        return _count_onnx(backbone.weights.path)
    if isinstance(backbone, BackboneRecord) and backbone.name.startswith(HUB):
        return _count_preset(backbone.weights.path)
    if isinstance(backbone, BackboneRecord) and is_recorded_tuned(backbone):
        return _count_tuned(backbone.weights.path)
    return int(counted or get_backbone(backbone.name).parameters)


def _count_tuned(path: str | None) -> int | None:
    """Parameters of the backbone that a tuned one started from, where it was."""
    try:
        return configure(get_backbone(str(Path(path).parent))).parameters if path else None
    except (WeightsError, SettingError):
        return None


def _count_onnx(path: str | None) -> int | None:
    """Parameters of an ONNX file where it was."""
    from hybrid.backbones.onnx_header import read_onnx_header

    try:
        return read_onnx_header(path).parameters if path else None
    except WeightsError:
        return None


def _count_preset(path: str | None) -> int | None:
    """Parameters of a preset of keras-hub where it was."""
    from hybrid.backbones.weightfile import read_layers

    try:
        return sum(layer.parameters for layer in read_layers(Path(path))) if path else None
    except WeightsError:
        return None
