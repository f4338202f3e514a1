"""Provenance of weights: the runs that trained them, and the items that each learnt from. No Keras here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.cache.sealed import seal, unseal
from hybrid.cache.verified_files import DamageError
from hybrid.errors import WeightsError

FORMAT = 1
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class ItemHashes:
    """Hashes of the ids and the contents of n items, 8 bytes each; 0 where there is nothing to hash.

    Parameters
    ----------
    ids, posters, texts : ndarray of shape (n,), uint64
        See `hybrid.audit.item_hashes.hash_items`.

    Examples
    --------
    >>> one = np.ones(1, dtype=np.uint64)
    >>> len(ItemHashes(one, one, one)), len(ItemHashes())
    (1, 0)
    """

    ids: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    posters: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    texts: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> ItemHashes:
        """Select items by position or mask."""
        return ItemHashes(self.ids[rows], self.posters[rows], self.texts[rows])

    def then(self, more: ItemHashes) -> ItemHashes:
        """These items, and more after them."""
        pairs = zip(vars(self).values(), vars(more).values(), strict=True)
        return ItemHashes(*map(np.concatenate, pairs))

    def to_json(self) -> dict[str, str]:
        """Base64 of each array, little-endian."""
        arrays = {"ids": self.ids, "posters": self.posters, "texts": self.texts}
        return {name: _encode(array) for name, array in arrays.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ItemHashes:
        """Read what `to_json` made.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is something else.
        """
        found = cls(*(_decode(data[name]) for name in ("ids", "posters", "texts")))
        if not len(found.ids) == len(found.posters) == len(found.texts):
            raise ValueError("expected ids, posters and texts of the same items")
        return found


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A run that trained weights, directly or at an earlier step.

    Parameters
    ----------
    digest : str
        Identifies the run: SHA-256 over the files of its model, as they were trained.
    name : str
        Its name at that time.
    catalogue, split : str
        SHA-256 of the catalogue's file and of the split.
    items : ItemHashes
        Items that it learnt from: train and validation, whose labels stopped and calibrated it; then again
        those that have further posters, once for each of these.
    seconds : float or None, default=None
        Time of its training; None if unknown.
    device : str or None, default=None
        Processor or GPU that it was trained on; None if unknown.
    stores : tuple of str, default=()
        Fingerprints of the embeddings that it learnt from: `seconds` holds what those of its items cost.

    Examples
    --------
    >>> Ancestor("9f2c", "scratch", "c1", "s1", ItemHashes(), seconds=220.0).seconds
    220.0
    """

    digest: str
    name: str
    catalogue: str
    split: str
    items: ItemHashes
    seconds: float | None = None
    device: str | None = None
    stores: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The ancestor as `json.dumps` takes it."""
        return {**vars(self), "items": self.items.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ancestor:
        """Read what `to_json` made; raises as `ItemHashes.from_json`."""
        seconds, device = data["seconds"], data["device"]
        return cls(
            str(data["digest"]),
            str(data["name"]),
            str(data["catalogue"]),
            str(data["split"]),
            ItemHashes.from_json(data["items"]),
            None if seconds is None else float(seconds),
            None if device is None else str(device),
            tuple(str(name) for name in data.get("stores", ())),
        )


@dataclass(frozen=True, eq=False)
class Provenance:
    """What a model, or the weights of a backbone, have learnt from.

    Parameters
    ----------
    ancestors : tuple of Ancestor, default=()
        Each run once, the latest first. Empty for ImageNet's weights and for random ones.
    unknown : tuple of str, default=()
        Weights of which it cannot be told what they learnt from, by file name and digest.

    Examples
    --------
    >>> scratch = Ancestor("9f2c", "scratch", "c1", "s1", ItemHashes())
    >>> known = Provenance((scratch,))
    >>> both = Provenance.union([known, Provenance(unknown=("net.h5",)), known])
    >>> [run.name for run in both.ancestors], both.unknown
    (['scratch'], ('net.h5',))
    >>> Provenance.from_bytes(both.to_bytes()).unknown
    ('net.h5',)
    """

    ancestors: tuple[Ancestor, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def union(cls, several: Iterable[Provenance]) -> Provenance:
        """Unite provenances; a run that is in several is in the result once."""
        several = list(several)
        runs = {run.digest: run for one in several for run in one.ancestors}
        unknown = dict.fromkeys(name for one in several for name in one.unknown)
        return cls(tuple(runs.values()), tuple(unknown))

    def then(self, run: Ancestor) -> Provenance:
        """The provenance of what a run trained, if it started from weights of this provenance."""
        return self.union([Provenance((run,)), self])

    def to_json(self) -> dict[str, Any]:
        """The provenance as `json.dumps` takes it."""
        runs = [run.to_json() for run in self.ancestors]
        return {"format": FORMAT, "runs": runs, "unknown": list(self.unknown)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Read what `to_json` made; raises as `ItemHashes.from_json`."""
        if type(data["format"]) is not int or not 1 <= data["format"] <= FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {data['format']!r}")
        runs = tuple(Ancestor.from_json(run) for run in data["runs"])
        return cls(runs, tuple(str(name) for name in data["unknown"]))

    def to_bytes(self) -> bytes:
        """The provenance as a sealed JSON file, see `hybrid.cache.sealed`."""
        return seal(self.to_json())

    @classmethod
    def from_bytes(cls, content: bytes) -> Provenance:
        """Read what `to_bytes` made.

        Raises
        ------
        WeightsError
            If it is damaged, or of a newer format.
        """
        try:
            return cls.from_json(unseal(content))
        except (DamageError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"expected a provenance, found: {error}.") from error


def _encode(hashes: Hashes) -> str:
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def _decode(text: str) -> Hashes:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8").astype(np.uint64)
