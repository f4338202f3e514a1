"""A folder of images: a folder in it for each label, or for each part and then for each label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import (
    PARTS,
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.poster_files import SUFFIXES
from hybrid.errors import CatalogueError
from hybrid.utils.counts import counted
from hybrid.utils.reading import IMAGE, hash_file


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    root = Path(source)
    if not root.is_dir():
        raise CatalogueError(
            f"{root}: expected a folder with a folder of images for each label, found no folder."
        )
    names = {path.name.lower() for path in root.iterdir() if path.is_dir() and path.name[0] != "."}
    has_parts = bool(names) and names <= set(PARTS) and bool(names & {"train", "training"})
    notes, read = Notes(), [0]
    total = sum(1 for _ in _walk(root))
    rows = _read(root, has_parts, scratch, notes, read)
    # The files are read twice: first to find which are the same.
    return Source(
        ("id", "genres", "poster"),
        rows,
        notes,
        2 * total,
        "files",
        lambda: read[0],
        many_files=True,
    )


def _walk(root: Path) -> Iterator[Path]:
    """Files below a folder, sorted; without hidden ones and what is behind links; see `_hidden`."""
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _hidden(folder: Path, root: Path) -> Iterator[LeftOut]:
    """Hidden files and folders, whatever is in them, and links to folders: no row is theirs."""
    for path in sorted(folder.iterdir()):
        is_link, is_folder = path.is_symlink(), path.is_dir()
        if path.name.startswith("."):
            found = counted(_count(path), "file") if is_folder and not is_link else ""
            kind = "folder" if is_folder else "file"
            yield LeftOut(path.relative_to(root).as_posix(), 0, "", f"a hidden {kind}", found)
        elif is_folder and is_link:
            yield LeftOut(path.relative_to(root).as_posix(), 0, "", "a link to a folder")
        elif is_folder:
            yield from _hidden(path, root)


def _count(folder: Path) -> int:
    """Files below a folder."""
    return sum(len(files) for _, _, files in os.walk(folder))


def _read(
    root: Path, has_parts: bool, scratch: Path, notes: Notes, read: list[int]
) -> Iterator[Item | LeftOut]:
    with DiskIndex(scratch, in_order=True) as images, DiskIndex(scratch) as ids:
        yield from _hidden(root, root)
        for row, path in enumerate(_walk(root), start=1):
            read[0] += 1
            if problem := _add(images, path, root, row, has_parts, notes):
                yield problem
        for _, row, image in images.values():
            read[0] += 1
            path = root / image["file"]
            name = Path(image["file"]).with_suffix("").as_posix()
            if not ids.add(name, row):  # 1.jpg and 1.png
                name = image["file"]
            if len(image["labels"]) > 1:
                message = (
                    "{count} {images are|image is} in the folders of several labels, and {have|has} all of "
                    "these"
                )
                notes.add("several labels", message, name)
            labels = tuple(image["labels"])
            yield Item(image["file"], row, {"id": name}, labels, path, image["part"])


def _add(
    images: DiskIndex, path: Path, root: Path, row: int, has_parts: bool, notes: Notes
) -> LeftOut | None:
    """Note the labels of an image under its part and its content."""
    file = path.relative_to(root)
    if path.suffix.lower() not in SUFFIXES:
        return LeftOut(file.as_posix(), row, "", "not an image", path.suffix)
    try:
        digest = hash_file(path, IMAGE)
    except OSError as error:
        return LeftOut(file.as_posix(), row, "", "cannot be read", str(error.strerror))
    folders = file.parent.parts
    part = PARTS[folders[0].lower()] if has_parts and folders else ""
    label = folders[1:2] if has_parts else folders[:1]
    if len(folders) > 1 + has_parts:
        message = (
            "{count} {images are in folders|image is in a folder} below that of {their|its} label, which "
            "{mean|means} nothing"
        )
        notes.add("folders below labels", message, file.as_posix())
    key = f"{part}/{digest}"
    known: dict[str, Any] | None = images.get(key)
    if known is None:
        images.add(key, row, {"file": file.as_posix(), "part": part, "labels": list(label)})
        return None
    if not label or label[0] in known["labels"]:
        found = f"the same as {known['file']}"
        return LeftOut(file.as_posix(), row, "", "the image is there already", found)
    known["labels"].append(label[0])
    images.put(key, images.row(key), known)
    return None


IMPORTER = Importer(
    "folder",
    "a folder of images for each label; train, validation and test above them are the split",
    _open,
)
