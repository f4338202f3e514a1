"""Check a weights file before Keras reads it: is it safe, and which layers does it hold? No Keras here.

Only metadata is read. Nothing here runs code, follows a link or allocates what a file declares.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from hybrid.backbones.provenance import Provenance
from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, checked, open_file

ARCHIVED = "model.weights.h5"  # the only member of a .keras archive that is read
MAX_OBJECTS = 100_000  # in one file; the largest networks of Keras have some thousands
SLACK = 2**26  # bytes that an archive, or a chunk, may be larger than expected
PROVENANCE = "hybrid_provenance"  # a data set at the root of the file; Keras does not look at it
MAX_PROVENANCE = 2**30  # bytes; a catalogue of a million items has 32 MB


class SavedLayer(NamedTuple):
    """A layer of a weights file.

    Parameters
    ----------
    name : str
    shapes : tuple of tuple of int
        Of its weights.

    Examples
    --------
    >>> layer = SavedLayer("conv2d", ((3, 3, 3, 16), (16,)))
    >>> print(layer, layer.parameters)
    conv2d (3, 3, 3, 16) (16,) 448
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(map(math.prod, self.shapes))

    def __str__(self) -> str:
        """For a message; the name may come from a hostile file."""
        more = f" and {len(self.shapes) - 6} more" if len(self.shapes) > 6 else ""
        return f"{_printable(self.name)} {' '.join(map(str, self.shapes[:6]))}{more}"


class SavedWeights(NamedTuple):
    """A checked HDF5 file that Keras can read.

    Parameters
    ----------
    path : Path
        Its name ends as Keras expects it for this layout.
    legacy : bool
        Whether it has the layout of Keras 2: layers in the order of the network, under their own names.
    layers : list of SavedLayer
        See `read_layers`.

    Examples
    --------
    >>> saved = SavedWeights(Path("net.h5"), True, [SavedLayer("dense", ((64, 20), (20,)))])
    >>> sum(layer.parameters for layer in saved.layers)
    1300
    """

    path: Path
    legacy: bool
    layers: list[SavedLayer]


def read_layers(path: Path) -> list[SavedLayer]:
    """List the layers of an HDF5 weights file; reads metadata only.

    Parameters
    ----------
    path : Path
        In the layout of Keras 3 (``.weights.h5``) or of Keras 2 (``.h5``), whatever its name.

    Returns
    -------
    list of SavedLayer
        Those that have weights: in the order of the network for Keras 2, of their names for Keras 3. A
        nested model counts as one layer.

    Raises
    ------
    WeightsError
        If the file is not HDF5, is damaged, or holds what no weights file needs: links, data in other
        files, objects or strings.

    Examples
    --------
    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.weights.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["layers/dense/vars/0"] = [[1.0, 2.0]]
    ...     read_layers(path)
    [SavedLayer(name='dense', shapes=((1, 2),))]
    """
    return _read(path, path).layers


@contextmanager
def open_weights(path: Path, expected_bytes: int) -> Iterator[SavedWeights]:
    """Check a weights file and offer it to Keras, under a name that fits its layout.

    Parameters
    ----------
    path : Path
        HDF5 in one of Keras' layouts, or a ``.keras`` archive, whatever its name.
    expected_bytes : int
        Size of the weights that are wanted; a much larger archive is refused.

    Yields
    ------
    SavedWeights
        In a temporary folder that is removed at the end.

    Raises
    ------
    WeightsError
        See `read_layers`; also if the archive is damaged, too large or holds no weights.

    Examples
    --------
    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net")
    ...     with h5py.File(path, "w") as file:
    ...         file["layers/dense/vars/0"] = [[1.0, 2.0]]
    ...     with open_weights(path, expected_bytes=8) as saved:
    ...         saved.path.name, saved.legacy
    ('model.weights.h5', False)
    """
    with tempfile.TemporaryDirectory(prefix="hybrid-weights-") as folder:
        file = Path(folder, ARCHIVED)
        if _is_archive(path):
            _unpack(path, file, 4 * expected_bytes + SLACK)
        else:
            file.symlink_to(path.absolute())
        saved = _read(file, path)
        if saved.legacy:  # Keras goes by the ending alone
            saved = saved._replace(path=file.rename(file.with_name("legacy.h5")))
        yield saved


