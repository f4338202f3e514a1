"""Data sets of Hugging Face: a folder that `datasets` saved, Parquet files, or the name of a data set."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.catalogue.importers.hub import download
from hybrid.catalogue.importers.importer import (
    PARTS,
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.mapping import (
    find_id,
    find_poster,
    list_columns,
    map_columns,
    split_labels,
    tell_missing,
)
from hybrid.catalogue.importers.tmdb_film import join, plain
from hybrid.catalogue.lists import join_list
from hybrid.catalogue.poster_paths import POSTER, POSTERS
from hybrid.errors import CatalogueError, MissingExtraError
from hybrid.types import UNUSED
from hybrid.utils.counts import counted
from hybrid.utils.links import lies_in
from hybrid.utils.parquet import open_parquet
from hybrid.utils.reading import DATA_SET, TEXT, checked, parse_json, read_json
from hybrid.utils.unpacking import UnpackedTooLargeError

ROWS = 256  # that are in memory at once
PAGE = re.compile(
    r"https?://(?:www\.)?huggingface\.co/datasets/"
)  # before a name, as browsers show it
NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


@dataclass(frozen=True)
class _File:
    path: Path
    split: str  # its name in the data set


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    _need_pyarrow(source)
    root, notes, read = Path(source), Notes(), [0]
    name = PAGE.sub("", source).rstrip("/")
    if not root.exists() and NAME.fullmatch(name):
        root = download(name, scratch)
    files = _find_files(root)
    if not files:
        raise CatalogueError(
            f"{source}: expected a folder that datasets.save_to_disk wrote, Parquet files, or the name of a "
            "data set such as owner/name, found none of these."
        )
    schema = _schema(files[0].path)
    features = _features(files[0].path, schema)
    names = map_columns(schema.names, dict(options.mapping), root)
    names = _by_feature(names, features)
    tell_missing(names, notes, "the data set", options.posters is not None)
    several = _has_lists(schema, names)
    if several:  # the column of the images takes this name
        names = {old: f"{new}_" if new == POSTERS else new for old, new in names.items()}
    columns = list_columns(names)
    if several:
        columns = tuple(POSTERS if name == POSTER else name for name in columns)
    rows = _read(files, names, features, options, notes, read)
    return Source(columns, rows, notes, len(files), "files", lambda: read[0])


def _need_pyarrow(source: str) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: data sets of Hugging Face need pyarrow. "
            "Install it with: pip install 'hybrid-posters[parquet]'"
        ) from error


def _find_files(root: Path) -> list[_File]:
    """The Arrow or Parquet files, and the split that each is of."""
    if root.is_file():
        return [_File(root, "")]
    if (root / "dataset_dict.json").exists():
        splits = _names(_json(root / "dataset_dict.json").get("splits"), root)
        return [_File(path, name) for name in splits for path in _saved(root / name)]
    if (root / "state.json").exists():
        return [_File(path, "") for path in _saved(root)]
    found = sorted(path for end in ("parquet", "arrow") for path in root.rglob(f"*.{end}"))
    return [_File(path, re.split(r"[-.]", path.name)[0]) for path in found]


def _saved(folder: Path) -> list[Path]:
    """The files of a data set that was saved, in their order."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise CatalogueError(
            f"{folder}: expected the rows as they are, found a selection of them by indices. Save it again "
            "with: dataset.flatten_indices().save_to_disk(…)"
        )
    files = state.get("_data_files")
    files = files if isinstance(files, list) else []
    named = [each.get("filename") for each in files if isinstance(each, dict)]
    return [folder / name for name in _names(named, folder)]


def _names(found: Any, folder: Path) -> list[str]:
    """Names of files and folders in a folder: what leads out of it may be any file of the machine."""
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    if outside := [name for name in names if not lies_in(folder / name, folder)]:
        raise CatalogueError(
            f"{folder}: expected a data set whose files lie in its folder, found {outside[0][:80]!r}. "
            "Copy the files into it, and name them there."
        )
    return names


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path, TEXT)
    except (OSError, ValueError) as error:
        raise CatalogueError(f"{path}: expected a JSON object, found: {error}.") from error
    return found if isinstance(found, dict) else {}


def _batches(path: Path) -> Iterator[Any]:
    """Record batches of an Arrow stream, an Arrow file or a Parquet file."""
    import pyarrow as pa

    try:
        if path.suffix == ".parquet":
            with open_parquet(checked(path, DATA_SET), path) as parquet:
                yield from parquet.iter_batches(batch_size=ROWS)
            return
        with pa.OSFile(str(checked(path, DATA_SET))) as file:
            if file.read(6) == b"ARROW1":
                file.seek(0)
                reader = pa.ipc.open_file(file)
                yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
                return
            file.seek(0)
            yield from pa.ipc.open_stream(file)
    except UnpackedTooLargeError as error:
        raise CatalogueError(f"cannot read {path}: {error.strerror}.") from error
    except (pa.ArrowException, OSError) as error:
        raise CatalogueError(
            f"{path}: expected an Arrow or Parquet file, found: {error}."
        ) from error


def _schema(path: Path) -> Any:
    import pyarrow as pa

    try:
        if path.suffix == ".parquet":
            from pyarrow.parquet import read_schema

            return read_schema(path)
        with pa.OSFile(str(checked(path, DATA_SET))) as file:
            is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(file).schema
    except (pa.ArrowException, OSError) as error:
        raise CatalogueError(
            f"{path}: expected an Arrow or Parquet file, found: {error}."
        ) from error


