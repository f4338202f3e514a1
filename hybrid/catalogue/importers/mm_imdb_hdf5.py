"""The HDF5 file of MM-IMDb: genres, posters as a network saw them, plots as numbers of words, the split."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue.importers.importer import PARTS, Item, LeftOut, Notes, Source
from hybrid.errors import CatalogueError
from hybrid.utils.counts import counted
from hybrid.utils.reading import DATA_SET, checked, open_file, parse_json

NAME, WORDS = "multimodal_imdb.hdf5", "metadata.npy"
COLUMNS = ("id", "overview", "genres", "poster")
SPAN = ("split", "source", "start", "stop")
FILMS, PUBLISHED = 25_959, {"train": 15_552, "dev": 2_608, "test": 7_799}
SHAPES = {
    "genres": ("films", "genres"),
    "imdb_ids": ("films",),
    "images": ("films", "3", "height", "width"),
    "sequences": ("films",),
}
# Kinds of numpy types that an array may have; ids may be text of any length, too.
KINDS = {"genres": "biu", "imdb_ids": "Siu", "images": "biuf", "sequences": "iu"}
FEW = 16  # films that are read at once
# Films are not read that are larger than all of these bytes, or arrays of genres and ids that are larger, and
# so many times the file.
LARGEST, TIMES = 1 << 28, 100
# The means that were subtracted from blue, green and red, before a network saw the poster.
MEANS = (103.939, 116.779, 123.68)


def open_hdf5(path: Path) -> Source:
    """Open the file; the words of the plots are in ``metadata.npy`` beside it."""
    notes, read = Notes(), [0]
    words = _read_words(path.parent / WORDS, notes)
    with _file(path) as file:
        _check_shapes(path, file)
        total = len(file["genres"])
    rows = _read(path, words, notes, read)
    return Source(COLUMNS, rows, notes, total, "films", lambda: read[0])


def _check_shapes(path: Path, file: Any) -> None:
    """Check that the arrays are there, in this file, of numbers, and belong together."""
    if missing := [name for name in ("genres", "imdb_ids") if name not in file]:
        raise CatalogueError(
            f"{path}: expected {NAME} of MM-IMDb, found no {' and no '.join(missing)} in it."
        )
    found = [name for name in SHAPES if file.get(name, getlink=True) is not None]
    for name in found:
        _refuse(path, name, _elsewhere(file, name))
    shapes: dict[str, tuple[int, ...]] = {
        name: getattr(file[name], "shape", None) or () for name in found
    }
    films = (shapes["genres"] or (0,))[0]
    wrong = [
        f"{name} of shape {shape}"
        for name, shape in shapes.items()
        if len(shape) != len(SHAPES[name]) or shape[0] != films
    ]
    if "images" in shapes and (shapes["images"][1:2] != (len(MEANS),) or 0 in shapes["images"][2:]):
        wrong.append(f"images of shape {shapes['images']}")
    if wrong:
        expected = ", ".join(f"{name} ({', '.join(SHAPES[name])})" for name in shapes)
        raise CatalogueError(
            f"{path}: expected {NAME} of MM-IMDb with {expected}, found {', '.join(dict.fromkeys(wrong))}. "
            "Is it another file, or one that was not written to its end?"
        )
    for name in found:
        _refuse(path, name, _danger(file[name], name, path.stat().st_size))


def _refuse(path: Path, name: str, danger: str) -> None:
    if danger:
        raise CatalogueError(
            f"{path}: expected {name} as a plain array of this file, found {danger}. It is not read: the "
            "published file has nothing like it. Download it again."
        )


def _elsewhere(file: Any, name: str) -> str:
    """Whether an array is of another file of the machine: what it is, or nothing."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return "a link"
    data = file[name]
    stored = isinstance(data, h5py.Dataset)
    return "data in another file" if stored and (data.external or data.is_virtual) else ""


def _danger(data: Any, name: str, size: int) -> str:
    """Why an array must not be read from a file of `size` bytes, or nothing."""
    import h5py

    kind = h5py.check_vlen_dtype(data.dtype) or data.dtype
    text = name == "imdb_ids" and h5py.check_string_dtype(data.dtype) is not None
    if not text and np.dtype(kind).kind not in KINDS[name]:
        return f"values of type {data.dtype}"
    chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    at_once = math.prod(data.shape[1:]) * data.dtype.itemsize * FEW
    if name in ("genres", "imdb_ids"):  # all at once, however well they are compressed
        at_once = data.nbytes if data.nbytes > TIMES * size else 0
    largest = max(chunk, at_once)
    return f"{largest:,} bytes to read at once" if largest > LARGEST else ""


