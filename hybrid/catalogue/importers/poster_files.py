"""Posters of an import: written under the name of their content, with the suffix of their format."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import Notes
from hybrid.errors import SettingError
from hybrid.utils.reading import IMAGE, read_bytes

FOLDER = "posters"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".avif", ".heic", ".heif", ".mpo"}
)
_STARTS = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"GIF8", ".gif"),
           (b"BM", ".bmp"), (b"II*\0", ".tif"), (b"MM\0*", ".tif"))  # fmt: skip
_BRANDS = {b"avif": ".avif", b"avis": ".avif", b"heic": ".heic", b"heix": ".heic", b"mif1": ".heic"}


def image_suffix(data: bytes) -> str:
    r"""The suffix of an image's format, by its first bytes; empty if it is no image that is known.

    Examples
    --------
    >>> image_suffix(b"\xff\xd8\xff\xe0"), image_suffix(b"<html>")
    ('.jpg', '')
    """
    for start, suffix in _STARTS:
        if data.startswith(start):
            return suffix
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return _BRANDS.get(data[8:12], "") if data[4:8] == b"ftyp" else ""


class PosterFiles:
    r"""Writes posters; equal ones are one file.

    Parameters
    ----------
    folder : Path
        Of the catalogue.
    notes : Notes
        Told which posters could not be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> files = PosterFiles(Path(folder.name), Notes())
    >>> files.put(b"\xff\xd8\xff\xe0", "862")
    'posters/ba/ba4f25bf16ba4be6bc7d3276fafeb67f9eb3c5df042bc3a405e1af15b921eed7.jpg'
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._folder, self._notes = folder, notes
        self.written = 0

    def put(self, poster: Path | bytes, item: str) -> str:
        """Write the poster of an item; returns its cell, empty where it cannot be used."""
        try:
            data = poster if isinstance(poster, bytes) else read_bytes(poster, IMAGE)
        except OSError as error:
            self._notes.add(
                "unreadable posters",
                "{count} {posters|poster} could not be read",
                f"{error.filename}: {error.strerror}",
            )
            return ""
        suffix = image_suffix(data)
        if not suffix:
            self._notes.add(
                "no images",
                "{count} {posters are|poster is} no image in a known format; {their items have|its item "
                "has} none",
                item,
            )
            return ""
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / FOLDER / digest[:2] / f"{digest}{suffix}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.written += 1
        return path.relative_to(self._folder).as_posix()


def walk_images(folder: Path) -> Iterator[Path]:
    """The image files below a folder, sorted; hidden files and folders are passed over."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(root) / name


class NamedPosters:
    """Image files that are named by an id of their item, such as ``862.jpg`` or ``tt0114709.jpg``.

    Parameters
    ----------
    folder : Path
    index : DiskIndex

    Raises
    ------
    SettingError
        If there is no such folder, or no image in it.
    """

    def __init__(self, folder: Path, index: DiskIndex) -> None:
        if not folder.is_dir():
            raise SettingError(
                f"--posters: expected a folder with images, found no folder {folder}."
            )
        self._index, count = index, 0
        for count, path in enumerate(walk_images(folder), start=1):
            index.add(path.stem, count, str(path))
        if not count:
            raise SettingError(
                f"--posters: expected a folder with images that are named by ids, found no image in {folder}."
            )

    def find(self, ids: Iterable[str]) -> Path | None:
        """The file that has one of these ids as its name."""
        for name in ids:
            if name and (path := self._index.get(name)):
                return Path(path)
        return None