def _features(path: Path, schema: Any) -> dict[str, Any]:
    """The features, which tell images from bytes and labels from numbers."""
    said = (schema.metadata or {}).get(b"huggingface")
    found = None
    with contextlib.suppress(ValueError, AttributeError):  # of another shape: it tells nothing
        found = parse_json(said).get("info", {}).get("features") if said else None
    if not found and (path.parent / "dataset_info.json").exists():
        found = _json(path.parent / "dataset_info.json").get("features")
    return found if isinstance(found, dict) else {}


def _has_lists(schema: Any, names: Mapping[str, str]) -> bool:
    """Whether an item may have several images."""
    column = next((old for old, new in names.items() if new == POSTER), None)
    if column is None:
        return False
    return str(schema.field(column).type).startswith(("list", "large_list", "fixed_size_list"))


def _kind(feature: Any) -> tuple[str, list[str]]:
    """The type of a feature or of the entries of a list, and the names of its classes."""
    while (feature and isinstance(feature, list)) or (
        isinstance(feature, dict) and "feature" in feature
    ):
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    if not isinstance(feature, dict):
        return "", []
    names = feature.get("names")
    return str(feature.get("_type", "")), list(names) if isinstance(names, list) else []


def _by_feature(names: dict[str, str], features: Mapping[str, Any]) -> dict[str, str]:
    """Take the first image for the poster and the first class for the label where no name tells."""
    for role, kind in (("poster", "Image"), ("genres", "ClassLabel")):
        if role in names.values():
            continue
        found = next(
            (n for n in names if names[n] == n and _kind(features.get(n))[0] == kind), None
        )
        if found:
            names[found] = role
    return names


def _read(
    files: list[_File],
    names: Mapping[str, str],
    features: Mapping[str, Any],
    options: ImportOptions,
    notes: Notes,
    read: list[int],
) -> Iterator[Item | LeftOut]:
    several = len({file.split for file in files}) > 1
    id_column = find_id(names, notes, "the data set")
    rows: dict[str, int] = {}
    for file in files:
        part = PARTS.get(file.split.lower(), UNUSED) if several else ""
        for batch in _batches(file.path):
            for start in range(0, batch.num_rows, ROWS):
                for value in batch.slice(start, ROWS).to_pylist():
                    row = rows[file.split] = rows.get(file.split, 0) + 1
                    item = _item(value, names, features, options, notes, file.path)
                    cells, labels, poster = item
                    if id_column is None:
                        cells["id"] = f"{file.split}-{row}" if several else str(row)
                    yield Item(file.split or file.path.name, row, cells, labels, poster, part)
        read[0] += 1


def _item(
    value: Mapping[str, Any],
    names: Mapping[str, str],
    features: Mapping[str, Any],
    options: ImportOptions,
    notes: Notes,
    file: Path,
) -> tuple[dict[str, str], tuple[str, ...], tuple[Path | bytes, ...]]:
    cells: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    poster: tuple[Path | bytes, ...] = ()
    for old, new in names.items():
        if not new:
            continue
        if new == "poster":
            poster = _images(value.get(old), cells, file.parent, options, notes)
        elif new == "genres":
            found = _classes(value.get(old), _kind(features.get(old))[1], notes, old)
            labels = split_labels(found, options.label_separator, notes)
        else:
            cells[new] = _cell(value.get(old), notes, old)
    return cells, labels, poster


def _classes(value: Any, names: list[str], notes: Notes, column: str) -> Any:
    """The names of classes by their numbers; -1 is no class."""
    if not names:
        return value
    numbers = value if isinstance(value, list) else [value]
    for each in numbers:
        if isinstance(each, int) and not -1 <= each < len(names):
            classes = counted(len(names), "class", "classes")
            message = f"{{count}} {{labels are numbers|label is a number}} without a name among the {classes}"
            notes.add("unknown classes", message, str(each), column)
    return [
        names[each] if isinstance(each, int) and 0 <= each < len(names) else each
        for each in numbers
        if each not in (None, -1)
    ]


def _images(
    value: Any, cells: dict[str, str], folder: Path, options: ImportOptions, notes: Notes
) -> tuple[Path | bytes, ...]:
    """The images of an item, as bytes or files; URLs become the cell ``poster_url``."""
    found: list[Path | bytes] = []
    urls: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        own: dict[str, str] = {}
        image = _image(each, own) or find_poster(own, folder, options.posters, notes)
        found += [] if image is None else [image]
        urls += filter(None, [own.get("poster_url", "")])
    if urls:
        cells["poster_url"] = join_list(urls, "|")
    if len(found) > 1:
        notes.add("several images", "{count} {items have|item has} several images")
    return tuple(found)


def _image(value: Any, cells: dict[str, str]) -> bytes | None:
    """Bytes of an image; a path or a URL becomes the cell ``poster``."""
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        return content if content else _image(path, cells)
    if isinstance(value, str):
        cells["poster"] = value
    return value if isinstance(value, bytes) else None


def _cell(value: Any, notes: Notes, column: str) -> str:
    if isinstance(value, bytes):
        message = (
            f"{{count}} {{cells|cell}} of {column!r} {{are|is}} bytes, and {{were|was}} left empty"
        )
        notes.add("bytes", message, column=column)
        return ""
    if isinstance(value, list):
        if all(each is None or isinstance(each, (str, int, float)) for each in value):
            return join((plain(each) for each in value if each not in (None, "")), notes)
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return plain(value)


IMPORTER = Importer(
    "huggingface",
    "a folder that datasets.save_to_disk wrote, Parquet files of the Hub, or the name of a data set there",
    _open,
    frozenset({"posters", "map", "label-separator"}),
)