def write_provenance(path: Path, provenance: Provenance) -> None:
    """Write into a weights file what its weights have learnt from; one that it has is replaced.

    Parameters
    ----------
    path : Path
        In the layout of Keras 3.
    provenance : Provenance

    Examples
    --------
    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.weights.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["layers/dense/vars/0"] = [[1.0, 2.0]]
    ...     write_provenance(path, Provenance(unknown=("vgg16.h5",)))
    ...     read_provenance(path).unknown
    ('vgg16.h5',)
    """
    content = np.frombuffer(provenance.to_bytes(), dtype=np.uint8)
    with h5py.File(checked(path, WEIGHTS), "r+") as root:
        if PROVENANCE in root:
            del root[PROVENANCE]
        root.create_dataset(PROVENANCE, data=content)


def read_provenance(path: Path) -> Provenance | None:
    """Read from a weights file what its weights have learnt from.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Provenance or None
        None if the file does not say, or what it says is damaged; also for a ``.keras`` archive.

    Examples
    --------
    >>> read_provenance(Path("no-such-file.h5")) is None
    True
    """
    try:
        with h5py.File(checked(path, WEIGHTS), "r") as root:
            if not isinstance(root.get(PROVENANCE, getlink=True), h5py.HardLink):
                return None
            data = root[PROVENANCE]
            if not isinstance(data, h5py.Dataset) or _danger(data) or data.nbytes > MAX_PROVENANCE:
                return None
            return Provenance.from_bytes(np.asarray(data, dtype=np.uint8).tobytes())
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, WeightsError):
        return None


def _is_archive(path: Path) -> bool:
    """Whether a file is a zip; raise if it is neither that nor HDF5."""
    try:
        with open_file(path, WEIGHTS) as file:
            head = file.read(24)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if head.startswith(b"PK\x03\x04"):
        return True
    if h5py.is_hdf5(str(checked(path, WEIGHTS))):
        return False
    pickled = head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"
    kind = "a pickle, as PyTorch writes it" if pickled else "a file that is neither HDF5 nor zip"
    raise _not_keras(path, f"{kind} (it starts with {head!r})")


def _not_keras(path: Path, found: str) -> WeightsError:
    return WeightsError(
        f"{path}: expected weights that Keras saved (.weights.h5, .h5 or .keras), found {found}. "
        "Weights of another library must be converted first: set them in the Keras network, then "
        "call its save_weights()."
    )


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turn what h5py and zipfile raise over a damaged file, which may be any error, into WeightsError."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{path}: expected a whole weights file, found a truncated or damaged one "
            f"({_printable(str(error), 200)}). Copy or download it again."
        ) from error


def _unpack(archive: Path, target: Path, limit: int) -> None:
    """Write the weights of a .keras archive to `target`; its other members are not read."""
    with _damage_reported(archive), zipfile.ZipFile(checked(archive, WEIGHTS)) as members:
        if ARCHIVED not in members.namelist():
            raise _not_keras(archive, _other_archive(members.namelist()))
        size = members.getinfo(ARCHIVED).file_size  # as declared; no more than that is unpacked
        if size > limit:
            raise WeightsError(
                f"{archive}: expected at most {limit:,} bytes in {ARCHIVED}, found {size:,}; it is not "
                "unpacked. Save the weights of the network alone: save_weights('NAME.weights.h5')."
            )
        with members.open(ARCHIVED) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)


def _other_archive(names: list[str]) -> str:
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch checkpoint"
    more = ", ..." if len(names) > 3 else ""
    return f"a zip without {ARCHIVED} (it holds {', '.join(map(_printable, names[:3]))}{more})"


def _read(file: Path, path: Path) -> SavedWeights:
    """Check `file` and list its layers; messages name it `path`."""
    with _damage_reported(path), h5py.File(checked(file, WEIGHTS), "r") as root:
        datasets = harmless_datasets(root, path)
        if legacy := _legacy_group(root):
            return SavedWeights(file, True, _legacy_layers(legacy))
        return SavedWeights(file, False, _keras3_layers(datasets))