def _file(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(checked(path, DATA_SET), "r")
    except OSError as error:
        raise CatalogueError(f"{path}: expected an HDF5 file, found: {error}.") from error


def _read(
    path: Path, words: dict[int, str], notes: Notes, read: list[int]
) -> Iterator[Item | LeftOut]:
    with _file(path) as file:
        genres, ids = file["genres"][...], file["imdb_ids"][...]
        names, parts = _genre_names(path, file, genres.shape[1]), _parts(file, len(ids), notes)
        images, plots = file.get("images"), file.get("sequences")
        for start in range(0, len(ids), FEW):
            some = slice(start, start + FEW)
            pixels = None if images is None else images[some]
            texts = None if plots is None else plots[some]
            for i, key in enumerate(ids[some]):
                row = start + i
                name = key.decode("ascii", "replace") if isinstance(key, bytes) else str(key)
                plot = "" if texts is None else " ".join(words.get(int(w), "") for w in texts[i])
                labels = tuple(names[j] for j in np.flatnonzero(genres[row]))
                poster = None if pixels is None else encode_poster(pixels[i])
                cells = {"id": name, "overview": plot.strip()}
                other = {"imdb_id": f"tt{name}"}
                read[0] = row + 1
                yield Item(path.name, row + 1, cells, labels, poster, parts[row], other)


def _genre_names(path: Path, file: Any, count: int) -> list[str]:
    said = file["genres"].attrs.get("target_names")
    text = said.decode() if isinstance(said, bytes) else str(said)
    try:
        names = [name for name in parse_json(text) if isinstance(name, str)]
    except (ValueError, TypeError):
        names = []
    if len(names) != count:
        raise CatalogueError(
            f"{path}: expected the names of {counted(count, 'genre')} in the attribute target_names, found "
            f"{text[:60]}."
        )
    return names


def _parts(file: Any, count: int, notes: Notes) -> list[str]:
    """The published split: an attribute with the first and the last film of each part."""
    parts = [""] * count
    if "split" in file.attrs:
        try:
            spans = [[entry[name] for name in SPAN] for entry in file.attrs["split"]]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise CatalogueError(
                f"{file.filename}: expected {', '.join(SPAN)} in the attribute split, found: {error!r}."
            ) from error
        for name, source, start, stop in spans:
            if _text(source) == "genres" and (part := PARTS.get(_text(name))):
                parts[int(start) : int(stop)] = [part] * len(parts[int(start) : int(stop)])
    elif count == FILMS:
        counts = [(PARTS[name], size) for name, size in PUBLISHED.items()]
        parts = [part for part, size in counts for _ in range(size)]
    if not any(parts):
        notes.add("missing split", "the file has no split: make one with hybrid split")
    return parts


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def encode_poster(values: NDArray[np.int32]) -> bytes:
    """Undo what was done for a network: order of colours, means. The pixels are right but for one grey level.

    Parameters
    ----------
    values : ndarray of shape (3, height, width), int
        Blue, green and red, each less its mean, cut to whole numbers.

    Returns
    -------
    bytes
        A PNG file.
    """
    from PIL import Image

    planes = []
    for plane, mean in zip(values, MEANS, strict=True):
        # Numbers were cut towards zero.
        whole = np.where(plane > 0, np.ceil(mean), np.floor(mean)) + plane
        planes.append(np.clip(whole, 0, 255).astype(np.uint8))
    image = Image.fromarray(np.stack(planes[::-1], axis=-1))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return file.getvalue()


class _Plain(pickle.Unpickler):
    """Reads dicts, lists, numbers and text; of anything else it makes an empty shell, and calls nothing."""

    def find_class(self, module: str, name: str) -> Any:
        return _shell


class _Shell:
    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _shell(*_: Any, **__: Any) -> _Shell:
    return _Shell()


def _read_words(path: Path, notes: Notes) -> dict[int, str]:
    """Number → word, from the pickled dict in ``metadata.npy``; nothing that is pickled in it is run."""
    if not path.exists():
        notes.add(
            "missing file", f"no {WORDS} beside {NAME}: the plots are empty", column="overview"
        )
        return {}
    try:
        with open_file(path, DATA_SET) as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            read(file)
            state = _Plain(file, encoding="latin-1").load().state
        words = state[-1][0]["ix_to_word"].items()
        # A list that holds one list ten times, and so on, would be written in full by str().
        return {int(number): word for number, word in words if isinstance(word, str)}
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, MemoryError,
            RecursionError, pickle.UnpicklingError) as error:  # fmt: skip
        raise CatalogueError(
            f"{path}: expected the words of MM-IMDb, a dict with ix_to_word, found: {error!r}."
        ) from error
