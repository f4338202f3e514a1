"""Cost of a run, for its record: extraction, training of the backbones, fit and prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DiskRecord:
    """Bytes of the model's files and of the embeddings in the cache."""

    model: int | None = None
    embeddings: int | None = None


@dataclass(frozen=True)
class ParametersRecord:
    """Number of parameters of head and backbone."""

    head: int | None = None
    backbone: int | None = None


@dataclass(frozen=True)
class ExtractionCostRecord:
    """What the embeddings of one block cost, those of the run's own items alone.

    Parameters
    ----------
    backbone, fingerprint : str
        Name of the backbone or text encoder; the store of its embeddings.
    posters : int
        Different images, or texts, of the items of the split that have an embedding.
    seconds : float or None
        As measured when they were embedded; None if `unknown` is not 0.
    shared : int
        How many of them an ancestor learnt from by the same embeddings: their cost is in that of its
        training, and not in `seconds`.
    unknown : int
        How many of the others have no recorded cost.
    devices : tuple of str
        Processors and GPUs that the known ones were embedded on.
    """

    backbone: str = ""
    fingerprint: str = ""
    posters: int = 0
    seconds: float | None = None
    shared: int = 0
    unknown: int = 0
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class AncestorCostRecord:
    """What the training of one ancestor cost: a run whose network serves as a backbone.

    Parameters
    ----------
    name : str
        Of the run.
    digest : str
        Identifies the run, whatever it is named.
    seconds : float or None
        Of its training, with the embeddings that it was trained on.
    device : str or None
    """

    name: str = ""
    digest: str = ""
    seconds: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class CostComponent:
    """One part of the cost of a run; `seconds` is None where it is not known.

    Examples
    --------
    >>> CostComponent("fit", 2.5, ("processor",)).seconds
    2.5
    """

    name: str
    seconds: float | None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class CostRecord:
    """What a run costs; None where it is not known.

    Parameters
    ----------
    total_seconds : float or None
        The sum of `components`; None if one of them is not known.
    unknown : tuple of str
        Why the total is not known, a clause for each component that is not.
    fit_seconds : float or None
        Of a resumed training, with the epochs before the interruption.
    predict_seconds : float or None
        To predict the test items; a deep baseline predicts those of validation, too.
    items_per_second : float or None
        Items predicted in a second.
    peak_mib : float or None
    device : str or None
        Processor or GPU of fit and prediction.
    extraction : mapping of str to ExtractionCostRecord
        By block.
    ancestors : tuple of AncestorCostRecord
        Each once.
    not_counted : tuple of str
        Weights that were made elsewhere: their training is no part of the total, as that of ImageNet's is
        not.
    disk_bytes : DiskRecord
    parameters : ParametersRecord
    extract : mapping or None
        Of records of formats 1 and 2: an estimate for the whole store of one backbone, not part of the
        total.
    """

    total_seconds: float | None = None
    unknown: tuple[str, ...] = ()
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    items_per_second: float | None = None
    peak_mib: float | None = None
    device: str | None = None
    extraction: Mapping[str, ExtractionCostRecord] = field(default_factory=dict)
    ancestors: tuple[AncestorCostRecord, ...] = ()
    not_counted: tuple[str, ...] = ()
    disk_bytes: DiskRecord = field(default_factory=DiskRecord)
    parameters: ParametersRecord = field(default_factory=ParametersRecord)
    extract: Mapping[str, Any] | None = None

    @property
    def components(self) -> tuple[CostComponent, ...]:
        """What the total is the sum of, in the order of the work."""
        own = () if self.device is None else (self.device,)
        return (
            *(
                CostComponent(
                    f"training of {each.name}",
                    each.seconds,
                    () if each.device is None else (each.device,),
                )
                for each in self.ancestors
            ),
            *(
                CostComponent(
                    f"extraction of {block} ({each.backbone})", each.seconds, each.devices
                )
                for block, each in self.extraction.items()
            ),
            CostComponent("fit", self.fit_seconds, own),
            CostComponent("predict", self.predict_seconds, own),
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices of all components, each once."""
        return tuple(dict.fromkeys(d for part in self.components for d in part.devices))


def total_seconds(components: Iterable[CostComponent]) -> float | None:
    """Sum the seconds of the components; None if those of one are not known.

    Examples
    --------
    >>> total_seconds([CostComponent("fit", 2.0), CostComponent("predict", 0.5)])
    2.5
    >>> total_seconds([CostComponent("fit", 2.0), CostComponent("extraction", None)]) is None
    True
    """
    total = 0.0
    for part in components:
        if part.seconds is None:
            return None
        total += part.seconds
    return total