def harmless_datasets(root: Any, path: Path) -> list[Any]:
    """All datasets in order of their names; raise if there is anything unsafe."""
    datasets: list[Any] = []
    seen = {_address(root)}
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, h5py.Dataset):
            _refuse(path, item.name, _danger(item))
            datasets.append(item)
            continue
        children = _children(item, path)
        for address in map(_address, children):
            _refuse(path, item.name, "an object with two names" if address in seen else "")
            seen.add(address)
        _refuse(path, item.name, "too many objects" if len(seen) > MAX_OBJECTS else "")
        waiting.extend(reversed(children))
    return datasets


def _children(group: Any, path: Path) -> list[Any]:
    children = []
    for name in sorted(group):
        linked = isinstance(group.get(name, getlink=True), h5py.HardLink)
        _refuse(path, f"{group.name}/{name}", "" if linked else "a link")
        children.append(group[name])
    return children


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _danger(dataset: Any) -> str:
    """Why a dataset is unsafe, or the empty string."""
    if dataset.external or dataset.is_virtual:
        return "data in another file"
    if dataset.shape is None or dataset.dtype.kind not in "biuf":
        return f"{dataset.dtype} instead of numbers"
    if (
        dataset.chunks
        and math.prod(dataset.chunks) * dataset.dtype.itemsize > dataset.nbytes + SLACK
    ):
        return f"chunks of {dataset.chunks} for a shape of {dataset.shape}"
    return ""


def _refuse(path: Path, name: str, danger: str) -> None:
    if danger:
        raise WeightsError(
            f"{path}: expected plain arrays of numbers, found {danger} at {_printable(name)}. It is not "
            "read further: no weights file of Keras has that. Take the file from its source again."
        )


def _legacy_group(root: Any) -> Any:
    """The group with Keras 2's list of layers, or None."""
    group = root
    if "layer_names" not in root.attrs and "model_weights" in root:
        group = root["model_weights"]
    return group if {"layer_names", "layer_names0"} & set(group.attrs) else None


def _legacy_layers(root: Any) -> list[SavedLayer]:
    names = _names(root, "layer_names")
    if "top_level_model_weights" in root:  # of the model itself; usually none
        names.append("top_level_model_weights")
    layers = (
        SavedLayer(name, tuple(root[name][w].shape for w in _names(root[name], "weight_names")))
        for name in names
    )
    return [layer for layer in layers if layer.shapes]


def _names(group: Any, key: str) -> list[str]:
    """A list of names in an attribute, or in numbered ones if it is long."""
    numbered = (f"{key}{i}" for i in itertools.count())
    keys = [key] if key in group.attrs else itertools.takewhile(group.attrs.__contains__, numbered)
    found: list[str] = []
    for part in keys:
        if math.prod(group.attrs.get_id(part).shape) > MAX_OBJECTS:
            raise ValueError(f"too many names in {part}")
        found += (n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs[part])
    return found


def _keras3_layers(datasets: list[Any]) -> list[SavedLayer]:
    """`layers/conv2d_1/vars/0` belongs to `conv2d_1`, and so does all else in `layers/conv2d_1`."""
    layers: dict[str, list[tuple[int, ...]]] = {}
    for dataset in datasets:
        parts = dataset.name.strip("/").split("/")
        # What only training needs; Keras does not read it.
        if parts[0] in ("optimizer", PROVENANCE) or any(
            part.startswith("seed_generator") for part in parts
        ):
            continue
        name = parts[1] if parts[0] == "layers" and len(parts) > 2 else parts[0]
        layers.setdefault(name, []).append(dataset.shape)
    return [SavedLayer(name, tuple(shapes)) for name, shapes in layers.items()]


def _printable(name: str, length: int = 60) -> str:
    name = name if name.isprintable() else ascii(name)
    return name if len(name) <= length else f"{name[: length - 3]}..."
