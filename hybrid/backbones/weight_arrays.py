"""Compare the arrays of two weights files, whatever their names, order and layout. No Keras here."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hybrid.backbones.weightfile import PROVENANCE, harmless_datasets, open_weights
from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, checked

NO_WEIGHTS = ("optimizer", "optimizer_weights", PROVENANCE)  # groups of what only training needs


def same_arrays(path: Path, reference: Path) -> bool:
    """Whether a weights file holds the arrays of a reference, each once, and no other.

    Types, shapes and all bits of the values are compared. Names, order, layout, compression and the state of
    an optimiser are not: another program, or another version of Keras, may have saved the file.

    Parameters
    ----------
    path : Path
        HDF5 in one of Keras' layouts, or a ``.keras`` archive.
    reference : Path
        A file that is trusted: its size bounds what is read of `path`.

    Returns
    -------
    bool
        False, too, for a file that cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, other = Path(folder, "one.h5"), Path(folder, "other.h5")
    ...     for path, name in ((one, "layers/dense/vars/0"), (other, "dense/kernel")):
    ...         with h5py.File(path, "w") as file:
    ...             file[name] = [[1.0, 2.0]]
    ...     same_arrays(one, other)
    True
    """
    try:
        size = reference.stat().st_size
        with (
            open_weights(reference, size) as known,
            open_weights(path, size) as found,
            h5py.File(checked(known.path, WEIGHTS), "r") as theirs,
            h5py.File(checked(found.path, WEIGHTS), "r") as ours,
        ):
            wanted, given = _arrays(theirs, reference), _arrays(ours, path)
            if Counter(map(_kind, wanted)) != Counter(map(_kind, given)):
                return False  # before anything is read that is larger than expected
            return Counter(map(_hash, wanted)) == Counter(map(_hash, given))
    except (WeightsError, OSError, RuntimeError, ValueError, KeyError):
        return False


def _arrays(root: Any, path: Path) -> list[Any]:
    """The data sets that are weights."""
    found = []
    for dataset in harmless_datasets(root, path):
        parts = dataset.name.strip("/").split("/")
        state = parts[0] in NO_WEIGHTS or any(part.startswith("seed_generator") for part in parts)
        if not state:
            found.append(dataset)
    return found


def _kind(dataset: Any) -> tuple[str, tuple[int, ...]]:
    return dataset.dtype.newbyteorder("<").str, dataset.shape


def _hash(dataset: Any) -> str:
    dtype, shape = _kind(dataset)
    values = np.ascontiguousarray(dataset[()], dtype=dtype)
    return hashlib.sha256(f"{dtype} {shape} ".encode() + values.tobytes()).hexdigest()
