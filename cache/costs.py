"""What embeddings cost: seconds and device of each row of a part, measured when it was embedded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.reading import parse_json

SECONDS, DEVICE, DEVICES = "seconds", "device", "devices"  # names in a part
MAX_DEVICES = 256  # what a uint8 can number
MAX_DEVICES_BYTES = 2**16


@dataclass(frozen=True, eq=False)
class RowCosts:
    """Seconds and device of n embeddings.

    Parameters
    ----------
    seconds : ndarray of shape (n,), float32
        NaN where not known.
    device : ndarray of shape (n,), uint8
        Numbers in `devices`; of no meaning where `seconds` is NaN.
    devices : tuple of str
        Names of processors and GPUs.

    Examples
    --------
    >>> costs = RowCosts.even(3.0, 2, "processor")
    >>> costs.seconds.tolist(), costs.devices
    ([1.5, 1.5], ('processor',))
    """

    seconds: NDArray[np.float32]
    device: NDArray[np.uint8]
    devices: tuple[str, ...]

    @classmethod
    def even(cls, seconds: float, rows: int, device: str) -> RowCosts:
        """Spread seconds evenly over rows."""
        each = np.full(rows, seconds / max(rows, 1), dtype=np.float32)
        return cls(each, np.zeros(rows, dtype=np.uint8), (device,))

    @classmethod
    def unknown(cls, rows: int) -> RowCosts:
        """Of rows whose cost is not known."""
        return cls(np.full(rows, np.nan, np.float32), np.zeros(rows, np.uint8), ())

    @property
    def any_known(self) -> bool:
        """Whether the cost of at least one row is known."""
        return bool(np.isfinite(self.seconds).any())

    def names(self) -> NDArray[np.str_]:
        """Device of each row, shape (n,); empty where the cost is not known."""
        known = np.isfinite(self.seconds)
        numbers = np.where(known, self.device.astype(np.int64), len(self.devices))
        return np.array([*self.devices, ""], dtype=np.str_)[numbers]

    def take(self, rows: Any) -> RowCosts:
        """Choose rows, by number or slice."""
        return RowCosts(self.seconds[rows], self.device[rows], self.devices)


@dataclass(frozen=True)
class EmbeddingCost:
    """What some embeddings of a store cost.

    Parameters
    ----------
    embeddings : int
        How many of the keys have an embedding.
    seconds : float
        Of those whose cost is known: the sum, not the cost of all where `unknown` is not 0.
    unknown : int
        How many have no recorded cost.
    devices : tuple of str
        That the known ones were embedded on, sorted.

    Examples
    --------
    >>> EmbeddingCost(900, 42.0, 0, ("processor",)).seconds
    42.0
    """

    embeddings: int
    seconds: float
    unknown: int
    devices: tuple[str, ...]


def gather_costs(rows: int, found: Iterable[tuple[NDArray[np.int64], RowCosts]]) -> RowCosts:
    """Put the costs of rows from several parts together.

    Parameters
    ----------
    rows : int
    found : iterable of (ndarray of shape (m,), RowCosts)
        Where m of the rows are, and what they cost. Rows that none has are not known.

    Examples
    --------
    >>> parts = [(np.array([1]), RowCosts.even(2.0, 1, "gpu")), (np.array([0]), RowCosts.unknown(1))]
    >>> costs = gather_costs(2, parts)
    >>> costs.seconds.tolist(), costs.devices[costs.device[1]]
    ([nan, 2.0], 'gpu')
    """
    seconds = np.full(rows, np.nan, dtype=np.float32)
    device = np.zeros(rows, dtype=np.uint8)
    numbers: dict[str, int] = {}
    for at, costs in found:
        known = np.isfinite(costs.seconds)
        used = {number: costs.devices[number] for number in np.unique(costs.device[known]).tolist()}
        if len(numbers | dict.fromkeys(used.values(), 0)) > MAX_DEVICES:
            continue  # more devices than can be numbered: what these rows cost is not known
        for number, name in used.items():
            here = at[known & (costs.device == number)]
            device[here] = numbers.setdefault(name, len(numbers))
        seconds[at] = costs.seconds
    return RowCosts(seconds, device, tuple(numbers))


def sum_costs(costs: RowCosts) -> EmbeddingCost:
    """Sum the costs of embeddings.

    Examples
    --------
    >>> sum_costs(RowCosts.even(3.0, 2, "processor"))
    EmbeddingCost(embeddings=2, seconds=3.0, unknown=0, devices=('processor',))
    >>> sum_costs(RowCosts.unknown(2))
    EmbeddingCost(embeddings=2, seconds=0.0, unknown=2, devices=())
    """
    known = np.isfinite(costs.seconds)
    used = np.unique(costs.device[known]).tolist()
    return EmbeddingCost(
        embeddings=len(known),
        seconds=float(costs.seconds[known].sum(dtype=np.float64)),
        unknown=int((~known).sum()),
        devices=tuple(sorted({costs.devices[number] for number in used})),
    )


def write_costs(file: Any, costs: RowCosts) -> None:
    """Write the costs of its rows to the HDF5 file of a part; nothing where none is known."""
    if not costs.any_known:
        return
    file.create_dataset(SECONDS, data=costs.seconds.astype("<f4", copy=False))
    file.create_dataset(DEVICE, data=costs.device)
    file.attrs[DEVICES] = np.bytes_(json.dumps(costs.devices, ensure_ascii=True))


def parse_costs(arrays: Mapping[str, NDArray[Any]], devices: str) -> RowCosts:
    """Check what was read from a part; what makes no sense is not known.

    Parameters
    ----------
    arrays : mapping of str to ndarray of shape (n,)
        ``seconds``, float32, and ``device``, uint8.
    devices : str
        A list of names, as JSON.

    Examples
    --------
    >>> arrays = {"seconds": np.array([1, -1], np.float32), "device": np.array([0, 7], np.uint8)}
    >>> parse_costs(arrays, '["processor"]').seconds.tolist()
    [1.0, nan]
    """
    seconds, device = arrays[SECONDS].astype(np.float32), arrays[DEVICE]
    try:
        names = parse_json(devices)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return RowCosts.unknown(len(seconds))
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(seconds) & (seconds >= 0) & (device < len(names))
    return RowCosts(np.where(sound, seconds, np.float32(np.nan)), device, tuple(names))
