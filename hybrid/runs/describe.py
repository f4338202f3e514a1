"""What a network or a run is made of: layers or blocks, parameters, and every setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.backbones.startup import start_keras
from hybrid.deep.registry import get_network
from hybrid.runs.record import DEEP, RunRecord

if TYPE_CHECKING:
    from hybrid.deep.description import NetworkDescription
    from hybrid.deep.options import DeepOptions

LABELS = 20  # of a network that no catalogue tells the number of labels of: those of the study


@dataclass(frozen=True)
class HeadDescription:
    """A run with a classical head.

    Parameters
    ----------
    name, head : str or None
        Of the run; class of the head.
    labels : int
    blocks : dict of str to float
        Block → its weight in the fusion.
    backbones : dict of str to str
        Poster block → backbone; block of text embeddings → text encoder.
    parameters : int or None
        Of the head; None where they cannot be counted, as those of a forest.
    backbone_parameters : int or None
        None without a poster block.
    chosen : dict
        Parameters that cross-validation chose.
    settings : dict
        As they were given.
    task : {"multilabel", "multiclass"}
    """

    name: str | None
    head: str | None
    labels: int
    blocks: dict[str, float]
    backbones: dict[str, str]
    parameters: int | None
    backbone_parameters: int | None
    chosen: dict[str, Any]
    settings: dict[str, Any]
    task: str = "multilabel"


def describe_network(
    network: str, options: DeepOptions, labels: int | None = None
) -> NetworkDescription:
    """Describe a network as `fit_deep` would build it with these options.

    What comes from the data, as how wide text and metadata are, is None.

    Parameters
    ----------
    network : str
        See `hybrid.deep.registry.network_names`.
    options : DeepOptions
    labels : int, default=20
        Number of labels.

    Raises
    ------
    SettingError
        If the network or an option is unknown.

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> describe_network("scratch", DeepOptions()).parameters
    20042932
    """
    fused = get_network(network).fused
    start_keras()
    from hybrid.deep.description import (
        build_baseline,
        describe_baseline,
        describe_without_data,
    )

    if fused:
        return describe_without_data(network, options, labels or LABELS)
    return describe_baseline(build_baseline(network, options, labels or LABELS))


def describe_run(folder: Path) -> NetworkDescription | HeadDescription:
    """Describe the model of a run.

    A deep baseline is loaded. Of a head only the record is read.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunError
        If the run cannot be read.

    Examples
    --------
    >>> describe_run(Path("runs/svm")).blocks  # doctest: +SKIP
    {'poster': 1.0, 'text': 1.0, 'metadata': 0.5}
    """
    record = RunRecord.read(folder)
    if record.kind == DEEP:
        record.require_model(folder)
        start_keras()
        from hybrid.deep.description import describe_baseline
        from hybrid.deep.saved import load_baseline

        return describe_baseline(load_baseline(folder))
    chosen = dict(record.head.chosen) if record.head else {}
    weights = chosen.pop("block_weights", {})
    return HeadDescription(
        name=record.name,
        head=record.model,
        labels=len(record.genres),
        blocks={name: float(weights.get(name, 1.0)) for name in record.blocks},
        backbones={
            block: each.name or ""
            for block, each in (*record.backbones.items(), *record.text_encoders.items())
        },
        parameters=record.cost.parameters.head if record.cost.parameters else None,
        backbone_parameters=record.cost.parameters.backbone if record.cost.parameters else None,
        chosen=chosen,
        settings=dict(record.settings),
        task=record.task.kind,
    )
