"""The HDF5 file of MM-IMDb: genres, posters as a network saw them, plots as numbers of words, the split."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue.importers.importer import PARTS, Item, LeftOut, Notes, Source
from hybrid.errors import CatalogueError
from hybrid.utils.counts import counted
from hybrid.utils.reading import DATA_SET, checked, open_file

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
FEW = 16  # films that are read at once
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
    """Check that the arrays are there and belong together."""
    if missing := [name for name in ("genres", "imdb_ids") if name not in file]:
        raise CatalogueError(
            f"{path}: expected {NAME} of MM-IMDb, found no {' and no '.join(missing)} in it."
        )
    shapes: dict[str, tuple[int, ...]] = {
        name: getattr(file[name], "shape", ()) for name in SHAPES if name in file
    }
    films = (shapes["genres"] or (0,))[0]
    wrong = [
        f"{name} of shape {shape}"
        for name, shape in shapes.items()
        if len(shape) != len(SHAPES[name]) or shape[0] != films
    ]
    if "images" in shapes and shapes["images"][1:2] != (len(MEANS),):
        wrong.append(f"images of shape {shapes['images']}")
    if wrong:
        expected = ", ".join(f"{name} ({', '.join(SHAPES[name])})" for name in shapes)
        raise CatalogueError(
            f"{path}: expected {NAME} of MM-IMDb with {expected}, found {', '.join(dict.fromkeys(wrong))}. "
            "Is it another file, or one that was not written to its end?"
        )


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
        names = [str(name) for name in json.loads(text)]
    except ValueError:
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
        return {int(number): str(word) for number, word in state[-1][0]["ix_to_word"].items()}
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise CatalogueError(
            f"{path}: expected the words of MM-IMDb, a dict with ix_to_word, found: {error!r}."
        ) from error
